package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// model is what both engines must agree with: every bucket kept for ever, and decide.
type model map[string]int64

func (m model) take(now int64, who string, cost int64, policies []*Policy) Decision {
	tats := make([]int64, len(policies))
	for i, p := range policies {
		tat, ok := m[who+" "+p.Name]
		if !ok {
			tat = now
		}
		tats[i] = tat
	}
	d := settle(now, tats, policies, cost)
	for i, p := range policies {
		stored, known := m[who+" "+p.Name]
		if d.OK && cost > 0 || known && tats[i] < stored {
			m[who+" "+p.Name] = tats[i]
		}
	}
	return d
}

// Periods are hours, so that no key of Redis's, which expire by its own clock, goes while the test runs.
func TestEnginesAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		for seed := range uint64(4) {
			random, m := rand.New(rand.NewPCG(seed, 7)), model{}
			var history []string
			for range 500 {
				r.advance(jump(random))
				who := fmt.Sprint(seed, random.IntN(3))
				policies := make([]*Policy, 1+random.IntN(3))
				for i := range policies {
					policies[i] = &Policy{Name: fmt.Sprint(i), Requests: 1 + random.Int64N(30), Per: 10 * time.Hour, Burst: 1 + random.Int64N(20), OnError: Closed}
				}
				cost := random.Int64N(4)
				got := r.take(who, cost, policies...)
				want := m.take(r.micros.Load(), who, cost, policies)
				history = append(history, fmt.Sprint(r.micros.Load()-start, who, cost, got.OK))
				if got.Source = None; got != want {
					t.Fatalf("seed %d: %+v, wanted %+v, after %v", seed, got, want, history)
				}
			}
		}
	})
}

// jump mostly stays, often moves on, and sometimes goes back.
func jump(r *rand.Rand) time.Duration {
	switch r.IntN(20) {
	case 0:
		return -time.Duration(r.Int64N(int64(20 * time.Hour)))
	case 1:
		return time.Duration(r.Int64N(int64(20 * time.Hour)))
	case 2, 3, 4, 5, 6, 7, 8:
		return time.Duration(r.Int64N(int64(time.Hour)))
	}
	return 0
}
