package ratelimit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// pass is a request that was let pass at some time between the two, in seconds.
type pass struct{ before, after float64 }

// most is, over all windows, by how much what passed in one exceeds rate × (window + extra): the burst is the most that it
// may be. A window begins when its first request did and ends when the last one had been answered.
func most(passes []pass, rate, extra float64) float64 {
	slices.SortFunc(passes, func(a, b pass) int { return cmp.Compare(a.before, b.before) })
	worst, first, last := math.Inf(-1), math.Inf(-1), 0.0
	for i, p := range passes {
		first = max(first, rate*p.before-float64(i))
		last = max(last, p.after)
		worst = max(worst, float64(i+1)-rate*(last+extra)+first)
	}
	return worst
}

func TestMost(t *testing.T) {
	t.Parallel()
	at := func(times ...float64) (passes []pass) {
		for _, t := range times {
			passes = append(passes, pass{t, t})
		}
		return passes
	}
	for _, tt := range []struct {
		passes []pass
		extra  float64
		want   float64
	}{
		{at(0), 0, 1}, {at(0, 0, 0), 0, 3}, {at(0, 1, 2, 3), 0, 1}, {at(0, 5, 5, 5, 6), 0, 3}, {at(9, 9.5, 0), 0, 1.5},
		{at(0, 0, 0), 1, 2}, {[]pass{{0, 1}, {0, 1}}, 0, 1},
	} {
		if got := most(slices.Clone(tt.passes), 1, tt.extra); got != tt.want {
			t.Errorf("most(%v, 1, %v) = %v, wanted %v", tt.passes, tt.extra, got, tt.want)
		}
	}
}

// shapes are how load falls on three nodes: which of them a caller asks, by its number and the time.
var shapes = []struct {
	name string
	node func(caller int, at time.Duration) int
}{
	{"even", func(caller int, _ time.Duration) int { return caller % 3 }},
	{"80-15-5", func(caller int, _ time.Duration) int {
		switch {
		case caller < 16:
			return 0
		case caller < 19:
			return 1
		}
		return 2
	}},
	{"hopping", func(_ int, at time.Duration) int { return int(at/(150*time.Millisecond)) % 3 }},
}

// Three nodes with several times the load that the limit allows let pass, in any window, at most burst + rate × (window +
// 200 ms), however the load falls on them.
func TestThreeNodesKeepTheBound(t *testing.T) {
	const rate, burst, callers, lasts = 4000, 2000, 20, 2 * time.Second
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			s := redistest.Start(t)
			var nodes [3]*Limiter
			for i := range nodes {
				nodes[i] = New(Options{Redis: dial(t, s), Nodes: func() int { return 3 }})
			}
			p := &Policy{Name: "p", Requests: rate, Per: time.Second, Burst: burst, OnError: Closed}
			var mu sync.Mutex
			var passes []pass
			sources := map[string]int{}
			begin := time.Now()
			var all sync.WaitGroup
			for caller := range callers {
				all.Go(func() {
					tick := time.NewTicker(500 * time.Microsecond) // 2000 a second each
					defer tick.Stop()
					for range tick.C {
						before := time.Since(begin)
						if before > lasts {
							return
						}
						d := check(nodes[shape.node(caller, before)], "a", 1, p)
						after := time.Since(begin)
						mu.Lock()
						if d.OK {
							passes = append(passes, pass{before.Seconds(), after.Seconds()})
						}
						sources[fmt.Sprint(d.Source, " ", d.OK)]++
						mu.Unlock()
					}
				})
			}
			all.Wait()
			total, took := len(passes), time.Since(begin)
			if worst := most(passes, rate, 0.2); worst > burst {
				t.Errorf("%.0f more than rate × (window + 200 ms) passed in some window, wanted at most the burst of %d", worst, burst)
			}
			var sum Stats
			for _, l := range nodes {
				st := l.Stats()
				sum.Leased, sum.Lost, sum.RoundTrips = sum.Leased+st.Leased, sum.Lost+st.Lost, sum.RoundTrips+st.RoundTrips
			}
			t.Logf("%d passed in %s, of burst + rate × time = %.0f; the worst window had %.0f of the burst of %d, without the 200 ms; %v; leased %d, lost %d, round trips %d",
				total, took.Round(time.Millisecond), burst+rate*took.Seconds(), most(passes, rate, 0), burst, sources, sum.Leased, sum.Lost, sum.RoundTrips)
			asked := 0
			for _, n := range sources {
				asked += n
			}
			if asked > 2*burst && total < burst {
				t.Errorf("%d of %d passed, wanted the burst of %d at least", total, asked, burst)
			}
		})
	}
}
