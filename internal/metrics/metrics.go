// Package metrics turns finished exchanges, and what packages say of themselves, into Prometheus series.
//
// Every label comes from a closed set: API names and configured matches, nine methods and "other", known status codes,
// the reasons. Paths, token ids, addresses and whatever else a stranger can choose are never a label. The client label
// exists for authenticated clients alone and is capped. Series known at load are created at 0, so that rate() and alerts
// work from the first scrape; a stranger's request therefore adds none.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/internal/exchange"
)

// unmatched is the API and route label of requests that no route matched; own is the API label of our own endpoints.
const (
	unmatched = "unmatched"
	own       = "gatehouse"
)

// maxClients bounds the client label; further clients count as "other".
const maxClients = 200

const other = "other"

// Options describe the process.
type Options struct {
	Version string
	Mode    string   // "run" or "dev"
	Reasons []string // the closed set of denial reasons
	Errors  []string // the closed set of OAuth error words, without "ok"
	Auth    []string // the closed set of reasons why clients did not authenticate
	Endings []string // the closed set of exchange.Record.Closed, without ""
	Faults  []string // the closed set of exchange.Record.UpstreamError, without ""
}

// Metrics holds the series of one process. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	reasons  []string
	faults   []string

	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	decided       *prometheus.HistogramVec
	upstream      *prometheus.HistogramVec
	upstreamErr   *prometheus.CounterVec
	bodyIn        *prometheus.CounterVec
	bodyOut       *prometheus.CounterVec
	decisions     *prometheus.CounterVec
	clientDenials *prometheus.CounterVec
	clientReqs    *prometheus.CounterVec
	issued        *prometheus.CounterVec
	tokenReqs     *prometheus.CounterVec
	authFailures  *prometheus.CounterVec
	tokenDuration prometheus.Histogram
	introspected  *prometheus.CounterVec
	quotaTaken    *prometheus.CounterVec
	quotaUsed     *prometheus.GaugeVec
	quotaReached  *prometheus.CounterVec
	hooks         *prometheus.CounterVec
	hookDuration  *prometheus.HistogramVec
	tokenCache    *prometheus.CounterVec
	limits        *prometheus.CounterVec
	tunnelEnds    *prometheus.CounterVec
	panics        prometheus.Counter

	configInfo *prometheus.GaugeVec
	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge
	reloads    *prometheus.CounterVec

	hits, misses prometheus.Counter // of tokenCache
	resolved     atomic.Pointer[resolved]
	clients      clientLabels

	mu     sync.Mutex // guards routes and hooked
	routes map[series]Route
	hooked map[string]bool // by the name of the API
}

// New registers the series of the process, with the Go and process collectors.
func New(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), reasons: o.Reasons, faults: o.Faults, routes: map[series]Route{}}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.exchangeSeries()
	m.tunnelSeries(o.Endings)
	m.tokenSeries(o)
	m.hookSeries()
	m.configSeries()
	m.gauge("gatehouse_build_info", "What is running; always 1.", "version", "goversion", "mode").
		WithLabelValues(o.Version, runtime.Version(), o.Mode).Set(1)
	return m
}

func (m *Metrics) exchangeSeries() {
	m.requests = m.counter("gatehouse_requests_total", "Finished requests.", "api", "route", "method", "code")
	m.duration = m.histogram("gatehouse_request_duration_seconds", "Time from the request's headers to the end of the response.", "api", "route")
	m.decided = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gatehouse_decision_duration_seconds",
		Help: "Time from a request's headers until it was forwarded to the upstream: what the gateway adds.", Buckets: decisionBuckets}, []string{"api"})
	m.registry.MustRegister(m.decided)
	m.upstream = m.histogram("gatehouse_upstream_duration_seconds", "Time from forwarding a request to the upstream's response headers.", "api")
	m.upstreamErr = m.counter("gatehouse_upstream_errors_total", "Requests that an upstream failed.", "api", "kind")
	m.bodyIn = m.counter("gatehouse_request_body_bytes_total", "Bytes of request bodies forwarded.", "api")
	m.bodyOut = m.counter("gatehouse_response_body_bytes_total", "Bytes of response bodies sent.", "api")
	m.decisions = m.counter("gatehouse_decisions_total", "Decisions, one for each request; reason is ok where it was allowed.", "api", "decision", "reason")
	m.clientDenials = m.counter("gatehouse_client_denials_total", "Refusals of authenticated clients; at most 200 clients, then other.", "client", "reason")
	m.clientReqs = m.counter("gatehouse_client_requests_total", "Requests of authenticated clients; at most 200 clients, then other.", "client", "api")
	m.limits = m.counter("gatehouse_rate_limit_decisions_total", "Rate limit decisions by where they were made.", "api", "source", "result")
	m.tokenCache = m.counter("gatehouse_token_cache_total", "Look-ups in the cache of verified tokens.", "result")
	m.hits, m.misses = m.tokenCache.WithLabelValues("hit"), m.tokenCache.WithLabelValues("miss")
	panics := prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_panics_total", Help: "Requests that ended in a panic and were answered 500."})
	m.registry.MustRegister(panics)
	m.panics = panics
	m.resolved.Store(m.resolve(nil))
}

