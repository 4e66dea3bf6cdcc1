package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// Endpoint is one of the servers behind an API.
type Endpoint struct {
	// URL is http or https, with a host and no query; its path is put in front.
	URL *url.URL
	// Weight is the endpoint's share beside the others'. Zero means 1.
	Weight int
}

// Protocol is what a server behind an API is spoken to in. The zero value is HTTP/1.1.
type Protocol uint8

// The protocols. HTTP2 takes an https endpoint that negotiates it; H2C is HTTP/2 without TLS, by prior knowledge.
const (
	HTTP1 Protocol = iota
	HTTP2
	H2C
)

// UpstreamTLS is how an https endpoint is verified, and what it is shown. The zero value verifies by the system's roots,
// for the host of the URL; there is no way not to verify.
type UpstreamTLS struct {
	Roots       *x509.CertPool   // nil: the system's
	Certificate *tls.Certificate // shown where the server asks for one; nil: none
	ServerName  string           // what the server's certificate must be for, and SNI; "": the URL's host
}

// same reports whether connections made under t are as good as those made under o.
func (t *UpstreamTLS) same(o *UpstreamTLS) bool {
	if t == nil || o == nil {
		return t == o
	}
	return t.ServerName == o.ServerName && t.Roots.Equal(o.Roots) && slices.EqualFunc(chain(t.Certificate), chain(o.Certificate), bytes.Equal)
}

func chain(c *tls.Certificate) [][]byte {
	if c == nil {
		return nil
	}
	return c.Certificate
}

// upstream is what stands behind one API: its endpoints, and how requests are spread over them. Each Gateway has its own;
// the endpoints, with their connections and what was learnt of them, pass from one Gateway to the next.
type upstream struct {
	api     *API
	members []*member
	round   []*member // one turn of round robin: each member as often as its weight says, spread evenly

	turn   atomic.Uint64 // how many requests round robin has placed
	detour atomic.Uint64 // and how many of them not where it was their turn
	budget budget
}

// member is an endpoint with what this Gateway's configuration says of it.
type member struct {
	*endpoint
	weight int
	health *healthCheck // nil: not asked
}

// checkUpstream refuses what could not be forwarded to.
func (api *API) checkUpstream() error {
	list := api.endpoints()
	if len(list) == 0 || api.Upstream != nil && len(api.Upstreams) > 0 {
		return errors.New("it needs an API with an upstream, or with upstreams")
	}
	for _, e := range list {
		u := e.URL
		switch {
		case u == nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "":
			return fmt.Errorf("upstream %q: wanted http or https, a host and no query", redacted(u))
		case api.Protocol == HTTP2 && u.Scheme != "https":
			return fmt.Errorf("upstream %q: HTTP/2 takes https; without TLS it is h2c", redacted(u))
		case api.Protocol == H2C && u.Scheme != "http":
			return fmt.Errorf("upstream %q: h2c takes http", redacted(u))
		case e.Weight < 0:
			return fmt.Errorf("upstream %q: the weight %d is negative", redacted(u), e.Weight)
		}
	}
	return nil
}

func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Redacted()
}

// endpoints are those of Upstreams, or the one of Upstream.
func (api *API) endpoints() []Endpoint {
	if len(api.Upstreams) == 0 && api.Upstream != nil {
		return []Endpoint{{URL: api.Upstream}}
	}
	return api.Upstreams
}

// upstreamOf returns the upstream of an API: the one that another of its routes has got, or a new one over the endpoints
// that the previous Gateway knows, and new ones.
func (g *Gateway) upstreamOf(api *API) *upstream {
	if up := g.upstreams[api]; up != nil {
		return up
	}
	up := &upstream{api: api}
	up.budget.open()
	for _, e := range api.endpoints() {
		m := &member{endpoint: g.endpointOf(api, e.URL), weight: max(e.Weight, 1)}
		if api.Health != nil {
			m.health = newHealthCheck(api.Health, m.endpoint, g.o.Previous.member(api, m.endpoint))
		}
		up.members = append(up.members, m)
	}
	up.round = spread(up.members)
	g.upstreams[api] = up
	return up
}

// endpointOf is the previous Gateway's endpoint where nothing that its connections depend on has changed.
func (g *Gateway) endpointOf(api *API, u *url.URL) *endpoint {
	key := endpointKey{api: api.Name, url: strings.TrimSuffix(u.String(), "/"), protocol: api.Protocol}
	known := g.endpoints[key]
	if known == nil && g.o.Previous != nil {
		known = g.o.Previous.endpoints[key]
	}
	if known == nil || !known.tls.same(api.TLS) {
		known = newEndpoint(key, u, api.TLS, g.o.Log)
	}
	g.endpoints[key] = known
	return known
}

// member is what g knows of an endpoint of the API with that name; nil where g is nil or does not know it.
func (g *Gateway) member(api *API, e *endpoint) *member {
	if g == nil {
		return nil
	}
	for other, up := range g.upstreams {
		if other.Name != api.Name {
			continue
		}
		for _, m := range up.members {
			if m.endpoint == e {
				return m
			}
		}
	}
	return nil
}

// Start begins the active health checks. They end with Retire. Call it once, when the Gateway begins to serve.
func (g *Gateway) Start() {
	ctx, stop := context.WithCancel(context.Background())
	if !g.stop.CompareAndSwap(nil, &stop) {
		stop()
		return
	}
	for _, up := range g.upstreams {
		for _, m := range up.members {
			if m.health != nil {
				go m.health.run(ctx, m.endpoint)
			}
		}
	}
}

// Retire ends the health checks, and closes the idle connections to endpoints that no newer Gateway has taken over, and the
// tunnels of routes that are not there any more as they were. Requests in flight end as they began. Call it once.
func (g *Gateway) Retire() {
	for _, l := range g.lines {
		if l.holders.Add(-1) == 0 {
			l.end()
		}
	}
	if stop := g.stop.Load(); stop != nil {
		(*stop)()
	}
	for _, e := range g.endpoints {
		if e.holders.Add(-1) == 0 {
			e.close()
		}
	}
}
