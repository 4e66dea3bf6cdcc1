package pulse

import (
	"cmp"
	"slices"
	"time"
)

// View is what is shown of the whole process at one moment.
type View struct {
	Now     time.Time
	Points  []Point  // the oldest first, one for each whole step of the window; the step under way is not among them
	Current Point    // of the last step and what there is of the one under way
	Reasons []Reason // of the refusals within the window, the most frequent first
}

// Point is one step: counts by the second, and times of the requests to APIs that ended in it. Times of 0 are those of none.
type Point struct {
	At                       time.Time // when the step begins
	Requests, Tokens, Denied float64   // each second
	P50, P95, P99            time.Duration
	ByReason                 []float64 // refusals each second, in the order of View.Reasons
}

// Reason is how often one reason refused.
type Reason struct {
	Name  string
	Count int64
}

// View returns what is known now.
func (p *Pulse) View(now time.Time) View {
	v := View{Now: now}
	last := p.all.number(now)
	first := last - int64(len(p.all.slots)) + 1
	order := p.order(&v, first, last)
	for n := first; n < last; n++ {
		v.Points = append(v.Points, point(p.all.step(n), time.Unix(0, n*int64(Every)), Every.Seconds(), order))
	}
	var sum total
	sum.add(p.all.step(last - 1))
	sum.add(p.all.step(last))
	passed := Every.Seconds() + now.Sub(time.Unix(0, last*int64(Every))).Seconds()
	v.Current = Point{At: now, Requests: float64(sum.requests) / passed, Tokens: float64(sum.tokens) / passed, Denied: float64(sum.denied) / passed,
		P50: sum.quantile(.5), P95: sum.quantile(.95), P99: sum.quantile(.99)}
	return v
}

// order fills in the reasons of the window, and returns their places in a slot.
func (p *Pulse) order(v *View, first, last int64) (places []int) {
	counts := make([]int64, len(p.reasons))
	for n := first; n <= last; n++ {
		if s := p.all.step(n); s != nil {
			for i := range s.reasons {
				counts[i] += int64(s.reasons[i].Load())
			}
		}
	}
	for i, n := range counts {
		if n > 0 {
			places = append(places, i)
		}
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	for _, i := range places {
		v.Reasons = append(v.Reasons, Reason{p.reasons[i], counts[i]})
	}
	return places
}

func point(s *slot, at time.Time, seconds float64, order []int) Point {
	out := Point{At: at, ByReason: make([]float64, len(order))}
	if s == nil {
		return out
	}
	var sum total
	sum.add(s)
	out.Requests, out.Tokens, out.Denied = float64(sum.requests)/seconds, float64(sum.tokens)/seconds, float64(sum.denied)/seconds
	out.P50, out.P95, out.P99 = sum.quantile(.5), sum.quantile(.95), sum.quantile(.99)
	for i, place := range order {
		out.ByReason[i] = float64(s.reasons[place].Load()) / seconds
	}
	return out
}

// Route is what is known of one route.
type Route struct {
	Requests, Denied, Failed int64         // within the window; Failed are responses with a status from 500
	P95                      time.Duration // 0: no requests
	Last                     time.Time     // when a request last ended, also before the window; zero: never since the start
}

// Route returns what is known of a route now; the zero value for one that there is not.
func (p *Pulse) Route(k Key, now time.Time) Route {
	r := (*p.routes.Load())[k]
	if r == nil {
		return Route{}
	}
	var sum total
	last := r.number(now)
	for n := last - int64(len(r.slots)) + 1; n <= last; n++ {
		sum.add(r.step(n))
	}
	out := Route{Requests: sum.requests, Denied: sum.denied, Failed: sum.failed, P95: sum.quantile(.95)}
	if ns := r.last.Load(); ns != 0 {
		out.Last = time.Unix(0, ns)
	}
	return out
}

// total is the sum of some slots.
type total struct {
	requests, failed, denied, tokens, timed int64
	times                                   [buckets]int64
}

func (t *total) add(s *slot) {
	if s == nil {
		return
	}
	t.requests += int64(s.requests.Load())
	t.failed += int64(s.failed.Load())
	t.denied += int64(s.denied.Load())
	t.tokens += int64(s.tokens.Load())
	for i := range s.times {
		n := int64(s.times[i].Load())
		t.times[i] += n
		t.timed += n
	}
}

// quantile is the time that a share q of the requests did not exceed, within a bucket by its place there; 0 where there are none.
func (t *total) quantile(q float64) time.Duration {
	if t.timed == 0 {
		return 0
	}
	rank := q * float64(t.timed)
	for b, n := range t.times {
		if rank <= float64(n) && n > 0 {
			low, high := from(b), from(b+1)
			return low + time.Duration(rank/float64(n)*float64(high-low))
		}
		rank -= float64(n)
	}
	return from(buckets)
}
