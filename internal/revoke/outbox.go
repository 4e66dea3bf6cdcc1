package revoke

import (
	"slices"
	"sync"
)

// outbox is the entries of this node that Redis has not acknowledged, and those that it has but the journal still lists.
// Safe for concurrent use.
type outbox struct {
	mu      sync.Mutex
	entries map[Entry]bool // entry without its reason → acknowledged
}

func (o *outbox) add(entries ...Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.entries == nil {
		o.entries = make(map[Entry]bool)
	}
	for _, e := range entries {
		e.Reason = ""
		o.entries[e] = false
	}
}

// waiting returns what Redis has not acknowledged.
func (o *outbox) waiting() []Entry { return o.list(false) }

// acknowledged returns what Redis has acknowledged and the journal still lists.
func (o *outbox) acknowledged() []Entry { return o.list(true) }

func (o *outbox) list(acknowledged bool) []Entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Entry
	for e, done := range o.entries {
		if done == acknowledged {
			out = append(out, e)
		}
	}
	return out
}

// acknowledge marks those of the entries whose position is not in refused.
func (o *outbox) acknowledge(entries []Entry, refused []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, e := range entries {
		e.Reason = ""
		if _, ok := o.entries[e]; ok && !slices.Contains(refused, i) {
			o.entries[e] = true
		}
	}
}

// remove forgets entries that the journal no longer lists.
func (o *outbox) remove(entries []Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range entries {
		delete(o.entries, e)
	}
}

// drop forgets what has expired by now, in Unix seconds.
func (o *outbox) drop(now int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for e := range o.entries {
		if e.Expires <= now {
			delete(o.entries, e)
		}
	}
}

// holds reports whether Redis has not acknowledged e.
func (o *outbox) holds(e Entry) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	done, ok := o.entries[e]
	return ok && !done
}

// size is the number of entries that Redis has not acknowledged.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, done := range o.entries {
		if !done {
			n++
		}
	}
	return n
}
