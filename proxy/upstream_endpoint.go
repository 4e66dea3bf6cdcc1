package proxy

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// An endpoint that could not be connected to is tried again after probeFirst, then after twice as long each time, up
	// to probeLast.
	probeFirst = 250 * time.Millisecond
	probeLast  = 5 * time.Second
)

// endpointKey is what an endpoint is known by from one Gateway to the next.
type endpointKey struct {
	api, url string
	protocol Protocol
}

// endpoint is one server, with its connections and what was learnt of it. Gateways share it from one reload to the next.
type endpoint struct {
	key  endpointKey
	url  *url.URL
	base string // the base path, escaped, without a trailing slash
	tls  *UpstreamTLS
	log  *notes

	dialer    dialer
	transport atomic.Pointer[connections]
	holders   atomic.Int32    // Gateways that use it
	life      context.Context // ends when none does
	end       context.CancelFunc

	inFlight, requests, failures, retried atomic.Int64
	breaker                               breaker

	ejected atomic.Bool // the last connection could not be made
	probing atomic.Bool // something tries to make one

	host    string // a DNS name to be followed; "" for an address
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	next    atomic.Int64                 // when to look the name up again, in Unix nanoseconds
	known   atomic.Pointer[[]netip.Addr] // what it was found to be last; only the one that looks up writes
	looking atomic.Bool
}

func newEndpoint(key endpointKey, u *url.URL, t *UpstreamTLS, log *slog.Logger) *endpoint {
	e := &endpoint{key: key, url: u, base: strings.TrimSuffix(u.EscapedPath(), "/"), tls: t, lookup: lookupIP}
	e.log = &notes{log: log.With("api", key.api, "endpoint", key.url)}
	e.life, e.end = context.WithCancel(context.Background())
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		e.host = u.Hostname()
	}
	e.dialer = newDialer(u, key.protocol, t)
	e.transport.Store(e.newTransport())
	return e
}

// close ends what works for the endpoint. What is in flight ends as it began.
func (e *endpoint) close() {
	e.end()
	e.transport.Load().CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.host != "" {
		e.follow(time.Now())
	}
	return e.transport.Load().RoundTrip(r)
}

// dial makes a connection for the transport. One that can't be made ejects the endpoint, and one that can brings it back;
// a request that gave up in the meantime says nothing of the endpoint.
func (e *endpoint) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := e.dialer.dial(ctx, network, addr)
	switch {
	case err == nil:
		e.connected()
	case ctx.Err() == nil:
		e.eject(err)
	}
	return conn, err
}

// eject takes the endpoint out of the choice for as long as no connection can be made, and begins to try.
func (e *endpoint) eject(err error) {
	if e.ejected.Swap(true) {
		return
	}
	e.log.warn("upstream endpoint ejected: it can't be connected to", "error", err.Error())
	if e.probing.CompareAndSwap(false, true) {
		go e.probe()
	}
}

// connected brings the endpoint back.
func (e *endpoint) connected() {
	if e.ejected.Load() && e.ejected.CompareAndSwap(true, false) {
		e.log.info("upstream endpoint is back")
	}
}

// probe tries to connect until that succeeds, here or for a request, so that no request has to find out.
func (e *endpoint) probe() {
	for wait := probeFirst; e.ejected.Load(); wait = min(2*wait, probeLast) {
		select {
		case <-e.life.Done():
			return // whoever ejects it now has no need to know when it is back
		case <-time.After(jitter(wait)):
		}
		if conn, err := e.dialer.dial(e.life, "tcp", e.dialer.addr); err == nil {
			conn.Close()
			e.connected()
		}
	}
	e.probing.Store(false)
	if e.ejected.Load() && e.probing.CompareAndSwap(false, true) { // ejected again before probing was off
		go e.probe()
	}
}

// jitter is d, give or take a tenth, so that many nodes do not act at once.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}
