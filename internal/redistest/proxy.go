package redistest

import (
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Way is what happens to the bytes that travel one way through a Proxy. The zero value lets them pass at once.
type Way struct {
	Delay    time.Duration // each byte arrives this much later; their order stays
	Hold     bool          // bytes, and the end of a connection, wait until the fault is lifted, then arrive: a stalled network
	Drop     bool          // bytes, and the end of a connection, vanish: a network path that is gone
	CutAfter int           // the connection is reset once this many more bytes have passed; 0: never
}

// Fault is what happens to a connection through a Proxy: to the requests that go to the server, and to its answers. The zero
// value is a network in order.
type Fault struct{ Requests, Answers Way }

// Faults that tests ask for by name.
var (
	// Stalled connections are open and silent; nothing is lost, and all arrives once the fault is lifted.
	Stalled = Fault{Requests: Way{Hold: true}, Answers: Way{Hold: true}}
	// Swallowed connections are half open: what either side sends is neither answered nor refused, and never arrives.
	Swallowed = Fault{Requests: Way{Drop: true}, Answers: Way{Drop: true}}
	// AnswersLost lets the server do what it was asked, and the client never hear of it.
	AnswersLost = Fault{Answers: Way{Drop: true}}
)

// Slow is a network that adds delay to the requests, and delay to the answers again.
func Slow(delay time.Duration) Fault {
	return Fault{Requests: Way{Delay: delay}, Answers: Way{Delay: delay}}
}

// Proxy stands between clients and one server, forwards bytes, and does to them what a bad network does. It ends with its
// test. Its methods may be called from any goroutine.
type Proxy struct {
	t    testing.TB
	addr string
	work sync.WaitGroup // one per goroutine

	mu       sync.Mutex
	listener net.Listener // nil while new connections are refused
	target   string
	next     Fault // of connections that are still to come
	pairs    map[*pair]bool
	accepted int
	closed   bool
}

// StartProxy starts a proxy on a free port of 127.0.0.1. Until Retarget says another, connections go to target; while that
// is empty, or nobody listens there, they are reset as soon as they are made.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, target: target, pairs: make(map[*pair]bool)}
	t.Cleanup(p.close)
	for range attempts {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.addr = l.Addr().String()
		l.Close()
		if err := p.keepPort(); err != nil {
			continue // somebody else was quicker
		}
		if err := p.listen(); err == nil {
			return p
		}
	}
	t.Fatalf("no free port for a proxy in %d attempts", attempts)
	return nil
}

// Addr is the proxy's own host:port, which stays the same for its whole life.
func (p *Proxy) Addr() string { return p.addr }

// Retarget sends the connections that come from now on to another server. Those that exist stay where they are: see Cut.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Set brings a fault on the connections that exist and on those to come, in place of the fault before.
func (p *Proxy) Set(f Fault) {
	p.SetNew(f)
	p.SetExisting(f)
}

// SetExisting brings a fault on the connections that exist alone.
func (p *Proxy) SetExisting(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.set(f)
	}
}

// SetNew brings a fault on the connections to come alone.
func (p *Proxy) SetNew(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = f
}

// Cut resets every connection that exists, on both sides, at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.cut()
	}
}

// Refuse closes the port: who connects gets ECONNREFUSED, until Heal. Connections that exist stay.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

// Heal lifts every fault, of old and new connections. A connection that has lost bytes is reset instead: TCP would never go
// on after a gap.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = Fault{}
	for c := range p.pairs {
		if c.lost {
			c.cut()
		} else {
			c.set(Fault{})
		}
	}
	if p.listener == nil && !p.closed {
		if err := p.listen(); err != nil {
			p.t.Errorf("fault proxy: %v", err)
		}
	}
}

// Conns is how many connections run through the proxy now.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Accepted is how many connections have been made to the proxy in all.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// keepPort binds the port with a socket that never listens. Nobody else gets the port then while Refuse has it closed.
func (p *Proxy) keepPort() error {
	a, err := net.ResolveTCPAddr("tcp4", p.addr)
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) // as net.Listen does: both may bind
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())})
	}
	if err != nil {
		syscall.Close(fd)
		return err
	}
	p.t.Cleanup(func() { syscall.Close(fd) })
	return nil
}

// listen opens the port and accepts until it is closed. It is called under mu, or before anybody knows of p.
func (p *Proxy) listen() error {
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.listener = l
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // Refuse, or the end of the test
			}
			p.accept(c.(*net.TCPConn))
		}
	})
	return nil
}

func (p *Proxy) accept(client *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		reset(client)
		return
	}
	c := &pair{p: p, client: client, target: p.target, changed: make(chan struct{}), gone: make(chan struct{})}
	c.set(p.next)
	p.pairs[c] = true
	p.accepted++
	p.work.Go(c.run)
}

func (p *Proxy) close() {
	p.Refuse()
	p.mu.Lock()
	p.closed = true
	for c := range p.pairs {
		c.cut()
	}
	p.mu.Unlock()
	p.work.Wait()
}
