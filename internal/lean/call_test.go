package lean

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// call is one request of a scenario, and what its caller does.
type call struct {
	method string
	target string // opaque; "" is /
	host   string
	header http.Header
	body   string
	length int64 // of the body, where it is not the body's
	edit   func(*http.Request)

	bodyFails error  // after the body's bytes
	bodyWaits string // an event that the end of the body comes after

	after   string // the event that it comes after
	noticed bool   // and after http.Transport has found that the connection is of no use; ours looks when it needs it
	cancel  string // the event that cancels it; "before": it is canceled already
	cause   error  // of being canceled
	expires bool   // the event is the deadline's
	timeout time.Duration

	on1xx   error  // what the hook for informational responses returns
	no1xx   bool   // there is no such hook
	then    string // the event that the response's head is
	wait    string // the event that the body is read after
	read    int    // how much of the body is read, -1: none; 0: all
	twice   bool   // body is read and closed after its end again
	done    string // the event that the end of the call is
	beside  bool   // the next call does not wait for this one
	discard bool   // the body is not compared
}

var errCause = errors.New("the cause")

// requestBody is a body that says what becomes of it.
type requestBody struct {
	io.Reader
	c      *call
	w      *world
	reads  atomic.Int32
	closed atomic.Int32
	isGone chan struct{}
}

func (b *requestBody) Read(p []byte) (int, error) {
	if b.closed.Load() > 0 {
		return 0, errors.New("read after close")
	}
	b.reads.Add(1)
	n, err := b.Reader.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	b.w.wait(b.c.bodyWaits)
	if b.c.bodyFails != nil {
		return 0, b.c.bodyFails
	}
	return 0, err
}

func (b *requestBody) Close() error {
	if b.closed.Add(1) == 1 {
		close(b.isGone)
	}
	return nil
}

// do makes the call and says in words what came of it.
func (c *call) do(w *world, rt roundTripper) (out []string) {
	say := func(format string, args ...any) { out = append(out, w.anonymous(fmt.Sprintf(format, args...))) }
	w.wait(c.after)
	if c.noticed && !w.ours {
		w.wait("closed")
	}
	ctx, end := c.context(w)
	defer end()
	r := c.request(w, httptrace.WithClientTrace(ctx, c.hooks(say)))
	body, _ := r.Body.(*requestBody)
	res, err := rt.RoundTrip(r)
	if err != nil {
		say("error: %s", describe(err))
		if res != nil {
			say("and a response")
		}
	} else {
		w.tell(c.then)
		c.readAll(w, r, res, say)
	}
	if body != nil {
		select {
		case <-body.isGone:
			say("the request's body was closed")
		case <-time.After(patience):
			say("THE REQUEST'S BODY WAS NOT CLOSED")
		}
	}
	w.tell(c.done)
	return out
}

