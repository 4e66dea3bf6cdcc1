package ratelimit

import (
	"context"
	"errors"
	"slices"
	"sync"

	"gatehouse/internal/redisx"
)

const (
	maxBatch   = 256  // calls in one round trip
	maxWaiting = 4096 // calls that wait for their turn; one more does without Redis
)

var errCrowded = errors.New("too many requests wait for Redis")

// batcher sends script calls in as few round trips as keep up: a call is sent at once where none is under way, and what
// arrives while one is shares the next. No timer makes anybody wait, and however many requests come at once, they need
// one connection. The zero value with redis and script is ready.
type batcher struct {
	redis  *redisx.Client
	script *redisx.Script

	mu      sync.Mutex
	waiting []*waiter
	sending bool
}

// waiter is one call and who waits for it.
type waiter struct {
	call   redisx.Call
	ctx    context.Context
	answer chan result // of one, so that the sender never waits for a caller that went away
}

type result struct {
	numbers []int64
	err     error
}

// run returns what the script answered, or an error at the deadline of ctx at the latest. A call whose deadline came while
// it waited for its turn is not sent.
func (b *batcher) run(ctx context.Context, call redisx.Call) ([]int64, error) {
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

func (b *batcher) join(w *waiter) bool {
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
func (b *batcher) send() {
	for batch := b.next(); len(batch) > 0; batch = b.next() {
		calls := make([]redisx.Call, len(batch))
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
func (b *batcher) next() []*waiter {
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
