package ratelimit

import (
	"context"
	"testing"
	"time"
)

// What decides without a round trip allocates nothing. These run alone: allocations are counted for the whole process.
func TestHotPathsDoNotAllocate(t *testing.T) {
	subject := Subject{ByClient, "local", "billing-worker"}
	two := func(burst int64) []Charge {
		return []Charge{{Subject: subject, Policies: []*Policy{slow("p", burst), slow("q", burst)}}}
	}
	allocs := func(t *testing.T, l *Limiter, charges []Charge, want Source) {
		t.Helper()
		ctx := context.Background()
		if n := testing.AllocsPerRun(100, func() {
			if d := l.Check(ctx, charges, 1); d.Source != want {
				t.Fatalf("%+v, wanted %s", d, want)
			}
		}); n != 0 {
			t.Errorf("a check by %s allocates %v times", want, n)
		}
	}
	t.Run("memory", func(t *testing.T) {
		l := New(Options{})
		charges := two(1000)
		l.Check(context.Background(), charges, 1)
		allocs(t, l, charges, Memory)
	})
	t.Run("lease", func(t *testing.T) {
		r := leasing(t)
		charges := two(10_000)
		for r.Stats().Held < 1000 { // so that no refill is asked for below
			r.Check(context.Background(), charges, 1)
			r.settled(t)
		}
		allocs(t, r.Limiter, charges, Lease)
	})
	t.Run("remembered", func(t *testing.T) {
		r := remembering(t)
		charges := two(1)
		r.Check(context.Background(), charges, 1)
		allocs(t, r.Limiter, charges, Remembered)
	})
	t.Run("away", func(t *testing.T) {
		s, l := serving(t, 100*time.Millisecond, 1)
		s.Stop()
		until(t, func() bool { return l.fleet.redis.Stats().Open })
		p := *slow("p", 1000)
		p.OnError = Open
		charges := []Charge{{Subject: subject, Policies: []*Policy{&p}}}
		l.Check(context.Background(), charges, 1)
		n := testing.AllocsPerRun(100, func() { l.Check(context.Background(), charges, 1) })
		if n > 1 {
			t.Errorf("a check without Redis allocates %v times, wanted 1 at most: the group that it did not join", n)
		}
	})
}