// peer is the cause of a tunnel's end where one of its sides ended it.
const peer = "peer"

func (m *Metrics) tunnelSeries(endings []string) {
	m.tunnelEnds = m.counter("gatehouse_tunnels_closed_total", "WebSockets that ended: by one of their sides (peer), or by the gateway and why.", "cause")
	for _, e := range append([]string{peer}, endings...) {
		m.tunnelEnds.WithLabelValues(e)
	}
}

func (m *Metrics) tokenSeries(o Options) {
	m.issued = m.counter("gatehouse_tokens_issued_total", "Access tokens issued; at most 200 clients, then other.", "client")
	m.tokenReqs = m.counter("gatehouse_token_requests_total", "Requests to the token endpoint by result: ok or the OAuth error.", "result")
	for _, e := range append([]string{"ok"}, o.Errors...) {
		m.tokenReqs.WithLabelValues(e)
	}
	m.introspected = m.counter("gatehouse_introspections_total", "Introspections that were answered, by what the answer was.", "result")
	for _, r := range []string{"active", "inactive"} {
		m.introspected.WithLabelValues(r)
	}
	m.quotaTaken = m.counter("gatehouse_quota_decisions_total", "Requests for a token by clients with a quota; over is a refusal in the mode enforce. At most 200 clients, then other.", "client", "quota", "mode", "result")
	m.quotaUsed = m.gauge("gatehouse_quota_used_ratio", "How much of a quota was used, from 0 to 1, when this node last issued on it.", "client", "quota")
	m.quotaReached = m.counter("gatehouse_quota_reached_total", "Times that the use of a quota reached 60, 80 or 100 per cent.", "client", "quota", "percent")
	m.authFailures = m.counter("gatehouse_client_auth_failures_total", "Failures of clients to authenticate at our own endpoints.", "endpoint", "reason")
	for _, e := range []string{"token", "revoke", "introspect"} {
		for _, reason := range o.Auth {
			m.authFailures.WithLabelValues(e, reason)
		}
	}
	m.tokenDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "gatehouse_token_request_duration_seconds", Help: "Time that the token endpoint took.", Buckets: buckets})
	m.registry.MustRegister(m.tokenDuration)
}

func (m *Metrics) configSeries() {
	m.configInfo = m.gauge("gatehouse_config_info", "The configuration in force; always 1.", "hash")
	m.reloadOK = m.gauge("gatehouse_config_last_reload_successful", "1 where the last load of the configuration succeeded, else 0.").WithLabelValues()
	m.reloadTime = m.gauge("gatehouse_config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded.").WithLabelValues()
	m.reloads = m.counter("gatehouse_config_reloads_total", "Loads of the configuration.", "result", "trigger")
	for _, trigger := range []string{"start", "watch", "sighup", "api"} {
		for _, result := range []string{"ok", "refused"} {
			m.reloads.WithLabelValues(result, trigger)
		}
	}
}

// Loaded records that a configuration came into force. Trigger is start, watch, sighup or api.
func (m *Metrics) Loaded(trigger, hash string, at time.Time) {
	m.configInfo.Reset()
	m.configInfo.WithLabelValues(hash).Set(1)
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(at.UnixMilli()) / 1000)
	m.reloads.WithLabelValues("ok", trigger).Inc()
}

// Refused records that a configuration was not taken and the old one serves on.
func (m *Metrics) Refused(trigger string) {
	m.reloadOK.Set(0)
	m.reloads.WithLabelValues("refused", trigger).Inc()
}

// Register adds a collector over what a package says of itself. It panics where a name is taken: that is a bug.
func (m *Metrics) Register(c ...prometheus.Collector) { m.registry.MustRegister(c...) }

