package metrics

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// buckets are the bounds of the latency histograms, in seconds.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30}

// decisionBuckets are the bounds of what the gateway adds to a request, in seconds: microseconds without Redis.
var decisionBuckets = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1}

var allMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "other"}

// The status codes that series are created for at load. Others, which only an upstream can answer, are added when seen.
var (
	unroutedCodes = []string{"400", "404", "405", "414", "421", "500"}
	routeCodes    = []string{"200", "400", "401", "403", "413", "429", "500", "502", "503", "504"}
	endpointCodes = []string{"200", "304", "400", "401", "403", "413", "429", "500", "503"}
)

// Route is what the series of one route, or of one of our own endpoints, need to know.
type Route struct {
	API, Match string
	Methods    []string // those that the route can be asked with
	Observe    bool     // it may let through what it would have refused

	own bool // one of our own endpoints, which has no decisions and no upstream
}

// series names a route or endpoint by its labels.
type series struct{ api, match string }

// Endpoint is the Route of one of our own endpoints, with the name it has in exchange.Record.
func Endpoint(name string) Route {
	return Route{API: own, Match: name, Methods: []string{"GET", "HEAD", "POST"}, own: true}
}

// SetRoutes creates the series of routes that a new configuration brings, at 0, and deletes those of routes that it no
// longer has. What both have keeps its counts.
func (m *Metrics) SetRoutes(routes []Route) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, apis := map[series]Route{}, map[string]bool{}
	for _, r := range routes {
		now[series{r.API, r.Match}] = r
		apis[r.API] = true
	}
	for s, r := range m.routes {
		if _, kept := now[s]; !kept {
			m.remove(s)
		}
		if !apis[r.API] {
			m.removeAPI(r.API)
		}
	}
	m.routes = now
	m.resolved.Store(m.resolve(now))
}

func (m *Metrics) remove(s series) {
	labels := prometheus.Labels{"api": s.api, "route": s.match}
	m.requests.DeletePartialMatch(labels)
	m.duration.DeletePartialMatch(labels)
}

func (m *Metrics) removeAPI(api string) {
	labels := prometheus.Labels{"api": api}
	for _, v := range []*prometheus.CounterVec{m.decisions, m.upstreamErr, m.bodyIn, m.bodyOut, m.limits, m.clientReqs} {
		v.DeletePartialMatch(labels)
	}
	m.decided.DeletePartialMatch(labels)
	m.upstream.DeletePartialMatch(labels)
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

// codeLabel is the status as a label: a known code, or its class. Upstreams choose codes, so they are not taken as they are.
func codeLabel(status int) string {
	if http.StatusText(status) != "" {
		return strconv.Itoa(status)
	}
	if status >= 100 && status < 600 {
		return strconv.Itoa(status/100) + "xx"
	}
	return "other"
}
