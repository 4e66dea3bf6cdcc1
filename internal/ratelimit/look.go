package ratelimit

import (
	"context"
	"time"
)

// Look is Check for somebody who only asks whether such a request would pass: nothing is charged. While Redis does not
// answer, this node's share is looked at, which may be judged a little smaller than it is.
func (l *Limiter) Look(_ context.Context, charges []Charge, cost int64) Decision {
	var deadline int64
	verdict := Decision{OK: true}
	for i := range charges {
		var worst Decision
		for _, p := range charges[i].Policies {
			d := l.look(&Charge{Subject: charges[i].Subject, Policies: []*Policy{p}, Exact: true}, cost, &deadline)
			if worst.Policy == nil || d.before(worst) {
				worst = d
			}
		}
		switch {
		case worst.Policy == nil: // no policy
		case !worst.OK:
			return worst
		case verdict.Policy == nil || worst.tighter(verdict):
			verdict = worst
		}
	}
	return verdict
}

// look asks for one policy with a cost of 0, which always passes, and compares what is left.
func (l *Limiter) look(c *Charge, cost int64, deadline *int64) Decision {
	d := l.take(c, 0, deadline, nil)
	if !d.OK || d.Source == FellOpen || d.Remaining >= cost {
		return d
	}
	interval, _ := d.Policy.shape()
	d.OK, d.RetryAfter = false, max(micros(interval*min(cost-d.Remaining, maxTau/interval)), time.Second)
	return d
}