// context is canceled by the call's event.
func (c *call) context(w *world) (context.Context, func()) {
	if c.expires {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		return expiring{ctx, w.event(c.cancel)}, func() { w.tell(c.cancel); cancel() }
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	limit := patience
	if c.timeout > 0 {
		limit = c.timeout
	}
	ctx, stop := context.WithTimeoutCause(ctx, limit, c.cause)
	if c.cancel == "before" {
		cancel(c.cause)
	} else if c.cancel != "" {
		go func() { w.wait(c.cancel); cancel(c.cause); w.tell("canceled") }()
	}
	return ctx, func() { w.tell(c.cancel); stop(); cancel(nil) }
}

// expiring is a context of which an event is the deadline.
type expiring struct {
	context.Context
	at chan struct{}
}

// Done implements context.Context.
func (e expiring) Done() <-chan struct{} { return e.at }

// Err implements context.Context.
func (e expiring) Err() error {
	select {
	case <-e.at:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Value keeps the context package from looking through to what is embedded.
func (expiring) Value(any) any { return nil }

func (c *call) request(w *world, ctx context.Context) *http.Request {
	u := w.url()
	u.Opaque = orDefault(c.target, "/")
	r := (&http.Request{Method: c.method, URL: u, Host: c.host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	for k, v := range c.header {
		r.Header[k] = v
	}
	if c.body != "" || c.bodyFails != nil {
		r.Body = &requestBody{Reader: strings.NewReader(c.body), c: c, w: w, isGone: make(chan struct{})}
		r.ContentLength = int64(len(c.body))
		if c.length != 0 {
			r.ContentLength = c.length
		}
	}
	if c.edit != nil {
		c.edit(r)
	}
	return r
}

func (c *call) hooks(say func(string, ...any)) *httptrace.ClientTrace {
	t := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { say("reused %t, was idle %t", i.Reused, i.WasIdle) }}
	if !c.no1xx {
		t.Got1xxResponse = func(code int, h textproto.MIMEHeader) error {
			say("informational %d %v", code, h)
			return c.on1xx
		}
	}
	return t
}

// readAll reads the response as the call says.
func (c *call) readAll(w *world, r *http.Request, res *http.Response, say func(string, ...any)) {
	say("%s %q, %d %d.%d", res.Proto, res.Status, res.StatusCode, res.ProtoMajor, res.ProtoMinor)
	say("length %d, encoding %v, close %t, uncompressed %t, tls %t, request %t", res.ContentLength, res.TransferEncoding, res.Close,
		res.Uncompressed, res.TLS != nil, res.Request == r)
	say("header %q", fields(res.Header))
	say("announced %q", fields(res.Trailer))
	if rwc, ok := res.Body.(io.ReadWriteCloser); ok {
		_, half := res.Body.(interface{ CloseWrite() error })
		n, err := io.WriteString(rwc, "over to another protocol")
		say("a connection: %d %v, %t", n, err, half)
	}
	w.wait(c.wait)
	var got bytes.Buffer
	var err error
	switch {
	case c.read == 0:
		_, err = io.Copy(&got, res.Body)
	case c.read > 0:
		_, err = io.CopyN(&got, res.Body, int64(c.read))
	}
	if text := got.String(); !c.discard {
		if len(text) > 200 {
			text = fmt.Sprintf("%d bytes, sum %d", len(text), sum(text))
		}
		say("body %q", text)
	}
	if err != nil {
		say("error in the body: %s", describe(err))
	} else {
		say("trailer %q", fields(res.Trailer))
	}
	if c.twice {
		n, err := res.Body.Read(make([]byte, 10))
		say("read again: %d %v", n, err)
	}
	say("closed: %v", res.Body.Close())
	if c.twice {
		n, err := res.Body.Read(make([]byte, 10))
		say("closed again: %v; read after: %d %v", res.Body.Close(), n, err)
	}
}

func sum(s string) (n uint64) {
	for i := range len(s) {
		n = n*31 + uint64(s[i])
	}
	return n
}

func fields(h http.Header) string {
	if h == nil {
		return "none"
	}
	var b strings.Builder
	h.Write(&b)
	for k, v := range h {
		if len(v) == 0 {
			b.WriteString("(" + k + ")")
		}
	}
	s := b.String()
	if len(s) > 1000 {
		s = fmt.Sprintf("%d fields, %d bytes, sum %d", len(h), len(s), sum(s))
	}
	return s
}

// describe is an error's text, and what a caller would ask it for.
func describe(err error) string {
	var is []string
	for name, target := range map[string]error{"canceled": context.Canceled, "deadline": context.DeadlineExceeded, "cause": errCause, "EOF": io.EOF,
		"unexpected EOF": io.ErrUnexpectedEOF, "reset": syscall.ECONNRESET, "pipe": syscall.EPIPE, "closed": net.ErrClosed, "refused": syscall.ECONNREFUSED} {
		if errors.Is(err, target) {
			is = append(is, name)
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) {
		is = append(is, fmt.Sprintf("timeout %t", timeout.Timeout()))
	}
	var op *net.OpError
	if errors.As(err, &op) {
		is = append(is, "op "+op.Op)
	}
	sortStrings(is)
	return fmt.Sprintf("%v %v", err, is)
}
