package ratelimit

import (
	"slices"
	"time"
)

// fallback decides without Redis, by what each policy says of that: one that is closed refuses, those that are local are
// charged to this node's share, all or none, and the rest let pass. Where the subject's own requests are why Redis was not
// asked, nothing is open: a crowd would be the way past its limit.
func (l *Limiter) fallback(c *Charge, cost int64, crowd bool) Decision {
	n := int64(max(l.nodes(), 1))
	var whole, shares []*Policy
	for _, p := range c.Policies {
		switch {
		case p.OnError == Local, p.OnError == Open && crowd:
			share := p.share(n, cost)
			whole, shares = append(whole, p), append(shares, &share)
		case p.OnError == Open:
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
