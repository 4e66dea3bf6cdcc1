package lean

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start is a world with our transport in front of it.
func start(t *testing.T, secure bool, options func(*http.Transport), scripts ...script) (*world, *Transport) {
	t.Helper()
	w := newWorld(t, secure, scripts)
	base := w.options()
	if options != nil {
		options(base)
	}
	rt := New(base, w.url())
	if !rt.able {
		t.Fatal("everything would be handed over")
	}
	t.Cleanup(func() { w.finish(rt) })
	return w, rt
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// idle is how many connections are idle.
func (p *pool) count() (idle, waiting, dialing int, ticking bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle), p.waiting.Len(), len(p.dialing), p.ticking
}

// TestSweep: an idle connection that the server ends is closed without a request that would find it, and so is one that
// nobody has used for too long; then nothing looks any more.
func TestSweep(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, rt := start(t, secure, nil, script{request, send(ok2), wait("idle"), halfClose, gone})
			c := get()
			c.done = "idle"
			c.do(w, rt)
			w.wait("gone")
			until(t, "nothing looks", func() bool { n, _, _, ticking := rt.pool.count(); return n == 0 && !ticking })
			w, rt = start(t, secure, func(b *http.Transport) { b.IdleConnTimeout = 10 * time.Millisecond }, answer(ok2))
			c.do(w, rt)
			w.wait("gone")
			until(t, "nothing looks", func() bool { n, _, _, ticking := rt.pool.count(); return n == 0 && !ticking })
		})
	}
}

// TestSweepKeeps: of many idle connections those that are well stay.
func TestSweepKeeps(t *testing.T) {
	t.Parallel()
	w, rt := start(t, false, nil, script{request, send(ok2), answerAll})
	var conns []*conn
	for range 3*sweepAtOnce + 5 {
		c, err := rt.connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if err := rt.pool.put(c); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all were accepted", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.peers) == len(conns) })
	w.mu.Lock()
	for i, p := range w.peers {
		if i%2 == 0 {
			p.tcp.CloseWrite()
		}
	}
	w.mu.Unlock()
	rt.pool.sweep()
	want := len(conns) / 2
	if n, _, _, _ := rt.pool.count(); n != want {
		t.Errorf("%d are left, want %d", n, want)
	}
	rt.pool.mu.Lock()
	defer rt.pool.mu.Unlock()
	for _, c := range rt.pool.idle {
		if !c.fresh() {
			t.Error("one that is over was kept")
		}
	}
}

// TestCloseIdle: what is idle is closed, what is in use when it becomes idle; a request that comes later is served, and its
// connection kept.
func TestCloseIdle(t *testing.T) {
	t.Parallel()
	for _, ours := range []bool{true, false} {
		w := newWorld(t, false, []script{{request, tell("in"), wait("closed idle"), send(ok2), gone}, answer(ok2)})
		w.ours = ours
		var rt roundTripper = w.options()
		if ours {
			rt = New(w.options(), w.url())
		}
		done := make(chan struct{})
		go func() { defer close(done); c := get(); c.do(w, rt) }()
		w.wait("in")
		rt.CloseIdleConnections()
		w.tell("closed idle")
		<-done
		w.wait("gone") // it was not kept
		c := get()
		c.do(w, rt)
		c.do(w, rt)
		if n := len(w.peers); n != 2 {
			t.Errorf("ours %t: %d connections, want 2", ours, n)
		}
		if seen := strings.Join(w.finish(rt), "\n"); strings.Contains(seen, "LEFT OPEN") {
			t.Errorf("ours %t: the connection was kept: %s", ours, seen)
		}
	}
}

// TestLateBinding: a request that waits for a dial takes a connection that another gives back; the dialed one is kept.
func TestLateBinding(t *testing.T) {
	t.Parallel()
	for _, ours := range []bool{true, false} {
		w := newWorld(t, false, []script{{request, tell("in"), wait("dialing"), send(ok2), answerAll}, answer(ok2)})
		base := w.options()
		dial := base.DialContext
		n := 0
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if n++; n == 2 {
				w.tell("dialing")
				w.wait("dial")
			}
			return dial(ctx, network, addr)
		}
		var rt roundTripper = base
		if ours {
			rt = New(base, w.url())
		}
		done := make(chan struct{})
		go func() { defer close(done); c := get(); c.do(w, rt) }()
		w.wait("in")
		c := get()
		out := c.do(w, rt)
		if out[0] != "reused true, was idle false" {
			t.Errorf("ours %t: %q", ours, out)
		}
		<-done
		w.tell("dial")
		until(t, "the second connection is there", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.peers) == 2 })
		w.finish(rt)
	}
}