// Handler serves the exposition formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 4})
}

// Finish implements exchange.Sink.
func (m *Metrics) Finish(r *exchange.Record) {
	known := m.resolved.Load()
	l, api, route := known.of(r)
	if c := l.requests[asked{r.Method, r.Status}]; c != nil {
		c.Inc()
	} else {
		m.requests.WithLabelValues(api, route, exchange.MethodLabel(r.Method), codeLabel(r.Status)).Inc()
	}
	l.duration.Observe(r.Duration.Seconds())
	if r.Reason == "internal_error" {
		m.panics.Inc()
	}
	if r.Endpoint != "" {
		m.finishToken(r)
		return
	}
	m.finishDecision(r, api, l.api)
	m.finishClient(r, api, known)
	m.finishForward(r, api, l.api)
}

func (m *Metrics) finishDecision(r *exchange.Record, api string, l *apiLine) {
	if r.Reason == "" && r.Verdict == exchange.Allow {
		l.allowed.Inc()
	} else {
		m.decisions.WithLabelValues(api, r.Verdict.String(), reasonLabel(r)).Inc()
	}
	switch r.Hit {
	case exchange.CacheHit:
		m.hits.Inc()
	case exchange.CacheMiss:
		m.misses.Inc()
	}
	if r.LimitSource == "" {
		return
	}
	result := "allow"
	if r.Reason == "rate_limited" || r.Reason == "state_unavailable" {
		result = "deny"
	}
	if c := l.limits[limited{r.LimitSource, result}]; c != nil {
		c.Inc()
	}
}

func reasonLabel(r *exchange.Record) string {
	if r.Reason == "" {
		return "ok"
	}
	return r.Reason
}

func (m *Metrics) finishClient(r *exchange.Record, api string, known *resolved) {
	if r.Client == "" {
		return
	}
	known.clientRequest(m, r, api).Inc()
	if r.Verdict == exchange.Deny {
		m.clientDenials.WithLabelValues(m.clientLabel(r), reasonLabel(r)).Inc()
	}
}

func (m *Metrics) finishForward(r *exchange.Record, api string, l *apiLine) {
	if r.Status == http.StatusSwitchingProtocols {
		cause := r.Closed
		if cause == "" {
			cause = peer
		}
		m.tunnelEnds.WithLabelValues(cause).Inc()
	}
	if r.Decided > 0 {
		l.decided.Observe(r.Decided.Seconds())
	}
	if r.Upstream > 0 {
		l.upstream.Observe(r.Upstream.Seconds())
	}
	if r.UpstreamError != "" {
		m.upstreamErr.WithLabelValues(api, r.UpstreamError).Inc()
	}
	if r.API != "" {
		l.bodyIn.Add(float64(r.BytesIn))
		l.bodyOut.Add(float64(r.BytesOut))
	}
}

func (m *Metrics) finishToken(r *exchange.Record) {
	if r.Own.Introspect != "" {
		m.introspected.WithLabelValues(r.Own.Introspect).Inc()
	}
	if len(r.Own.Quotas) > 0 {
		m.finishQuotas(r)
	}
	if r.Own.Hook != nil {
		m.finishHook(r.Own.Hook)
	}
	if r.AuthFailure != "" {
		m.authFailures.WithLabelValues(r.Endpoint, r.AuthFailure).Inc()
	}
	if r.OAuthError == "" {
		return
	}
	m.tokenReqs.WithLabelValues(r.OAuthError).Inc()
	m.tokenDuration.Observe(r.Duration.Seconds())
	if r.Issued {
		m.issued.WithLabelValues(m.clientLabel(r)).Inc()
	}
}

func (m *Metrics) finishQuotas(r *exchange.Record) {
	client := m.clientLabel(r)
	for _, q := range r.Own.Quotas {
		result := "ok"
		if q.Over {
			result = "over"
		}
		m.quotaTaken.WithLabelValues(client, q.Name, q.Mode, result).Inc()
		if client != other && q.Used >= 0 {
			m.quotaUsed.WithLabelValues(client, q.Name).Set(q.Used)
		}
		for _, percent := range q.Reached {
			m.quotaReached.WithLabelValues(client, q.Name, strconv.Itoa(percent)).Inc()
		}
	}
}

// clientLabel is the id of a client, one of the first maxClients that were seen, or "other".
func (m *Metrics) clientLabel(r *exchange.Record) string {
	return m.clients.label(identity{r.Issuer, r.Client})
}
