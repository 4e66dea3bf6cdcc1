// Package pulse is the last 15 minutes of this process in memory: how many requests there were, what refused them, how long they
// took, and the same for each route. The status page draws it. It is there without Prometheus, and is no replacement for it.
package pulse

import (
	"sync/atomic"
	"time"

	"gatehouse/internal/exchange"
)

// The two rings: of the whole process, and of each route. Both look back as far.
const (
	Every  = 5 * time.Second
	Window = 15 * time.Minute

	routeEvery = time.Minute
)

// Pulse counts finished exchanges. It is an exchange.Sink, takes no lock, and is safe for concurrent use. Make it with New.
type Pulse struct {
	reasons []string       // the last stands for all that are not known
	index   map[string]int // of a reason
	all     ring
	routes  atomic.Pointer[map[Key]*route]
}

// Key names a route: its API, and its match as configured.
type Key struct{ API, Match string }

// route is what is kept of one route. It outlives reloads.
type route struct {
	ring
	last atomic.Int64 // when a request last ended, in Unix nanoseconds; 0: none did
}

// New returns a Pulse that tells refusals apart by these reasons, a closed set.
func New(reasons []string) *Pulse {
	p := &Pulse{index: make(map[string]int, len(reasons)), all: newRing(Every, Window)}
	for _, r := range reasons {
		if _, twice := p.index[r]; !twice {
			p.index[r] = len(p.reasons)
			p.reasons = append(p.reasons, r)
		}
	}
	p.reasons = append(p.reasons, "other")
	p.SetRoutes(nil)
	return p
}

// SetRoutes names the routes there are. Those that were there keep what is known of them; the others are forgotten. It is not
// called concurrently with itself.
func (p *Pulse) SetRoutes(keys []Key) {
	next := make(map[Key]*route, len(keys))
	was := p.routes.Load()
	for _, k := range keys {
		var kept *route
		if was != nil {
			kept = (*was)[k]
		}
		if kept == nil {
			kept = &route{ring: newRing(routeEvery, Window)}
		}
		next[k] = kept
	}
	p.routes.Store(&next)
}

// Finish implements exchange.Sink.
func (p *Pulse) Finish(r *exchange.Record) {
	end := r.Start.Add(r.Duration)
	s := p.all.at(end, len(p.reasons))
	if r.Issued {
		s.tokens.Add(1)
	}
	if r.Verdict == exchange.Deny {
		s.denied.Add(1)
		s.reasons[p.reason(r)].Add(1)
	}
	if r.Endpoint != "" { // ours: not what the APIs are asked for
		return
	}
	s.count(r)
	if route := (*p.routes.Load())[Key{r.API, r.Route}]; route != nil {
		t := route.at(end, 0)
		t.count(r)
		if r.Verdict == exchange.Deny {
			t.denied.Add(1)
		}
		route.last.Store(end.UnixNano())
	}
}

func (p *Pulse) reason(r *exchange.Record) int {
	name := r.Reason
	if r.OAuthError != "" {
		name = r.OAuthError
	}
	if i, known := p.index[name]; known {
		return i
	}
	return len(p.reasons) - 1
}
