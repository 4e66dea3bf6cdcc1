package token

import (
	"slices"
	"strings"
)

// Requirement is what a route asks of the scopes of a token. The zero value is met by nothing. It is immutable and may be
// shared between goroutines.
type Requirement struct {
	anyToken bool
	all      []string
	oneOf    [][]string // where not empty, one of these must be met as a whole
	text     string
}

// AnyToken is met by every token, also by one without scopes.
func AnyToken() Requirement { return Requirement{anyToken: true} }

// Require is met by the tokens that have every scope of all and, where oneOf is not empty, every scope of at least one of
// its members. An empty member of oneOf is met by nothing. With both lists empty it is the zero value, met by nothing.
func Require(all []string, oneOf [][]string) Requirement {
	r := Requirement{all: slices.Clone(all)}
	named := slices.Clone(all)
	for _, member := range oneOf {
		r.oneOf = append(r.oneOf, slices.Clone(member))
		named = append(named, member...)
	}
	r.text = strings.Join(firsts(named), " ")
	return r
}

// firsts is list without what stood in it before.
func firsts(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Met reports whether a token with the scopes s may pass. It does not allocate.
func (r Requirement) Met(s Scopes) bool {
	if r.anyToken {
		return true
	}
	if len(r.all) == 0 && len(r.oneOf) == 0 {
		return false
	}
	if !hasAll(s, r.all) {
		return false
	}
	if len(r.oneOf) == 0 {
		return true
	}
	for _, member := range r.oneOf {
		if len(member) > 0 && hasAll(s, member) {
			return true
		}
	}
	return false
}

func hasAll(s Scopes, list []string) bool {
	for _, scope := range list {
		if !s.Has(scope) {
			return false
		}
	}
	return true
}

// String is every scope that the requirement names, each once, in the order of the configuration, with single spaces: for
// people, and for the scope of a challenge (RFC 6750 section 3). It is "" where no scope is named.
func (r Requirement) String() string { return r.text }
