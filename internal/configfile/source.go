package configfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// source is a file's text, in lines and as nodes, and where an API stands in it.
type source struct {
	file   string
	lines  []string // each with its line end
	crlf   bool
	root   *yaml.Node
	api    *yaml.Node
	routes *yaml.Node
	name   string // of the API

	limit, apiLimit int // the lines after the last that may belong to the routes, and to the API
}

var oddBreaks = regexp.MustCompile("\r[^\n]|\r$|[\u0085\u2028\u2029]")

func open(file, text, api string) (*source, error) {
	s := &source{file: file, name: api, crlf: strings.Contains(text, "\r\n")}
	if oddBreaks.MatchString(text) {
		return nil, fmt.Errorf("%s has line ends that are neither of Unix nor of Windows, and can't be edited here", file)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	s.lines = strings.SplitAfter(text, "\n")
	s.lines = s.lines[:len(s.lines)-1]
	s.limit = len(s.lines)
	var err error
	if s.root, err = parse(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	at := s.root
	for _, name := range []string{"apis", api, "routes"} {
		key, value := find(at, name)
		if value == nil {
			return nil, fmt.Errorf("%s has no apis.%s.routes", file, api)
		}
		s.apiLimit = s.limit
		if next := after(at, key); next != nil {
			s.limit = next.Line - 1
		}
		if name == "routes" {
			s.api = at
		}
		at = value
	}
	s.routes = at
	if at.Kind != yaml.SequenceNode || at.Style&yaml.FlowStyle != 0 || s.api.Style&yaml.FlowStyle != 0 {
		return nil, s.uneditable(at.Line, "the routes of "+api)
	}
	return s, nil
}

func parse(text string) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one YAML document")
	}
	return doc.Content[0], nil
}

func find(m *yaml.Node, name string) (key, value *yaml.Node) {
	if m.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// after is the key that follows key in m, or nil.
func after(m, key *yaml.Node) *yaml.Node {
	for i := 0; i+2 < len(m.Content); i += 2 {
		if m.Content[i] == key {
			return m.Content[i+2]
		}
	}
	return nil
}

// item is one route in the file.
type item struct {
	Existing
	node       *yaml.Node
	begin, end int    // of its lines
	indent     string // before its dash
	label      string // of the operation that it was made from; empty: people wrote it
}

func (it item) match() string { return strings.TrimPrefix(it.Method+" "+it.Pattern, " ") }

// items joins the routes that the loader read to the lines that they stand in.
func (s *source) items(routes []Existing) ([]item, error) {
	read := make(map[[2]int]Existing)
	for _, r := range routes {
		read[[2]int{r.Line, r.Col}] = r
	}
	var items []item
	for _, n := range s.routes.Content {
		_, match := find(n, "match")
		if match == nil {
			return nil, s.uneditable(n.Line, "this route")
		}
		e, ok := read[[2]int{match.Line, match.Column}]
		if !ok {
			return nil, fmt.Errorf("%s:%d: the file has changed while it was read; try again", s.file, match.Line)
		}
		it := item{Existing: e, node: n, begin: n.Line - 1, label: label(n)}
		dash := s.lines[it.begin]
		for strings.TrimSpace(dash) != "-" && !strings.HasPrefix(strings.TrimLeft(dash, " "), "- ") {
			if it.begin--; it.begin < 0 {
				return nil, s.uneditable(n.Line, "this route")
			}
			dash = s.lines[it.begin]
		}
		it.indent = dash[:strings.IndexByte(dash, '-')]
		items = append(items, it)
	}
	for i := range items {
		items[i].end = s.limit
		if i+1 < len(items) {
			items[i].end = items[i+1].begin
		}
		items[i].end = s.trim(items[i].begin, items[i].end, len(items[i].indent))
	}
	return items, nil
}

// trim leaves blank lines at the end, and comments that are indented no deeper, to what follows.
func (s *source) trim(begin, end, indent int) int {
	last := begin + 1
	for i := begin + 1; i < end; i++ {
		text := strings.TrimLeft(s.lines[i], " ")
		deeper := len(s.lines[i])-len(text) > indent
		if strings.TrimSpace(text) != "" && (deeper || text[0] != '#') {
			last = i + 1
		}
	}
	return last
}

// label is the operation in a route's mark.
func label(n *yaml.Node) string {
	for _, c := range comments(n) {
		if m := marked.FindStringSubmatch(c); m != nil {
			return m[1]
		}
	}
	return ""
}

// comments are the lines of all comments in a node.
func comments(n *yaml.Node) (lines []string) {
	for line := range strings.Lines(n.HeadComment + "\n" + n.LineComment + "\n" + n.FootComment) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	for _, c := range n.Content {
		lines = append(lines, comments(c)...)
	}
	return lines
}

// same compares content alone: kinds, types and values in order.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
