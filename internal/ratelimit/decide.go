package ratelimit

import "time"

// decide spends cost from the bucket that is full at tat, and returns the verdict with the bucket's new tat, unchanged but
// for the clamp where it refuses. Times are microseconds since 1 700 000 000 s. A tat outside [now, now+tau] is clamped
// to it: an older one is a full bucket, and a later one comes from a clock that was set back or a burst that was lowered.
// A node's share of a policy has a tau for each cost, and the clamp is the largest of them. A cost of 0 always passes.
func decide(now, tat int64, p *Policy, cost int64) (Decision, int64) {
	if !p.valid() || cost < 0 {
		return Decision{Policy: p}, tat
	}
	interval, tau := p.shape()
	tat = min(max(tat, now), now+p.owed(interval, tau))
	next := tat + charge(cost, interval, tau)
	if over := next - (now + tau); over > 0 && cost > 0 {
		return Decision{
			Policy:     p,
			Remaining:  max(0, now+tau-tat) / interval,
			RetryAfter: micros(over),
			Reset:      micros(tat - now),
		}, tat
	}
	return Decision{
		OK:        true,
		Policy:    p,
		Remaining: max(0, now+tau-next) / interval,
		Reset:     micros(next - now),
	}, next
}

// settle spends cost from every bucket of one subject or from none, leaving in tats what each holds then. The decision is
// the refusal that lasts longest, else the tightest pass. It is empty where there is no policy.
func settle(now int64, tats []int64, policies []*Policy, cost int64) Decision {
	var verdict Decision
	for i, p := range policies {
		d, _ := decide(now, tats[i], p, cost)
		if i == 0 || d.before(verdict) {
			verdict = d
		}
	}
	if !verdict.OK {
		cost = 0 // clamps, and charges nothing
	}
	for i, p := range policies {
		_, tats[i] = decide(now, tats[i], p, cost)
	}
	return verdict
}

// before reports whether d matters more to the caller than e: a refusal before a pass, then the longer refusal or the
// pass with less left of its burst.
func (d Decision) before(e Decision) bool {
	if d.OK != e.OK {
		return !d.OK
	}
	if !d.OK {
		return d.RetryAfter > e.RetryAfter
	}
	return float64(d.Remaining)*float64(e.Policy.Burst) < float64(e.Remaining)*float64(d.Policy.Burst)
}

func micros(n int64) time.Duration { return time.Duration(min(n, maxMicros)) * time.Microsecond }

const maxMicros = int64(1<<63-1) / int64(time.Microsecond)
