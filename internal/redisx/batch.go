package redisx

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

const (
	maxBatch   = 256  // calls in one round trip
	maxWaiting = 4096 // calls that wait for their turn at one server; one more does without Redis
)

var errCrowded = errors.New("too many calls wait for Redis")

// Job is a call that is made up when its turn comes, so that what arrives in the meantime can be part of it. Neither method
// may block.
type Job interface {
	// Call returns what is sent. ok false: nobody wants it any more, and it is neither sent nor told the outcome.
	Call() (c Call, ok bool)
	// Done is told once what the script answered.
	Done(numbers []int64, err error)
}

// Batcher sends the calls of one script in as few round trips as keep up: a call is sent at once where none is under way to
// its server, and what arrives while one is shares the next. No timer makes anybody wait; however many requests come at once,
// they need one connection to a server; and a server that is slow holds up none but its own keys. It is safe for concurrent
// use.
type Batcher struct {
	redis  *Client
	script *Script
	shard  func(key string) string
	trips  atomic.Int64
	calls  atomic.Int64

	mu    sync.Mutex
	lanes map[string]*lane // by server, those that are sending
}

// lane is what waits for one server. It has a sender for as long as something does.
type lane struct{ waiting []Job }

// BatchStats is what a Batcher has done, for metrics.
type BatchStats struct {
	// RoundTrips is how often it sent something, and Calls how many runs of the script that were.
	RoundTrips, Calls int64
}

// NewBatcher returns a Batcher of the script.
func NewBatcher(c *Client, s *Script) *Batcher {
	return &Batcher{redis: c, script: s, shard: c.Shard, lanes: make(map[string]*lane)}
}

// Stats returns the counters as they are now.
func (b *Batcher) Stats() BatchStats {
	return BatchStats{RoundTrips: b.trips.Load(), Calls: b.calls.Load()}
}

// Add queues a job whose call is about key. After an error it was not queued, and is told nothing: ErrOpen where the breaker
// is open, another where too many wait.
func (b *Batcher) Add(key string, j Job) error {
	if b.redis.isOpen(key) {
		return ErrOpen
	}
	shard := b.shard(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[shard]
	if l == nil {
		l = new(lane)
		b.lanes[shard] = l
		go b.send(shard, l)
	}
	if len(l.waiting) >= maxWaiting {
		return errCrowded
	}
	l.waiting = append(l.waiting, j)
	return nil
}

// isOpen reports whether calls about the key are refused.
func (c *Client) isOpen(key string) bool { return c.top.Load().owner(key).breaker.isOpen() }

// send sends until nobody waits.
func (b *Batcher) send(shard string, l *lane) {
	for jobs := b.next(shard, l); len(jobs) > 0; jobs = b.next(shard, l) {
		calls, wanted := make([]Call, 0, len(jobs)), jobs[:0]
		for _, j := range jobs {
			if call, ok := j.Call(); ok {
				calls, wanted = append(calls, call), append(wanted, j)
			}
		}
		if len(calls) > 0 {
			b.run(calls, wanted)
		}
	}
}

func (b *Batcher) run(calls []Call, jobs []Job) {
	b.trips.Add(1)
	b.calls.Add(int64(len(calls)))
	ctx, cancel := context.WithTimeout(context.Background(), b.redis.Budget())
	defer cancel()
	for i, cmd := range b.redis.RunAll(ctx, b.script, calls) {
		jobs[i].Done(cmd.Int64Slice())
	}
}

// next takes the jobs of the next round trip; none ends the lane.
func (b *Batcher) next(shard string, l *lane) []Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	jobs := l.waiting
	if len(jobs) == 0 {
		delete(b.lanes, shard)
		return nil
	}
	l.waiting = nil
	if len(jobs) > maxBatch {
		l.waiting = append(l.waiting, jobs[maxBatch:]...)
		jobs = jobs[:maxBatch]
	}
	return jobs
}

// Run queues one call and returns what the script answered, or an error at the deadline of ctx at the latest. A call whose
// deadline came while it waited for its turn is not sent.
func (b *Batcher) Run(ctx context.Context, call Call) ([]int64, error) {
	w := &waiter{call, ctx, make(chan result, 1)}
	if err := b.Add(call.Keys[0], w); err != nil {
		return nil, err
	}
	select {
	case r := <-w.answer:
		return r.numbers, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// waiter is the Job of Run.
type waiter struct {
	call   Call
	ctx    context.Context
	answer chan result // of one, so that the sender never waits for a caller that went away
}

type result struct {
	numbers []int64
	err     error
}

// Call implements Job.
func (w *waiter) Call() (Call, bool) { return w.call, w.ctx.Err() == nil }

// Done implements Job.
func (w *waiter) Done(numbers []int64, err error) { w.answer <- result{numbers, err} }
