package keyring

import (
	"cmp"
	"slices"
	"time"

	"gatehouse/internal/token"
)

// skew is how long a retiring key is kept beyond the expiry of its last token, since clocks differ.
const skew = time.Minute

// judge says what each key is at the time now, when keys sign for every long. It is the whole of the rules, on any node
// that holds the same keys.
func judge(entries map[string]entry, now time.Time, every time.Duration) []standing {
	rings := map[token.Algorithm][]entry{}
	for _, e := range entries {
		rings[e.alg] = append(rings[e.alg], e)
	}
	var out []standing
	for _, ring := range rings {
		slices.SortFunc(ring, bySlot)
		at := current(ring, now)
		for i, e := range ring {
			s := standing{entry: e}
			switch {
			case !e.revoked.IsZero():
				s.state = revoked
			case i == at:
				s.state, s.until = Current, successor(ring[i+1:], e.signs.Add(every))
			case i > at:
				s.state = Next
			default:
				s.state, s.until = Retiring, ends(ring, i, now)
				if now.After(s.until) {
					s.state = gone
				}
			}
			out = append(out, s)
		}
	}
	sortByAge(out)
	return out
}

// bySlot is the order of succession. Two keys of one slot come from a fleet that was two for a while, or from a node that
// met an emptied Redis before the others gave it back what it held: the older key, which verifiers know, stays.
func bySlot(a, b entry) int {
	return cmp.Or(cmp.Compare(a.slot, b.slot), b.signs.Compare(a.signs), cmp.Compare(a.id, b.id))
}

// current is the place of the key that signs: the highest whose moment has come; where none has, since a clock was set
// back perhaps, the lowest that there is. It is -1 where every key was withdrawn.
func current(ring []entry, now time.Time) int {
	at, lowest := -1, -1
	for i, e := range ring {
		switch {
		case !e.revoked.IsZero():
		case !e.signs.After(now):
			at = i
		case lowest < 0:
			lowest = i
		}
	}
	if at < 0 {
		return lowest
	}
	return at
}

// successor is when the first of the keys that are next signs, or due where there is none.
func successor(next []entry, due time.Time) time.Time {
	found := false
	for _, e := range next {
		if e.revoked.IsZero() && (!found || e.signs.Before(due)) {
			due, found = e.signs, true
		}
	}
	return due
}

// ends is when the last token that ring[i] signed has expired. It signed until its successor did, also where that was
// withdrawn later; and where it came late, to a ring that was ahead of it already, until its node learned of that.
func ends(ring []entry, i int, now time.Time) time.Time {
	stop := ring[i].signs
	for _, e := range ring[i+1:] {
		if !e.signs.After(now) && (e.revoked.IsZero() || e.signs.Before(e.revoked)) {
			if e.signs.After(stop) {
				stop = e.signs
			}
			break
		}
	}
	return stop.Add(ring[i].life + skew)
}

// newest is the highest key of alg that was not withdrawn, and whether it is still to sign.
func newest(entries map[string]entry, alg token.Algorithm, now time.Time) (e entry, pending, ok bool) {
	var ring []entry
	for _, e := range entries {
		if e.alg == alg {
			ring = append(ring, e)
		}
	}
	slices.SortFunc(ring, bySlot)
	at := current(ring, now)
	for i := len(ring) - 1; i >= 0 && i >= at; i-- {
		if ring[i].revoked.IsZero() {
			return ring[i], i > at, true
		}
	}
	return entry{}, false, false
}

// topSlot is the highest slot of alg that was ever filled here.
func topSlot(entries map[string]entry, alg token.Algorithm) (top int64) {
	for _, e := range entries {
		if e.alg == alg {
			top = max(top, e.slot)
		}
	}
	return top
}

// merge is what two copies of one key say together, and whether that is more than a says.
func merge(a, b entry) (entry, bool) {
	if a.revoked.IsZero() && !b.revoked.IsZero() {
		a.revoked, a.public, a.private = b.revoked, nil, nil
		a.life = max(a.life, b.life)
		return a, true
	}
	if b.life > a.life {
		a.life = b.life
		return a, true
	}
	return a, false
}
