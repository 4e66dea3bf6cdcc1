package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

type callKey struct{}

// callOf returns the call that a request of the reverse proxy belongs to.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// newReverseProxy returns what forwards the requests of all routes. It decides nothing: whatever comes here may pass.
func newReverseProxy(log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { callOf(pr.In.Context()).rewrite(pr.Out) },
		Transport:      roundTripper{},
		BufferPool:     &buffers,
		ModifyResponse: func(res *http.Response) error { return callOf(res.Request.Context()).respond(res) },
		ErrorHandler: func(_ http.ResponseWriter, out *http.Request, err error) {
			callOf(out.Context()).upstreamFailed(err)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// roundTripper sends a request to the upstream of its route.
type roundTripper struct{}

// RoundTrip implements http.RoundTripper. The response's header passes ReverseProxy by, which would copy it value by value:
// respond gives it to the client.
func (roundTripper) RoundTrip(out *http.Request) (*http.Response, error) {
	c := callOf(out.Context())
	res, err := c.route.up.roundTrip(c, out)
	if err != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return res, err
	}
	if isEventStream(res.Header) {
		res.ContentLength = -1 // ReverseProxy flushes what has no length, as it would flush an event stream
	}
	c.answer, res.Header = res.Header, nil
	return res, nil
}

var buffers pool

// pool lends the buffers that bodies are copied through.
type pool struct{ sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (p *pool) Get() []byte {
	if b, ok := p.Pool.Get().(*[bufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (p *pool) Put(b []byte) { p.Pool.Put((*[bufferSize]byte)(b)) }

// forward sends the request to the upstream and copies the response back. The route's timeout runs until the response
// headers, for as long as no byte of the request's body moves; from then on the idle timeout runs between the bytes of
// either body.
func (c *call) forward() {
	ctx, cancel := context.WithCancelCause(context.WithValue(c.r.Context(), callKey{}, c))
	defer cancel(nil)
	c.cancel = cancel
	c.w.idle = c.route.idle
	in := c.r.WithContext(ctx)
	in.Header = nil // ReverseProxy would copy it value by value: rewrite gives the upstream its header
	if c.r.ContentLength != 0 {
		c.inbound = newInbound(c)
		in.Body = c.inbound
		// Else net/http would close the body when the response begins, under the transport that may be about to find its end.
		http.NewResponseController(c.w.ResponseWriter).EnableFullDuplex() // HTTP/2 always is
	}
	c.w.wrote() // nothing is written before the answer comes
	c.w.taken = func(conn net.Conn) { context.AfterFunc(ctx, func() { conn.Close() }) }
	c.sent = time.Now()
	c.rec.Decided = c.sent.Sub(c.rec.Start)
	c.watch.begin(c.sent, c.route.timeout, c.tooSlow)
	defer c.watch.end()
	defer c.release()
	c.gw.proxy.ServeHTTP(&c.w, in)
	c.closeTunnel(context.Cause(ctx))
}

// tooSlow gives up on the upstream. The watch calls it.
func (c *call) tooSlow() {
	if c.answered.Load() {
		c.cancel(errIdle)
		return
	}
	c.cancel(errTimeout)
}

// rewrite makes the request that the upstream gets, from the client's, which is not to be trusted, and what the gateway knows.
func (c *call) rewrite(out *http.Request) {
	out.Header = c.outgoing()
	out.Host = ""
	if c.route.API.KeepHost {
		out.Host = c.r.Host
	}
	c.inbound.announceTrailers(out)
	onlyIfIdempotent(out)
}

// setURL puts the path and query on the wire as they were received, below the endpoint's base path. Opaque is written as
// it is, but for a leading "//", which it would make the start of an authority.
func (c *call) setURL(u *url.URL, to *member) {
	path := to.base + c.upstreamPath
	u.Scheme, u.Host, u.User = to.url.Scheme, to.url.Host, nil
	u.Opaque, u.Path, u.RawPath = path, "", ""
	if len(path) > 1 && path[1] == '/' {
		u.Path, _ = unescape(path)
		u.Opaque, u.RawPath = "", path
	}
	u.RawQuery, u.ForceQuery = "", c.target.query == "?"
	if c.target.query != "" {
		u.RawQuery = c.target.query[1:]
	}
}

// respond prepares the upstream's response for the client.
func (c *call) respond(res *http.Response) error {
	if res.StatusCode == http.StatusSwitchingProtocols && !c.accepts(res.Header) {
		return errSwitch
	}
	if res.StatusCode < http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		return errStatus // 1xx is not the response, and to write a code below 100 panics
	}
	if v := c.answer["Content-Length"]; len(v) > 1 || len(v) == 1 && !isDecimal(v[0]) {
		return errLength
	}
	c.answered.Store(true)
	c.watch.pause()
	c.rec.Upstream = time.Since(c.sent)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return c.openTunnel(res)
	}
	h := c.w.Header()
	c.pass(h)
	c.stamp(h)
	res.Body = &outbound{ReadCloser: res.Body, c: c}
	return nil
}
