package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// sources are what a Config was read from: for places, and for the effective configuration.
type sources struct {
	root    node             // config.yaml
	apis    []entry[*rawAPI] // those of apis_dir among them
	clients node             // clients.yaml; without a Node where there is none
	getenv  func(string) (string, bool)
}

// Value is a part of the effective configuration: what a key is, with its default filled in, and where that comes from.
type Value struct {
	// Name is the key; empty for a member of a list.
	Name string
	// Origin is "default", "file:line", "env NAME", or "defaults.timeout at file:line" where another key's value holds.
	// A map or list that has members leaves it to them, and its own is where it begins.
	Origin string
	// Members are those of a map or a list.
	Members []*Value
	kind    yaml.Kind
	text    string // of a scalar
	tag     string
}

const fromDefault = "default"

// redacted stands where a secret, or the hash of one, is left out.
const redacted = "(redacted)"

// Effective is config.yaml as it is in force, or clients.yaml where clients is set: what stands in the files, variables
// expanded, what APIs inherit, and defaults. The files of apis_dir are part of it. Nothing secret is: a password stands as its
// variable, as does any variable whose name speaks of a secret, and hashes are left out.
func (c *Config) Effective(clients bool) *Value {
	s, n := configForm.shape, c.sources.root
	if clients {
		s, n = clientsForm.shape, c.sources.clients
	}
	e := &effective{c.sources, &Value{kind: yaml.MappingNode}, filepath.Dir(n.doc.name)}
	e.object(e.root, s, n, nil)
	return e.root
}

// effective builds a Value from the declarations and the nodes.
type effective struct {
	*sources
	root *Value // what is made
	dir  string // what file names are relative to
}

// object adds to out the keys of an object that stands at n; without a Node it is one that is absent.
func (e *effective) object(out *Value, s shape, n node, path []string) {
	has := func(name string) bool { return n.Node != nil && lookup(n, name).Node != nil }
	for _, k := range s.keys {
		at := append(path[:len(path):len(path)], k.name)
		switch {
		case k.name == "apis_dir" && len(path) == 0: // its APIs are among the others
		case k.name == "apis" && len(path) == 0:
			e.allAPIs(out, k, at)
		case has(k.name) && !isNull(lookup(n, k.name)):
			e.value(out, k.name, k.shape, lookup(n, k.name), at)
		case has(k.name): // null: what the API would inherit is switched off
			if !e.fallback(out, k, at, false) {
				v := lookup(n, k.name)
				out.add(&Value{Name: k.name, kind: yaml.ScalarNode, text: "null", tag: "!!null", Origin: v.ref()})
			}
		case s.allows(k.name, has):
			e.fallback(out, k, at, true)
		}
	}
}

func (v *Value) add(member *Value) { v.Members = append(v.Members, member) }

func (e *effective) allAPIs(out *Value, k keyShape, path []string) {
	apis := &Value{Name: k.name, kind: yaml.MappingNode, Origin: e.sources.root.ref()}
	out.add(apis)
	for _, a := range e.apis {
		e.value(apis, a.name, *k.shape.elem, a.at, append(path, a.name))
	}
}

// fallback adds what holds for an absent key, and reports whether anything does.
func (e *effective) fallback(out *Value, k keyShape, path []string, inherit bool) bool {
	if from := e.find(out, k.from, path); from != nil && inherit {
		out.add(from.as(k.name, k.from))
		return true
	}
	if k.std == "{}" {
		section := &Value{Name: k.name, kind: yaml.MappingNode, Origin: fromDefault}
		e.object(section, k.shape, node{}, path)
		if len(section.Members) > 0 {
			out.add(section)
		}
		return len(section.Members) > 0
	}
	if k.std == "" {
		return false
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(k.std), &n); err != nil {
		panic(err) // declared, and read by every test
	}
	e.value(out, k.name, k.shape, node{Node: n.Content[0]}, path)
	return true
}

