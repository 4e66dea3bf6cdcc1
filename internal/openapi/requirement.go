package openapi

import (
	"slices"
	"strings"
)

// The values of Requirement.Auth.
const (
	Scopes = "scopes" // a token with the scopes of one alternative
	Token  = "token"  // any token for the API
	Public = "public" // no token
)

// Requirement is what a route asks of a token. Make one with NewRequirement. The zero value is no requirement that a route may
// have, and is met by nothing.
type Requirement struct {
	Auth string
	// Alternatives are sets of scopes, one of which must be held. Each is sorted, none holds another, and they are in byte order, so
	// that equal requirements are equal values.
	Alternatives [][]string
}

// NewRequirement is a requirement in its one form. Auth counts where there are no alternatives.
func NewRequirement(auth string, alternatives [][]string) Requirement {
	if len(alternatives) == 0 {
		return Requirement{Auth: auth}
	}
	var sets [][]string
	for _, a := range alternatives {
		set := slices.Clone(a)
		slices.Sort(set)
		sets = append(sets, slices.Compact(set))
	}
	slices.SortFunc(sets, func(a, b []string) int { return slices.Compare(a, b) })
	sets = slices.CompactFunc(sets, slices.Equal)
	var least [][]string
	for i, a := range sets {
		if len(a) == 0 { // no scope at all is one of the alternatives
			return Requirement{Auth: Token}
		}
		if !slices.ContainsFunc(sets, func(b []string) bool { return len(b) < len(a) && subset(b, a) }) {
			least = append(least, sets[i])
		}
	}
	return Requirement{Auth: Scopes, Alternatives: least}
}

// RouteRequirement is the requirement of a route of the configuration: all of all, and one of any.
func RouteRequirement(auth string, all []string, anyOf [][]string) Requirement {
	if auth != Scopes {
		return NewRequirement(auth, nil)
	}
	if len(anyOf) == 0 {
		return NewRequirement(auth, [][]string{all})
	}
	var sets [][]string
	for _, a := range anyOf {
		sets = append(sets, slices.Concat(all, a))
	}
	return NewRequirement(auth, sets)
}

// Equal reports whether the same tokens meet both.
func (r Requirement) Equal(o Requirement) bool {
	return r.Auth == o.Auth && slices.EqualFunc(r.Alternatives, o.Alternatives, slices.Equal)
}

// and is what meets both. ok is false where that would have too many alternatives.
func (r Requirement) and(o Requirement) (both Requirement, ok bool) {
	switch {
	case r.Auth == Public, r.Auth == Token && o.Auth != Public:
		return o, true
	case o.Auth == Public, o.Auth == Token:
		return r, true
	}
	if len(r.Alternatives)*len(o.Alternatives) > maxAlternatives {
		return Requirement{}, false
	}
	var sets [][]string
	for _, a := range r.Alternatives {
		for _, b := range o.Alternatives {
			sets = append(sets, slices.Concat(a, b))
		}
	}
	return NewRequirement(Scopes, sets), true
}

// Names are all scopes in it, sorted.
func (r Requirement) Names() []string {
	names := slices.Concat(r.Alternatives...)
	slices.Sort(names)
	return slices.Compact(names)
}

// Lacking are as many of the scopes as a token may have without meeting the requirement. ok is false where every token
// meets it.
func (r Requirement) Lacking(scopes []string) (some []string, ok bool) {
	if r.Auth != Scopes {
		return nil, false
	}
	var without []string
	for _, set := range r.Alternatives {
		if !slices.ContainsFunc(set, func(s string) bool { return slices.Contains(without, s) }) {
			without = append(without, set[0])
		}
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(without, s) }), true
}

// String is for messages: "public", "any token", "a and b, or c".
func (r Requirement) String() string {
	switch r.Auth {
	case Public:
		return "public"
	case Token:
		return "any token"
	}
	var sets []string
	for _, set := range r.Alternatives {
		sets = append(sets, strings.Join(set, " and "))
	}
	return strings.Join(sets, ", or ")
}

func subset(a, b []string) bool {
	for _, s := range a {
		if _, in := slices.BinarySearch(b, s); !in {
			return false
		}
	}
	return true
}
