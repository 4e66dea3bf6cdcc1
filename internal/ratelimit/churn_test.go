package ratelimit

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/redisx"
)

// join is one more node on the rig's Redis and clocks, of a fleet of so many.
func (r *rig) join(t testing.TB, how tuning, nodes func() int) *Limiter {
	t.Helper()
	l := New(Options{Redis: r.fleet.redis, Nodes: nodes})
	l.fleet.batch = redisx.NewBatcher(l.fleet.redis, redisx.NewScript(strings.Replace(takeSource, "redis.call('TIME')", "redis.call('LRANGE', 'clock', 0, 1)", 1)))
	l.fleet.clock, l.fleet.known.tuning, l.now = r.fleet.clock, how, r.now
	return l
}

// Nodes join, are killed with what they have leased, and think that they are more or fewer than they are; a policy comes and goes
// beside the one that is looked at, whose burst is lowered twice; and what passes in any window is at most burst + rate × (window +
// 200 ms). A burst that is raised again is another matter: lowering it has forgiven what was owed beyond it.
func TestAChangingFleetKeepsTheBound(t *testing.T) {
	t.Parallel()
	const rate, burst = 5000, 4000
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 5))
	r := onRedis(t, tuned, Redis, Lease, Remembered)
	var size atomic.Int64
	size.Store(3)
	node := func() *Limiter { return r.join(t, tuned, func() int { return int(size.Load()) }) }
	nodes := []*Limiter{node(), node(), node()}
	bursts := []int64{burst, 1000, 999} // the last of which is not leased
	reloaded := func(burst int64, with bool) []*Policy {
		policies := []*Policy{{Name: "p", Requests: rate, Per: time.Second, Burst: burst, OnError: Closed}}
		if with {
			policies = append(policies, &Policy{Name: "q", Requests: 2 * rate, Per: time.Second, Burst: 2000, OnError: Closed})
		}
		return policies
	}
	const ops = 20_000
	var passes []pass
	var sources [FellShut + 1]int
	var leased int64
	hot, policies := 0, reloaded(burst, false)
	retire := func(i int) { leased += nodes[i].Stats().Leased }
	for op := range ops {
		switch random.IntN(1000) {
		case 0:
			i := random.IntN(len(nodes))
			retire(i)
			nodes[i] = node() // killed, and started again
		case 1:
			if len(nodes) < 5 {
				nodes = append(nodes, node())
			}
		case 2:
			if len(nodes) > 1 {
				retire(len(nodes) - 1)
				nodes = nodes[:len(nodes)-1]
			}
		case 3:
			size.Store(1 + random.Int64N(6))
		case 4:
			policies = reloaded(bursts[op*len(bursts)/ops], random.IntN(2) == 0)
		case 5:
			r.advance(time.Duration(random.Int64N(int64(50 * time.Millisecond))))
		}
		if op%150 == 0 {
			hot = random.IntN(len(nodes)) // most of the load, for a while
		}
		if random.IntN(4) == 0 {
			r.advance(time.Duration(random.Int64N(int64(500 * time.Microsecond))))
		}
		i := hot % len(nodes)
		if random.IntN(5) == 0 {
			i = random.IntN(len(nodes))
		}
		cost := 1 + random.Int64N(3)
		d := check(nodes[i], "a", cost, policies...)
		sources[d.Source]++
		if !d.OK {
			continue
		}
		at := float64(r.micros.Load()-start) / 1e6
		for range cost {
			passes = append(passes, pass{at, at})
		}
	}
	for i := range nodes {
		retire(i)
		until(t, func() bool { gathering, asking := nodes[i].underWay(); return gathering+asking == 0 })
	}
	worst := most(passes, rate, 0.2)
	t.Logf("seed %d: %d passed in %.1f s; the worst window had %.0f of the burst of %d; %d permits leased; decided by %v", seed, len(passes), float64(r.micros.Load()-start)/1e6, worst, burst, leased, sources)
	if worst > burst {
		t.Errorf("seed %d: %.0f more than rate × (window + 200 ms) passed in some window, wanted at most the burst of %d", seed, worst, burst)
	}
	if leased == 0 || sources[Lease] == 0 || sources[Remembered] == 0 || sources[FellShut] > 0 {
		t.Errorf("seed %d: %d permits leased, decided by %v: the test met too little, or too much", seed, leased, sources)
	}
}

// A node that is killed takes with it what it had leased: as many requests as that fewer pass, and never one more.
func TestAKilledNodeLosesItsLeaseAlone(t *testing.T) {
	t.Parallel()
	r := leasing(t)
	const burst = 4000
	p := slow("p", burst)
	how := tuning{lease: tuned.lease}
	killed, other := r.join(t, how, func() int { return 2 }), r.join(t, how, func() int { return 2 })
	passed := int64(0)
	until(t, func() bool {
		if d := check(killed, "a", 1, p); d.OK {
			passed++
		}
		return killed.Stats().Held > 0
	})
	until(t, func() bool { gathering, asking := killed.underWay(); return gathering+asking == 0 })
	held := killed.Stats().Held
	if held > burst/8 {
		t.Errorf("one of two nodes held %d permits of a burst of %d, wanted at most an eighth", held, burst)
	}
	for left := true; left; { // from here on nobody asks the one that was killed
		d := check(other, "a", 1, p)
		switch {
		case d.OK:
			passed++
		case d.Unavailable:
			t.Fatalf("%+v", d)
		default: // what is left may be on its way as permits
			until(t, func() bool { gathering, asking := other.underWay(); return gathering+asking == 0 })
			left = other.Stats().Held > 0
		}
	}
	if passed != burst-held {
		t.Errorf("%d passed of a burst of %d, of which a node that was killed held %d, wanted %d", passed, burst, held, burst-held)
	}
}
