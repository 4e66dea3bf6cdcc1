package proxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 3 * time.Second
	tlsTimeout  = 5 * time.Second
	// upstreamIdle is how long an unused connection is kept: less than servers commonly do, so that we are the one to close.
	upstreamIdle = 30 * time.Second
	// maxIdlePerHost keeps the connections of a busy gateway, instead of the two that are net/http's default.
	maxIdlePerHost    = 1024
	maxResponseHeader = 64 << 10
	// lookupEvery and lookupTimeout bound how long a changed DNS name goes unnoticed.
	lookupEvery   = 10 * time.Second
	lookupTimeout = 5 * time.Second
)

// upstream is one server behind the gateway, with its connections. Gateways share it from one reload to the next.
type upstream struct {
	host      string // a DNS name to be followed; "" for an address
	transport atomic.Pointer[http.Transport]
	holders   atomic.Int32 // Gateways that use it

	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	next    atomic.Int64                 // when to look the name up again, in Unix nanoseconds
	known   atomic.Pointer[[]netip.Addr] // what it was found to be last; only the one that looks up writes
	looking atomic.Bool
}

// upstreamOf returns the upstream of a URL: this Gateway's, the previous one's, or a new one.
func (g *Gateway) upstreamOf(u *url.URL) *upstream {
	key := u.Scheme + "://" + u.Host
	up := g.upstreams[key]
	if up == nil && g.o.Previous != nil {
		up = g.o.Previous.upstreams[key]
	}
	if up == nil {
		up = newUpstream(u.Hostname())
	}
	g.upstreams[key] = up
	return up
}

func newUpstream(host string) *upstream {
	up := &upstream{lookup: lookupIP}
	if _, err := netip.ParseAddr(host); err != nil {
		up.host = host
	}
	up.transport.Store(newTransport())
	return up
}

func lookupIP(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// newTransport takes no proxy from the environment, follows nothing, and passes bodies as they are. How long an answer
// may take is the route's to say, so that there is no ResponseHeaderTimeout; how many connections there are is bounded by
// the requests that come in.
func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    tlsTimeout,
		IdleConnTimeout:        upstreamIdle,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
		Protocols:              protocols,
	}
}

// RoundTrip implements http.RoundTripper.
func (up *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	if up.host != "" {
		up.follow(time.Now())
	}
	return up.transport.Load().RoundTrip(r)
}

// follow looks the name up again where that is due, beside the requests and one at a time.
func (up *upstream) follow(now time.Time) {
	if now.UnixNano() < up.next.Load() || !up.looking.CompareAndSwap(false, true) {
		return
	}
	up.next.Store(now.Add(lookupEvery).UnixNano())
	go func() {
		defer up.looking.Store(false)
		up.refresh()
	}()
}

// refresh starts with new connections where an address that the name had is gone. Requests in flight end on the old
// ones. A lookup that fails changes nothing: the next dial has its own.
func (up *upstream) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, err := up.lookup(ctx, up.host)
	if err != nil {
		return
	}
	before := up.known.Swap(&found)
	if before == nil {
		return
	}
	if slices.ContainsFunc(*before, func(a netip.Addr) bool { return !slices.Contains(found, a) }) {
		up.transport.Swap(newTransport()).CloseIdleConnections()
	}
}
