package ratelimit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gatehouse/internal/redisx"
)

// epoch is 1 700 000 000 s in microseconds: times since then have room in the 53 bits of Lua's numbers.
const epoch = 1_700_000_000_000_000

// defaultMaxKeys costs about 100 MiB when it is reached.
const defaultMaxKeys = 1 << 20

// maxNodes is how many nodes are believed in: their number comes from Redis, and is multiplied.
const maxNodes = 1 << 16

// Options say where the buckets are.
type Options struct {
	// Redis holds the buckets of a fleet. Nil: they are in memory.
	Redis *redisx.Client
	// Now is the clock of the buckets in memory; those in Redis run on Redis's. Nil means time.Now.
	Now func() time.Time
	// Nodes is how many nodes share the limits: each leases no more than its part, and counts by it while Redis does not
	// answer. Nil, or less than 1, means one.
	Nodes func() int
	// MaxKeys bounds the buckets in memory. Zero means a million.
	MaxKeys int
}

// Limiter checks requests. It is safe for concurrent use, and outlives reloads: buckets go by the policy's name and the
// subject, and a policy that changed goes on with the bucket it has, cut to its new burst.
type Limiter struct {
	fleet  *fleet  // nil: the memory is all there is
	memory *memory // the only engine, or the one to fall back on
	now    func() time.Time
	nodes  func() int
	fell   [FellShut + 1]atomic.Int64
}

// New returns a Limiter with full buckets.
func New(o Options) *Limiter {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Nodes == nil {
		o.Nodes = func() int { return 1 }
	}
	if o.MaxKeys <= 0 {
		o.MaxKeys = defaultMaxKeys
	}
	nodes := func() int { return min(max(o.Nodes(), 1), maxNodes) }
	l := &Limiter{memory: newMemory(o.MaxKeys), now: o.Now, nodes: nodes}
	if o.Redis != nil {
		l.fleet = newFleet(o.Redis, nodes)
	}
	return l
}

// Check charges cost, which is at least 0, to each charge in turn and stops at the first refusal, which gives nothing
// back. It waits at most Redis's budget in all, and it is never an error: what a Redis that does not answer means, the
// policies say. A caller that goes away has still been charged, so that the context ends nothing: it may be one of Impatient.
// Without charges the request passes. The policies' slices must not change any more.
func (l *Limiter) Check(ctx context.Context, charges []Charge, cost int64) Decision {
	var deadline int64
	var inVain *atomic.Bool // only who is exact may ask more than once for one request
	if l.fleet != nil && len(charges) > 0 && charges[0].Exact {
		inVain, _ = ctx.Value(impatient{}).(*atomic.Bool)
	}
	verdict := Decision{OK: true}
	for i := range charges {
		if len(charges[i].Policies) == 0 {
			continue
		}
		d := l.take(&charges[i], cost, &deadline, inVain)
		if !d.OK {
			return d
		}
		if verdict.Policy == nil || d.tighter(verdict) {
			verdict = d
		}
	}
	return verdict
}

type impatient struct{}

// Impatient returns a context for all checks of one request: after one of them has waited for Redis in vain, those with exact
// charges do without it, so that the request waits for one budget at most where Redis does not answer.
func Impatient(ctx context.Context) context.Context {
	return context.WithValue(ctx, impatient{}, new(atomic.Bool))
}

// take charges one subject. Where inVain is set, Redis is not asked any more; nil is never set.
func (l *Limiter) take(c *Charge, cost int64, deadline *int64, inVain *atomic.Bool) Decision {
	for _, p := range c.Policies {
		if !p.valid() || cost < 0 {
			return Decision{Policy: p}
		}
	}
	if l.fleet == nil {
		d := l.memory.take(l.micros(), &c.Subject, c.Policies, cost)
		d.Source = Memory
		return d
	}
	d, err := Decision{}, errLate
	if inVain == nil || !inVain.Load() {
		d, err = l.fleet.take(c, cost, deadline)
	}
	if err != nil {
		if inVain != nil {
			inVain.Store(true)
		}
		d = l.fallback(c, cost, errors.Is(err, errCrowd))
		l.fell[d.Source].Add(1)
	}
	return d
}

// tighter reports whether, of two passes, d says more to the caller than e: one that was counted, then the one with less left.
func (d Decision) tighter(e Decision) bool {
	if d.Source == FellOpen || e.Source == FellOpen {
		return d.Source != FellOpen
	}
	return d.before(e)
}

func (l *Limiter) micros() int64 { return l.now().UnixMicro() - epoch }
