package configfile

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// sound reports a text in which more has changed than was meant: that lacks a comment or a scope, in which a route that people
// wrote is another, or anything outside the routes and scopes of the API. So no way to write YAML that this package does not know
// can do harm.
func (m *merge) sound(text string) error {
	bad := fmt.Errorf("%s is written in a way that can't be edited here; change the routes of %s by hand", m.file, m.name)
	now, err := parse(text)
	if err != nil || !same(without(m.root, m.name), without(now, m.name)) {
		return bad
	}
	_, apis := find(now, "apis")
	_, api := find(apis, m.name)
	_, routes := find(api, "routes")
	if routes == nil || !slices.EqualFunc(people(m.routes), people(routes), same) || !declares(api, m.api) {
		return bad
	}
	remaining := comments(now)
	expected := comments(m.root)
	for i, it := range m.items {
		if m.removed[i] {
			expected = lessOnce(expected, comments(it.node))
		}
	}
	for _, c := range expected {
		i := slices.Index(remaining, c)
		switch {
		case i >= 0:
			remaining = slices.Delete(remaining, i, i+1)
		case !marked.MatchString(c):
			return bad
		}
	}
	return nil
}

// lessOnce is a list without the members of another, each taken away once.
func lessOnce(all, less []string) []string {
	for _, c := range less {
		if i := slices.Index(all, c); i >= 0 {
			all = slices.Delete(all, i, i+1)
		}
	}
	return all
}

// people are the routes without a mark.
func people(routes *yaml.Node) []*yaml.Node {
	return slices.DeleteFunc(slices.Clone(routes.Content), func(n *yaml.Node) bool { return label(n) != "" })
}

// declares reports whether an API declares what another does.
func declares(now, was *yaml.Node) bool {
	_, old := find(was, "scopes")
	if old == nil {
		return true
	}
	_, scopes := find(now, "scopes")
	for i := 0; i+1 < len(old.Content); i += 2 {
		if scopes == nil {
			return false
		}
		if _, v := find(scopes, old.Content[i].Value); v == nil || !same(v, old.Content[i+1]) {
			return false
		}
	}
	return true
}

// without is a copy of the file's tree that lacks the routes and scopes of an API.
func without(root *yaml.Node, api string) *yaml.Node {
	replace := func(m *yaml.Node, name string, change func(*yaml.Node) *yaml.Node) *yaml.Node {
		out := *m
		out.Content = nil
		for i := 0; i+1 < len(m.Content); i += 2 {
			k, v := m.Content[i], m.Content[i+1]
			if k.Value == name {
				v = change(v)
			}
			if v != nil {
				out.Content = append(out.Content, k, v)
			}
		}
		return &out
	}
	none := func(*yaml.Node) *yaml.Node { return nil }
	return replace(root, "apis", func(apis *yaml.Node) *yaml.Node {
		return replace(apis, api, func(a *yaml.Node) *yaml.Node {
			return replace(replace(a, "routes", none), "scopes", none)
		})
	})
}
