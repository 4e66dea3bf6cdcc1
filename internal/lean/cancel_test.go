package lean

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestCanceled: a request that is given up, at every stage, with and without a cause, and by a deadline.
func TestCanceled(t *testing.T) {
	t.Parallel()
	const large = 16 << 20
	fresh := answer(ok2)
	half := "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
	type stage struct {
		name   string
		script script
		call   call // its cancel is "now"
		timing string
	}
	var list []scenario
	for _, st := range []stage{
		{name: "before", script: fresh, call: call{method: "GET", cancel: "before"}},
		{name: "before, with a body", script: fresh, call: call{method: "POST", body: "x", cancel: "before"}},
		{name: "after the request", script: script{request, tell("now"), gone}, call: call{method: "GET", cancel: "now"}},
		{name: "after a request with a body", script: script{request, tell("now"), gone}, call: call{method: "POST", body: "x", cancel: "now"}},
		{name: "after a byte of the head", script: script{request, send("H"), tell("now"), gone}, call: call{method: "GET", cancel: "now"}},
		{name: "within the head", script: script{request, send("HTTP/1.1 200 OK\r\nX: y"), tell("now"), gone}, call: call{method: "GET", cancel: "now"}},
		{name: "after an informational response", script: script{request, send("HTTP/1.1 103 X\r\n\r\n"), tell("now"), gone}, call: call{method: "GET", cancel: "now"}, timing: "whether that was seen is a matter of timing"},
		{name: "within the body", script: script{request, send(half), wait("head"), tell("now"), gone}, call: call{method: "GET", cancel: "now", then: "head"}},
		{name: "within chunks", script: script{request, send(chunked + "5\r\nhel"), wait("head"), tell("now"), gone}, call: call{method: "GET", cancel: "now", then: "head"}},
		{name: "within a body without an end", script: script{request, send("HTTP/1.1 200 OK\r\n\r\nhello"), wait("head"), tell("now"), gone}, call: call{method: "GET", cancel: "now", then: "head"}},
		{name: "within the trailer", script: script{request, send(chunked + "5\r\nhello\r\n0\r\nX: "), wait("head"), tell("now"), gone}, call: call{method: "GET", cancel: "now", then: "head"}},
		{name: "before the body is read", script: script{request, send(half), wait("head"), tell("now"), gone}, call: call{method: "GET", cancel: "now", then: "head", wait: "gone"}},
		{name: "before a body that is not read", script: script{request, send(half), wait("head"), tell("now"), gone}, call: call{method: "GET", cancel: "now", then: "head", wait: "gone", read: -1}},
		{name: "while the body is sent", script: script{head1, read(1000), tell("now"), wait("end"), gone}, call: call{method: "POST", body: letters(large), cancel: "now", done: "end"}, timing: "how much of the body was sent is a matter of timing"},
		{name: "while the client's body is slow", script: script{head1, read(5), tell("now"), gone}, call: call{method: "POST", body: "hello", length: 10, cancel: "now", bodyWaits: "gone", bodyFails: errors.New("the client left")}},
		{name: "while a long head is sent", script: script{read(1000), tell("now"), wait("end"), gone}, call: call{method: "GET", header: http.Header{"X": {letters(large)}}, cancel: "now", done: "end"}, timing: "how much of the head was sent is a matter of timing"},
		{name: "after the end", script: script{request, send(ok2), wait("end"), tell("now"), answerAll}, call: call{method: "GET", cancel: "now", done: "end"}},
		{name: "after a response without a body", script: script{request, send(noBody), wait("end"), tell("now"), answerAll}, call: call{method: "GET", cancel: "now", done: "end"}},
	} {
		for name, cause := range map[string]error{"": nil, ", with a cause": errCause} {
			c := st.call
			c.cause = cause
			list = append(list, scenario{name: st.name + name, both: true, scripts: []script{st.script, fresh}, calls: calls(c, get()), differs: st.timing, want: []string{"call 1: HTTP/1.1"}})
		}
		if st.call.cancel == "now" && st.timing == "" && st.call.done == "" && st.call.wait == "" {
			c := st.call
			c.expires = true
			list = append(list, scenario{name: st.name + ", by a deadline", both: true, scripts: []script{st.script, fresh}, calls: calls(c, get()), want: []string{"context deadline exceeded"}})
		}
	}
	testAll(t, list)
}

