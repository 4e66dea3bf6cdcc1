package ratelimit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const (
	shards = 64
	// looks is how many buckets are looked at for a full one, when a new one comes.
	looks = 8
	// slots is how many buckets in common a shard has for each policy.
	slots = 1024
	// stackPolicies is how many policies a subject may have before a check allocates for them.
	stackPolicies = 4
)

// memory is the engine in this process: buckets in shards, each with its own lock, all of a subject in the same one.
//
// It holds at most max buckets. Each new one looks at a few others and drops those that are full again, which is the same
// as absent. Where a shard has no room, the bucket of a new subject is one in common: a slot of the policy in that shard; and
// what that one owes, every new bucket of the slot begins with. So a lack of room refuses too much, for as long as it takes
// a bucket to refill, and never lets too much pass.
//
// Shard and slot follow from the subject's Value, by a hash that nobody outside can compute. Whoever makes up any number of
// subjects of few values, such as lockout's of one address, takes room and slots from few of the others.
type memory struct {
	max     int // per shard
	seed    maphash.Seed
	shard   [shards]shard
	dropped atomic.Int64
	shared  atomic.Int64
}

type shard struct {
	mu       sync.Mutex
	buckets  map[bucketKey]int64
	overflow map[slotKey]int64
	_        [64]byte // keeps the locks of two shards off one cache line
}

// bucketKey holds half of the subject's digest: callers choose their names, and can't make two meet.
type bucketKey struct {
	subject [16]byte
	policy  string
	slot    uint16
}

// slotKey names a bucket in common.
type slotKey struct {
	policy string
	slot   uint16
}

func (k bucketKey) common() slotKey { return slotKey{k.policy, k.slot} }

func newMemory(maxKeys int) *memory {
	m := &memory{max: max(1, maxKeys/shards), seed: maphash.MakeSeed()}
	for i := range m.shard {
		m.shard[i].buckets = make(map[bucketKey]int64)
		m.shard[i].overflow = make(map[slotKey]int64)
	}
	return m
}

// take charges every policy of the subject or none. Times are those of decide.
func (m *memory) take(now int64, s *Subject, policies []*Policy, cost int64) Decision {
	digest, place := s.digest(), maphash.String(m.seed, s.Value)
	key := bucketKey{subject: [16]byte(digest[:]), slot: uint16(place / shards % slots)}
	var stack [stackPolicies]int64
	tats := append(stack[:0], make([]int64, len(policies))...)

	sh := &m.shard[place%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i, p := range policies {
		key.policy = p.Name
		tats[i] = sh.load(key, now)
	}
	d := settle(now, tats, policies, cost)
	for i, p := range policies {
		key.policy = p.Name
		if d.OK && cost > 0 {
			m.store(sh, key, now, tats[i])
		} else {
			sh.heal(key, tats[i])
		}
	}
	return d
}

// load returns a bucket's time; a subject without one has a full bucket, less what its slot owes. sh.mu is held.
func (sh *shard) load(key bucketKey, now int64) int64 {
	if tat, ok := sh.buckets[key]; ok {
		return tat
	}
	tat, owed := sh.overflow[key.common()]
	if !owed {
		return now
	}
	if tat <= now { // paid
		delete(sh.overflow, key.common())
		return now
	}
	return tat
}

// heal takes over the clamped time of a bucket that was not charged where it is the earlier one, so that a clock that
// was set back, or a lowered burst, refuses nobody for long. sh.mu is held.
func (sh *shard) heal(key bucketKey, tat int64) {
	if stored, known := sh.buckets[key]; known {
		sh.buckets[key] = min(stored, tat)
	} else if stored, owed := sh.overflow[key.common()]; owed {
		sh.overflow[key.common()] = min(stored, tat)
	}
}

// store keeps a bucket that was charged. sh.mu is held.
func (m *memory) store(sh *shard, key bucketKey, now, tat int64) {
	if _, known := sh.buckets[key]; known {
		sh.buckets[key] = tat
		return
	}
	m.tidy(sh, now)
	if len(sh.buckets) < m.max {
		sh.buckets[key] = tat
		return
	}
	sh.overflow[key.common()] = tat
	m.shared.Add(1)
}

// tidy drops a few of the buckets that are full again. sh.mu is held.
func (m *memory) tidy(sh *shard, now int64) {
	m.dropped.Add(dropFull(sh.buckets, now))
	dropFull(sh.overflow, now)
}

// dropFull looks at a few buckets: a map is ranged over from a random place.
func dropFull[K comparable](buckets map[K]int64, now int64) (dropped int64) {
	left := looks
	for key, tat := range buckets {
		if tat <= now {
			delete(buckets, key)
			dropped++
		}
		if left--; left == 0 {
			break
		}
	}
	return dropped
}

// keys counts the buckets held.
func (m *memory) keys() int {
	n := 0
	for i := range m.shard {
		sh := &m.shard[i]
		sh.mu.Lock()
		n += len(sh.buckets) + len(sh.overflow)
		sh.mu.Unlock()
	}
	return n
}
