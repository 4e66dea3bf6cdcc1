package token

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Scopes is an immutable set of scopes, sorted. The zero value is the empty set. It may be shared between goroutines.
type Scopes struct {
	list []string
	text string
}

// ParseScopes reads a scope parameter or claim as RFC 6749 section 3.3 writes it: scope tokens of %x21, %x23-5B and
// %x5D-7E with exactly one space between them. The empty string is the empty set, and a repeated scope counts once.
func ParseScopes(s string) (Scopes, error) {
	if s == "" {
		return Scopes{}, nil
	}
	list := strings.Split(s, " ")
	for _, scope := range list {
		if scope == "" {
			return Scopes{}, fmt.Errorf("scope %q: want scopes with exactly one space between them", s)
		}
		if !validScope(scope) {
			return Scopes{}, fmt.Errorf(`scope %q: want printable ASCII without a space, " or \`, scope)
		}
	}
	return newScopes(list), nil
}

// NewScopes is the set of the scopes in list, which the caller knows to be well formed. The list may repeat itself.
func NewScopes(list ...string) Scopes { return newScopes(slices.Clone(list)) }

// newScopes keeps list.
func newScopes(list []string) Scopes {
	slices.Sort(list)
	list = slices.Compact(list)
	return Scopes{list: list, text: strings.Join(list, " ")}
}

func validScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Has reports whether scope is in the set. Scopes are compared byte by byte: no prefix, no folding of case.
func (s Scopes) Has(scope string) bool {
	_, found := slices.BinarySearch(s.list, scope)
	return found
}

// Len is the number of scopes.
func (s Scopes) Len() int { return len(s.list) }

// All yields the scopes in order.
func (s Scopes) All() iter.Seq[string] { return slices.Values(s.list) }

// List is a new slice of the scopes in order; nil for the empty set.
func (s Scopes) List() []string { return slices.Clone(s.list) }

// String is the set as a scope claim: sorted, single spaces; "" for the empty set. It costs nothing.
func (s Scopes) String() string { return s.text }

// Contains reports whether every scope of o is in s. The empty set is in every set.
func (s Scopes) Contains(o Scopes) bool {
	for _, scope := range o.list {
		if !s.Has(scope) {
			return false
		}
	}
	return true
}

// Intersect is the set of the scopes that are in both.
func (s Scopes) Intersect(o Scopes) Scopes {
	var both []string
	for _, scope := range s.list {
		if o.Has(scope) {
			both = append(both, scope)
		}
	}
	return newScopes(both)
}

// Union is the set of the scopes that are in either.
func (s Scopes) Union(o Scopes) Scopes { return newScopes(slices.Concat(s.list, o.list)) }
