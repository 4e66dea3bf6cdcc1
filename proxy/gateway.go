// Package proxy is the gateway: the life of one request, from the bytes of its target to the upstream and back.
//
// Read ServeHTTP first. It takes a request through gate, match, authorize, limit and forward; each of them refuses by
// returning a denial, and deny.go turns that into the response. The path that the gate has found canonical is one value,
// used by all that follow: matched, authorized, limited, logged and forwarded.
//
// Some things net/http settles before any handler sees a request, and tests here hold it to them. Two Host headers, a
// malformed header and an unknown Transfer-Encoding are refused. Content-Length beside Transfer-Encoding is dropped, and
// obs-fold and bare LF are read as a space and a line end: the upstream gets one request, framed anew, and what follows
// is never taken for another, because the response to a request with Transfer-Encoding closes the connection.
package proxy

import (
	"context"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"gatehouse/internal/exchange"
)

// Gateway serves requests by one configuration. It is an http.Handler, safe for concurrent use, and immutable: a reload
// makes another one.
type Gateway struct {
	o         Options
	tables    *tables
	upstreams map[*API]*upstream
	endpoints map[endpointKey]*endpoint // those of all upstreams
	stop      atomic.Pointer[context.CancelFunc]
	lines     map[string]*line // by API and match
	tunnels   *tunnels
	proxy     *httputil.ReverseProxy
}

// New builds the route tables and takes over the upstream connections of o.Previous. Routes that overlap without one
// being more specific, two routes for one method and path, and options that could not serve are errors. Start it when it
// begins to serve, and Retire it once it is no longer used.
func New(o Options) (*Gateway, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.setDefaults()
	g := &Gateway{o: o, upstreams: map[*API]*upstream{}, endpoints: map[endpointKey]*endpoint{},
		lines: map[string]*line{}, tunnels: newTunnels(o.Previous)}
	g.proxy = newReverseProxy(o.Log)
	var routes []*served
	cors, err := corsByAPI(o.Routes)
	if err != nil {
		return nil, err
	}
	for _, rt := range o.Routes {
		s := newServed(rt, g.upstreamOf(rt.API), o.IdleTimeout)
		s.line, s.cors = g.lineOf(rt), cors[rt.API]
		routes = append(routes, s)
	}
	if g.tables, err = newTables(&o, routes); err != nil {
		return nil, err
	}
	for _, e := range g.endpoints {
		e.holders.Add(1)
	}
	for _, l := range g.lines {
		l.holders.Add(1)
	}
	g.o.Previous = nil // or every Gateway there ever was would stay in memory
	return g, nil
}

// ServeHTTP implements http.Handler. Whatever happens, the request's record is finished exactly once.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := g.begin(w, r)
	defer c.end()
	if d := c.serve(); d != nil {
		c.deny(d)
	}
}

// serve takes the request through every step. The first refusal is the verdict.
func (c *call) serve() *denial {
	waived, refused := c.decide()
	switch {
	case refused != nil:
		return refused
	case c.own != nil:
		c.serveOwn()
		return nil
	}
	c.rec.Verdict = exchange.Allow
	if waived != nil {
		c.refuse(waived, exchange.WouldDeny)
	}
	c.forward()
	return nil
}

// decide is every step but the last. A route in observe mode lets through what its token or its limits would have refused:
// waived is that; the gate, routing, upgrades and the length of the body are not its to waive.
func (c *call) decide() (waived, refused *denial) {
	if d := c.gate(); d != nil {
		return nil, d
	}
	if d := c.match(); d != nil || c.own != nil {
		return nil, d
	}
	if waived = c.authorize(); waived != nil && !c.route.Observe {
		return nil, waived
	}
	if d := c.mayUpgrade(); d != nil {
		return waived, d
	}
	if waived == nil {
		if waived = c.limit(); waived != nil && !c.route.Observe {
			return nil, waived
		}
	}
	return waived, c.body()
}

// now is the time that tokens are judged by.
func (g *Gateway) now() time.Time {
	if g.o.Now != nil {
		return g.o.Now()
	}
	return time.Now()
}

// serveOwn hands the request to one of our own endpoints, which fills in what it knows of the record.
func (c *call) serveOwn() {
	c.stamp(c.w.Header())
	c.own.ServeHTTP(&c.w, c.r.WithContext(exchange.NewContext(c.r.Context(), &c.rec)))
}
