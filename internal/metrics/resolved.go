package metrics

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/exchange"
)

// resolved holds series that were found once, when the routes were set: to find one by its labels costs more than to count.
// What is not in it is found by its labels, request by request. It is replaced as a whole with the routes, since their
// series are deleted with them.
type resolved struct {
	lines     map[series]*line
	perClient sync.Map // of clientOf to prometheus.Counter: clientReqs
}

// line is the series of a route or of one of our own endpoints.
type line struct {
	requests map[asked]prometheus.Counter
	duration prometheus.Observer
	api      *apiLine // nil for our own endpoints
}

type asked struct {
	method string
	status int
}

// apiLine is the series of an API, which its routes share.
type apiLine struct {
	allowed, bodyIn, bodyOut prometheus.Counter
	decided, upstream        prometheus.Observer
	limits                   map[limited]prometheus.Counter
}

type limited struct{ source, result string }

// clientOf is a client at an API.
type clientOf struct {
	identity
	api string
}

// identity is who a client is: ids of two issuers may be alike.
type identity struct{ issuer, client string }

var limitSources = []string{"memory", "redis", "lease", "remembered", "local", "open", "closed"}

// resolve creates the series of routes, at 0 where they are new.
func (m *Metrics) resolve(routes map[series]Route) *resolved {
	out := &resolved{lines: make(map[series]*line, len(routes)+1)}
	apis := map[string]*apiLine{}
	for s, r := range routes {
		if r.own {
			out.lines[s] = m.line(r, endpointCodes)
			for _, method := range allMethods {
				m.requests.WithLabelValues(r.API, r.Match, method, "405")
			}
			continue
		}
		l := m.line(r, routeCodes)
		if l.api = apis[r.API]; l.api == nil {
			l.api = m.apiLine(r.API)
			apis[r.API] = l.api
		}
		m.observed(r)
		out.lines[s] = l
	}
	rest := m.line(Route{API: unmatched, Match: unmatched, Methods: allMethods}, unroutedCodes)
	rest.api = m.apiLine(unmatched)
	out.lines[series{unmatched, unmatched}] = rest
	return out
}

func (m *Metrics) line(r Route, codes []string) *line {
	l := &line{requests: make(map[asked]prometheus.Counter, len(r.Methods)*len(codes)), duration: m.duration.WithLabelValues(r.API, r.Match)}
	for _, code := range codes {
		status, _ := strconv.Atoi(code)
		for _, method := range r.Methods {
			l.requests[asked{method, status}] = m.requests.WithLabelValues(r.API, r.Match, method, code)
		}
	}
	return l
}

func (m *Metrics) apiLine(api string) *apiLine {
	l := &apiLine{allowed: m.decisions.WithLabelValues(api, "allow", "ok"), bodyIn: m.bodyIn.WithLabelValues(api), bodyOut: m.bodyOut.WithLabelValues(api),
		decided: m.decided.WithLabelValues(api), upstream: m.upstream.WithLabelValues(api), limits: map[limited]prometheus.Counter{}}
	for _, reason := range m.reasons {
		m.decisions.WithLabelValues(api, "deny", reason)
	}
	for _, kind := range m.faults {
		m.upstreamErr.WithLabelValues(api, kind)
	}
	for _, source := range limitSources {
		for _, result := range []string{"allow", "deny"} {
			l.limits[limited{source, result}] = m.limits.WithLabelValues(api, source, result)
		}
	}
	return l
}

// observed creates what a route in observe mode counts besides.
func (m *Metrics) observed(r Route) {
	if !r.Observe {
		return
	}
	for _, reason := range m.reasons {
		m.decisions.WithLabelValues(r.API, "would_deny", reason)
	}
}

// of is where a request is counted, with its labels. One whose route went with a reload while it was under way counts with
// those that matched none: the series of its route are gone, and would come back for ever.
func (s *resolved) of(r *exchange.Record) (l *line, api, route string) {
	switch {
	case r.Endpoint != "":
		api, route = own, r.Endpoint
	case r.Route != "":
		api, route = r.API, r.Route
	}
	if l = s.lines[series{api, route}]; l == nil {
		api, route = unmatched, unmatched
		l = s.lines[series{api, route}]
	}
	return l, api, route
}

// clientRequest is the counter of a client's requests to an API. One whose label is its own is found once.
func (s *resolved) clientRequest(m *Metrics, r *exchange.Record, api string) prometheus.Counter {
	key := clientOf{identity{r.Issuer, r.Client}, api}
	if c, ok := s.perClient.Load(key); ok {
		return c.(prometheus.Counter)
	}
	label := m.clients.label(key.identity)
	c := m.clientReqs.WithLabelValues(label, api)
	if label != other {
		s.perClient.Store(key, c)
	}
	return c
}

// clientLabels are the labels of the first maxClients clients that were seen. Once there are as many, it takes no lock.
type clientLabels struct {
	known sync.Map // of identity to string
	count atomic.Int64
	mu    sync.Mutex
}

// label is the id of a client, with its issuer's name where that is another's; or "other".
func (c *clientLabels) label(id identity) string {
	if label, ok := c.known.Load(id); ok {
		return label.(string)
	}
	if c.count.Load() >= maxClients {
		return other
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if label, ok := c.known.Load(id); ok {
		return label.(string)
	}
	if c.count.Load() >= maxClients {
		return other
	}
	label := id.client
	if id.issuer != "" && id.issuer != "local" {
		label = id.issuer + "/" + id.client
	}
	c.known.Store(id, label)
	c.count.Add(1)
	return label
}
