package config

import (
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// node is a YAML node, the file it stands in, and the path of keys that leads to it, for messages.
type node struct {
	*yaml.Node
	doc  *document
	path string
}

// name is the last key of the path.
func (at node) name() string { return at.path[strings.LastIndexByte(at.path, '.')+1:] }

// child is the node n under the key name of at.
func (at node) child(name string, n *yaml.Node) node {
	if strings.TrimFunc(name, strconv.IsPrint) != "" || name == "" {
		name = strconv.Quote(name)
	}
	if at.path != "" {
		name = at.path + "." + name
	}
	return node{n, at.doc, name}
}

// pos is where the node stands.
func (at node) pos() Pos { return Pos{at.doc.name, at.Line, at.Column} }

// ref is the place as messages point to it: file:line.
func (at node) ref() string { return fmt.Sprintf("%s:%d", at.doc.name, at.Line) }

// hide keeps the lines of a value out of messages, since a secret may stand there.
func (at node) hide() {
	lines := 1 + strings.Count(at.Value, "\n")
	if at.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		lines++ // the text begins on the next line
	}
	for i := range lines {
		at.doc.hidden[at.Line+i] = true
	}
}

// val is a value that was read, or not, and its node. The zero val is an absent key.
type val[V any] struct {
	v    V
	at   node
	set  bool // the key stands in the file and its value is good
	null bool // the key stands in the file with null, where that is allowed
}

// or returns the value, and fallback where there is none.
func (x val[V]) or(fallback V) V {
	if x.set {
		return x.v
	}
	return fallback
}

// present reports whether the key stands in the file, whether or not its value is good.
func (x val[V]) present() bool { return x.at.Node != nil }

// form says what a value may be: as data, from which an editor schema can be made, and as the function that reads it.
type form[V any] struct {
	shape shape
	read  func(*reader, node) (V, bool)
}

// shape describes a value: its kind and, by kind, the words it may be, the form of its members, or its keys.
type shape struct {
	kind  string   // text, whole number, true or false, duration, size, …, word, list, map, object
	words []string // of a word
	elem  *shape   // of a list or map
	keys  []keyShape

	least, most int64  // of a number, a size or a duration in nanoseconds
	pattern     string // of a text; "": any
	names       string // the pattern of a map's names; "": any
	alone       bool   // of a list: one member may stand in its place
	filled      bool   // of a list: it has a member
	queryHidden bool   // of a URL: its query may be a secret
	choices     []choice
}

type keyShape struct {
	name     string
	required bool
	nullable bool
	said
	shape shape
}

// key is one key of an object that is read into a T.
type key[T any] struct {
	keyShape
	read func(*reader, node, *T)
}

// is declares the key name, of form f, kept in the field that at returns.
func is[T, V any](name string, f form[V], at func(*T) *val[V]) key[T] {
	return key[T]{keyShape: keyShape{name: name, shape: f.shape}, read: func(r *reader, n node, t *T) {
		x := at(t)
		x.at = n
		if v, ok := f.read(r, n); ok {
			x.v, x.set = v, true
		}
	}}
}

// must makes the key required.
func (k key[T]) must() key[T] { k.required = true; return k }

// orNull declares a key whose null switches off what `defaults` says.
func orNull[T, V any](name string, f form[V], at func(*T) *val[V]) key[T] {
	k := is(name, f, at)
	k.nullable = true
	read := k.read
	k.read = func(r *reader, n node, t *T) {
		if x := at(t); n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
			x.at, x.null = n, true
			return
		}
		read(r, n, t)
	}
	return k
}

// object is a map with known keys.
func object[T any](keys ...key[T]) form[*T] {
	s := shape{kind: "object"}
	table := make(map[string]key[T], len(keys))
	for _, k := range keys {
		s.keys = append(s.keys, k.keyShape)
		table[k.name] = k
	}
	return form[*T]{s, func(r *reader, n node) (*T, bool) {
		if !r.expect(n, yaml.MappingNode, "a map of keys") {
			return nil, false
		}
		t := new(T)
		seen := make(map[string]bool)
		for name, value := range r.pairs(n) {
			seen[name.Value] = true
			readKey(r, n, table, name, value, t)
		}
		for _, k := range keys {
			if k.required && !seen[k.name] {
				r.fail(n, "missing required key %q%s", k.name, k.suchAs())
			}
		}
		return t, true
	}}
}

// readKey reads one key of an object into t.
func readKey[T any](r *reader, parent node, table map[string]key[T], name, value node, t *T) {
	k, known := table[name.Value]
	name.path = parent.path
	switch {
	case !known:
		meant := r.keyMeant(name.Value, parent.path, maps.Keys(table))
		if value.Kind == yaml.ScalarNode && (secretKey.MatchString(name.Value) || strings.Contains(meant, `"password"`)) {
			value.hide()
		}
		r.fail(name, "unknown key %q%s", clipText(name.Value), meant)
	case value.Kind == 0: // reported by clean
	case isNull(value) && !k.nullable:
		r.fail(value, "has no value — write one, or remove the key")
	default:
		k.read(r, value, t)
	}
}

