package lean

import "time"

// sweepAtOnce is how many connections are looked at while requests wait for the mutex.
const sweepAtOnce = 32

// tick starts the timer. The caller holds the mutex.
func (p *pool) tick() {
	every := sweepEvery
	if p.timeout > 0 {
		every = min(every, p.timeout/2+1)
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(every, p.sweep)
		return
	}
	p.timer.Reset(every)
}

// sweep closes the idle connections that are of no use any more. It goes on for as long as there are others.
func (p *pool) sweep() {
	for from, more := 0, true; more; {
		var loud []*conn
		p.mu.Lock()
		loud, from, more = p.sift(from)
		if !more {
			p.ticking = len(p.idle) > 0
			if p.ticking {
				p.tick()
			}
		}
		p.mu.Unlock()
		for _, c := range loud {
			if p.tooOld(c) || !c.fresh() || !p.keep(c) {
				c.close()
			}
		}
	}
}

// sift takes those out of the next few idle connections on which something happened, or nothing for too long, and says
// where to go on. The caller holds the mutex.
func (p *pool) sift(from int) (loud []*conn, next int, more bool) {
	if from >= len(p.idle) {
		return nil, from, false
	}
	to := min(from+sweepAtOnce, len(p.idle))
	kept := p.idle[:from]
	for _, c := range p.idle[from:to] {
		if p.tooOld(c) || !c.silent() {
			loud = append(loud, c)
		} else {
			kept = append(kept, c)
		}
	}
	next = len(kept)
	rest := append(kept, p.idle[to:]...)
	clear(p.idle[len(rest):])
	p.idle = rest
	return loud, next, next < len(rest)
}

// tooOld reports whether an idle connection has been so for too long.
func (p *pool) tooOld(c *conn) bool { return p.timeout > 0 && since(c.idleAt) > p.timeout }
