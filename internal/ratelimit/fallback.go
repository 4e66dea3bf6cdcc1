package ratelimit

import (
	"slices"
	"time"
)

// fallback decides without Redis, by what each policy says of that: one that is closed refuses, those that are local are
// charged to this node's share, all or none, and the rest let pass.
func (l *Limiter) fallback(c *Charge, cost int64) Decision {
	n := int64(max(l.nodes(), 1))
	var whole, shares []*Policy
	for _, p := range c.Policies {
		switch p.OnError {
		case Local:
			share := p.share(n, cost)
			whole, shares = append(whole, p), append(shares, &share)
		case Open:
		default:
			return Decision{Unavailable: true, Policy: p, RetryAfter: time.Second, Source: FellShut}
		}
	}
	if len(shares) == 0 {
		return Decision{OK: true, Policy: c.Policies[0], Source: FellOpen}
	}
	d := l.memory.take(l.micros(), &c.Subject, shares, cost)
	d.Policy = whole[slices.Index(shares, d.Policy)]
	d.Source = FellLocal
	return d
}

// Stats is how the limiter does, for metrics.
type Stats struct {
	// Keys is how many buckets this process holds.
	Keys int
	// Dropped counts buckets that were full again and were let go.
	Dropped int64
	// Overflowed counts charges that went to a bucket in common because MaxKeys was reached.
	Overflowed int64
	// Local, Open and Closed count decisions for one subject that were made without an answer from Redis.
	Local, Open, Closed int64
}

// Stats returns the counters as they are now.
func (l *Limiter) Stats() Stats {
	return Stats{
		Keys:       l.memory.keys(),
		Dropped:    l.memory.dropped.Load(),
		Overflowed: l.memory.shared.Load(),
		Local:      l.fell[FellLocal].Load(),
		Open:       l.fell[FellOpen].Load(),
		Closed:     l.fell[FellShut].Load(),
	}
}
