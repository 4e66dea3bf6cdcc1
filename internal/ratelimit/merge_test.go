package ratelimit

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// queued asks one after the other while Redis is held, so that they wait in this order, and returns their decisions once it
// goes on. The first travels alone.
func queued(t *testing.T, s interface {
	Pause()
	Resume()
}, l *Limiter, asks []func() Decision) []Decision {
	t.Helper()
	s.Pause()
	decisions := make([]Decision, len(asks))
	var all sync.WaitGroup
	before := l.fleet.waiting.Load()
	for i, ask := range asks {
		all.Go(func() { decisions[i] = ask() })
		until(t, func() bool { return l.fleet.waiting.Load() == before+int64(i)+1 })
		if i == 0 { // is under way, so that the others are not part of it
			until(t, func() bool { gathering, _ := l.underWay(); return gathering == 0 })
		}
	}
	s.Resume()
	all.Wait()
	return decisions
}

func repeat(n int, ask func() Decision) []func() Decision {
	asks := make([]func() Decision, n)
	for i := range asks {
		asks[i] = ask
	}
	return asks
}

// Of equal requests that share a call, the first that came pass, and each learns what was left after it.
func TestTheFirstOfEqualsPass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ burst, cost, pass int64 }{{10, 1, 10}, {10, 3, 3}, {100, 1, 20}, {2, 3, 0}, {5, 0, 20}} {
		t.Run(fmt.Sprintf("burst %d, cost %d", tt.burst, tt.cost), func(t *testing.T) {
			t.Parallel()
			s, l := serving(t, patience, 1)
			p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: tt.burst, OnError: Closed}
			before := l.Stats()
			got := queued(t, s, l, repeat(20, func() Decision { return check(l, "a", tt.cost, p) }))
			for i, d := range got {
				passed := min(int64(i)+1, tt.pass)
				if d.OK != (int64(i) < tt.pass) || d.Remaining != tt.burst-passed*tt.cost || d.Source != Redis || d.Policy != p {
					t.Errorf("request %d: %+v", i, d)
				}
				if !d.OK && tt.cost <= tt.burst && (d.RetryAfter <= 0 || d.RetryAfter > time.Duration(tt.cost)*time.Hour) {
					t.Errorf("request %d: to be retried after %s", i, d.RetryAfter)
				}
			}
			after := l.Stats()
			if trips, merged := after.RoundTrips-before.RoundTrips, after.Merged-before.Merged; trips != 2 || merged != 18 {
				t.Errorf("%d round trips and %d checks merged, wanted 2 and 18", trips, merged)
			}
		})
	}
}

// Requests of one subject that differ in cost or policies are calls of their own, in one round trip.
func TestWhatIsNotEqualIsNotMerged(t *testing.T) {
	t.Parallel()
	s, l := serving(t, patience, 1)
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 100, OnError: Closed}
	q := &Policy{Name: "q", Requests: 1, Per: time.Hour, Burst: 100, OnError: Closed}
	asks := []func() Decision{func() Decision { return check(l, "first", 0, p) }}
	for range 3 {
		asks = append(asks,
			func() Decision { return check(l, "a", 1, p) },
			func() Decision { return check(l, "a", 2, p) },
			func() Decision { return check(l, "a", 1, p, q) },
			func() Decision { return check(l, "b", 1, p) },
			func() Decision {
				return l.Check(t.Context(), []Charge{{Subject: Subject{ByClient, "local", "a"}, Policies: []*Policy{p}, Exact: true}}, 1)
			})
	}
	before := l.Stats()
	for i, d := range queued(t, s, l, asks) {
		if !d.OK || d.Source != Redis {
			t.Errorf("request %d: %+v", i, d)
		}
	}
	after := l.Stats()
	if trips, calls := after.RoundTrips-before.RoundTrips, after.Calls-before.Calls; trips != 2 || calls != 6 {
		t.Errorf("%d calls in %d round trips, wanted 6 in 2", calls, trips)
	}
	if d := check(l, "a", 0, p); d.Remaining != 100-3-6-3-3 {
		t.Errorf("p has %d left, wanted 85", d.Remaining)
	}
	if d := check(l, "a", 0, q); d.Remaining != 97 {
		t.Errorf("q has %d left, wanted 97", d.Remaining)
	}
}

