package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// echo answers each line with itself, and counts what it has heard. It tells tests what reached the far side of a proxy.
type echo struct {
	addr  string
	heard chan string
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	e := &echo{addr: l.Addr().String(), heard: make(chan string, 100)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go e.serve(c)
		}
	}()
	return e
}

func (e *echo) serve(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		e.heard <- line
		io.WriteString(c, line)
	}
}

// line is one client's connection through a proxy.
type line struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *line {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &line{t, c, bufio.NewReader(c)}
}

func (l *line) say(s string) {
	l.t.Helper()
	if _, err := io.WriteString(l, s+"\n"); err != nil {
		l.t.Fatal(err)
	}
}

// hear reads one answer, waiting as long as it takes on a machine that is busy.
func (l *line) hear(want string) {
	l.t.Helper()
	l.SetReadDeadline(time.Now().Add(startTimeout))
	if got, err := l.r.ReadString('\n'); got != want+"\n" {
		l.t.Fatalf("heard %q (%v), wanted %q", got, err, want)
	}
}

// silent makes sure that nothing comes, not even an end.
func (l *line) silent() {
	l.t.Helper()
	l.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if got, err := l.r.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Fatalf("heard %q (%v), wanted silence", got, err)
	}
}

// dead makes sure that the connection has been reset.
func (l *line) dead() {
	l.t.Helper()
	l.SetReadDeadline(time.Now().Add(startTimeout))
	if got, err := l.r.ReadString('\n'); !errors.Is(err, syscall.ECONNRESET) {
		l.t.Fatalf("heard %q (%v), wanted a reset", got, err)
	}
}

func TestProxyPasses(t *testing.T) {
	t.Parallel()
	s := Start(t)
	p := StartProxy(t, s.Addr())
	c := s.clientOf(p.Addr())
	defer c.Close()
	write(t, c, "v")
	if got := read(t, s); got != "v" {
		t.Errorf("the server has %q, wanted v", got)
	}
	big := make([]byte, 5<<20)
	if err := c.Set(t.Context(), "big", big, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), "big").Result(); err != nil || len(got) != len(big) {
		t.Errorf("got %d bytes (%v), wanted %d", len(got), err, len(big))
	}
	if p.Conns() == 0 || p.Accepted() < p.Conns() {
		t.Errorf("%d connections of %d accepted", p.Conns(), p.Accepted())
	}
}

func TestProxyDelays(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t).addr)
	l := dial(t, p)
	l.say("a")
	l.hear("a")
	p.Set(Slow(100 * time.Millisecond))
	start := time.Now()
	l.say("b")
	l.hear("b")
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("there and back took %s, wanted 200ms at least", took)
	}
	p.Set(Slow(time.Hour))
	l.say("c")
	l.silent()
	p.Heal() // frees also what is on its way
	l.hear("c")
}

func TestProxyStalls(t *testing.T) {
	t.Parallel()
	e := startEcho(t)
	p := StartProxy(t, e.addr)
	old := dial(t, p)
	old.say("a")
	old.hear("a")
	p.Set(Stalled)
	young := dial(t, p)
	old.say("b")
	young.say("c")
	old.silent()
	young.silent()
	p.Heal()
	old.hear("b")
	young.hear("c")
}

func TestProxySwallows(t *testing.T) {
	t.Parallel()
	e := startEcho(t)
	p := StartProxy(t, e.addr)
	old, spared := dial(t, p), dial(t, p)
	old.say("a")
	old.hear("a")
	p.SetExisting(Swallowed)
	old.say("b")
	old.silent()
	young := dial(t, p) // only those that existed are half open
	young.say("c")
	young.hear("c")
	p.Heal()
	old.dead()
	spared.say("d") // it had lost nothing
	spared.hear("d")
	for _, want := range []string{"a\n", "c\n", "d\n"} {
		if got := <-e.heard; got != want {
			t.Errorf("the server heard %q, wanted %q", got, want)
		}
	}
}

func TestProxyLosesAnswers(t *testing.T) {
	t.Parallel()
	e := startEcho(t)
	p := StartProxy(t, e.addr)
	l := dial(t, p)
	p.Set(AnswersLost)
	l.say("a")
	if got := <-e.heard; got != "a\n" {
		t.Errorf("the server heard %q, wanted a", got)
	}
	l.silent()
	p.Heal()
	l.dead()
}

func TestProxyFaultsOfNewConnections(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t).addr)
	old := dial(t, p)
	old.say("a")
	old.hear("a")
	p.SetNew(Stalled)
	young := dial(t, p)
	young.say("b")
	young.silent()
	old.say("c")
	old.hear("c")
}

func TestProxyCuts(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t).addr)
	old := dial(t, p)
	old.say("a")
	old.hear("a")
	p.Cut()
	old.dead()
	again := dial(t, p)
	again.say("b")
	again.hear("b")
	p.Set(Fault{Answers: Way{CutAfter: 5}})
	again.say("cd")
	again.hear("cd")
	again.say("ef")
	again.SetReadDeadline(time.Now().Add(startTimeout))
	if got, err := again.r.ReadString('\n'); got != "ef" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("heard %q (%v), wanted ef and a reset", got, err)
	}
}

func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t).addr)
	old := dial(t, p)
	old.say("a")
	old.hear("a")
	for range 3 {
		p.Refuse()
		if c, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("connected (%v, %v), wanted a refusal", c, err)
		}
		old.say("b") // those that exist stay
		old.hear("b")
		p.Heal()
		young := dial(t, p)
		young.say("c")
		young.hear("c")
	}
}

func TestProxyRetargets(t *testing.T) {
	t.Parallel()
	a, b := startEcho(t), startEcho(t)
	p := StartProxy(t, a.addr)
	old := dial(t, p)
	old.say("a")
	old.hear("a")
	p.Retarget(b.addr)
	young := dial(t, p)
	young.say("b")
	young.hear("b")
	old.say("c")
	old.hear("c")
	if got := <-b.heard; got != "b\n" {
		t.Errorf("the second server heard %q, wanted b", got)
	}
	p.Retarget("")
	c, err := net.Dial("tcp", p.Addr())
	if err != nil { // the reset came before the dial had returned
		return
	}
	t.Cleanup(func() { c.Close() })
	(&line{t, c, bufio.NewReader(c)}).dead()
}

func TestProxyPassesTheEnd(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, startEcho(t).addr)
	l := dial(t, p)
	l.say("a")
	l.hear("a")
	l.Close()
	eventually(t, "the proxy lets a closed connection go", func() bool { return p.Conns() == 0 })
}

func TestProxyEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("faulty", func(t *testing.T) {
		p := StartProxy(t, startEcho(t).addr)
		for i, f := range []Fault{Slow(time.Hour), Stalled, Swallowed, AnswersLost, {}} {
			p.SetNew(f)
			dial(t, p).say(fmt.Sprint(i))
		}
		p.Refuse()
	})
	eventually(t, "the goroutines of the proxy end", func() bool { return runtime.NumGoroutine() <= before })
}

// eventually waits for a condition, as long as it takes on a machine that is busy.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
