package revoke

import (
	"sync"
	"sync/atomic"
)

// Set is the revocations that a node knows, in memory. Reads take no lock and do not allocate, and an empty set costs
// one load. Token ids are kept exactly, in one table for each hour of expiry, which is dropped as a whole; a filter
// in front of them knows at once of most tokens that no table has them. The zero value is empty and ready for use; all
// methods may be called concurrently.
type Set struct {
	current atomic.Pointer[view] // nil: nothing is revoked
	mu      sync.Mutex           // held by writers
}

// view is one state of the set. Its slice and its map never change; the tables and the filter in it gain entries.
type view struct {
	buckets []*bucket // by hour, ascending
	filter  *filter   // of what is in buckets; nil where there are none
	rules   map[ruleKey]rule
}

// ruleKey is what a rule is about.
type ruleKey struct {
	kind         Kind
	issuer, name string
}

type rule struct{ notBefore, expires int64 }

// with is what r and o say together: the larger T and the later expiry.
func (r rule) with(o rule) rule {
	return rule{max(r.notBefore, o.notBefore), max(r.expires, o.expires)}
}

func (e *Entry) rule() (ruleKey, rule) {
	return ruleKey{e.Kind, e.Issuer, e.Name}, rule{e.NotBefore, e.Expires}
}

// Revoked reports whether an entry refuses t.
func (s *Set) Revoked(t *Target) bool {
	v := s.current.Load()
	if v == nil {
		return false
	}
	// T is above 0, so that a token without iat, or with one before 1970, is refused too.
	if t.IssuedAt < v.notBefore(t.Issuer, t.Client, t.Key) {
		return true
	}
	if len(v.buckets) == 0 || t.TokenID == "" {
		return false
	}
	id := TokenID(t.Issuer, t.TokenID)
	if !v.filter.mayHold(&id) {
		return false
	}
	for _, b := range v.buckets {
		if b.expiry(&id) != 0 {
			return true
		}
	}
	return false
}

// NotBefore is the largest T of the rules that name the client, the key, or all of the issuer's tokens; 0 where none does.
func (s *Set) NotBefore(issuer, client, key string) int64 {
	v := s.current.Load()
	if v == nil {
		return 0
	}
	return v.notBefore(issuer, client, key)
}

func (v *view) notBefore(issuer, client, key string) int64 {
	if len(v.rules) == 0 {
		return 0
	}
	return max(
		v.rules[ruleKey{Client, issuer, client}].notBefore,
		v.rules[ruleKey{Key, issuer, key}].notBefore,
		v.rules[ruleKey{All, issuer, ""}].notBefore,
	)
}
