package redisx

import (
	"context"
	"errors"
	"slices"
	"sync"
)

const (
	maxBatch   = 256  // calls in one round trip
	maxWaiting = 4096 // calls that wait for their turn; one more does without Redis
)

var errCrowded = errors.New("too many requests wait for Redis")

// Batcher sends the calls of one script in as few round trips as keep up: a call is sent at once where none is under way,
// and what arrives while one is shares the next. No timer makes anybody wait, and however many requests come at once, they
// need one connection. It is safe for concurrent use.
type Batcher struct {
	redis  *Client
	script *Script

	mu      sync.Mutex
	waiting []*waiter
	sending bool
}

// NewBatcher returns a Batcher of the script.
func NewBatcher(c *Client, s *Script) *Batcher { return &Batcher{redis: c, script: s} }

// waiter is one call and who waits for it.
type waiter struct {
	call   Call
	ctx    context.Context
	answer chan result // of one, so that the sender never waits for a caller that went away
}

type result struct {
	numbers []int64
	err     error
}

// Run returns what the script answered, or an error at the deadline of ctx at the latest. A call whose deadline came while
// it waited for its turn is not sent.
func (b *Batcher) Run(ctx context.Context, call Call) ([]int64, error) {
	w := &waiter{call, ctx, make(chan result, 1)}
	if !b.join(w) {
		return nil, errCrowded
	}
	select {
	case r := <-w.answer:
		return r.numbers, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *Batcher) join(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) >= maxWaiting {
		return false
	}
	b.waiting = append(b.waiting, w)
	if !b.sending {
		b.sending = true
		go b.send()
	}
	return true
}

// send sends until nobody waits.
func (b *Batcher) send() {
	for batch := b.next(); len(batch) > 0; batch = b.next() {
		calls := make([]Call, len(batch))
		for i, w := range batch {
			calls[i] = w.call
		}
		ctx, cancel := context.WithTimeout(context.Background(), b.redis.Budget())
		for i, cmd := range b.redis.RunAll(ctx, b.script, calls) {
			numbers, err := cmd.Int64Slice()
			batch[i].answer <- result{numbers, err}
		}
		cancel()
	}
}

// next takes the calls of the next round trip; none ends the sending.
func (b *Batcher) next() []*waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*waiter
	taken := 0
	for _, w := range b.waiting {
		if len(batch) == maxBatch {
			break
		}
		if taken++; w.ctx.Err() == nil {
			batch = append(batch, w)
		}
	}
	b.waiting = slices.Delete(b.waiting, 0, taken)
	b.sending = len(batch) > 0
	return batch
}
