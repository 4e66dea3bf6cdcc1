package openapi

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Route is a route that operations ask for.
type Route struct {
	Method, Pattern string
	Requirement     Requirement
	// Ours: the document asks for something that a gateway can't check, or for nothing that it says, and the requirement is the scope
	// that stands for that.
	Ours bool
	// Operations are what it serves: one, but where several differ in words that patterns don't know.
	Operations []Operation
}

// Match is the route's match.
func (r Route) Match() string { return strings.TrimPrefix(r.Method+" "+r.Pattern, " ") }

// Label names the route's operations.
func (r Route) Label() string {
	var labels []string
	for _, o := range r.Operations {
		labels = append(labels, o.Label())
	}
	return printable(strings.Join(labels, ", "), 200)
}

// Plan is what an API needs for a document.
type Plan struct {
	Routes []Route // in the order of the document
	// Scopes are what the routes ask for, and what the document declares, sorted.
	Scopes   []string
	Warnings []Note
}

// Access is the scope that stands for demands which a gateway can't check.
func Access(api string) string { return api + ":access" }

// Plan turns the document's operations into the routes of an API. The prefix, which may be empty, is the API's strip_prefix. Operations
// that no route can stand for are errors, of type Errors; those that are never served are left out with a warning.
func (d *Document) Plan(api, prefix string) (*Plan, error) {
	p := &planning{doc: &Document{}, api: api, byKey: make(map[string]*Route)}
	for _, o := range d.Operations {
		p.add(o, prefix)
	}
	plan := &Plan{}
	scopes := maps.Clone(d.Scopes)
	for _, key := range p.keys {
		r := p.byKey[key]
		if r.Requirement.Auth == Public && !p.exact[key] {
			p.doc.warn(r.Operations[0].Pos, "%s is public, and no route takes exactly its path: it is left out, and answered 404", r.Label())
			continue
		}
		plan.Routes = append(plan.Routes, *r)
		for _, s := range r.Requirement.Names() {
			if _, known := scopes[s]; !known {
				scopes[s] = ""
			}
		}
	}
	p.overlaps(plan.Routes)
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	plan.Scopes = slices.Sorted(maps.Keys(scopes))
	plan.Warnings = slices.Concat(d.Warnings, p.doc.Warnings)
	return plan, nil
}

type planning struct {
	doc   *Document // holds warnings alone
	api   string
	keys  []string // of byKey, in order
	byKey map[string]*Route
	exact map[string]bool
	errs  Errors
}

func (p *planning) add(o Operation, prefix string) {
	switch o.Method {
	case http.MethodTrace, http.MethodConnect:
		p.doc.warn(o.Pos, "%s is left out: method %s is never served", o.Label(), o.Method)
		return
	}
	pattern, exact, err := patternOf(o.Path)
	if err != nil {
		p.errs = append(p.errs, Note{o.Pos, fmt.Sprintf("%s: %v", o.Label(), err)})
		return
	}
	pattern = prefix + pattern
	requirement, ours := p.requirement(o)
	key := o.Method + " " + Shape(pattern)
	if p.exact == nil {
		p.exact = make(map[string]bool)
	}
	if !exact {
		p.doc.warn(o.Pos, "the path %s is matched as %s, which takes more than it: a wildcard is a whole segment, and a query is not looked at",
			printable(o.Path, 200), pattern)
	}
	known := p.byKey[key]
	if known == nil {
		p.byKey[key] = &Route{o.Method, pattern, requirement, ours, []Operation{o}}
		p.keys = append(p.keys, key)
		p.exact[key] = exact
		return
	}
	both, ok := known.Requirement.and(requirement)
	if !ok {
		p.errs = append(p.errs, Note{o.Pos, fmt.Sprintf("%s has the path of %s (%s) to a gateway, and together they have too many alternatives of security",
			o.Label(), known.Label(), known.Operations[0].Pos)})
		return
	}
	if !both.Equal(known.Requirement) || !both.Equal(requirement) {
		p.doc.warn(o.Pos, "%s has the path of %s (%s) to a gateway, so that both ask for what either asks for: %s",
			o.Label(), known.Label(), known.Operations[0].Pos, both)
	}
	known.Requirement, known.Ours = both, known.Ours && ours
	known.Operations = append(known.Operations, o)
	p.exact[key] = p.exact[key] && exact
}

// requirement is what a route must ask for. What the document leaves open is never read as public.
func (p *planning) requirement(o Operation) (r Requirement, ours bool) {
	s := o.Security
	access := Access(p.api)
	switch {
	case !s.Said:
		p.doc.warn(s.Pos, "%s has no security, neither of its own nor of the document: its route asks for %s — write security: [] for an operation that is public",
			o.Label(), access)
		return NewRequirement(Scopes, [][]string{{access}}), true
	case len(s.Alternatives) == 0:
		p.doc.warn(s.Pos, "%s is public: the document says that it needs no security", o.Label())
		return NewRequirement(Public, nil), false
	case s.Optional:
		p.doc.warn(s.Pos, "security is optional for %s, and its route asks for it all the same: callers without a token are refused", o.Label())
	}
	var sets [][]string
	ours = true
	for _, a := range s.Alternatives {
		set := slices.Clone(a.Scopes)
		if len(a.Other) > 0 {
			set = append(set, access)
			p.doc.warn(s.Pos, "%s asks for %s, which is no token with scopes: its route asks for the scope %s in its place",
				o.Label(), printable(strings.Join(a.Other, " and "), 200), access)
		}
		ours = ours && len(a.Other) > 0 && len(a.Scopes) == 0
		sets = append(sets, set)
	}
	return NewRequirement(Token, sets), ours
}

// conflict finds the other pattern in ServeMux's message, and the path that both match.
var conflict = regexp.MustCompile(`conflicts with pattern ("(?:[^"\\]|\\.)*")[^\n]*\n.*like ("(?:[^"\\]|\\.)*")`)

// overlaps reports paths that match the same requests without one being more specific: no gateway can tell which of them is meant.
func (p *planning) overlaps(routes []Route) {
	mux := http.NewServeMux()
	first := make(map[string]Route)
	for _, r := range routes {
		if _, known := first[Shape(r.Pattern)]; known {
			continue
		}
		other, example := register(mux, r.Pattern)
		if other == "" {
			first[Shape(r.Pattern)] = r
			continue
		}
		o := first[Shape(other)]
		p.errs = append(p.errs, Note{r.Operations[0].Pos, fmt.Sprintf(
			"%s (%s) overlaps %s (%s, %s): both match %s and neither is more specific, so that it is open which is asked for — change one of the paths",
			r.Pattern, r.Label(), o.Pattern, o.Label(), o.Operations[0].Pos, example)})
	}
}

// register adds a pattern to the mux that the gateway matches with. Where it conflicts, other is the pattern that stood there
// first and example a path that both match.
func register(mux *http.ServeMux, pattern string) (other, example string) {
	defer func() {
		if err := recover(); err != nil {
			other, example = pattern, pattern
			if m := conflict.FindStringSubmatch(fmt.Sprint(err)); m != nil {
				other, _ = strconv.Unquote(m[1])
				example, _ = strconv.Unquote(m[2])
			}
		}
	}()
	mux.Handle(pattern, http.NotFoundHandler())
	return "", ""
}
