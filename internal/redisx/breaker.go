package redisx

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	inARow = 5 // failures in a row that open the breaker
	// enough is how many calls of one second it takes before half of them failing opens the breaker.
	enough = 2 * inARow
	window = time.Second
)

// breaker says whether Redis is worth asking. The zero value is closed.
type breaker struct {
	open atomic.Bool

	mu            sync.Mutex
	row           int       // failures since the last success
	since         time.Time // when the window began
	total, failed int       // within the window
	opened        int64     // how often it opened
}

func (b *breaker) isOpen() bool { return b.open.Load() }

// report counts one call that ended now.
func (b *breaker) report(now time.Time, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.since) >= window || now.Before(b.since) {
		b.since, b.total, b.failed = now, 0, 0
	}
	b.total++
	if !failed {
		b.row = 0
		return
	}
	b.row++
	b.failed++
	if b.row >= inARow || b.total >= enough && 2*b.failed >= b.total {
		b.trip()
	}
}

// trip opens the breaker; b.mu is held.
func (b *breaker) trip() {
	if !b.open.Swap(true) {
		b.opened++
	}
}

// close forgets every failure. The heartbeat alone calls it.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row, b.total, b.failed = 0, 0, 0
	b.open.Store(false)
}

func (b *breaker) times() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}
