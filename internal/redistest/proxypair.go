package redistest

import (
	"net"
	"sync"
	"time"
)

// maxQueued is how many reads of one connection's one way may be on their way at once; after that the sender's own buffers fill.
const maxQueued = 64

// pair is one connection through a Proxy: the client's socket and the server's. Its fields that change are guarded by p.mu.
type pair struct {
	p      *Proxy
	client *net.TCPConn
	target string

	server   *net.TCPConn // nil until the first moment at which requests may pass
	requests state
	answers  state
	lost     bool          // bytes have vanished: it can't go on
	changed  chan struct{} // closed when a fault comes or goes
	gone     chan struct{} // closed by cut
}

// state is one way's fault, and how many bytes it still lets pass where it cuts.
type state struct {
	way  Way
	left int
}

// piece is what one read gave; no bytes mean that the sender has closed its side.
type piece struct {
	b  []byte
	at time.Time
}

// set puts f in place of the fault before and wakes who waits for it. It is called under mu.
func (c *pair) set(f Fault) {
	c.requests = state{f.Requests, f.Requests.CutAfter}
	c.answers = state{f.Answers, f.Answers.CutAfter}
	close(c.changed)
	c.changed = make(chan struct{})
}

// cut resets both sockets. It is called under mu.
func (c *pair) cut() {
	select {
	case <-c.gone:
		return
	default:
	}
	close(c.gone)
	reset(c.client)
	if c.server != nil {
		reset(c.server)
	}
}

// reset closes a socket with RST instead of FIN.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// run lives as long as the connection.
func (c *pair) run() {
	defer c.end()
	server, ok := c.dial()
	if !ok {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { c.forward(c.client, server, &c.requests) })
	ways.Go(func() { c.forward(server, c.client, &c.answers) })
	ways.Wait()
}

func (c *pair) end() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.cut()
	delete(c.p.pairs, c)
}

// dial connects to the server as soon as requests may pass: a client that meets a stalled network is connected to nobody.
func (c *pair) dial() (*net.TCPConn, bool) {
	if _, ok := c.wait(&c.requests, time.Time{}); !ok {
		return nil, false
	}
	conn, err := net.DialTimeout("tcp", c.target, startTimeout)
	if err != nil {
		return nil, false
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	select {
	case <-c.gone:
		conn.Close()
		return nil, false
	default:
	}
	c.server = conn.(*net.TCPConn)
	return c.server, true
}

// forward moves bytes one way until the sender has closed its side, which it passes on, or the connection is cut.
func (c *pair) forward(from, to *net.TCPConn, s *state) {
	pieces := make(chan piece, maxQueued)
	var reader sync.WaitGroup
	reader.Go(func() { c.read(from, pieces) })
	defer reader.Wait()
	for m := range pieces {
		pass, ok := c.wait(s, m.at)
		if !ok {
			return
		}
		if pass.Drop {
			continue
		}
		if len(m.b) == 0 {
			to.CloseWrite()
			return
		}
		if !c.write(to, s, m.b) {
			return
		}
	}
}

// read queues what from sends, with the time at which it came.
func (c *pair) read(from *net.TCPConn, pieces chan<- piece) {
	defer close(pieces)
	for {
		b := make([]byte, 16<<10)
		n, err := from.Read(b)
		if n > 0 && !c.queue(pieces, piece{b[:n], time.Now()}) {
			return
		}
		if err != nil {
			c.queue(pieces, piece{nil, time.Now()})
			return
		}
	}
}

func (c *pair) queue(pieces chan<- piece, m piece) bool {
	select {
	case pieces <- m:
		return true
	case <-c.gone:
		return false
	}
}

// wait returns once what came at that time may go on, with the fault that it meets; false when the connection was cut.
func (c *pair) wait(s *state, at time.Time) (Way, bool) {
	for {
		c.p.mu.Lock()
		way, changed := s.way, c.changed
		c.lost = c.lost || way.Drop && !at.IsZero()
		c.p.mu.Unlock()
		var due <-chan time.Time
		if d := time.Until(at.Add(way.Delay)); !way.Hold && (way.Drop || d <= 0) {
			return way, true
		} else if !way.Hold {
			due = time.After(d)
		}
		select {
		case <-due:
		case <-changed:
		case <-c.gone:
			return Way{}, false
		}
	}
}

// write sends b on, or as much as may pass before the connection is cut; false when it is at its end.
func (c *pair) write(to *net.TCPConn, s *state, b []byte) bool {
	c.p.mu.Lock()
	cuts := s.way.CutAfter > 0
	if cuts {
		b = b[:min(len(b), s.left)]
		s.left -= len(b)
	}
	over := cuts && s.left == 0
	c.p.mu.Unlock()
	_, err := to.Write(b)
	if err != nil || over {
		c.p.mu.Lock()
		c.cut()
		c.p.mu.Unlock()
		return false
	}
	return true
}