// find is the value of another key: of the object that is being made, or from the root. Nil where it has none.
func (e *effective) find(here *Value, from string, path []string) *Value {
	if from == "" {
		return nil
	}
	if beside, ok := strings.CutPrefix(from, "."); ok {
		return here.member(beside)
	}
	names := strings.Split(from, ".")
	v := e.root
	for i, name := range names {
		if name == "*" {
			name = path[i]
			names[i] = name
		}
		if v = v.member(name); v == nil {
			return nil
		}
	}
	if slices.Equal(names, path) {
		return nil
	}
	return v
}

func (v *Value) member(name string) *Value {
	for _, m := range v.Members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// as is v under another name, as what another key says.
func (v *Value) as(name, from string) *Value {
	out := *v
	out.Name, out.Members = name, nil
	if out.Origin != fromDefault && !strings.Contains(out.Origin, " at ") {
		out.Origin = strings.TrimPrefix(from, ".") + " at " + out.Origin
	}
	for _, m := range v.Members {
		below := from
		if m.Name != "" {
			below += "." + m.Name
		}
		out.add(m.as(m.Name, below))
	}
	return &out
}

// value adds what stands at n.
func (e *effective) value(out *Value, name string, s shape, n node, path []string) {
	v := &Value{Name: name, kind: n.Kind, Origin: origin(n)}
	out.add(v)
	switch {
	case n.Kind == yaml.MappingNode && s.kind == "map":
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			e.value(v, key, *s.elem, node{n.Content[i+1], n.doc, ""}, append(path, key))
		}
	case n.Kind == yaml.MappingNode && s.alone:
		e.object(v, *s.elem, n, path)
	case n.Kind == yaml.MappingNode:
		e.object(v, s, n, path)
	case n.Kind == yaml.SequenceNode:
		for _, c := range n.Content {
			e.value(v, "", *s.elem, node{c, n.doc, ""}, path)
		}
	default:
		e.scalar(v, s, n)
	}
}

func origin(n node) string {
	if n.doc == nil {
		return fromDefault
	}
	return n.ref()
}

var (
	variableName = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)`)
	secretName   = regexp.MustCompile(`(?i)passw|secret|token|credential|key|auth`)
)

func (e *effective) scalar(v *Value, s shape, n node) {
	v.text = n.Value
	for _, m := range variableName.FindAllStringSubmatch(n.Value, -1) {
		if set, _ := e.getenv(m[1]); set != "" {
			v.Origin = "env " + m[1]
		}
		if secretName.MatchString(m[1]) {
			v.tag = "!!str"
			return // as it is written
		}
	}
	if s.kind == "variable" {
		v.tag = "!!str"
		return
	}
	text, err := expand(n.Value, e.getenv)
	if err == nil {
		v.text = text
	}
	switch {
	case s.kind == "SHA-256", s.kind == "PHC string":
		v.text = redacted
	case s.queryHidden:
		if before, _, found := strings.Cut(v.text, "?"); found {
			v.text = before + "?" + redacted
		}
	case s.kind == "file name" && n.doc != nil && !filepath.IsAbs(v.text):
		if rel, err := filepath.Rel(e.dir, near(n, v.text)); err == nil {
			v.text = rel
		}
	}
	v.text = aSecret.ReplaceAllString(v.text, redacted)
	v.tag = "!!str"
	switch {
	case s.kind == "true or false":
		v.tag = "!!bool"
	case s.kind == "whole number", s.kind == "size" && decimal.MatchString(v.text):
		v.tag = "!!int"
	default:
		v.text = escapeDollars(v.text)
	}
}

// escapeDollars writes text so that expand gives it back.
func escapeDollars(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(s[i])
		if s[i] == '$' && i+1 < len(s) && (s[i+1] == '$' || s[i+1] == '{') {
			b.WriteByte('$')
		}
	}
	return b.String()
}

// lookup is the value of a map's key; without a Node where there is none.
func lookup(n node, name string) node {
	if n.Node == nil || n.Kind != yaml.MappingNode {
		return node{}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return node{n.Content[i+1], n.doc, ""}
		}
	}
	return node{}
}
