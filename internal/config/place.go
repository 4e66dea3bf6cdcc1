package config

import (
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Place is where the value of a key stands, such as Place("apis", "orders", "routes", "0", "match"), or Place("clients",
// "billing", "grants", "orders") in clients.yaml. Members of lists are numbers; one that stands in place of a list of one is 0.
// Ok is false where the files do not have it.
func (c *Config) Place(path ...string) (_ Pos, ok bool) {
	_, v := c.find(path)
	if v.Node == nil {
		return Pos{}, false
	}
	return v.pos(), true
}

// PlaceOfKey is where a key itself stands, or the name of one that people chose.
func (c *Config) PlaceOfKey(path ...string) (_ Pos, ok bool) {
	k, _ := c.find(path)
	if k.Node == nil {
		return Pos{}, false
	}
	return k.pos(), true
}

// find returns the nodes of a key and of its value.
func (c *Config) find(path []string) (key, value node) {
	if c.sources == nil || len(path) == 0 {
		return node{}, node{}
	}
	switch value = c.sources.root; {
	case path[0] == "clients":
		value = c.sources.clients
	case path[0] == "apis" && len(path) > 1:
		value = node{}
		for _, e := range c.sources.apis {
			if e.name == path[1] {
				key, value = e.key, e.at
			}
		}
		path = path[2:]
	}
	for _, name := range path {
		key, value = step(value, name)
	}
	return key, value
}

func step(n node, name string) (key, value node) {
	if n.Node == nil {
		return node{}, node{}
	}
	switch i, err := strconv.Atoi(name); {
	case n.Kind == yaml.SequenceNode && err == nil && i < len(n.Content):
		v := node{n.Content[i], n.doc, ""}
		return v, v
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return node{n.Content[i], n.doc, ""}, node{n.Content[i+1], n.doc, ""}
			}
		}
		if name == "0" {
			return n, n
		}
	}
	return node{}, node{}
}

// At is a problem at a place of the files that c was read from, with its source line.
func (c *Config) At(p Pos, message string) Problem {
	out := Problem{Pos: p, Message: message}
	for _, d := range c.documents() {
		if d.name == p.File {
			out.Source = d.line(p.Line)
		}
	}
	return out
}

func (c *Config) documents() (list []*document) {
	if c.sources == nil {
		return nil
	}
	add := func(d *document) {
		for _, known := range list {
			if known == d {
				return
			}
		}
		list = append(list, d)
	}
	add(c.sources.root.doc)
	for _, a := range c.sources.apis {
		add(a.at.doc)
	}
	if c.sources.clients.Node != nil {
		add(c.sources.clients.doc)
	}
	return list
}

// Ignore is a comment that silences rules of the audit: # gatehouse:ignore A01 A04 — the reason.
type Ignore struct {
	Pos   Pos      // of the comment
	Line  int      // the line that it is for: its own, or, where nothing else stands in that, the next that is no comment
	Rules []string // "A01"
}

var ignoreText = regexp.MustCompile(`(?:^|\s)#\s*gatehouse:ignore((?:[ ,]+A[0-9]{2}\b)*)`)

// Ignores are all such comments of the files. One that names no rule is among them, and silences nothing.
func (c *Config) Ignores() (list []Ignore) {
	for _, d := range c.documents() {
		for i, l := range d.lines {
			m := ignoreText.FindStringSubmatchIndex(l)
			if m == nil {
				continue
			}
			hash := m[0] + strings.IndexByte(l[m[0]:], '#')
			ig := Ignore{Pos: Pos{d.name, i + 1, 1 + len([]rune(l[:hash]))}, Line: i + 1,
				Rules: strings.FieldsFunc(l[m[2]:m[3]], func(r rune) bool { return r == ' ' || r == ',' })}
			if strings.TrimSpace(l[:hash]) == "" {
				ig.Line = d.nextCode(i + 1)
			}
			list = append(list, ig)
		}
	}
	return list
}

// nextCode is the number of the first line from index i on that is neither empty nor a comment.
func (d *document) nextCode(i int) int {
	for ; i < len(d.lines); i++ {
		if l := strings.TrimSpace(d.lines[i]); l != "" && l[0] != '#' {
			return i + 1
		}
	}
	return 0
}
