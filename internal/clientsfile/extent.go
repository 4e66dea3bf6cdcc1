package clientsfile

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// extent is where a client stands in a text: the lines of its entry and of each of its keys. It is taken before the
// client is changed. A text whose style leaves no lines of their own has no extent.
type extent struct {
	lines      []string
	id         *yaml.Node      // the client's key
	indent     int             // of its keys; 0: they have no lines of their own
	begin, end int             // of the entry; end is the line after its last
	fields     map[string]span // by key
}

type span struct{ begin, end int }

func extentOf(root *yaml.Node, id, text string) extent {
	e := extent{lines: strings.SplitAfter(withNewline(text), "\n"), fields: map[string]span{}}
	key, clients := find(root, "clients")
	if root.Style&yaml.FlowStyle != 0 || clients.Style&yaml.FlowStyle != 0 {
		return e
	}
	limit := len(e.lines)
	if next := after(root, key); next != nil {
		limit = next.Line - 1
	}
	var client *yaml.Node
	e.id, client = find(clients, id)
	e.begin = e.id.Line - 1
	if next := after(clients, e.id); next != nil {
		limit = next.Line - 1
	}
	e.end = e.trim(e.begin, limit)
	if client.Style&yaml.FlowStyle != 0 || len(client.Content) == 0 || client.Line == e.id.Line {
		return e
	}
	e.indent = client.Content[0].Column - 1
	for i := 0; i < len(client.Content); i += 2 {
		k := client.Content[i]
		end := e.end
		if next := after(client, k); next != nil {
			end = next.Line - 1
		}
		e.fields[k.Value] = span{k.Line - 1, e.trim(k.Line-1, end)}
	}
	return e
}

// trim leaves blank lines and comments at the end to what follows.
func (e *extent) trim(begin, end int) int {
	for end > begin+1 && (strings.TrimSpace(e.lines[end-1]) == "" || strings.HasPrefix(strings.TrimSpace(e.lines[end-1]), "#")) {
		end--
	}
	return end
}

// replaceField writes one key of the client anew and leaves every other line alone.
func (e *extent) replaceField(client *yaml.Node, field string) (string, bool) {
	if e.indent == 0 {
		return "", false
	}
	key, value := find(client, field)
	at, was := e.fields[field]
	if !was {
		at = span{e.end, e.end}
	}
	body := ""
	if key != nil {
		var err error
		if body, err = textOf(bare(key, value), e.indent); err != nil {
			return "", false
		}
	}
	return strings.Join(slices.Replace(slices.Clone(e.lines), at.begin, at.end, body), ""), true
}

// replaceClient writes the client anew and leaves the others alone.
func (e *extent) replaceClient(client *yaml.Node) (string, bool) {
	if e.id == nil {
		return "", false
	}
	whole := *client
	whole.Style = 0
	if len(whole.Content) == 0 {
		whole.Style = yaml.FlowStyle
	}
	body, err := textOf(bare(e.id, &whole), e.id.Column-1)
	if err != nil {
		return "", false
	}
	return strings.Join(slices.Replace(slices.Clone(e.lines), e.begin, e.end, body), ""), true
}

// bare is a map of one key, without the comments that stand outside its lines: above it and after it.
func bare(key, value *yaml.Node) *yaml.Node {
	k, v := *key, *value
	k.HeadComment, k.FootComment, v.FootComment = "", "", ""
	m := mapping(0)
	m.Content = []*yaml.Node{&k, &v}
	return m
}
