package lean

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// sweepEvery is how often idle connections are looked at: those that the server has ended are closed, as are those that
// have been idle for too long.
const sweepEvery = time.Second

// pool holds the idle connections, and who waits for one.
type pool struct {
	max     int           // how many may be idle
	timeout time.Duration // how long one may be; 0: for ever

	mu      sync.Mutex
	idle    []*conn   // the one that was used last is the last
	waiting list.List // of *want, the first to have come first
	dialing map[*want]context.CancelFunc
	closing bool        // what becomes idle is closed
	timer   *time.Timer // nil: none was needed yet
	ticking bool        // the timer will sweep
}

// want is a request that waits for a connection: one that is dialed for it, or one that another request gives back first.
type want struct {
	got   chan dialed // buffered, so that nobody waits for who has left
	place *list.Element
	done  bool // delivered or given up; the pool's mutex guards it
}

type dialed struct {
	c   *conn
	err error
}

// take returns the idle connection that was used last, or nil.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = false
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	c := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return c
}

// put makes a connection idle, or closes it where it is one too many.
func (p *pool) put(c *conn) error {
	c.reused = true
	if !p.keep(c) {
		c.close()
		return errNotKept
	}
	return nil
}

func (p *pool) keep(c *conn) bool {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.waiting.Front(); first != nil {
		p.deliver(first.Value.(*want), dialed{c: c})
		return true
	}
	if p.closing || len(p.idle) >= p.max {
		return false
	}
	c.idleAt = now
	p.idle = append(p.idle, c)
	if !p.ticking {
		p.ticking = true
		p.tick()
	}
	return true
}

// deliver gives w what it waits for. The caller holds the mutex, and has seen that w still waits.
func (p *pool) deliver(w *want, d dialed) {
	p.waiting.Remove(w.place)
	w.done = true
	w.got <- d
}

// begin queues a want, whose dial may be ended by cancel once nobody waits for it.
func (p *pool) begin(cancel context.CancelFunc) *want {
	w := &want{got: make(chan dialed, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.place = p.waiting.PushBack(w)
	if p.dialing == nil {
		p.dialing = make(map[*want]context.CancelFunc)
	}
	p.dialing[w] = cancel
	return w
}

// dialed ends the dial for w. A connection that w no longer needs becomes idle.
func (p *pool) dialed(w *want, d dialed) {
	p.mu.Lock()
	delete(p.dialing, w)
	wanted := !w.done
	if wanted {
		p.deliver(w, d)
	}
	p.mu.Unlock()
	if !wanted {
		p.putUnasked(d.c)
	}
}

// putUnasked makes a connection idle that nobody waits for any more; nil is none. What a server has said by then was not asked
// for: TLS may have read it with the handshake, where silent does not see it.
func (p *pool) putUnasked(c *conn) {
	switch {
	case c == nil:
	case c.clean():
		p.put(c)
	default:
		c.close()
	}
}

// leave is for a request that waits no longer. What was delivered in the meantime becomes idle.
func (p *pool) leave(w *want) {
	p.mu.Lock()
	delivered := w.done
	if !delivered {
		w.done = true
		p.waiting.Remove(w.place)
	}
	p.mu.Unlock()
	if !delivered {
		return
	}
	p.putUnasked((<-w.got).c)
}

// closeIdle closes what is idle, and ends the dials that nobody waits for.
func (p *pool) closeIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closing = nil, true
	if p.timer != nil && p.timer.Stop() {
		p.ticking = false
	}
	for w, cancel := range p.dialing {
		if w.done {
			cancel()
		}
	}
	p.mu.Unlock()
	closeAll(idle)
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}
