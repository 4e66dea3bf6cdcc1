package token

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, want string
		ok             bool
	}{
		{"empty", "", "", true},
		{"one", "orders:read", "orders:read", true},
		{"sorted", "b a", "a b", true},
		{"repeated", "a b a", "a b", true},
		{"edges of the charset", "! # [ ] ~", "! # [ ] ~", true},
		{"case is kept", "Read read", "Read read", true},
		{"leading space", " a", "", false},
		{"trailing space", "a ", "", false},
		{"two spaces", "a  b", "", false},
		{"only a space", " ", "", false},
		{"tab", "a\tb", "", false},
		{"newline", "a\nb", "", false},
		{"quote", `a"b`, "", false},
		{"backslash", `a\b`, "", false},
		{"DEL", "a\x7f", "", false},
		{"NUL", "a\x00", "", false},
		{"not ASCII", "lesen:ä", "", false},
	} {
		got, err := ParseScopes(c.in)
		if (err == nil) != c.ok || got.String() != c.want {
			t.Errorf("%s: ParseScopes(%q) = %q, %v; want %q, ok %v", c.name, c.in, got, err, c.want, c.ok)
		}
	}
}

func TestScopesAsSet(t *testing.T) {
	t.Parallel()
	input := []string{"b", "a", "c", "b"}
	s := NewScopes(input...)
	if got, want := s.List(), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("List() = %q, want %q", got, want)
	}
	if !slices.Equal(input, []string{"b", "a", "c", "b"}) {
		t.Errorf("NewScopes changed its input to %q", input)
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, s.List()) {
		t.Errorf("All() = %q", got)
	}
	s.List()[0] = "z"
	if !s.Has("a") || s.Has("z") {
		t.Error("a caller changed the set through List")
	}
	for _, no := range []string{"", "A", "ab", "a b", "aa"} {
		if s.Has(no) {
			t.Errorf("%q has %q", s, no)
		}
	}
	var zero Scopes
	if zero.Len() != 0 || zero.Has("") || zero.String() != "" || zero.List() != nil {
		t.Errorf("the zero value is not the empty set: %d, %q", zero.Len(), zero)
	}
}

func TestScopesAlgebra(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b, union, both string
		contains          bool
	}{
		{"", "", "", "", true},
		{"a", "", "a", "", true},
		{"", "a", "a", "", false},
		{"a b c", "b c", "a b c", "b c", true},
		{"a b", "b c", "a b c", "b", false},
		{"read", "reada", "read reada", "", false},
	} {
		a, b := mustScopes(t, c.a), mustScopes(t, c.b)
		if got := a.Union(b).String(); got != c.union {
			t.Errorf("%q ∪ %q = %q, want %q", a, b, got, c.union)
		}
		if got := a.Intersect(b).String(); got != c.both {
			t.Errorf("%q ∩ %q = %q, want %q", a, b, got, c.both)
		}
		if got := a.Contains(b); got != c.contains {
			t.Errorf("%q contains %q = %v, want %v", a, b, got, c.contains)
		}
	}
}

func TestRequirement(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		r          Requirement
		met, unmet []string
		text       string
	}{
		{"zero value", Requirement{}, nil, []string{"", "a"}, ""},
		{"nothing required", Require(nil, nil), nil, []string{"", "a"}, ""},
		{"empty lists", Require([]string{}, [][]string{}), nil, []string{"", "a"}, ""},
		{"any token", AnyToken(), []string{"", "a"}, nil, ""},
		{"all", Require([]string{"b", "a"}, nil), []string{"a b", "a b c"}, []string{"", "a", "b", "c", "ab"}, "b a"},
		{"any", Require(nil, [][]string{{"a"}, {"b", "c"}}), []string{"a", "b c", "a b"}, []string{"", "b", "c", "d"}, "a b c"},
		{"all and any", Require([]string{"x"}, [][]string{{"a"}, {"x", "b"}}), []string{"a x", "b x"}, []string{"x", "a", "a b"}, "x a b"},
		{"an empty member", Require(nil, [][]string{{}}), nil, []string{"", "a"}, ""},
		{"all and an empty member", Require([]string{"a"}, [][]string{{}}), nil, []string{"", "a"}, "a"},
		{"an empty member beside another", Require(nil, [][]string{{}, {"a"}}), []string{"a"}, []string{"", "b"}, "a"},
		{"part of a scope's name", Require([]string{"read"}, nil), []string{"read"}, []string{"readall", "rea", "Read"}, "read"},
	} {
		for _, s := range c.met {
			if !c.r.Met(mustScopes(t, s)) {
				t.Errorf("%s: %q does not meet it", c.name, s)
			}
		}
		for _, s := range c.unmet {
			if c.r.Met(mustScopes(t, s)) {
				t.Errorf("%s: %q meets it", c.name, s)
			}
		}
		if got := c.r.String(); got != c.text {
			t.Errorf("%s: String() = %q, want %q", c.name, got, c.text)
		}
	}
}

// Ensure a caller that goes on to use its slices cannot change a requirement.
func TestRequireKeepsNothing(t *testing.T) {
	t.Parallel()
	all, member := []string{"a"}, []string{"b"}
	r := Require(all, [][]string{member})
	all[0], member[0] = "x", "y"
	if r.Met(mustScopes(t, "x y")) || !r.Met(mustScopes(t, "a b")) {
		t.Error("the requirement follows the slices that it was made from")
	}
}

func mustScopes(t testing.TB, s string) Scopes {
	t.Helper()
	scopes, err := ParseScopes(s)
	if err != nil {
		t.Fatal(err)
	}
	return scopes
}

func FuzzParseScopes(f *testing.F) {
	for _, s := range []string{"", "a", "b a", " ", "a  b", "a\x00", `"`, "orders:read orders:write"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseScopes(in)
		if err != nil {
			if s.Len() != 0 {
				t.Fatalf("ParseScopes(%q) = %q with an error", in, s)
			}
			return
		}
		again, err := ParseScopes(s.String())
		if err != nil || again.String() != s.String() || !slices.Equal(again.List(), s.List()) {
			t.Fatalf("%q → %q → %q, %v", in, s, again, err)
		}
		for _, want := range strings.Fields(in) {
			if !s.Has(want) {
				t.Fatalf("ParseScopes(%q) lacks %q", in, want)
			}
		}
		if strings.ContainsAny(in, "\t\r\n\"\\\x00\x7f") || s.Len() > len(in) {
			t.Fatalf("ParseScopes(%q) = %q", in, s)
		}
	})
}

func ExampleParseScopes() {
	granted, err := ParseScopes("orders:write orders:read")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(granted)
	fmt.Println(Require([]string{"orders:read"}, nil).Met(granted))
	// Output:
	// orders:read orders:write
	// true
}
