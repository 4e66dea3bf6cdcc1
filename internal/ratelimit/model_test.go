package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
		for range 4 {
			seed := rand.Uint64()
			random, m := rand.New(rand.NewPCG(seed, 7)), model{}
			all := somePolicies(random)
			var history []string
			for range 500 {
				if step := jump(random); step >= 0 || r.fleet != nil { // the memory drops what is full, which a step back would undo
					r.advance(step)
				}
				if random.IntN(20) == 0 { // a reload
					all = somePolicies(random)
				}
				who := fmt.Sprint(seed, random.IntN(3))
				policies := all[random.IntN(3):][:1+random.IntN(3)]
				cost := random.Int64N(4)
				got := r.take(who, cost, policies...)
				want := m.take(r.micros.Load(), who, cost, policies)
				history = append(history, fmt.Sprint(r.micros.Load()-start, who, cost, got.OK))
				if !slices.Contains(r.sources, got.Source) {
					t.Fatalf("seed %d: %+v, wanted a source of %v", seed, got, r.sources)
				}
				if got.Source == Remembered && !got.OK && !want.OK && got.RetryAfter <= want.RetryAfter {
					continue // since then, other charges may have taken more from one of the buckets
				}
				if got.Source = None; got != want {
					t.Fatalf("seed %d: %+v, wanted %+v, after %v", seed, got, want, history)
				}
			}
		}
	})
}

// somePolicies are five of different names.
func somePolicies(r *rand.Rand) []*Policy {
	policies := make([]*Policy, 5)
	for i := range policies {
		policies[i] = &Policy{Name: fmt.Sprint(i), Requests: 1 + r.Int64N(30), Per: 10 * time.Hour, Burst: 1 + r.Int64N(20), OnError: Closed}
	}
	return policies
}

// jump mostly stays, often moves on, a little or much, and sometimes goes back.
func jump(r *rand.Rand) time.Duration {
	switch r.IntN(20) {
	case 0:
		return -time.Duration(r.Int64N(int64(20 * time.Hour)))
	case 1:
		return time.Duration(r.Int64N(int64(20 * time.Hour)))
	case 2, 3, 4, 5:
		return time.Duration(r.Int64N(int64(time.Hour)))
	case 6, 7, 8:
		return time.Duration(r.Int64N(int64(100 * time.Millisecond)))
	}
	return 0
}