// TestDialing: what becomes of dials, and of requests that wait for one.
func TestDialing(t *testing.T) {
	t.Parallel()
	errDial := errors.New("no way there")
	stuck := func(w chan struct{}) func(*http.Transport) {
		return func(b *http.Transport) {
			dial := b.DialContext
			b.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				<-w
				return dial(ctx, network, addr)
			}
		}
	}
	open := make(chan struct{})
	close(open)
	list := []scenario{
		{name: "a dial that fails", options: func(b *http.Transport) {
			b.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errDial }
		}, scripts: []script{answer(ok2)}, calls: calls(get(), post("x")), want: []string{"error: no way there []", "body was closed"}},
		{name: "a dial that is refused", options: func(b *http.Transport) {
			b.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, loopback+":1")
			}
		}, scripts: []script{answer(ok2)}, calls: calls(get()), want: []string{"refused", "op dial"}},
		{name: "a dial that is given up", options: func(b *http.Transport) {
			b.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		}, scripts: []script{answer(ok2)}, calls: calls(call{method: "GET", timeout: 20 * time.Millisecond}, call{method: "POST", body: "x", timeout: 20 * time.Millisecond, cause: errCause}), want: []string{"call 0: error: context deadline exceeded", "call 1: error: the cause"}},
		{name: "a connection that gives nothing away of itself", options: func(b *http.Transport) {
			dial := b.DialContext
			b.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				return struct{ net.Conn }{c}, err
			}
		}, scripts: []script{answer(ok2)}, calls: calls(get(), get()), differs: "what can't be looked at is not used again", want: []string{"connections: 2"}},
		{name: "a handshake that was left to be done", options: func(b *http.Transport) {
			dial := b.DialContext
			b.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return tls.Client(c, clientTLS()), nil
			}
		}, both: true, scripts: []script{answer(ok2)}, calls: calls(get(), get()), want: []string{"connections: 1"}},
		{name: "a certificate that is not trusted", options: func(b *http.Transport) {
			dial := b.DialContext
			b.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return tls.Client(c, &tls.Config{ServerName: loopback}), nil
			}
		}, both: true, scripts: []script{answer(ok2)}, calls: calls(get())},
		{name: "a dial that is slow", options: stuck(open), scripts: []script{answer(ok2)}, calls: calls(get(), get()), want: []string{"connections: 1"}},
	}
	testAll(t, list)
}

// slowly is a connection that takes its time to be closed.
type slowly struct {
	*net.TCPConn
	w *world
}

// Close implements io.Closer.
func (s slowly) Close() error { s.w.wait("read"); return s.TCPConn.Close() }

// TestOwnEnd: where a body lasts until the end of the connection, an end that comes because we end TLS is not the body's.
func TestOwnEnd(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{nil, errCause} {
		w := newWorld(t, true, []script{{request, send("HTTP/1.1 200 OK\r\n\r\nhello"), wait("head"), tell("now"), gone, drop}})
		base := w.options()
		base.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
			conn, err := dialer.Dial("tcp", w.ln.Addr().String())
			if err != nil {
				return nil, err
			}
			return tls.Client(slowly{conn.(*net.TCPConn), w}, clientTLS()), nil
		}
		rt := New(base, w.url())
		c := call{method: "GET", cancel: "now", cause: cause, then: "head", done: "read"}
		out := strings.Join(c.do(w, rt), "\n")
		if cause == nil {
			cause = context.Canceled
		}
		if !strings.Contains(out, "error in the body: "+cause.Error()) {
			t.Errorf("%s", out)
		}
		w.finish(rt)
	}
}
