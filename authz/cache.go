package authz

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	maxToken  = 8 << 10  // longer tokens are refused unread, so none is ever looked up
	overhead  = 512      // bytes that an entry takes beside the token: entry, Principal, map and ring slots
	minShare  = 64 << 10 // bytes below which a shard could not hold a few tokens of the largest size
	maxShards = 64
)

// cache remembers verified tokens, bounded by count and bytes. Only tokens that verified get in, so that a flood of
// forged ones pushes nothing out. It is cut into shards with a lock each; within a shard, entries that were used since the
// clock's hand last passed them stay, the first unused one goes.
type cache struct {
	seed   maphash.Seed // of this process: which tokens share a slot cannot be computed outside
	shards []shard
}

type shard struct {
	mu         sync.RWMutex
	slots      map[uint64]*entry
	ring       []*entry
	hand       int
	bytes      int64
	maxEntries int
	maxBytes   int64
}

// entry is a Principal under the whole token. It counts only while the key set is the one it was verified under.
type entry struct {
	raw        string
	principal  *Principal
	keys       Keys
	generation uint64
	slot       uint64
	place      int // index in ring
	used       atomic.Bool
}

// newCache returns a cache for so many entries and bytes; one that remembers nothing where either is not above 0.
func newCache(entries int, bytes int64) *cache {
	n := maxShards
	for n > 1 && (entries/n < 32 || bytes/int64(n) < minShare) {
		n /= 2
	}
	c := &cache{seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range c.shards {
		c.shards[i] = shard{slots: map[uint64]*entry{}, maxEntries: entries / n, maxBytes: bytes / int64(n)}
	}
	return c
}

// get returns the Principal remembered for the token, or nil: unknown, expired, or verified by a key set that has changed.
func (c *cache) get(raw string, now int64) *Principal {
	if len(raw) > maxToken {
		return nil
	}
	slot := maphash.String(c.seed, raw)
	s := c.shard(slot)
	s.mu.RLock()
	e := s.slots[slot]
	s.mu.RUnlock()
	if e == nil || e.raw != raw { // two tokens may meet in one slot
		return nil
	}
	if now >= e.principal.Expires || e.generation != e.keys.Generation() {
		s.drop(e)
		return nil
	}
	if !e.used.Load() { // a store on every hit would bounce the line between cores
		e.used.Store(true)
	}
	return e.principal
}

// put remembers p for the token, as verified under that generation of keys.
func (c *cache) put(raw string, p *Principal, keys Keys, generation uint64) {
	slot := maphash.String(c.seed, raw)
	// The token is part of a request's header and would keep all of it alive.
	e := &entry{raw: strings.Clone(raw), principal: p, keys: keys, generation: generation, slot: slot}
	c.shard(slot).add(e)
}

func (c *cache) shard(slot uint64) *shard { return &c.shards[slot&uint64(len(c.shards)-1)] }

// size is counted twice over for the token, since the strings of its Principal are about as long.
func (e *entry) size() int64 { return 2*int64(len(e.raw)) + overhead }

func (s *shard) add(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.slots[e.slot]; old != nil {
		s.remove(old)
	}
	if s.maxEntries < 1 || e.size() > s.maxBytes {
		return
	}
	for len(s.ring) >= s.maxEntries || s.bytes+e.size() > s.maxBytes {
		s.evict()
	}
	e.place = len(s.ring)
	s.ring = append(s.ring, e)
	s.slots[e.slot] = e
	s.bytes += e.size()
}

// evict makes room for one more: the hand takes from each entry it passes its mark of use, and removes the first that
// has none; after one turn, whichever it stands at, since readers may set marks as fast as it takes them.
func (s *shard) evict() {
	for range len(s.ring) {
		s.hand %= len(s.ring)
		if !s.ring[s.hand].used.Swap(false) {
			break
		}
		s.hand++
	}
	s.remove(s.ring[s.hand%len(s.ring)])
}

// drop forgets e, unless it is gone or another took its slot meanwhile.
func (s *shard) drop(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[e.slot] == e {
		s.remove(e)
	}
}

// remove takes e out; the last entry of the ring moves into its place. The lock is held.
func (s *shard) remove(e *entry) {
	last := len(s.ring) - 1
	s.ring[e.place] = s.ring[last]
	s.ring[e.place].place = e.place
	s.ring[last] = nil
	s.ring = s.ring[:last]
	delete(s.slots, e.slot)
	s.bytes -= e.size()
}
