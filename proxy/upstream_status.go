package proxy

import (
	"slices"
	"strings"
)

// EndpointStatus is what the gateway knows of one server behind an API.
type EndpointStatus struct {
	API, URL string
	Weight   int
	// Up is false where the server can't be connected to, or fails its health checks. Where none is up, all are tried.
	Up bool
	// Why says in words why it is not up; "" where it is.
	Why string
	// Breaker is "closed", "half_open" or "open"; "" without one.
	Breaker string
	// InFlight counts the requests that are there now, WebSockets included.
	InFlight int64
	// Requests, Failures and Retried are totals: what was sent there, what failed there (no answer, or 502, 503, 504), and
	// what of that was sent again.
	Requests, Failures, Retried int64
}

// Endpoints lists the servers behind all APIs, by API and URL.
func (g *Gateway) Endpoints() []EndpointStatus {
	var list []EndpointStatus
	for api, up := range g.upstreams {
		for _, m := range up.members {
			list = append(list, m.status(api))
		}
	}
	slices.SortFunc(list, func(a, b EndpointStatus) int {
		if c := strings.Compare(a.API, b.API); c != 0 {
			return c
		}
		return strings.Compare(a.URL, b.URL)
	})
	return slices.CompactFunc(list, func(a, b EndpointStatus) bool { return a.API == b.API && a.URL == b.URL })
}

func (m *member) status(api *API) EndpointStatus {
	s := EndpointStatus{API: api.Name, URL: m.key.url, Weight: m.weight, Up: m.up(), InFlight: m.inFlight.Load(),
		Requests: m.requests.Load(), Failures: m.failures.Load(), Retried: m.retried.Load()}
	switch {
	case m.ejected.Load():
		s.Why = "it can't be connected to"
	case !s.Up:
		s.Why = "it fails its health checks"
	}
	if api.Breaker != nil {
		s.Breaker = m.breaker.state(monotonic)
	}
	return s
}

// up reports whether requests should go there while there is another choice.
func (m *member) up() bool { return !m.ejected.Load() && (m.health == nil || !m.health.sick.Load()) }
