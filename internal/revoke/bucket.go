package revoke

import (
	"encoding/binary"
	"sync/atomic"
)

const (
	bucketSeconds = 3600
	minSlots      = 64 // a power of two
)

// bucket is the tokens that expire within one hour: a table with open addressing and linear probing. The ids are SHA-256
// output, so their own bits spread them. One writer at a time adds; any number of readers need no lock, because a slot
// is written once, id first, and becomes visible by the atomic store of its expiry. There are no pointers in it for the
// garbage collector to follow.
type bucket struct {
	hour  int64 // expiry / 3600
	used  int   // the writer's alone
	slots []slot
}

// slot is 20 bytes. exp is in Unix seconds and only grows; 0 means that the slot is free.
type slot struct {
	exp atomic.Uint32
	id  [16]byte
}

func newBucket(hour int64, slots int) *bucket {
	return &bucket{hour: hour, slots: make([]slot, slots)}
}

// expiry is the expiry of id, or 0 where the bucket does not hold it.
func (b *bucket) expiry(id *[16]byte) uint32 {
	_, exp := b.find(id)
	return exp
}

// find returns the slot of id and its expiry, or the free slot where it would go and 0. There is always a free one: a
// bucket is never full. The expiry is the one by which the slot was judged: read again, a slot that was free might since
// have become another id's.
func (b *bucket) find(id *[16]byte) (*slot, uint32) {
	mask := uint64(len(b.slots) - 1)
	for i := binary.LittleEndian.Uint64(id[:8]); ; i++ {
		s := &b.slots[i&mask]
		if exp := s.exp.Load(); exp == 0 || s.id == *id {
			return s, exp
		}
	}
}

// full reports whether the bucket must grow before the next put.
func (b *bucket) full() bool { return b.used >= len(b.slots)/4*3 }

// grown returns a copy with twice the slots. Readers of the old one see all that it held.
func (b *bucket) grown() *bucket {
	out := newBucket(b.hour, 2*len(b.slots))
	for i := range b.slots {
		if exp := b.slots[i].exp.Load(); exp != 0 {
			out.put(&b.slots[i].id, exp)
		}
	}
	return out
}

// put adds id, or moves its expiry to a later second of the hour.
func (b *bucket) put(id *[16]byte, exp uint32) {
	switch s, old := b.find(id); {
	case old == 0:
		s.id = *id
		s.exp.Store(exp)
		b.used++
	case old < exp:
		s.exp.Store(exp)
	}
}
