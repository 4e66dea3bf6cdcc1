package lean

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
)

// roundTripper is what the scripts are run against: ours, or http.Transport.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// patience is how long anything may take that should not take long.
const patience = 4 * time.Second

// loopback is where servers and clients are: on an address of their own where there are several, since the thousands of
// ports that are used here would else be in the way of tests elsewhere that look for a free one.
var loopback = map[bool]string{false: "127.0.0.1", true: "127.0.0.2"}[runtime.GOOS == "linux"]

var dialer = net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(loopback)}}

// world is one server and one transport, for one run of one scenario.
type world struct {
	ln      net.Listener
	secure  bool
	ours    bool
	scripts []script // one for each connection, the last for all that follow
	served  sync.WaitGroup

	mu     sync.Mutex
	peers  []*peer
	events map[string]chan struct{}
	over   chan struct{}
}

// script is what the server does with one connection.
type script []step

type step func(*peer)

// peer is the server's side of one connection.
type peer struct {
	net.Conn
	w   *world
	tcp *net.TCPConn
	br  *bufio.Reader
	got []string // what was received, in words
	end bool     // the script has closed it
}

func newWorld(t testing.TB, secure bool, scripts []script) *world {
	t.Helper()
	ln, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{ln: ln, secure: secure, scripts: scripts, events: map[string]chan struct{}{}, over: make(chan struct{})}
	w.served.Go(w.accept)
	return w
}

func (w *world) accept() {
	for n := 0; ; n++ {
		conn, err := w.ln.Accept()
		if err != nil {
			return
		}
		p := &peer{Conn: conn, w: w, tcp: conn.(*net.TCPConn)}
		w.mu.Lock()
		w.peers = append(w.peers, p)
		w.mu.Unlock()
		s := w.scripts[min(n, len(w.scripts)-1)]
		w.served.Go(func() { p.run(s) })
	}
}

func (p *peer) run(s script) {
	defer p.tcp.Close()
	if p.w.secure {
		secure := tls.Server(p.tcp, serverTLS())
		if secure.Handshake() != nil {
			p.note("no handshake")
			return
		}
		p.Conn = secure
	}
	p.br = bufio.NewReader(p.Conn)
	p.SetDeadline(time.Now().Add(patience))
	for _, do := range s {
		do(p)
	}
	if !p.end {
		gone(p)
	}
}

func (p *peer) note(format string, args ...any) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.got = append(p.got, fmt.Sprintf(format, args...))
}

// event returns the channel that is closed when something has happened.
func (w *world) event(name string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := w.events[name]
	if ch == nil {
		ch = make(chan struct{})
		w.events[name] = ch
	}
	return ch
}

func (w *world) tell(name string) {
	ch := w.event(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-ch:
	default:
		close(ch)
	}
}

func (w *world) wait(name string) {
	if name == "" {
		return
	}
	select {
	case <-w.event(name):
	case <-w.over:
	case <-time.After(patience):
	}
}

// finish ends the run and returns what the server has seen.
func (w *world) finish(rt roundTripper) []string {
	rt.CloseIdleConnections()
	close(w.over)
	w.ln.Close()
	w.served.Wait()
	rt.CloseIdleConnections()
	lines := []string{fmt.Sprintf("connections: %d", len(w.peers))}
	for i, p := range w.peers {
		for _, line := range p.got {
			lines = append(lines, fmt.Sprintf("connection %d: %s", i, line))
		}
	}
	return lines
}
