package revoke

import (
	"encoding/binary"
	"sync/atomic"
)

// perWord is how many ids share a word of a filter before it grows: then less than one look in fifty at an id that is not
// there is in vain.
const perWord = 4

// filter spares nearly all looks into the tables of a set: it says "no" of most ids that the set does not hold, and never
// of one that it holds. Without it, a token that is not revoked costs a look into memory for each hour of expiry there is;
// with it, one. It is a Bloom filter whose bits for an id are all in one word. One writer at a time adds; readers need no lock.
type filter struct {
	words []atomic.Uint64 // a power of two
	used  int             // ids that set a bit: the writer's alone
}

// newFilter returns one with room for so many ids, at least.
func newFilter(ids int) *filter {
	words := minSlots / perWord
	for words*perWord < ids {
		words *= 2
	}
	return &filter{words: make([]atomic.Uint64, words)}
}

// word is the one of id, and the bits that it sets there. They come from the half of the id that does not place it in a table.
func (f *filter) word(id *[16]byte) (w *atomic.Uint64, bits uint64) {
	spread := binary.LittleEndian.Uint64(id[8:])
	bits = 1<<(spread&63) | 1<<(spread>>6&63) | 1<<(spread>>12&63) | 1<<(spread>>18&63)
	return &f.words[(spread>>24)&uint64(len(f.words)-1)], bits
}

// mayHold reports whether id may have been added.
func (f *filter) mayHold(id *[16]byte) bool {
	w, bits := f.word(id)
	return w.Load()&bits == bits
}

// full reports whether the filter must grow before the next add.
func (f *filter) full() bool { return f.used >= len(f.words)*perWord }

// add is called before readers can find id in a table. What was added before costs no room.
func (f *filter) add(id *[16]byte) {
	if w, bits := f.word(id); w.Load()&bits != bits {
		w.Or(bits)
		f.used++
	}
}

// filterOf returns the filter of all that is in the tables, with room for twice that.
func filterOf(buckets []*bucket) *filter {
	ids := 0
	for _, b := range buckets {
		ids += b.used
	}
	f := newFilter(2 * ids)
	for _, b := range buckets {
		for i := range b.slots {
			if b.slots[i].exp.Load() != 0 {
				f.add(&b.slots[i].id)
			}
		}
	}
	return f
}
