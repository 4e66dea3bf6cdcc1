package faults

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"gatehouse/internal/ratelimit"
	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// A limit with a burst from which permits are leased, and two nodes whose callers ask for many times what it gives, on a machine that
// is busy too. The fleet's own limits are smaller, and never leased.
const (
	busyRate  = 200
	busyBurst = 1000
	busyCost  = 10
	busyNodes = 2
	// leaseLife is how long permits live: what passes may have been charged by so much earlier.
	leaseLife = 200 * time.Millisecond
)

// busy has limiters beside the fleet decide for one subject that is busy on both.
func (w *watcher) busy(beside *redistest.Proxy) {
	policy := &ratelimit.Policy{Name: "busy", Requests: busyRate, Per: time.Second, Burst: busyBurst}
	charges := []ratelimit.Charge{{Subject: ratelimit.Subject{Value: "busy"}, Policies: []*ratelimit.Policy{policy}}}
	w.leased = make([][]record, busyNodes)
	for i := range busyNodes {
		client := redisx.Open(redisx.Options{Addrs: []string{beside.Addr()}, Prefix: "beside", Budget: budget})
		w.f.t.Cleanup(func() { client.Close() })
		limiter := ratelimit.New(ratelimit.Options{Redis: client, Nodes: func() int { return busyNodes }})
		w.keep(4*time.Millisecond, func() {
			start := time.Now()
			d := limiter.Check(context.Background(), charges, busyCost)
			if one := (record{source: d.Source.String(), admitted: d.OK, start: start, end: time.Now()}); d.OK {
				w.note(func() { w.leased[i] = append(w.leased[i], one) })
			}
		})
	}
}

// overBusy are the breaches of the second invariant by that limit: what Redis granted, leases among it, in any window in which it lost
// nothing; and what each limiter granted by itself.
func overBusy(seen [][]record, lost []span) (breaches []string) {
	var shared []record
	for i, list := range seen {
		var local []record
		for _, r := range list {
			if r.source == "local" {
				local = append(local, r)
			} else {
				shared = append(shared, r)
			}
		}
		if worst := beyond(local, busyRate/busyNodes, clockSlack); worst > busyBurst/busyNodes+busyCost {
			breaches = append(breaches, fmt.Sprintf("a busy subject: limiter %d alone granted %.0f beyond its rate, wanted at most its part of the burst", i, worst))
		}
	}
	for _, list := range between(shared, lost) {
		if worst := beyond(list, busyRate, clockSlack+leaseLife); worst > busyBurst+busyCost {
			breaches = append(breaches, fmt.Sprintf("a busy subject: Redis granted %.0f beyond its rate, wanted at most the burst of %d", worst, busyBurst))
		}
	}
	return breaches
}

// between are the records of each stretch of time in which nothing was lost, nor a moment before: permits from before a loss are good
// for as long as they live.
func between(records []record, lost []span) (lists [][]record) {
	lost = slices.SortedFunc(slices.Values(lost), func(x, y span) int { return x.from.Compare(y.from) })
	lists = make([][]record, len(lost)+1)
	for _, r := range records {
		at, whole := 0, true
		for _, l := range lost {
			whole = whole && !(span{l.from, l.to.Add(leaseLife)}).meets(r.start, r.end)
			if l.from.Before(r.start) {
				at++
			}
		}
		if whole {
			lists[at] = append(lists[at], r)
		}
	}
	return lists
}

// beyond is by how much, over all windows, what was admitted in one, each at busyCost, exceeds rate × (window + extra).
func beyond(admitted []record, rate float64, extra time.Duration) float64 {
	if len(admitted) == 0 {
		return 0
	}
	admitted = slices.SortedFunc(slices.Values(admitted), func(x, y record) int { return cmp.Compare(x.start.UnixNano(), y.start.UnixNano()) })
	zero := admitted[0].start
	worst, first, last := math.Inf(-1), math.Inf(-1), 0.0
	for i, r := range admitted {
		first = max(first, rate*r.start.Sub(zero).Seconds()-float64(i*busyCost))
		last = max(last, r.end.Sub(zero).Seconds())
		worst = max(worst, float64((i+1)*busyCost)-rate*(last+extra.Seconds())+first)
	}
	return worst
}

func TestOverBusy(t *testing.T) {
	flood := func(from, n int, source string) []record { return steady(from, n, 1, source) }
	emptied := []span{{at(2000), at(2010)}}
	for name, tt := range map[string]struct {
		seen [][]record
		lost []span
		want int
	}{
		"a burst of both, and then the rate":     {[][]record{join(flood(0, 60, "redis"), steady(700, 20, 100, "redis")), join(flood(0, 40, "lease"), steady(700, 20, 100, "lease"))}, nil, 0},
		"each has a burst":                       {[][]record{flood(0, 100, "lease"), flood(0, 100, "redis")}, nil, 1},
		"twice the rate":                         {[][]record{steady(0, 300, 50, "lease"), steady(0, 300, 50, "redis")}, nil, 1},
		"a burst more, since Redis was emptied":  {[][]record{flood(0, 100, "redis"), flood(2300, 100, "lease")}, emptied, 0},
		"two more, though it was emptied once":   {[][]record{flood(2300, 100, "redis"), flood(2300, 100, "lease")}, emptied, 1},
		"a limiter's part without Redis":         {[][]record{flood(0, 50, "local"), flood(0, 50, "local")}, nil, 0},
		"a limiter without Redis takes it whole": {[][]record{flood(0, 100, "local"), nil}, nil, 1},
	} {
		if got := overBusy(tt.seen, tt.lost); len(got) != tt.want {
			t.Errorf("%s: %d breaches %v, wanted %d", name, len(got), got, tt.want)
		}
	}
}
