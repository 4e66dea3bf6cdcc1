// Package lean is an http.RoundTripper for the plain case of a reverse proxy: HTTP/1.1 to one server, without an upgrade,
// without Expect, with a body of known length or none. It does what http.Transport does there, on connections that have
// no goroutines of their own: the request is written and the response read by whoever calls. Whatever else comes is handed
// to the http.Transport that it stands in front of.
//
// http.Transport is the specification. What a caller or a server can see is the same with and without this package, but
// for the time it takes; the tests run every script of a server against both and compare. What is different all the same:
//
//   - An idle connection that the server ends is closed within a second, or when it would be used next, and not at once.
//   - What a server sends without being asked is not taken for an answer, and nothing is logged of it. Under TLS that holds for
//     whole records: of one that has begun to come, the rest is read as the answer to the next request, as http.Transport does.
//   - A server that takes no more of a request is listened to for another moment, so that its refusal is seen more often.
//   - A body that lasts until the end of the connection never ends well once we have begun to end it.
//   - What is wrong with a request's body is the error as it was, without the connection's addresses in front.
//   - What is handed over has connections of its own, and a connection of a kind that can't be looked at is used once.
package lean

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

// Transport sends requests to one server. It is safe for concurrent use. Its connections are beside those of the
// http.Transport that takes what it does not.
type Transport struct {
	base   *http.Transport
	able   bool // false: base takes everything
	scheme string
	host   string // as in URL.Host
	addr   string // host and port, to dial

	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	maxHeader int64
	pool      pool
}

const (
	// defaultMaxHeader and defaultMaxIdle are what http.Transport's zero values mean.
	defaultMaxHeader = 10 << 20
	defaultMaxIdle   = http.DefaultMaxIdleConnsPerHost
)

// New returns a Transport for the server that target's scheme and host name. Dialers and limits are base's, which must not
// change any more. Where base has an option that is not known here, base takes every request.
func New(base *http.Transport, target *url.URL) *Transport {
	t := &Transport{base: base, scheme: target.Scheme, host: target.Host, maxHeader: base.MaxResponseHeaderBytes}
	port := target.Port()
	switch target.Scheme {
	case "http":
		t.dial = base.DialContext
		port = orDefault(port, "80")
	case "https":
		t.dial = base.DialTLSContext
		port = orDefault(port, "443")
	}
	t.addr = net.JoinHostPort(target.Hostname(), port)
	if t.maxHeader <= 0 {
		t.maxHeader = defaultMaxHeader
	}
	t.pool = pool{max: base.MaxIdleConnsPerHost, timeout: base.IdleConnTimeout}
	if t.pool.max == 0 {
		t.pool.max = defaultMaxIdle
	}
	t.able = canProbe && t.dial != nil && plainHost(t.host) && knows(base)
	return t
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// knows reports whether every option that is set in base is followed here too.
func knows(base *http.Transport) bool {
	p := base.Protocols
	return p != nil && p.HTTP1() && !p.HTTP2() && !p.UnencryptedHTTP2() &&
		base.Proxy == nil && base.OnProxyConnectResponse == nil && base.TLSNextProto == nil &&
		!base.DisableKeepAlives && base.DisableCompression && base.MaxIdleConns == 0 && base.MaxIdleConnsPerHost >= 0 &&
		base.MaxConnsPerHost == 0 && base.ResponseHeaderTimeout == 0 && base.MaxResponseHeaderBytes >= 0 &&
		base.WriteBufferSize == 0 && base.ReadBufferSize == 0
}

// CloseIdleConnections closes the connections that are not in use. Those in use are closed when they would become idle,
// unless another request has come by then.
func (t *Transport) CloseIdleConnections() {
	t.pool.closeIdle()
	t.base.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	h := heads.Get().(*head)
	if !t.takes(r) || !h.build(r, t.host) {
		h.free()
		return t.base.RoundTrip(r)
	}
	trace := httptrace.ContextClientTrace(r.Context())
	if trace != nil && trace.WroteHeaderField != nil {
		h.free()
		return t.base.RoundTrip(r)
	}
	return t.roundTrip(&trip{t: t, req: r, trace: trace, head: h})
}

// roundTrip tries until a connection that was not used before has been tried.
func (t *Transport) roundTrip(x *trip) (*http.Response, error) {
	ctx := x.req.Context()
	for {
		if ctx.Err() != nil {
			x.giveUp()
			return nil, context.Cause(ctx)
		}
		c, err := t.conn(ctx, x.trace)
		if err != nil {
			x.giveUp()
			return nil, err
		}
		res, err, again := x.on(c)
		if !again {
			return res, err
		}
		x = &trip{t: t, req: x.req, trace: x.trace, head: x.head}
	}
}

// takes reports whether the request is of the plain case, as far as its head does not say otherwise.
func (t *Transport) takes(r *http.Request) bool {
	//lint:ignore SA1019 a caller may use it all the same
	old := r.Cancel != nil
	u := r.URL
	return t.able && !old && u != nil && u.Scheme == t.scheme && u.Host == t.host && r.Header != nil &&
		!r.Close && len(r.TransferEncoding) == 0 && len(r.Trailer) == 0 && takesBody(r)
}

// takesBody: a body must have a known length, and no way to be had again, since with one it may be sent again.
func takesBody(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return r.ContentLength == 0
	}
	return r.ContentLength > 0 && r.GetBody == nil
}

// hasBody reports whether there is something to be sent after the head.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// isReplayable reports whether a request may be sent again although the server may have seen it. It is asked only for
// requests without a body that could not be sent again.
func isReplayable(r *http.Request) bool {
	if hasBody(r) {
		return false
	}
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, one := r.Header["Idempotency-Key"]
	_, other := r.Header["X-Idempotency-Key"]
	return one || other
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// since is the time since at by the wall clock too, which goes on where the machine is suspended.
func since(at time.Time) time.Duration { return time.Now().Round(0).Sub(at.Round(0)) }
