package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/config"
	"gatehouse/proxy"
)

// api is an API in the gateway's words: its upstreams, and how they are spoken to.
func api(c config.API) (*proxy.API, error) {
	out := &proxy.API{
		Name: c.Name, Hosts: c.Hosts, StripPrefix: c.StripPrefix, KeepHost: c.KeepHost, CORS: cors(c.CORS),
		Balance:  map[string]proxy.Balance{"round_robin": proxy.RoundRobin, "least_requests": proxy.LeastRequests}[c.Balance],
		Protocol: map[string]proxy.Protocol{"http1": proxy.HTTP1, "http2": proxy.HTTP2, "h2c": proxy.H2C}[c.UpstreamProtocol],
	}
	for _, u := range c.Upstreams {
		out.Upstreams = append(out.Upstreams, proxy.Endpoint{URL: u.URL, Weight: u.Weight})
	}
	if h := c.Health; h != nil {
		out.Health = &proxy.Health{Path: h.Path, Interval: h.Interval, Timeout: h.Timeout, HealthyAfter: h.HealthyAfter, UnhealthyAfter: h.UnhealthyAfter}
	}
	if b := c.Breaker; b != nil {
		out.Breaker = &proxy.Breaker{Failures: b.Failures, OpenFor: b.OpenFor}
	}
	if r := c.Retry; r != nil {
		out.Retry = &proxy.Retry{Attempts: r.Attempts}
		for _, on := range r.On {
			out.Retry.On |= proxy.ParseRetryOn(on)
		}
	}
	var err error
	if out.TLS, err = upstreamTLS(c.UpstreamTLS); err != nil {
		return nil, fmt.Errorf("apis.%s.upstream_tls: %w", c.Name, err)
	}
	return out, nil
}

// upstreamTLS makes keys of what the loader has read and found good; nil where there is none.
func upstreamTLS(c *config.UpstreamTLS) (*proxy.UpstreamTLS, error) {
	if c == nil {
		return nil, nil
	}
	out := &proxy.UpstreamTLS{ServerName: c.ServerName}
	if c.CA != nil {
		out.Roots = x509.NewCertPool()
		out.Roots.AppendCertsFromPEM(c.CA)
	}
	if c.Certificate != nil {
		pair, err := tls.X509KeyPair(c.Certificate, []byte(c.Key.Reveal()))
		if err != nil {
			return nil, err
		}
		out.Certificate = &pair
	}
	return out, nil
}

// endpoints is a collector over the servers behind the APIs.
type endpoints struct{ a *App }

var (
	upUp       = describe("upstream_up", "1 while the server can be connected to and passes its health checks, else 0.", "api", "endpoint")
	upBreaker  = describe("upstream_breaker_state", "0 closed, 1 half open, 2 open; absent without a breaker.", "api", "endpoint")
	upInFlight = describe("upstream_in_flight", "Requests that are at the server now.", "api", "endpoint")
	upRequests = describe("upstream_requests_total", "Requests sent to the server, retries and failures included.", "api", "endpoint")
	upFailures = describe("upstream_failures_total", "Requests that the server did not answer, or answered 502, 503 or 504.", "api", "endpoint")
	upRetries  = describe("upstream_retries_total", "Failures of the server after which the request was sent again.", "api", "endpoint")
)

// Describe implements prometheus.Collector.
func (endpoints) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upUp, upBreaker, upInFlight, upRequests, upFailures, upRetries} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s endpoints) Collect(ch chan<- prometheus.Metric) {
	snap := s.a.current.Load()
	if snap == nil {
		return
	}
	add := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, e proxy.EndpointStatus) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, e.API, e.URL)
	}
	for _, e := range snap.gateway.Endpoints() {
		add(upUp, prometheus.GaugeValue, truth(e.Up), e)
		add(upInFlight, prometheus.GaugeValue, float64(e.InFlight), e)
		add(upRequests, prometheus.CounterValue, float64(e.Requests), e)
		add(upFailures, prometheus.CounterValue, float64(e.Failures), e)
		add(upRetries, prometheus.CounterValue, float64(e.Retried), e)
		if state, ok := map[string]float64{"closed": 0, "half_open": 1, "open": 2}[e.Breaker]; ok {
			add(upBreaker, prometheus.GaugeValue, state, e)
		}
	}
}