// A request whose time is up when its call is sent is not charged, and takes no place from others.
func TestWhoGaveUpIsNotCharged(t *testing.T) {
	t.Parallel()
	_, l := serving(t, patience, 1)
	f, now := l.fleet, int64(10)
	f.clock = func() int64 { return now }
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 100, OnError: Closed}
	c := Charge{Subject: Subject{ByClient, "local", "a"}, Policies: []*Policy{p}}
	digest := c.Subject.digest()
	sh := f.known.shard(&digest)
	sh.mu.Lock()
	e := sh.find(&c, &digest, now, "gh")
	g := newGroup(f, e, 1, false)
	e.gathering = append(e.gathering, g)
	for _, deadline := range []int64{30, 20, 30, 15} {
		if _, err := f.join(e, &c, 1, now, deadline); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.join(e, &c, 1, now, now); err != errLate {
		t.Errorf("a budget that earlier charges used up gave %v, wanted errLate", err)
	}
	sh.mu.Unlock()
	now = 20
	call, ok := g.Call()
	if !ok || call.Args[0] != 2 || e.waiting != 2 || len(e.gathering) != 0 {
		t.Errorf("Call() = %+v, %t, with %d waiting, wanted a call for 2", call, ok, e.waiting)
	}
	now = 40
	g = newGroup(f, e, 1, false)
	g.waiters = append(g.waiters, newWaiter(g, c.Policies, 35))
	e.waiting = 1
	if call, ok := g.Call(); ok || e.waiting != 0 {
		t.Errorf("Call() = %+v with %d waiting, wanted none for a request that gave up", call, e.waiting)
	}
}

// At most so many wait for one charge, and so many in all; one more does what its policy says at once.
func TestACrowdIsBounded(t *testing.T) {
	t.Parallel()
	s, l := serving(t, patience, 1)
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 1 << 20, OnError: Closed}
	check(l, "a", 1, p)
	s.Pause()
	var all sync.WaitGroup
	for range maxPerCharge {
		all.Go(func() {
			if d := check(l, "a", 1, p); !d.OK || d.Source != Redis {
				t.Errorf("one that waits: %+v", d)
			}
		})
	}
	until(t, func() bool { return l.fleet.waiting.Load() == maxPerCharge })
	if d := check(l, "a", 1, p); d.Source != FellShut {
		t.Errorf("one more for the same charge: %+v", d)
	}
	l.fleet.waiting.Add(maxWaiters - maxPerCharge)
	if d := check(l, "b", 1, p); d.Source != FellShut {
		t.Errorf("one more in all: %+v", d)
	}
	l.fleet.waiting.Add(maxPerCharge - maxWaiters)
	s.Resume()
	all.Wait()
	if st := l.Stats(); st.Crowded != 2 || l.fleet.waiting.Load() != 0 {
		t.Errorf("%d refused for the crowd and %d waiting, wanted 2 and 0", st.Crowded, l.fleet.waiting.Load())
	}
}

// A Redis that hangs costs a request its budget, however many charges it has.
func TestNobodyWaitsLongerThanTheBudget(t *testing.T) {
	t.Parallel()
	s, l := serving(t, 50*time.Millisecond, 1)
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 1000}
	s.Pause()
	charges := make([]Charge, 100)
	for i := range charges {
		charges[i] = Charge{Subject: Subject{ByClient, "local", fmt.Sprint(i)}, Policies: []*Policy{p}}
	}
	begin := time.Now()
	d := l.Check(t.Context(), charges, 1)
	if waited := time.Since(begin); waited > 2500*time.Millisecond { // half of what one budget each would be
		t.Errorf("a request of 100 charges waited %s, with a budget of 50ms", waited)
	}
	if !d.OK || d.Source != FellLocal {
		t.Errorf("%+v, wanted a pass of this node's share", d)
	}
}
