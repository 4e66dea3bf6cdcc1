package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// slow is a policy that gives nothing back while a test runs: what it has left is what was taken.
func slow(name string, burst int64) *Policy {
	return &Policy{Name: name, Requests: 1, Per: time.Hour, Burst: burst, OnError: Closed}
}

// leasing is a rig in which leases alone save calls.
func leasing(t testing.TB) *rig { return engines["leased"](t) }

// heat asks until the charge is hot and permits are held, and returns how often that was.
func (r *rig) heat(t testing.TB, who string, cost int64, policies ...*Policy) (asked int64) {
	t.Helper()
	until(t, func() bool {
		asked++
		if d := r.take(who, cost, policies...); !d.OK {
			t.Fatalf("%+v", d)
		}
		return r.Stats().Held > 0
	})
	return asked
}

// settled waits for the call for permits that may be under way.
func (r *rig) settled(t testing.TB) {
	t.Helper()
	until(t, func() bool { gathering, asking := r.underWay(); return gathering+asking == 0 })
}

// Every permit is charged once, and is spent, lost or held. What a response says is left is the burst less what passed and
// what was lost, to the last request.
func TestPermitsAddUp(t *testing.T) {
	t.Parallel()
	r := leasing(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	const burst = 20_000
	p, q := slow("p", burst), slow("q", 2*burst)
	var passed, leased int64
	for i := range 4000 {
		if random.IntN(8) == 0 {
			r.advance(time.Duration(random.Int64N(int64(time.Second) / []int64{1, 10, 100}[random.IntN(3)])))
		}
		cost := 1 + random.Int64N(3)
		d := r.take("a", cost, p, q)
		r.settled(t)
		st := r.Stats()
		if !d.OK { // what is held here is not there for a cost above it
			if passed+cost+st.Lost+st.Held <= burst {
				t.Fatalf("seed %d: request %d: %+v after %d passed and %d were lost", seed, i, d, passed, st.Lost)
			}
			continue
		}
		passed += cost
		if d.Source == Lease {
			leased += cost
		}
		if want := burst - passed - st.Lost; d.Remaining != want {
			t.Fatalf("seed %d: request %d: %+v, wanted %d remaining", seed, i, d, want)
		}
		if st.Leased != leased+st.Lost+st.Held {
			t.Fatalf("seed %d: request %d: leased %d, spent %d, lost %d, held %d", seed, i, st.Leased, leased, st.Lost, st.Held)
		}
	}
	st := r.Stats()
	if leased < 1000 || st.Lost == 0 {
		t.Errorf("seed %d: %d requests used a lease, %d permits were lost: the test met few", seed, leased, st.Lost)
	}
	for _, policy := range []*Policy{p, q} {
		key := "gh:rl:{" + tagOf(Subject{ByClient, "local", "a"}) + "}:" + policy.Name
		tat, err := strconv.ParseInt(r.redis.Get(t.Context(), key).Val(), 10, 64)
		interval, _ := policy.shape()
		if owed := (tat - r.micros.Load() + interval - 1) / interval; err != nil || owed != passed+st.Lost+st.Held {
			t.Errorf("%s owes %d, %v, wanted %d passed, %d lost, %d held", policy.Name, owed, err, passed, st.Lost, st.Held)
		}
	}
}

func TestPermitsExpire(t *testing.T) {
	t.Parallel()
	r := leasing(t)
	p := slow("p", 4000)
	r.heat(t, "a", 1, p)
	r.settled(t)
	r.advance(199 * time.Millisecond)
	if d := r.take("a", 1, p); d.Source != Lease {
		t.Errorf("after 199 ms: %+v, wanted a lease", d)
	}
	r.settled(t)
	held := r.Stats().Held
	r.advance(200 * time.Millisecond)
	if st := r.Stats(); st.Held != 0 || st.Lost < held {
		t.Errorf("after 200 ms more: %+v, wanted none held and %d lost", st, held)
	}
	if d := r.take("a", 1, p); d.Source != Redis {
		t.Errorf("after all expired: %+v, wanted Redis asked", d)
	}
}

// What one node holds is at most its share of the burst, and small bursts are left alone, also beside a large one.
func TestLeasesAreSmall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		bursts []int64
		nodes  int
		most   int64
	}{
		{[]int64{1000}, 1, 250}, {[]int64{1000}, 3, 83}, {[]int64{8000}, 4, 500}, {[]int64{8000, 1200}, 4, 75},
		{[]int64{999}, 1, 0}, {[]int64{100_000, 999}, 1, 0}, {[]int64{1000}, 251, 0}, {[]int64{4000}, 0, 1000},
	} {
		t.Run(fmt.Sprint(tt.bursts, " of ", tt.nodes), func(t *testing.T) {
			t.Parallel()
			r := leasing(t)
			r.fleet.known.nodes = func() int { return tt.nodes }
			var policies []*Policy
			for i, burst := range tt.bursts {
				policies = append(policies, slow(fmt.Sprint(i), burst))
			}
			most := int64(0)
			for range 900 { // in no time: as hot as can be
				if d := r.take("a", 1, policies...); !d.OK {
					t.Fatalf("%+v", d)
				}
				most = max(most, r.Stats().Held)
			}
			r.settled(t)
			if most = max(most, r.Stats().Held); most > tt.most || most < tt.most*9/10 && most < 500 {
				t.Errorf("%d permits were held, wanted at most and about %d", most, tt.most)
			}
		})
	}
}

