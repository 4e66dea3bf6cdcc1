package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const (
	maxFile  = 16 << 20 // bytes of one YAML file
	maxDepth = 64       // levels of nesting; the deepest key is at ten
	maxShown = 16 << 10 // bytes of a line: a longer one is not shown, as no one could read it
)

// document is one YAML file: its name as people wrote it, and its lines for messages.
type document struct {
	name   string
	lines  []string
	hidden map[int]bool // lines that are never shown, since a secret stands in them
}

// line returns the source of line n, and nothing for a line that holds a secret or is too long.
func (d *document) line(n int) string {
	if n < 1 || n > len(d.lines) || d.hidden[n] || len(d.lines[n-1]) > maxShown {
		return ""
	}
	l := d.lines[n-1]
	if inlinePassword.MatchString(l) && !referredPassword.MatchString(l) || userInfo.MatchString(l) || aSecret.MatchString(l) {
		return ""
	}
	return l
}

// What finds the lines that hold a secret, also where the file does not parse.
var (
	inlinePassword   = regexp.MustCompile(`\bpassword["']?\s*:`)
	referredPassword = regexp.MustCompile(`\bpassword["']?\s*:\s*["']?\$\{\w+\}["']?\s*(?:[,}#].*)?$`)
	userInfo         = regexp.MustCompile(`://[^/\s"']*@`)
)

// lineBreak is what YAML counts as the end of a line.
var lineBreak = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

// splitLines is lineBreak.Split, and quick where lines end as they mostly do.
func splitLines(text string) []string {
	for _, other := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		if strings.Contains(text, other) {
			return lineBreak.Split(text, -1)
		}
	}
	return strings.Split(text, "\n")
}

// parse turns the content of a file into the root node of its one document. What is wrong with the file is reported,
// and ok is false where nothing can be read from it.
func (r *reader) parse(name string, content []byte) (root node, ok bool) {
	d := &document{name: name, hidden: make(map[int]bool)}
	if len(content) > maxFile {
		r.add(d, 0, 0, fmt.Sprintf("the file is larger than %d MiB, which is the most that is read", maxFile>>20))
		return node{}, false
	}
	if at := invalidUTF8(content); at >= 0 {
		line := 1 + bytes.Count(content[:at], []byte("\n"))
		r.add(d, line, 1, "the file is not valid UTF-8 — save it as UTF-8")
		return node{}, false
	}
	d.lines = splitLines(string(content))
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var tree yaml.Node
	if err := dec.Decode(&tree); errors.Is(err, io.EOF) {
		r.add(d, 0, 0, "the file is empty")
		return node{}, false
	} else if err != nil {
		r.syntax(d, err)
		return node{}, false
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		r.add(d, second.Line, second.Column, "a second YAML document is not read — remove the `---` line")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(d, err)
	}
	if isNull(node{Node: tree.Content[0]}) {
		r.add(d, 0, 0, "the file is empty")
		return node{}, false
	}
	r.clean(d, tree.Content[0], 1)
	r.warnWritable(d)
	return node{Node: tree.Content[0], doc: d}, true
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		c, size := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// clean reports what YAML allows and these files don't: anchors, aliases, merges, tags, and deep nesting. Such a node
// is turned into one of kind 0, which readers pass over in silence.
func (r *reader) clean(d *document, n *yaml.Node, depth int) {
	var wrong string
	switch {
	case n.Kind == yaml.AliasNode:
		wrong = fmt.Sprintf("the alias *%s is not read — write the value out; what many APIs share goes into defaults", n.Value)
	case n.Anchor != "":
		wrong = fmt.Sprintf("the anchor &%s is not read — remove it; what many APIs share goes into defaults", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		wrong = fmt.Sprintf("the tag %s is not read — remove it, and quote what must be text", n.Tag)
	case depth > maxDepth:
		wrong = fmt.Sprintf("nested deeper than %d levels", maxDepth)
	}
	if wrong != "" {
		r.add(d, n.Line, n.Column, wrong)
	}
	if wrong != "" && n.Anchor == "" {
		*n = yaml.Node{Line: n.Line, Column: n.Column}
		return
	}
	for _, child := range n.Content {
		r.clean(d, child, depth+1)
	}
}