func isNull(n node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// pairs yields the keys and values of a map whose keys are text and stand once; the others are reported.
func (r *reader) pairs(n node) iter.Seq2[node, node] {
	return func(yield func(name, value node) bool) {
		var first map[string]int // of larger objects: most have few keys, which a loop compares faster
		if len(n.Content) > 2*8 {
			first = make(map[string]int, len(n.Content)/2)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if len(r.problems) >= maxProblems {
				return // nothing more would be reported
			}
			k, v := n.Content[i], n.Content[i+1]
			name := node{k, n.doc, n.path}
			if k.Kind == 0 {
				continue
			}
			if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!null" {
				r.fail(name, "a key must be text")
				continue
			}
			if k.ShortTag() == "!!merge" {
				r.fail(name, "the merge key << is not read — write the keys out; what many APIs share goes into defaults")
				continue
			}
			line, twice := first[k.Value]
			if first != nil && !twice {
				first[k.Value] = k.Line
			}
			for j := 0; first == nil && j < i && !twice; j += 2 {
				if other := n.Content[j]; other.Value == k.Value && other.Kind == yaml.ScalarNode {
					line, twice = other.Line, true
				}
			}
			if twice {
				r.fail(name, "key %q is set twice — first set on line %d", clipText(k.Value), line)
				continue
			}
			if !yield(name, n.child(k.Value, v)) {
				return
			}
		}
	}
}

// list is a list of values of one form. Members that are wrong are reported and left out.
func list[V any](f form[V]) form[[]val[V]] {
	return form[[]val[V]]{shape{kind: "list", elem: &f.shape}, func(r *reader, n node) ([]val[V], bool) {
		if !r.expect(n, yaml.SequenceNode, "a list") {
			return nil, false
		}
		out := make([]val[V], 0, len(n.Content))
		for _, c := range n.Content {
			m := node{c, n.doc, n.path}
			if c.Kind == 0 {
				continue
			}
			if isNull(m) {
				r.fail(m, "a member of the list has no value")
				continue
			}
			if v, ok := f.read(r, m); ok {
				out = append(out, val[V]{v: v, at: m, set: true})
			}
		}
		return out, true
	}}
}

// some is a list with at least one member.
func some[V any](f form[V]) form[[]val[V]] {
	inner := list(f)
	inner.shape.filled = true
	return form[[]val[V]]{inner.shape, func(r *reader, n node) ([]val[V], bool) {
		out, ok := inner.read(r, n)
		if ok && len(n.Content) == 0 {
			r.fail(n, "the list is empty — name at least one%s", map[bool]string{true: "; for any token of the API: auth: token"}[n.name() == "scopes"])
			return nil, false
		}
		return out, ok
	}}
}

// entry is one member of a map with names of the user's choice.
type entry[V any] struct {
	name string
	key  node
	val[V]
}

// mapOf is a map from names of the user's choice, which check judges, to values of one form, in the file's order.
func mapOf[V any](f form[V], check func(name string) error) form[[]entry[V]] {
	return form[[]entry[V]]{shape{kind: "map", elem: &f.shape}, func(r *reader, n node) ([]entry[V], bool) {
		if !r.expect(n, yaml.MappingNode, aMapOfNames) {
			return nil, false
		}
		var out []entry[V]
		for name, value := range r.pairs(n) {
			if err := check(name.Value); err != nil {
				r.fail(name, "%v", err)
				continue
			}
			if value.Kind == 0 {
				continue
			}
			if isNull(value) {
				r.fail(value, "has no value — write one, or remove the key")
				continue
			}
			e := entry[V]{name: name.Value, key: name, val: val[V]{at: value}}
			if v, ok := f.read(r, value); ok {
				e.v, e.set = v, true
			}
			out = append(out, e)
		}
		return out, true
	}}
}

// expect reports a node of another kind than wanted. A node of kind 0 was reported before.
func (r *reader) expect(n node, kind yaml.Kind, wanted string) bool {
	if n.Kind != kind && n.Kind != 0 {
		got, hint := r.got(n), ""
		if got != nothingSaid {
			hint = kindHint(n, kind, wanted == aMapOfNames)
		}
		r.fail(n, "expected %s, got %s%s", wanted, got, hint)
	}
	return n.Kind == kind
}

// aMapOfNames is what is said to be wanted where people choose the keys.
const aMapOfNames = "a map"

// nothingSaid is what is said of a value that may be a secret.
const nothingSaid = "something else"

// got says what a node is, as the file has it: what came out of the environment is not repeated.
func (r *reader) got(n node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.doc.line(n.Line) == "" {
		return nothingSaid
	}
	types := map[string]string{"!!int": "int", "!!float": "float", "!!bool": "bool", "!!null": "nothing", "!!timestamp": "time"}
	kind, ok := types[n.ShortTag()]
	if !ok {
		kind = "str"
	}
	return kind + " " + strconv.Quote(clipText(n.Value))
}
