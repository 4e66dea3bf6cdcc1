package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// unreachable is a Limiter with the usual budget whose way to Redis can be made to swallow every byte.
func unreachable(t testing.TB) (*redistest.Proxy, *Limiter) {
	p := redistest.StartProxy(t, redistest.Start(t).Addr())
	c := redisx.Open(redisx.Options{Addrs: []string{p.Addr()}, Prefix: "gh"})
	t.Cleanup(func() { c.Close() })
	return p, New(Options{Redis: c})
}

// waits has callers check one subject after another, and returns how long each check took that began while the breaker was
// closed and while it was open, the last until so many began with it open.
func waits(l *Limiter, callers, after int) (closed, open []time.Duration) {
	p := &Policy{Name: "p", Requests: 100, Per: time.Second, Burst: 100}
	var mu sync.Mutex
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			var before, since []time.Duration
			for i := 0; len(since) < after/callers; i++ {
				who, was := fmt.Sprint(caller, " ", i%100), l.fleet.redis.Stats().Open
				begin := time.Now()
				check(l, who, 1, p)
				if took := time.Since(begin); was {
					since = append(since, took)
				} else {
					before = append(before, took)
				}
				time.Sleep(500 * time.Microsecond) // so that callers do not wait for each other's processor
			}
			mu.Lock()
			closed, open = append(closed, before...), append(open, since...)
			mu.Unlock()
		})
	}
	all.Wait()
	slices.Sort(closed)
	slices.Sort(open)
	return closed, open
}

// With a network that swallows all, 99 of 100 requests wait for no more than their budget while the breaker has not opened, those
// that came while another's call was under way too, and then for next to nothing. A machine that is busy is late by itself: each
// attempt is measured against timers of the same length beside it, and one attempt of several has to do.
func TestANetworkThatSwallows(t *testing.T) {
	t.Parallel()
	p, l := unreachable(t)
	ok := func() bool { return check(l, "a", 0, ample).Source == Redis && !l.fleet.redis.Stats().Open }
	until(t, ok)
	const attempts = 10
	for try := 1; ; try++ {
		p.Set(redistest.Swallowed)
		var timers []time.Duration
		var beside sync.WaitGroup
		beside.Go(func() { timers = sleeps(l, 1, 10) })
		closed, open := waits(l, 8, 400)
		beside.Wait()
		p.Heal()
		until(t, ok)
		if len(closed) == 0 {
			t.Fatal("the breaker opened before anybody asked")
		}
		late := max(0, slices.Max(timers)-time.Duration(l.fleet.patience()))
		before, after := at(closed, 99), at(open, 99)
		t.Logf("added to 99 of 100: %s by a Redis that can't be reached, %s once the breaker is open, with timers %s late", before, after, late)
		if before <= l.fleet.redis.Budget()+2*late+2*time.Millisecond && before < 2*time.Duration(l.fleet.patience()) && after < 10*time.Millisecond {
			return
		}
		if try == attempts {
			t.Fatalf("in none of %d attempts they were at most the budget of %s, and 10ms", attempts, l.fleet.redis.Budget())
		}
	}
}

// sleeps is what timers alone take that are set to the time that a request waits, for as many callers at once.
func sleeps(l *Limiter, callers, each int) []time.Duration {
	took := make([]time.Duration, callers*each)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				begin := time.Now()
				time.Sleep(time.Duration(l.fleet.patience()))
				took[caller*each+i] = time.Since(begin)
			}
		})
	}
	all.Wait()
	return took
}

// BenchmarkUnreachable says what a Redis that can't be reached adds to a request: microseconds at the median and for one in a
// hundred, before the breaker has opened and after; and what a timer set to the same time takes on this machine.
func BenchmarkUnreachable(b *testing.B) {
	p, l := unreachable(b)
	var closed, open, timers []time.Duration
	for b.Loop() {
		p.Heal()
		until(b, func() bool { return check(l, "a", 0, ample).Source == Redis && !l.fleet.redis.Stats().Open })
		timers = append(timers, sleeps(l, inFlight, 5)...)
		p.Set(redistest.Swallowed)
		c, o := waits(l, inFlight, 20_000)
		closed, open = append(closed, c...), append(open, o...)
	}
	slices.Sort(closed)
	slices.Sort(open)
	slices.Sort(timers)
	for name, d := range map[string]time.Duration{
		"timer-p50-µs": at(timers, 50), "timer-p99-µs": at(timers, 99),
		"before-p50-µs": at(closed, 50), "before-p99-µs": at(closed, 99), "after-p50-µs": at(open, 50), "after-p99-µs": at(open, 99),
	} {
		b.ReportMetric(float64(d)/float64(time.Microsecond), name)
	}
}

// at is a percentile of sorted times.
func at(sorted []time.Duration, percent int) time.Duration { return sorted[len(sorted)*percent/100] }

// A caller who sends more than a thousand requests at once, while Redis is well, does not get past a limit that is open
// where Redis does not answer: those that can't wait are counted by the node.
func TestCrowdIsNoWayPast(t *testing.T) {
	t.Parallel()
	p := redistest.StartProxy(t, redistest.Start(t).Addr())
	c := redisx.Open(redisx.Options{Addrs: []string{p.Addr()}, Prefix: "gh", Budget: patience})
	t.Cleanup(func() { c.Close() })
	l := New(Options{Redis: c})
	open := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 10, OnError: Open}
	check(l, "another", 1, open)
	p.Set(redistest.Slow(300 * time.Millisecond)) // so that all of them come while one call is under way
	passed, _ := storm(3*maxPerCharge, 1, func(int) Decision { return check(l, "a", 1, open) })
	st := l.Stats()
	if passed < 10 || passed > 20 || st.Open != 0 || st.Crowded == 0 {
		t.Errorf("%d passed, wanted the fleet's 10 and at most the node's 10: %+v", passed, st)
	}
}

// What one request asks after it has waited for Redis in vain goes without it: it makes no round trip, and so does not wait. Another
// request asks again.
func TestInVainOnce(t *testing.T) {
	t.Parallel()
	p, l := unreachable(t)
	until(t, func() bool { return check(l, "a", 0, ample).Source == Redis && !l.fleet.redis.Stats().Open })
	exact := func(ctx context.Context, who string) Source {
		return l.Check(ctx, []Charge{{Subject: Subject{ByClient, "local", who}, Policies: []*Policy{ample}, Exact: true}}, 1).Source
	}
	ctx := Impatient(t.Context())
	if got := exact(ctx, "before"); got != Redis {
		t.Fatalf("Redis is there: decided by %s", got)
	}
	p.Set(redistest.Swallowed)
	trips := func() int64 { return l.Stats().RoundTrips }
	begun := trips()
	if got := exact(ctx, "first"); got != FellShut || trips() != begun+1 {
		t.Fatalf("the first in vain: by %s, with %d round trips", got, trips()-begun)
	}
	for _, who := range []string{"second", "third", "first"} {
		if got := exact(ctx, who); got != FellShut || trips() != begun+1 {
			t.Errorf("%s: by %s, with %d round trips", who, got, trips()-begun-1)
		}
	}
	if exact(Impatient(t.Context()), "another"); trips() != begun+2 && !l.fleet.redis.Stats().Open {
		t.Errorf("another request: %d round trips", trips()-begun-1)
	}
}