// TestAbandonedDial: a dial that outlives its request leaves its connection to the next; one that nobody waits for ends with
// CloseIdleConnections.
func TestAbandonedDial(t *testing.T) {
	t.Parallel()
	for _, ours := range []bool{true, false} {
		w := newWorld(t, false, []script{answer(ok2)})
		base := w.options()
		dial := base.DialContext
		ended := make(chan error, 1)
		n := 0
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			switch n++; n {
			case 1:
				w.tell("dialing")
				w.wait("left")
			case 2:
				w.tell("dialing again")
				<-ctx.Done()
				ended <- ctx.Err()
				return nil, ctx.Err()
			}
			return dial(ctx, network, addr)
		}
		var rt roundTripper = base
		if ours {
			rt = New(base, w.url())
		}
		c := call{method: "GET", cancel: "dialing", cause: errCause, done: "left"}
		if out := c.do(w, rt); len(out) != 1 || out[0] != "error: the cause [cause]" {
			t.Errorf("ours %t: %q", ours, out)
		}
		kept := func() bool {
			if rt, ok := rt.(*Transport); ok {
				n, _, _, _ := rt.pool.count()
				return n == 1
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.peers) == 1
		}
		until(t, "the connection is kept", kept)
		if ours {
			c = get()
			if out := c.do(w, rt); out[0] != "reused true, was idle true" {
				t.Errorf("%q", out)
			}
		}
		rt.CloseIdleConnections()
		c = call{method: "GET", cancel: "dialing again"}
		c.do(w, rt)
		select {
		case err := <-ended:
			t.Errorf("ours %t: the dial ended with its request: %v", ours, err)
		default:
		}
		rt.CloseIdleConnections()
		<-ended
		w.finish(rt)
	}
}

// TestWaitersLeave: nothing is left of requests that waited, whatever came first.
func TestWaitersLeave(t *testing.T) {
	t.Parallel()
	w, rt := start(t, false, nil, answer(ok2))
	done := make(chan struct{})
	for i := range 200 {
		go func() {
			defer func() { done <- struct{}{} }()
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%7)*200*time.Microsecond)
			defer cancel()
			r := &http.Request{URL: w.url(), Header: http.Header{}}
			if res, err := rt.RoundTrip(r.WithContext(ctx)); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}()
	}
	for range 200 {
		<-done
	}
	until(t, "nobody waits and nothing is dialed", func() bool { _, waiting, dialing, _ := rt.pool.count(); return waiting == 0 && dialing == 0 })
}

// failing is a connection whose second write fails, after the server has said something that nobody asked for.
type failing struct {
	*net.TCPConn
	w      *world
	writes int
}

// Write implements io.Writer.
func (f *failing) Write(p []byte) (int, error) {
	if f.writes++; f.writes == 2 {
		f.w.tell("writing")
		f.w.wait("said")
		return 0, syscall.EPIPE
	}
	return f.TCPConn.Write(p)
}

// TestNothingWritten: where nothing of a request was sent on a used connection, what is read there is no answer to it.
func TestNothingWritten(t *testing.T) {
	t.Parallel()
	evil := send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	w, rt := start(t, false, func(b *http.Transport) {
		dial := b.DialContext
		b.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			w := c.(*observed).w
			return &failing{TCPConn: c.(*observed).TCPConn, w: w}, nil
		}
	}, script{request, send(ok2), wait("writing"), evil, tell("said"), gone}, answer(ok2))
	for _, c := range calls(get(), call{method: "POST"}) {
		if out := strings.Join(c.do(w, rt), "\n"); !strings.Contains(out, `body "ok"`) {
			t.Errorf("%s", out)
		}
	}
}
