package openapi

import "fmt"

// Existing is a route of a configuration, to be compared.
type Existing struct {
	Method      string // empty: what the path's other routes do not name
	Pattern     string
	Requirement Requirement
}

// Difference is a route that the document does not agree with, or that is missing.
type Difference struct {
	Route Route
	// Existing is the place among the routes that were given; -1: there is none.
	Existing int
	Message  string
}

// Compare says where routes and a plan differ. A route that serves a public operation may ask for anything, and one whose
// requirement is ours may ask for anything but nothing. Routes that the document does not have are of no interest.
func (p *Plan) Compare(routes []Existing) []Difference {
	at := make(map[string]int)
	for i, e := range routes {
		at[e.Method+" "+Shape(e.Pattern)] = i
	}
	var out []Difference
	for _, r := range p.Routes {
		i, found := at[r.Method+" "+Shape(r.Pattern)]
		if !found && r.Method == "HEAD" {
			i, found = at["GET "+Shape(r.Pattern)]
		}
		if !found {
			i, found = at[" "+Shape(r.Pattern)]
		}
		what := fmt.Sprintf("the operation %s (%s)", r.Label(), r.Operations[0].Security.Pos)
		if !found {
			out = append(out, Difference{r, -1, fmt.Sprintf("%s has no route %s", what, r.Match())})
			continue
		}
		if have := routes[i].Requirement; !r.Agrees(have) {
			out = append(out, Difference{r, i, fmt.Sprintf("%s asks for %s, and its route asks for %s", what, asks(r.Requirement), asks(have))})
		}
	}
	return out
}

// Agrees reports whether a route may ask for what it asks for: the same, or, where the operation is public or the requirement
// ours, more.
func (r Route) Agrees(have Requirement) bool {
	switch {
	case have.Equal(r.Requirement):
		return true
	case r.Requirement.Auth == Public:
		return true // whatever a route asks for is more than nothing
	case r.Ours:
		return have.Auth == Token || have.Auth == Scopes
	}
	return false
}

func asks(r Requirement) string {
	if r.Auth == Public {
		return "nothing"
	}
	return r.String()
}
