package ratelimit

import (
	"sync"
	"sync/atomic"
)

const (
	shards = 64
	// looks is how many buckets are looked at for a full one, when a new one comes.
	looks = 8
	// stackPolicies is how many policies a subject may have before a check allocates for them.
	stackPolicies = 4
)

// memory is the engine in this process: buckets in shards, each with its own lock, all of a subject in the same one.
//
// It holds at most max buckets. Each new one looks at a few others and drops those that are full again, which is the same
// as absent. Where a shard has no room, the bucket of a new subject is one that all such subjects of the policy share in
// that shard; and what that one owes, every new bucket of the policy begins with. So a lack of room refuses too much,
// for as long as it takes a bucket to refill, and never lets too much pass.
type memory struct {
	max     int // per shard
	shard   [shards]shard
	dropped atomic.Int64
	shared  atomic.Int64
}

type shard struct {
	mu       sync.Mutex
	buckets  map[bucketKey]int64
	overflow map[string]int64 // by policy
	_        [64]byte         // keeps the locks of two shards off one cache line
}

// bucketKey holds half of the subject's digest: callers choose their names, and can't make two meet.
type bucketKey struct {
	subject [16]byte
	policy  string
}

func newMemory(maxKeys int) *memory {
	m := &memory{max: max(1, maxKeys/shards)}
	for i := range m.shard {
		m.shard[i].buckets = make(map[bucketKey]int64)
		m.shard[i].overflow = make(map[string]int64)
	}
	return m
}

// take charges every policy of the subject or none. Times are those of decide.
func (m *memory) take(now int64, s *Subject, policies []*Policy, cost int64) Decision {
	digest := s.digest()
	key := bucketKey{subject: [16]byte(digest[:])}
	var stack [stackPolicies]int64
	tats := append(stack[:0], make([]int64, len(policies))...)

	sh := &m.shard[digest[31]%shards]
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

// load returns a bucket's time; a subject without one has a full bucket, less what is owed in common. sh.mu is held.
func (sh *shard) load(key bucketKey, now int64) int64 {
	if tat, ok := sh.buckets[key]; ok {
		return tat
	}
	tat, owed := sh.overflow[key.policy]
	if !owed {
		return now
	}
	if tat <= now { // paid
		delete(sh.overflow, key.policy)
		return now
	}
	return tat
}

// heal takes over the clamped time of a bucket that was not charged where it is the earlier one, so that a clock that
// was set back, or a lowered burst, refuses nobody for long. sh.mu is held.
func (sh *shard) heal(key bucketKey, tat int64) {
	if stored, known := sh.buckets[key]; known {
		sh.buckets[key] = min(stored, tat)
	} else if stored, owed := sh.overflow[key.policy]; owed {
		sh.overflow[key.policy] = min(stored, tat)
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
	sh.overflow[key.policy] = tat
	m.shared.Add(1)
}

// tidy drops a few of the buckets that are full again. A map is ranged over from a random place. sh.mu is held.
func (m *memory) tidy(sh *shard, now int64) {
	left := looks
	for key, tat := range sh.buckets {
		if tat <= now {
			delete(sh.buckets, key)
			m.dropped.Add(1)
		}
		if left--; left == 0 {
			return
		}
	}
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
