// Package ratelimit says whether a request may pass under the limits that apply to it. It is GCRA, the generic cell rate
// algorithm: a bucket is one number, the time at which it will be full again (the theoretical arrival time), so that a
// check is a comparison and a charge an addition.
//
// The rule is a pure function, decide. Two engines apply it: one in memory, for a single node, and one in Redis, whose
// script take.lua does the same arithmetic on Redis's clock, for a fleet. Where Redis does not answer within its budget,
// each policy says what that means: count on this node, let pass, or refuse.
//
// # How a check travels to Redis
//
// As seldom as possible, and never later for it. A check that finds no call under way to its server is sent at once; those
// that come while one is under way share the next round trip, and among them those of one subject, the same policies and the
// same cost are one call of the script, which says how many of them pass: the first that came. A subject that is busy takes
// permits in advance (see entry), and a refusal is remembered until it could be another answer. Charge.Exact does without
// both. What a node lets pass beyond the fleet's count is nothing; what it may refuse beyond it is a lease that expired
// unspent, and 5 ms after a refusal.
package ratelimit

import (
	"math"
	"time"
)

// Fail is what a policy does while Redis does not answer. The zero value is Local.
type Fail uint8

// The ways to fail.
const (
	Local  Fail = iota // count in this process, with this node's share of rate and burst
	Open               // let the request pass; one of a thousand of its subject that wait at once is Local
	Closed             // refuse it as unavailable
)

// Policy is one limit. It is immutable once in use. The zero value admits nothing.
type Policy struct {
	// Name names the bucket, in headers, metrics and keys. Policies of one name are one bucket for the same subject.
	Name string
	// Requests may pass per Per, in the long run. At most one per microsecond counts.
	Requests int64
	// Per is at least a microsecond.
	Per time.Duration
	// Burst is how many may pass at once after a pause. What takes longer than 71 years to refill is cut to that.
	Burst int64
	// OnError is used with Redis alone.
	OnError Fail

	// debt is how much a bucket may owe where that is more than Burst: the same bucket is charged with other bursts too.
	debt int64
}

// Rate is requests per second. The zero Policy has rate 0.
func (p *Policy) Rate() float64 {
	if !p.valid() {
		return 0
	}
	return float64(p.Requests) / p.Per.Seconds()
}

// maxTau keeps every sum of a time, a bucket and a charge below 2^53: Lua's numbers are exact up to there.
const maxTau = 1 << 51

func (p *Policy) valid() bool { return p.Requests > 0 && p.Per >= time.Microsecond && p.Burst > 0 }

// shape is the policy as GCRA knows it, in microseconds: what one request adds, and how far ahead of now a bucket may be.
// The interval is rounded up, so that no more pass than asked for. The policy is valid.
func (p *Policy) shape() (interval, tau int64) {
	per := p.Per.Microseconds()
	interval = per / p.Requests
	if per%p.Requests != 0 {
		interval++
	}
	interval = min(interval, maxTau)
	return interval, interval * min(p.Burst, maxTau/interval)
}

// owed is how far ahead of now a bucket of this shape may stand, whoever charged it.
func (p *Policy) owed(interval, tau int64) int64 {
	return max(tau, interval*min(p.debt, maxTau/interval))
}

// charge is what a cost adds to a bucket of this shape. A cost above the burst gives more than tau, which never passes.
func charge(cost, interval, tau int64) int64 {
	if cost > tau/interval {
		return tau + 1
	}
	return cost * interval
}

// share is the policy of one node among n: rate and burst divided, the burst never below the cost. What a request of a
// higher cost owes, one of a lower cost must not forgive, so that the bucket may owe the whole burst with either.
func (p *Policy) share(n, cost int64) Policy {
	s := *p
	s.debt = p.Burst
	s.Burst = max(p.Burst/n, min(cost, p.Burst), 1)
	if p.Per > math.MaxInt64/time.Duration(n) {
		s.Per = math.MaxInt64
		return s
	}
	s.Per = p.Per * time.Duration(n)
	return s
}

// Source says what a decision rests on.
type Source uint8

// The sources. None means that no limit applied.
const (
	None       Source = iota
	Memory            // the buckets of this process, which are the only ones
	Redis             // the fleet's buckets, which were asked
	Lease             // a permit that was taken from the fleet's buckets beforehand
	Remembered        // a refusal: the fleet's buckets, as they were when last asked, can't have room yet
	FellLocal         // Redis did not answer: this node's share, in this process
	FellOpen          // Redis did not answer: not counted, let pass
	FellShut          // Redis did not answer: refused
)

// String is the source as a metric label; "" for None.
func (s Source) String() string {
	switch s {
	case Memory:
		return "memory"
	case Redis:
		return "redis"
	case Lease:
		return "lease"
	case Remembered:
		return "remembered"
	case FellLocal:
		return "local"
	case FellOpen:
		return "open"
	case FellShut:
		return "closed"
	}
	return ""
}

// Decision is what Check found. The zero value refuses.
type Decision struct {
	// OK lets the request pass.
	OK bool
	// Unavailable says that the refusal is not the caller's doing: a policy that fails closed, and no Redis.
	Unavailable bool
	// Policy is the one that refused, else the one with the least Remaining for its burst. Nil where no limit applied.
	Policy *Policy
	// Remaining is how many requests of cost 1 could pass now.
	Remaining int64
	// RetryAfter is how long until this cost would pass; 0 where it did.
	RetryAfter time.Duration
	// Reset is how long until the bucket is full.
	Reset time.Duration
	// Source is what the decision rests on.
	Source Source
}
