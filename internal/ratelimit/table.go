package ratelimit

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxKnown bounds the entries; each takes about half a KiB.
	maxKnown = 1 << 16
	// idle is how long an entry that holds nothing of use is left alone.
	idle = int64(50 * time.Millisecond)
)

// table holds what this node knows of charges, in shards, each with its own lock. It is bounded: each new entry looks at a
// few others and drops those that are of no use, and where it finds no room, the charge goes without an entry, which means to
// Redis, by itself.
type table struct {
	tuning
	max     int // per shard
	nodes   func() int
	shards  [shards]tableShard
	granted atomic.Int64 // permits
	lost    atomic.Int64
	noRoom  atomic.Int64
}

type tableShard struct {
	table   *table
	mu      sync.Mutex
	entries map[chargeKey]*entry
	leased  map[*entry]struct{} // those that had permits when last seen
	_       [64]byte            // keeps the locks of two shards off one cache line
}

// chargeKey tells charges apart, but for policies between the first and the last and for what policies of one name say: who
// finds an entry compares.
type chargeKey struct {
	subject     [16]byte
	first, last string
	policies    int
}

func newTable(nodes func() int) *table {
	t := &table{tuning: tuned, max: maxKnown / shards, nodes: nodes}
	for i := range t.shards {
		sh := &t.shards[i]
		sh.table, sh.entries, sh.leased = t, make(map[chargeKey]*entry), make(map[*entry]struct{})
	}
	return t
}

// shard is chosen by bytes of the digest that nothing else is.
func (t *table) shard(digest *[32]byte) *tableShard {
	return &t.shards[binary.LittleEndian.Uint64(digest[24:])%shards]
}

// find returns the entry of a charge, a new one where there is none or where a policy has changed. sh.mu is held.
func (sh *tableShard) find(c *Charge, digest *[32]byte, now int64, prefix string) *entry {
	n := len(c.Policies)
	key := chargeKey{[16]byte(digest[:]), c.Policies[0].Name, c.Policies[n-1].Name, n}
	e := sh.entries[key]
	if e != nil && equal(e.policies, c.Policies) {
		e.touched = now
		return e
	}
	if e != nil {
		sh.drop(e)
	}
	e = &entry{shard: sh, key: key, policies: c.Policies, touched: now, least: c.Policies[0].Burst}
	bucket := prefix + ":rl:{" + tag(digest) + "}:"
	for _, p := range c.Policies {
		e.keys = append(e.keys, bucket+p.Name)
		e.least = min(e.least, p.Burst)
	}
	sh.tidy(now)
	if len(sh.entries) < sh.table.max {
		sh.entries[key] = e
	} else {
		sh.table.noRoom.Add(1)
	}
	return e
}

func equal(a, b []*Policy) bool {
	return slices.EqualFunc(a, b, func(p, q *Policy) bool { return p == q || *p == *q })
}

// tidy drops a few entries of no use: a map is ranged over from a random place. sh.mu is held.
func (sh *tableShard) tidy(now int64) {
	left := looks
	for _, e := range sh.entries {
		if e.useless(now) {
			sh.drop(e)
		}
		if left--; left == 0 {
			return
		}
	}
}

// drop forgets an entry, and the permits it holds. sh.mu is held.
func (sh *tableShard) drop(e *entry) {
	sh.table.lost.Add(e.held())
	e.lots = [2]lot{}
	delete(sh.leased, e)
	delete(sh.entries, e.key)
}

// useless reports whether nothing is lost with the entry but a measurement: nobody waits, no permit is held, and nothing is
// refused.
func (e *entry) useless(now int64) bool {
	if e.waiting > 0 || e.asking || len(e.gathering) > 0 || now-e.touched < idle {
		return false
	}
	e.expire(now)
	refuses := now-e.at < e.shard.table.remember && e.tats != nil && !e.settle(now, e.policies, 1).OK
	return e.held() == 0 && !refuses
}

// count returns how many entries there are, and the permits that they hold.
func (t *table) count(now int64) (entries int, permits int64) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		entries += len(sh.entries)
		for e := range sh.leased {
			e.expire(now)
			permits += e.held()
			if e.held() == 0 {
				delete(sh.leased, e)
			}
		}
		sh.mu.Unlock()
	}
	return entries, permits
}
