package clientsfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// add returns the file's text with the entry in it.
func add(path string, old []byte, id string, entry *yaml.Node) ([]byte, error) {
	root, err := parse(path, old)
	if err != nil {
		return nil, err
	}
	if root == nil { // nothing but comments, at most
		body, err := textOf(entry, 2)
		if err != nil {
			return nil, err
		}
		return sound(path, withNewline(string(old))+"version: 1\nclients:\n"+body, id)
	}
	key, clients := find(root, "clients")
	if clients != nil && clients.Kind == yaml.MappingNode {
		if taken, _ := find(clients, id); taken != nil {
			return nil, fmt.Errorf("client %q exists already (%s:%d); choose another id, or remove that one", id, path, taken.Line)
		}
	} else if clients != nil && clients.ShortTag() != "!!null" {
		return nil, fmt.Errorf("%s:%d: clients is not a map; correct the file first", path, clients.Line)
	}
	if text, ok := insert(string(old), root, key, clients, entry); ok && sameBut(text, root, id, entry) {
		return []byte(text), nil
	}
	text, err := reformat(root, key, clients, entry)
	if err != nil {
		return nil, err
	}
	return sound(path, text, id)
}

// sound returns the text if it parses and has the client, so that no file is ever replaced by a broken one.
func sound(path, text, id string) ([]byte, error) {
	if root, err := parse(path, []byte(text)); err == nil && root != nil {
		if _, clients := find(root, "clients"); clients != nil {
			if key, _ := find(clients, id); key != nil {
				return []byte(text), nil
			}
		}
	}
	return nil, fmt.Errorf("%s is written in a way that can't be edited here; add the client by hand", path)
}

// parse returns the root map, and nil for a file without content.
func parse(path string, content []byte) (*yaml.Node, error) {
	if !utf8.Valid(content) {
		return nil, fmt.Errorf("%s is not valid UTF-8; correct it first", path)
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s is not valid YAML, correct it first: %w", path, err)
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s holds more than one YAML document; correct it first", path)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s is not a map of keys; correct it first", path)
	}
	return root, nil
}

func find(m *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// insert writes the entry as the last of the clients. ok is false where the file's style leaves no line for it.
func insert(old string, root, key, clients, entry *yaml.Node) (text string, ok bool) {
	if root.Style&yaml.FlowStyle != 0 {
		return "", false
	}
	lines := strings.SplitAfter(withNewline(old), "\n")
	indent := 2
	switch {
	case key == nil:
		lines = append(lines, "clients:\n")
	case clients.Kind == yaml.MappingNode && len(clients.Content) == 0:
		lines[clients.Line-1] = strings.Replace(lines[clients.Line-1], " {}", "", 1)
	case clients.Kind == yaml.MappingNode && clients.Style&yaml.FlowStyle != 0:
		return "", false
	case clients.Kind == yaml.MappingNode:
		indent = clients.Content[0].Column - 1
	}
	body, err := textOf(entry, indent)
	if err != nil {
		return "", false
	}
	end := len(lines)
	if next := after(root, key); next != nil {
		end = next.Line - 1
		for end > key.Line && passes(lines[end-1]) { // comments above the next key belong to it
			end--
		}
	}
	return strings.Join(slices.Insert(lines, end, body), ""), true
}

// after is the key that follows key in root, or nil.
func after(root, key *yaml.Node) *yaml.Node {
	for i := 0; i+2 < len(root.Content); i += 2 {
		if root.Content[i] == key {
			return root.Content[i+2]
		}
	}
	return nil
}

// passes reports whether a line is blank or a comment at the first column.
func passes(line string) bool {
	return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
}

func withNewline(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}

// sameBut reports whether text says what root says and the new entry besides, and nothing else.
func sameBut(text string, root *yaml.Node, id string, entry *yaml.Node) bool {
	now, err := parse("", []byte(text))
	if err != nil || now == nil {
		return false
	}
	_, clients := find(now, "clients")
	if clients == nil || clients.Kind != yaml.MappingNode || len(clients.Content) < 2 {
		return false
	}
	last := len(clients.Content) - 2
	if clients.Content[last].Value != id || !same(clients.Content[last+1], entry.Content[1]) {
		return false
	}
	clients.Content = clients.Content[:last]
	key, before := find(root, "clients")
	switch {
	case key == nil: // the key is new, and stands last
		now.Content = now.Content[:len(now.Content)-2]
	case before.Kind != yaml.MappingNode:
		*clients = *before
	}
	return same(now, root)
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

// reformat writes the whole file anew. Comments and order stay, blank lines and indentation do not.
func reformat(root, key, clients, entry *yaml.Node) (string, error) {
	if key == nil {
		clients = mapping(0)
		put(root, "clients", clients)
	} else {
		if clients.LineComment != "" { // a map of several lines has no line for it
			key.LineComment, clients.LineComment = clients.LineComment, ""
		}
		clients.Kind, clients.Tag, clients.Value = yaml.MappingNode, "", ""
	}
	root.Style, clients.Style = 0, 0
	clients.Content = append(clients.Content, entry.Content...)
	return textOf(root, 0)
}
