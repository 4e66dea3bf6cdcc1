// Package lockout ends guessing at the credentials of a client: after some failures within a time, whoever tried is
// refused until as much time has passed again, the right secret included.
//
// It counts by the client's id as it was sent and the address that sent it. An id that nobody has is locked like any
// other, so that a lock tells nothing; and since the address counts, nobody can lock a client out from elsewhere.
//
// What it remembers is bounded by the addresses, not by the ids: those of one address share 65536 counters, so that
// made-up ids cost a stranger's own address its counters. Where there is no room for more counters, addresses share some,
// by chance: few addresses can't lock many others out.
package lockout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"time"

	"gatehouse/internal/ratelimit"
)

// The names of the buckets. No API has a name like these, so that no limit of one is among them.
const (
	countName = "~failures"
	lockName  = "~lockout"
)

// maxKeys bounds the counters in memory, of all addresses: about 50 MiB.
const maxKeys = 1 << 19

// Store is where failures are counted. It outlives reloads, and is safe for concurrent use.
type Store struct {
	fleet *ratelimit.Limiter // nil: this node runs alone
	local *ratelimit.Limiter
}

// NewStore returns a Store that shares its counts through fleet, a Limiter on Redis, and counts on this node alone while
// Redis does not answer. With a nil fleet it does so always.
func NewStore(fleet *ratelimit.Limiter) *Store {
	return &Store{fleet: fleet, local: ratelimit.New(ratelimit.Options{MaxKeys: maxKeys})}
}

// Keys is how many counters this node holds in its memory.
func (s *Store) Keys() int { return s.local.Stats().Keys }

// Lockout is a Store with the rule of one configuration. It is immutable and safe for concurrent use.
type Lockout struct {
	store       *Store
	count, lock []*ratelimit.Policy
}

// New returns a Lockout that locks for per after so many failures within per, both at least 1, per at least a second.
// Failures are forgotten one by one, each after its share of per, and all of them once a lock ends.
func New(s *Store, failures int64, per time.Duration) *Lockout {
	return &Lockout{
		store: s,
		count: []*ratelimit.Policy{{Name: countName, Requests: failures, Per: per, Burst: failures, OnError: ratelimit.Open}},
		lock:  []*ratelimit.Policy{{Name: lockName, Requests: 1, Per: per, Burst: 1, OnError: ratelimit.Open}},
	}
}

// Locked is how long the address is still locked out for any of the ids; 0 where it is not. It counts nothing.
func (l *Lockout) Locked(ctx context.Context, source netip.Addr, ids ...string) (wait time.Duration) {
	for _, id := range ids {
		if d := l.store.take(ctx, subject(source, id), l.lock, 0); d.Remaining == 0 {
			wait = max(wait, d.Reset)
		}
	}
	return wait
}

// Failed counts a failure for each of the ids, and returns how long the address was locked out before; 0 where this
// failure was still among those that are answered as what they are.
func (l *Lockout) Failed(ctx context.Context, source netip.Addr, ids ...string) (wait time.Duration) {
	for _, id := range ids {
		wait = max(wait, l.failed(ctx, subject(source, id)))
	}
	return wait
}

func (l *Lockout) failed(ctx context.Context, s ratelimit.Subject) time.Duration {
	if d := l.store.take(ctx, s, l.lock, 0); d.Remaining == 0 {
		return d.Reset
	}
	counted := l.store.take(ctx, s, l.count, 1)
	if counted.OK && counted.Remaining > 0 {
		return 0
	}
	locked := l.store.take(ctx, s, l.lock, 1)
	switch {
	case counted.OK: // the last one that is let fail
		return 0
	case locked.OK: // others failed in the same moment, and none of them has come to locking yet
		return l.lock[0].Per
	}
	return locked.RetryAfter
}

// take charges one bucket, of the fleet while Redis answers, else of this node. It is exact, since a lock that another node
// has set a moment ago counts.
func (s *Store) take(ctx context.Context, who ratelimit.Subject, policies []*ratelimit.Policy, cost int64) ratelimit.Decision {
	charges := []ratelimit.Charge{{Subject: who, Policies: policies, Exact: true}}
	if s.fleet != nil {
		if d := s.fleet.Check(ctx, charges, cost); d.Source != ratelimit.FellOpen {
			return d
		}
	}
	return s.local.Check(ctx, charges, cost)
}

// subject is the counter of an id at an address.
func subject(source netip.Addr, id string) ratelimit.Subject {
	sum := sha256.Sum256([]byte(id))
	return ratelimit.Subject{Kind: ratelimit.ByIP, Issuer: hex.EncodeToString(sum[:2]), Value: ratelimit.AddrSubject(source)}
}
