package configfile

import (
	"fmt"

	"gatehouse/internal/openapi"
)

// Existing is a route as the loader read it, with the place of its match.
type Existing struct {
	Line, Col   int
	Method      string // empty: what the path's other routes do not name
	Pattern     string
	Requirement openapi.Requirement
}

// The kinds of a Change.
const (
	AddRoute    = "add_route"
	ChangeRoute = "change_route"
	RemoveRoute = "remove_route"
	AddScope    = "add_scope"
	// Yours is a route that people wrote and that the document does not agree with. It stays as it is.
	Yours = "yours"
)

// Change is one thing that an import changes, or would.
type Change struct {
	Kind      string `json:"kind"`
	Match     string `json:"match,omitempty"`     // of a route, as it will be
	Operation string `json:"operation,omitempty"` // that it serves
	Scope     string `json:"scope,omitempty"`     // of add_scope
	From      string `json:"from,omitempty"`      // what it asked for, or its match
	To        string `json:"to,omitempty"`
	Line      int    `json:"line,omitempty"` // in the file as it stands; 0: it is new
	// Opens: the route is public and was not.
	Opens bool `json:"opens,omitempty"`
}

// Import is a file with the routes of an API brought in line with a plan.
type Import struct {
	Text    string // of the whole file
	Changes []Change
	Diff    string // unified; empty where the text is the same
}

// ImportInto changes the routes of an API in the text of a configuration file, which the loader takes, to what a plan asks for.
// Routes that it wrote at another time, and that the plan has no longer, are removed. file is for messages.
func ImportInto(file, text, api string, routes []Existing, p *openapi.Plan, describe func(string) string) (*Import, error) {
	s, err := open(file, text, api)
	if err != nil {
		return nil, err
	}
	items, err := s.items(routes)
	if err != nil {
		return nil, err
	}
	m := &merge{source: s, items: items, plan: p, describe: describe, removed: make(map[int]bool)}
	if err := m.run(); err != nil {
		return nil, err
	}
	out := &Import{Text: s.apply(m.splices), Changes: m.changes}
	if err := m.sound(out.Text); err != nil {
		return nil, err
	}
	out.Diff = s.diff(m.splices)
	return out, nil
}

// merge is one import while it is made.
type merge struct {
	*source
	items    []item
	plan     *openapi.Plan
	describe func(string) string
	splices  []splice
	changes  []Change
	removed  map[int]bool // of items
}

func key(method, pattern string) string { return method + " " + openapi.Shape(pattern) }

// run finds for each route of the plan the one in the file: by method and path, else by the operation, where that has moved.
func (m *merge) run() error {
	byKey, byLabel := make(map[string]int), make(map[string]int)
	for i, it := range m.items {
		byKey[key(it.Method, it.Pattern)] = i
	}
	planned := make(map[string]bool)
	for _, r := range m.plan.Routes {
		planned[key(r.Method, r.Pattern)] = true
	}
	for i, it := range m.items {
		if it.label != "" && !planned[key(it.Method, it.Pattern)] {
			byLabel[it.label] = i
		}
	}
	kept := make(map[int]bool)
	last := len(m.items) - 1 // where a new route follows
	var names []string
	for _, r := range m.plan.Routes {
		i, found := byKey[key(r.Method, r.Pattern)]
		if !found {
			i, found = byLabel[labelOf(r)]
			found = found && !kept[i]
		}
		if !found {
			m.add(r, last)
			names = append(names, r.Requirement.Names()...)
			continue
		}
		kept[i], last = true, i
		changed, err := m.update(i, r)
		if err != nil {
			return err
		}
		if changed {
			names = append(names, r.Requirement.Names()...)
		}
	}
	for i, it := range m.items {
		if it.label != "" && !kept[i] {
			m.removed[i] = true
			m.splices = append(m.splices, splice{begin: it.begin, end: it.end})
			m.changes = append(m.changes, Change{Kind: RemoveRoute, Match: it.match(), Operation: it.label, From: it.Requirement.String(), Line: it.Line})
		}
	}
	return m.addScopes(names)
}

func (m *merge) add(r openapi.Route, after int) {
	it := m.items[after]
	m.splices = append(m.splices, splice{it.end, it.end, m.lineEnds(route(r, it.indent))})
	m.changes = append(m.changes, Change{Kind: AddRoute, Match: r.Match(), Operation: r.Label(), To: r.Requirement.String(), Opens: r.Requirement.Auth == openapi.Public})
}

// update changes a route that the file has, where it was generated.
func (m *merge) update(i int, r openapi.Route) (changed bool, err error) {
	it := m.items[i]
	agrees := r.Agrees(it.Requirement)
	moved := key(it.Method, it.Pattern) != key(r.Method, r.Pattern)
	c := Change{Kind: ChangeRoute, Match: r.Match(), Operation: r.Label(), From: it.Requirement.String(), To: r.Requirement.String(), Line: it.Line}
	if it.label == "" {
		if !agrees {
			c.Kind = Yours
			m.changes = append(m.changes, c)
		}
		return false, nil
	}
	relabelled := it.label != labelOf(r)
	if agrees && !moved && !relabelled {
		return false, nil
	}
	lines := m.lines[it.begin:it.end]
	if moved {
		c.From = it.match() + ", " + c.From
		if lines, err = m.setMatch(it, lines, r.Match()); err != nil {
			return false, err
		}
	}
	if relabelled {
		if agrees && !moved {
			c.From, c.To = it.label, labelOf(r)
		}
		lines = relabel(lines, labelOf(r))
	}
	if !agrees { // last, since it may change the number of lines
		c.Opens = r.Requirement.Auth == openapi.Public
		if lines, err = m.setRule(it, lines, rule(r.Requirement)); err != nil {
			return false, err
		}
	}
	m.splices = append(m.splices, splice{it.begin, it.end, lines})
	m.changes = append(m.changes, c)
	return !agrees, nil
}

// uneditable is for a file that is written in a way that no line stands for what is to be changed.
func (s *source) uneditable(line int, what string) error {
	return fmt.Errorf("%s:%d: %s can't be edited here; give each route lines of its own (`- match: …`, then its other keys), or change it by hand", s.file, line, what)
}
