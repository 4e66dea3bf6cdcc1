package ratelimit

import (
	_ "embed"
	"errors"
	"sync/atomic"
	"time"

	"gatehouse/internal/redisx"
)

//go:embed take.lua
var takeSource string

const (
	// maxPerCharge is how many requests of one charge may wait for Redis. One round trip answers all of them, so that
	// more can wait only where Redis takes longer than a core of ours takes to bring a thousand requests, about the whole
	// budget: those would wait in vain.
	maxPerCharge = 1024
	// maxWaiters is how many may wait in all.
	maxWaiters = 16384
)

var (
	errCrowded = errors.New("too many requests wait for Redis")
	errCrowd   = errors.New("too many requests of one subject wait for Redis")
)

// fleet is the engine in Redis, on Redis's clock. What it knows of a charge decides where that is safe (see entry); else
// requests wait for a script call, in a group with those that are equal to them.
type fleet struct {
	redis   *redisx.Client
	batch   *redisx.Batcher
	known   *table
	clock   func() int64 // nanoseconds that never step back; where they begin means nothing
	waiting atomic.Int64
	crowded atomic.Int64
	merged  atomic.Int64
}

func newFleet(r *redisx.Client, nodes func() int) *fleet {
	born := time.Now()
	return &fleet{
		redis: r,
		batch: redisx.NewBatcher(r, redisx.NewScript(takeSource)),
		known: newTable(nodes),
		clock: func() int64 { return int64(time.Since(born)) },
	}
}

// take charges every policy of the subject or none. It waits for Redis until deadline at the longest, which the first charge
// of a request that has to wait sets. After an error nobody knows whether it was charged, and it is not sent again.
func (f *fleet) take(c *Charge, cost int64, deadline *int64) (Decision, error) {
	digest := c.Subject.digest()
	sh := f.known.shard(&digest)
	sh.mu.Lock()
	now := f.clock()
	e := sh.find(c, &digest, now, f.redis.Prefix())
	if !c.Exact {
		if d, ok := e.decide(now, c.Policies, cost); ok {
			if d.OK && len(e.gathering) == 0 && e.want(now) > 0 {
				_ = f.enqueue(e, newGroup(f, e, 1, false)) // a refill that comes to nothing is tried again
			}
			sh.mu.Unlock()
			return d, nil
		}
	}
	if *deadline == 0 {
		*deadline = now + f.patience()
	}
	w, err := f.join(e, c, cost, now, *deadline)
	sh.mu.Unlock()
	if err != nil {
		return Decision{}, err
	}
	d, err := w.wait(time.Duration(*deadline - now))
	f.waiting.Add(-1)
	return d, err
}

// patience is how long a request waits: the budget less a sixteenth, in which a timer that fires late and a busy scheduler
// bring it back, so that what the request has lost by then is the budget.
func (f *fleet) patience() int64 { return int64(f.redis.Budget()) * 15 / 16 }

// join has the caller wait in the group of its equals. The lock of the entry's shard is held.
func (f *fleet) join(e *entry, c *Charge, cost, now, deadline int64) (*waiter, error) {
	if now >= deadline {
		return nil, errLate
	}
	if e.waiting >= maxPerCharge {
		f.crowded.Add(1)
		return nil, errCrowd
	}
	if f.waiting.Load() >= maxWaiters {
		f.crowded.Add(1)
		return nil, errCrowded
	}
	g := e.group(cost, c.Exact)
	if g == nil {
		g = newGroup(f, e, cost, c.Exact)
		if err := f.enqueue(e, g); err != nil {
			return nil, err
		}
	}
	f.waiting.Add(1)
	e.waiting++
	w := newWaiter(g, c.Policies, deadline)
	g.waiters = append(g.waiters, w)
	return w, nil
}

// enqueue has the group sent in its turn, and lets others join it until then. The lock of the entry's shard is held: a
// sender takes it only once it holds none of the Batcher's.
func (f *fleet) enqueue(e *entry, g *group) error {
	if err := f.batch.Add(e.keys[0], g); err != nil {
		return err
	}
	e.gathering = append(e.gathering, g)
	return nil
}
