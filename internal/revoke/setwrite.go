package revoke

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// Holds reports whether adding e would change nothing.
func (s *Set) Holds(e *Entry) bool {
	v := s.current.Load()
	if v == nil {
		return false
	}
	if e.Kind != Token {
		key, r := e.rule()
		old, ok := v.rules[key]
		return ok && old.with(r) == old
	}
	return slices.ContainsFunc(v.buckets, func(b *bucket) bool { return int64(b.expiry(&e.ID)) >= e.Expires })
}

// Add adds entries that have passed Entry.check, with T and expiry set. It may be called again with what is already there.
func (s *Set) Add(entries ...Entry) {
	if len(entries) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := new(view)
	if old := s.current.Load(); old != nil {
		next.buckets, next.filter, next.rules = slices.Clone(old.buckets), old.filter, old.rules
	}
	owned := false // next.rules may be written
	for i := range entries {
		if entries[i].Kind == Token {
			next.addToken(&entries[i])
			continue
		}
		if !owned {
			next.rules, owned = maps.Clone(next.rules), true
		}
		next.addRule(&entries[i])
	}
	s.current.Store(next)
}

func (v *view) addRule(e *Entry) {
	key, r := e.rule()
	if v.rules == nil {
		v.rules = make(map[ruleKey]rule)
	}
	v.rules[key] = v.rules[key].with(r)
}

func (v *view) addToken(e *Entry) {
	hour := e.Expires / bucketSeconds
	i, ok := slices.BinarySearchFunc(v.buckets, hour, func(b *bucket, h int64) int { return cmp.Compare(b.hour, h) })
	if !ok {
		v.buckets = slices.Insert(v.buckets, i, newBucket(hour, minSlots))
	}
	if v.buckets[i].full() {
		v.buckets[i] = v.buckets[i].grown()
	}
	if v.filter == nil || v.filter.full() {
		v.filter = filterOf(v.buckets)
	}
	v.filter.add(&e.ID)
	v.buckets[i].put(&e.ID, uint32(e.Expires))
}

// Drop forgets what has expired by now, in Unix seconds: tokens by whole hours, so up to an hour late.
func (s *Set) Drop(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	if old == nil {
		return
	}
	next := &view{rules: old.rules}
	for _, b := range old.buckets {
		if (b.hour+1)*bucketSeconds > now {
			next.buckets = append(next.buckets, b)
		}
	}
	if len(next.buckets) == len(old.buckets) {
		next.filter = old.filter
	} else if len(next.buckets) > 0 {
		next.filter = filterOf(next.buckets)
	}
	next.rules = maps.Clone(old.rules)
	maps.DeleteFunc(next.rules, func(_ ruleKey, r rule) bool { return r.expires <= now })
	if len(next.buckets) == 0 && len(next.rules) == 0 {
		next = nil
	}
	s.current.Store(next)
}

// Len is the number of tokens and of rules in the set. A token that was revoked again with a later expiry may count twice.
func (s *Set) Len() (tokens, rules int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.current.Load()
	if v == nil {
		return 0, 0
	}
	for _, b := range v.buckets {
		tokens += b.used
	}
	return tokens, len(v.rules)
}

// All yields every entry that the set held when the call was made, and perhaps some that came later.
func (s *Set) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		v := s.current.Load()
		if v == nil {
			return
		}
		for key, r := range v.rules {
			if !yield(Entry{Kind: key.kind, Issuer: key.issuer, Name: key.name, NotBefore: r.notBefore, Expires: r.expires}) {
				return
			}
		}
		for _, b := range v.buckets {
			for i := range b.slots {
				exp := b.slots[i].exp.Load()
				if exp != 0 && !yield(Entry{Kind: Token, ID: b.slots[i].id, Expires: int64(exp)}) {
					return
				}
			}
		}
	}
}

// lastIssue is the largest T that a token which e names may have been given as its iat; 0 where there is none. Tokens get the
// T of their client, their key and their issuer, so a new rule by key must go beyond the T of every client, and the other
// way round.
func (s *Set) lastIssue(e *Entry) (last int64) {
	v := s.current.Load()
	if v == nil {
		return 0
	}
	for key, r := range v.rules {
		stranger := key.kind == e.Kind && key.name != e.Name // a token has one client and one key
		if key.issuer == e.Issuer && !stranger {
			last = max(last, r.notBefore)
		}
	}
	return last
}
