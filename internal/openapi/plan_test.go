package openapi

import (
	"fmt"
	"strings"
	"testing"
)

func TestPatternOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		template, want string
		exact          bool
	}{
		{"/", "/{$}", true},
		{"/a", "/a", true},
		{"/a/", "/a/{$}", true},
		{"/{id}", "/{id}", true},
		{"/{id}/", "/{id}/{$}", true},
		{"/{pet-id}/{pet.id}", "/{pet_id}/{pet_id2}", true},
		{"/{1}/{}/{_}", "/{p1}/{p}/{p2}", true},
		{"/{id...}", "/{id}", true},
		{"/{$}", "/{p}", true},
		{"/{größe}", "/{größe}", true},
		{"/a/{id}.json", "/a/{id_json}", false},
		{"/a/{id}:stop", "/a/{id_stop}", false},
		{"/{a}-{b}", "/{a_b}", false},
		{"/a?x={y}", "/a", false},
		{"/a#x", "/a", false},
		{"/@me/~x:y/*", "/@me/~x:y/*", true},
	} {
		got, exact, err := patternOf(tc.template)
		if err != nil || got != tc.want || exact != tc.exact {
			t.Errorf("%s: %s, %v, %v; want %s, %v", tc.template, got, exact, err, tc.want, tc.exact)
		}
	}
	for _, bad := range []string{"", "a", "//a", "/a//b", "/a/../b", "/./a", "/a b", "/a%20b", "/a\\b", "/a;b", "/a\nb", "/{a", "/a}", "/{{a}}", "/a\x00", "/a\u009b2J", "/a\u202e", "/a\u0085", "/\xff", "/" + strings.Repeat("a", 5000)} {
		if got, _, err := patternOf(bad); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

// plan is what operations of a path and a security each become.
func plan(t *testing.T, operations ...string) (*Plan, error) {
	t.Helper()
	d := head + "paths:\n"
	for i, o := range operations {
		path, rest, _ := strings.Cut(o, " ")
		method, security, _ := strings.Cut(rest, " ")
		d += fmt.Sprintf("  %q:\n    %s:\n      operationId: op%d\n      security: %s\n      responses: {}\n", path, method, i+1, security)
	}
	doc, err := text(t, d+schemes)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Plan("x", "")
}

// Operations that a gateway can't tell apart ask together for what each asks.
func TestPlanTogether(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		operations []string
		want       string
	}{
		{[]string{"/a/{id} get [{o: [a]}]", "/a/{id}.pdf get [{o: [b]}]"}, "GET /a/{id} op1, op2: a and b\n"},
		{[]string{"/a/{id}:go post [{o: [a]}, {o: [b]}]", "/a/{id}:stop post [{o: [c]}]"}, "POST /a/{id_go} op1, op2: a and c, or b and c\n"},
		{[]string{"/a get [{o: [a]}]", "/a?x=1 get []"}, "GET /a op1, op2: a\n"},
		{[]string{"/a get [{o: []}]", "/a?x=1 get []"}, "GET /a op1, op2: any token\n"},
		{[]string{"/a/{x} get [{o: [a]}]", "/a/{x}.y get [{o: [a]}]"}, "GET /a/{x} op1, op2: a\n"},
		{[]string{"/a/{x} get [{o: [a]}]", "/a/{y} post [{o: [b]}]"}, "GET /a/{x} op1: a\nPOST /a/{y} op2: b\n"},
		{[]string{"/a get [{o: [a]}]", "/b trace []", "/c/{x}.y get []"}, "GET /a op1: a\n"}, // never served, and not public beyond its words
	} {
		p, err := plan(t, tc.operations...)
		if err != nil {
			t.Errorf("%v: %v", tc.operations, err)
			continue
		}
		got := ""
		for _, r := range p.Routes {
			got += fmt.Sprintf("%s %s: %s\n", r.Match(), r.Label(), r.Requirement)
		}
		if got != tc.want || strings.Contains(strings.Join(tc.operations, ""), ".y get []") && len(p.Warnings) < 3 {
			t.Errorf("%v: got\n%s(warnings %v), want\n%s", tc.operations, got, p.Warnings, tc.want)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	_, err := plan(t, "/a/{x}/c get [{o: [a]}]", "/a/b/{y} get [{o: [b]}]", "/ok get [{o: [b]}]", "/a%20b get [{o: [a]}]")
	want := []string{"api.yaml:20", "op4: the path \"/a%20b\" holds '%'", "/a/b/{y} (op2) overlaps /a/{x}/c (op1, ", "api.yaml:5): both match /a/b/c"}
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v lacks %q", err, w)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	p, err := plan(t, "/a get [{o: [a, b]}]", "/b/{id} get []", "/c get [{key: []}]", "/d head [{o: [a]}]", "/e get [{o: [a]}]", "/f get [{o: [a]}, {key: []}]")
	if err != nil {
		t.Fatal(err)
	}
	r := func(method, pattern string, scopes ...string) Existing {
		return Existing{Method: method, Pattern: pattern, Requirement: RouteRequirement(Scopes, scopes, nil)}
	}
	is := func(e Existing, auth string, all []string, any ...[]string) Existing {
		e.Requirement = RouteRequirement(auth, all, any)
		return e
	}
	good := []Existing{
		is(r("GET", "/a"), Scopes, []string{"b"}, []string{"a"}), r("GET", "/b/{name}", "x"), is(r("GET", "/c"), Token, nil), r("GET", "/d", "a"), r("", "/e", "a"),
		is(r("GET", "/f"), Scopes, nil, []string{"x:access"}, []string{"a"}), is(r("GET", "/mine"), Public, nil),
	}
	if diff := p.Compare(good); len(diff) > 0 {
		t.Errorf("differs: %v", diff)
	}
	bad := map[string][]Existing{
		"asks for a and b, and its route asks for a":             {r("GET", "/a", "a")},
		"asks for a and b, and its route asks for a and b and c": {r("GET", "/a", "a", "b", "c")},
		"op1 (": {},
		"asks for x:access, and its route asks for nothing": {is(r("GET", "/c"), Public, nil)},
		"has no route HEAD /d":                              {r("POST", "/d", "a")},
		"has no route GET /e":                               {r("GET", "/{path...}", "a"), r("GET", "/e/", "a")},
		"asks for a, or x:access, and its route asks for a": {r("GET", "/f", "a")},
	}
	for want, routes := range bad {
		found := false
		for _, d := range p.Compare(routes) {
			found = found || strings.Contains(d.Message, want)
		}
		if !found {
			t.Errorf("%v does not say %q", p.Compare(routes), want)
		}
	}
}
