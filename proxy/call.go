package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
)

// call is one request on its way through the gateway. The goroutine that serves it owns it.
type call struct {
	gw  *Gateway
	r   *http.Request
	w   response
	rec exchange.Record

	remote netip.Addr // the client's address after trusted_proxies; invalid where the peer has none
	peer   netip.Addr

	// The gate fills these.
	target canonical
	host   string
	table  *table

	// Matching fills these: one of own and route.
	own          http.Handler
	route        *served
	upstreamPath string
	cors         *cors // nil: none

	what  *Question // somebody only asks; nil: it is a request
	token asked     // what authorize has found, for the trace of a refusal

	principal *authz.Principal // set where the verdict allowed a token
	identity  *authz.Principal // whom the upstream is told of; nil: nobody

	fields struct{ policy, limit string } // RateLimit-Policy and RateLimit of the response

	// While the request is forwarded.
	sent     time.Time
	cancel   context.CancelCauseFunc
	watch    watch       // cancels what takes too long
	at       *member     // the endpoint that it is sent to; nil: none
	answer   http.Header // the header of the upstream's response, but for 101
	answered atomic.Bool // it is there
	inbound  *inbound    // nil: no body
	upgrade  bool        // the client asks for a WebSocket, and may
	tunnel   *tunnel     // what the connection has become; nil: nothing
}

// begin starts the record. A request with a body gets a deadline for it at once, so that a body that nobody wants can't
// keep the connection.
func (g *Gateway) begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{gw: g, r: r}
	c.w = response{ResponseWriter: w, idle: g.o.IdleTimeout, http10: r.ProtoMajor == 1 && r.ProtoMinor == 0, http2: r.ProtoMajor == 2}
	c.peer = peerAddr(r.RemoteAddr)
	c.remote = clientAddr(c.peer, r.Header["X-Forwarded-For"], g.o.TrustedProxies)
	now := time.Now()
	if c.w.moved = ticks(now); !c.w.http2 {
		c.w.by = g.o.IdleTimeout // Server's WriteTimeout begins with the request
	}
	c.rec = exchange.Record{ID: newID(now), Start: now, Method: r.Method, Host: r.Host}
	if c.remote.IsValid() {
		c.rec.Remote = c.remote.String()
	}
	if r.ContentLength != 0 {
		c.w.readBy(g.o.IdleTimeout)
	}
	return c
}

// end finishes the record, after a panic too. A panic is answered 500 where nothing was written; else the response is cut,
// which is also what http.ErrAbortHandler asks for.
func (c *call) end() {
	v := recover()
	if v != nil && v != http.ErrAbortHandler {
		c.gw.o.Log.Error("panic while serving a request", "request_id", c.rec.ID, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		c.failed(&v)
	}
	if c.inbound != nil {
		c.rec.BytesIn = c.inbound.release()
	}
	if c.w.status != http.StatusSwitchingProtocols {
		c.w.writeBy() // net/http has the rest of the response to send
	}
	if c.rec.Status == 0 {
		c.rec.Status = c.w.status
	}
	if c.rec.Status == 0 && v == nil {
		c.rec.Status = http.StatusOK // what net/http answers where a handler wrote nothing
	}
	c.rec.BytesOut = c.w.bytes
	c.rec.Duration = time.Since(c.rec.Start)
	for _, s := range c.gw.o.Sinks {
		c.tell(s)
	}
	if v != nil {
		panic(http.ErrAbortHandler)
	}
}

// tell gives the record to a sink. One that panics costs neither the others their record nor the client its response.
func (c *call) tell(s exchange.Sink) {
	defer func() {
		if v := recover(); v != nil {
			c.gw.o.Log.Error("panic while recording a request", "request_id", c.rec.ID, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	s.Finish(&c.rec)
}

// failed answers 500 and clears the panic, where nothing was written yet.
func (c *call) failed(v *any) {
	d := &denial{reason: authz.InternalError, detail: "the gateway failed"}
	c.rec.Verdict = exchange.Deny // in observe mode too
	if c.w.status != 0 {
		c.refuse(d, exchange.Deny)
		return
	}
	c.deny(d)
	*v = nil
}

// stamp sets what every response carries. The last one of a connection says so; over HTTP/2, where there is no such header,
// net/http makes it a GOAWAY.
func (c *call) stamp(h http.Header) {
	c.cors.stamp(h, originOf(c.r))
	c.label(h)
	if closes(c.r) || c.gw.o.Draining() {
		h["Connection"] = []string{"close"}
	}
}

// label sets the headers that tell the caller about its request.
func (c *call) label(h http.Header) {
	set := setter{header: h, values: make([]string, 0, 3)}
	set.to("X-Request-Id", c.rec.ID)
	if c.fields.policy != "" {
		set.to("Ratelimit-Policy", c.fields.policy)
	}
	if c.fields.limit != "" {
		set.to("Ratelimit", c.fields.limit)
	}
}