func TestExactChargesAreNotLeased(t *testing.T) {
	t.Parallel()
	r := leasing(t)
	p := slow("p", 4000)
	r.heat(t, "a", 1, p)
	r.settled(t)
	r.exact = true
	for i := range 50 {
		if d := r.take("a", 1, p); !d.OK || d.Source != Redis {
			t.Fatalf("request %d: %+v, wanted Redis asked", i, d)
		}
	}
	if st := r.Stats(); st.Held == 0 || st.Leased > 4000 {
		t.Errorf("%+v, wanted the permits untouched", st)
	}
}

// A policy that a reload changed has no permits; one that it did not change keeps them.
func TestAReloadDropsLeases(t *testing.T) {
	t.Parallel()
	r := leasing(t)
	p := slow("p", 4000)
	r.heat(t, "a", 1, p)
	r.settled(t)
	same := *p
	if d := r.take("a", 1, &same); d.Source != Lease || d.Policy != &same {
		t.Errorf("an equal policy: %+v, wanted a lease", d)
	}
	r.settled(t)
	held := r.Stats().Held
	lowered := *p
	lowered.Burst = 3000
	if d := r.take("a", 1, &lowered); d.Source != Redis {
		t.Errorf("a lowered burst: %+v, wanted Redis asked", d)
	}
	if st := r.Stats(); st.Lost != held || held == 0 {
		t.Errorf("%d permits lost, wanted the %d that were held", st.Lost, held)
	}
}

// A cost above what is held goes to Redis, and leaves the permits to others.
func TestACostAboveTheLease(t *testing.T) {
	t.Parallel()
	r := leasing(t)
	p := slow("p", 4000)
	r.heat(t, "a", 1, p)
	r.settled(t)
	held := r.Stats().Held
	if d := r.take("a", held+1, p); !d.OK || d.Source != Redis {
		t.Errorf("%+v, wanted a pass by Redis", d)
	}
	if st := r.Stats(); st.Held < held {
		t.Errorf("%d permits are held after that, wanted the %d that were", st.Held, held)
	}
	r.settled(t)
	if d := r.take("a", r.Stats().Held, p); !d.OK || d.Source != Lease {
		t.Errorf("%+v, wanted a pass by the lease", d)
	}
}

// Without Redis, permits that are held still count, and nothing waits for more.
func TestLeasesOutlastRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	l := New(Options{Redis: dial(t, s)})
	frozen := l.fleet.clock()
	p := slow("p", 4000)
	until(t, func() bool { return check(l, "a", 1, p).Source == Redis })
	l.fleet.clock = func() int64 { return frozen + int64(time.Second) }
	until(t, func() bool { check(l, "a", 1, p); return l.Stats().Held > 10 })
	s.Stop()
	until(t, func() bool { return l.fleet.redis.Stats().Open })
	for l.Stats().Held > 0 {
		if d := check(l, "a", 1, p); d.Source != Lease {
			t.Fatalf("%+v, wanted a lease", d)
		}
	}
	if d := check(l, "a", 1, p); !d.Unavailable {
		t.Errorf("%+v, wanted unavailable", d)
	}
}

// However many ask at once, with whatever cost, what passed and what is held is what Redis gave.
func TestConcurrentCallersShareLeases(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"leased", "redis"} {
		for _, cost := range []int64{1, 3} {
			t.Run(fmt.Sprint(mode, ", cost ", cost), func(t *testing.T) {
				t.Parallel()
				const burst = 4000
				r, p, q := engines[mode](t), slow("p", burst), slow("q", 2*burst)
				admitted, unavailable := storm(50, 120, func(int) Decision { return r.take("a", cost, p, q) })
				r.settled(t)
				st := r.Stats()
				if sum := cost*admitted + st.Held + st.Lost; sum > burst || sum <= burst-cost || unavailable > 0 || st.Leased == 0 {
					t.Errorf("%d passed, %d unavailable, of a burst of %d: %+v", admitted, unavailable, burst, st)
				}
			})
		}
	}
}

// Permits that come for an entry that a reload has dropped meanwhile are lost at once, and nothing of the entry is kept.
func TestAReloadDropsLeasesOnTheirWay(t *testing.T) {
	t.Parallel()
	r := leasing(t)
	p := slow("p", 4000)
	r.heat(t, "a", 1, p)
	r.settled(t)
	c := Charge{Subject: Subject{ByClient, "local", "a"}, Policies: []*Policy{p}}
	digest := c.Subject.digest()
	sh := r.fleet.known.shard(&digest)
	sh.mu.Lock()
	e := sh.find(&c, &digest, r.fleet.clock(), "gh")
	held := e.held()
	sh.mu.Unlock()
	g := newGroup(r.fleet, e, 1, false)
	g.sent, g.permits = r.fleet.clock(), 10
	r.take("a", 1, slow("p", 5000)) // the reload
	r.settled(t)
	before := r.Stats()
	if before.Lost != held {
		t.Errorf("%d permits were lost with the entry, wanted the %d that it held", before.Lost, held)
	}
	g.Done([]int64{0, 10, r.micros.Load(), r.micros.Load()}, nil)
	sh.mu.Lock()
	_, kept := sh.leased[e]
	sh.mu.Unlock()
	if st := r.Stats(); kept || st.Lost != before.Lost+10 || st.Leased != before.Leased+10 || st.Held != before.Held {
		t.Errorf("kept: %t, %+v, wanted 10 more leased and lost than in %+v", kept, st, before)
	}
}
