// Package hashpool bounds how many slow password hashes are computed at once, and who has to wait for them.
//
// A stranger can ask for a slow hash with every request, so the pool gives it a small part of the machine, and shares that
// part out by source: who waits is served in turn of the sources, not of the requests, so that a flood from one address
// costs a caller from another one turn. What does not need a slow hash never comes here.
package hashpool

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// ErrBusy means that the hash was not computed: too many wait, or the wait was too long.
var ErrBusy = errors.New("too many slow hashes are waiting")

// Options bound a Pool. Zero values mean the defaults.
type Options struct {
	Workers   int           // hashes at once; default: half of GOMAXPROCS, from 1 to 4
	Waiting   int           // that wait, of all sources; default: 256
	PerSource int           // that wait, of one source; default: 16
	Patience  time.Duration // the longest wait; default: 2s
}

// Pool runs functions, a few at once. It is safe for concurrent use.
type Pool struct {
	o Options

	mu      sync.Mutex
	free    int
	waiting int
	sources map[string]*queue
	turn    []*queue // the sources with waiters, the next first

	done, refused int64
}

// queue is who waits from one source, the first come first.
type queue struct {
	source  string
	waiters []chan struct{}
}

// New returns an idle Pool.
func New(o Options) *Pool {
	if o.Workers <= 0 {
		o.Workers = min(max(runtime.GOMAXPROCS(0)/2, 1), 4)
	}
	if o.Waiting <= 0 {
		o.Waiting = 256
	}
	if o.PerSource <= 0 {
		o.PerSource = 16
	}
	if o.Patience <= 0 {
		o.Patience = 2 * time.Second
	}
	return &Pool{o: o, free: o.Workers, sources: map[string]*queue{}}
}

// Do runs f on the caller's goroutine once it is the caller's turn. The error is ErrBusy, or that of ctx, which ends the
// wait and does not interrupt f; f has then not run.
func (p *Pool) Do(ctx context.Context, source string, f func()) error {
	if err := p.enter(ctx, source); err != nil {
		p.mu.Lock()
		p.refused++
		p.mu.Unlock()
		return err
	}
	defer p.leave()
	f()
	return nil
}

func (p *Pool) enter(ctx context.Context, source string) error {
	mine, err := p.join(source)
	if mine == nil {
		return err
	}
	patience := time.NewTimer(p.o.Patience)
	defer patience.Stop()
	err = ErrBusy
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience.C:
	}
	if !p.quit(source, mine) {
		p.leave() // the turn came in the same moment: it goes to the next
	}
	return err
}

// join takes a free worker, for which both results are nil, or a place among the waiters.
func (p *Pool) join(source string) (chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free > 0 {
		p.free--
		return nil, nil
	}
	q := p.sources[source]
	if p.waiting >= p.o.Waiting || q != nil && len(q.waiters) >= p.o.PerSource {
		return nil, ErrBusy
	}
	if q == nil {
		q = &queue{source: source}
		p.sources[source] = q
		p.turn = append(p.turn, q)
	}
	mine := make(chan struct{})
	q.waiters = append(q.waiters, mine)
	p.waiting++
	return mine, nil
}

// quit gives up a place among the waiters; it is false where the turn has come already.
func (p *Pool) quit(source string, mine chan struct{}) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.sources[source]
	if q == nil {
		return false
	}
	for i, w := range q.waiters {
		if w == mine {
			q.waiters = append(q.waiters[:i], q.waiters[i+1:]...)
			p.waiting--
			p.drop(q)
			return true
		}
	}
	return false
}

// drop forgets a source that nobody waits from any more. p.mu is held.
func (p *Pool) drop(q *queue) {
	if len(q.waiters) > 0 {
		return
	}
	delete(p.sources, q.source)
	for i, other := range p.turn {
		if other == q {
			p.turn = append(p.turn[:i], p.turn[i+1:]...)
			return
		}
	}
}

// leave hands the worker to the first waiter of the next source, or frees it.
func (p *Pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if len(p.turn) == 0 {
		p.free++
		return
	}
	q := p.turn[0]
	p.turn = append(p.turn[1:], q)
	first := q.waiters[0]
	q.waiters = q.waiters[1:]
	p.waiting--
	p.drop(q)
	close(first)
}

// Stats is how the pool does, for metrics.
type Stats struct {
	Workers, Running, Waiting int
	// Done counts hashes computed, Refused those that were not, since the process started.
	Done, Refused int64
}

// Stats returns the numbers as they are now.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Workers: p.o.Workers, Running: p.o.Workers - p.free, Waiting: p.waiting, Done: p.done, Refused: p.refused}
}
