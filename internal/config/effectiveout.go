package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// plainValue is v as encoding/json takes it.
func (v *Value) plainValue() any {
	switch v.kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(v.Members))
		for _, m := range v.Members {
			out[m.Name] = m.plainValue()
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, 0, len(v.Members))
		for _, m := range v.Members {
			out = append(out, m.plainValue())
		}
		return out
	}
	switch v.tag {
	case "!!bool":
		return v.text == "true"
	case "!!null":
		return nil
	case "!!int":
		if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			return n
		}
	}
	return v.text
}

// MarshalJSON implements json.Marshaler: the value without origins.
func (v *Value) MarshalJSON() ([]byte, error) { return encode(v.plainValue(), "") }

// Leaf is one value with its place in the configuration: "server.listen", "apis.orders.routes[0].match".
type Leaf struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

// Leaves are the values that are no maps and no lists of maps.
func (v *Value) Leaves() []Leaf { return v.leaves("", nil) }

func (v *Value) leaves(at string, out []Leaf) []Leaf {
	if !v.branches() {
		return append(out, Leaf{at, v.plainValue(), v.Origin})
	}
	for i, m := range v.Members {
		below := fmt.Sprintf("%s[%d]", at, i)
		if v.kind == yaml.MappingNode {
			below = strings.TrimPrefix(at+"."+m.Name, ".")
		}
		out = m.leaves(below, out)
	}
	return out
}

// branches reports whether v holds maps, so that what it holds has origins of its own.
func (v *Value) branches() bool {
	return len(v.Members) > 0 && (v.kind == yaml.MappingNode || slices.ContainsFunc(v.Members, func(m *Value) bool { return m.kind == yaml.MappingNode }))
}

// YAML is the value as a file that loads again, where nothing was redacted. With origins, a comment behind each says where
// it comes from.
func (v *Value) YAML(origins bool) ([]byte, error) {
	return yaml.Marshal(v.node(origins))
}

func (v *Value) node(origins bool) *yaml.Node {
	n := &yaml.Node{Kind: v.kind, Tag: v.tag, Value: v.text}
	for _, m := range v.Members {
		if v.kind == yaml.MappingNode {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: m.Name})
		}
		n.Content = append(n.Content, m.node(origins && v.branches()))
	}
	if !v.branches() {
		if v.kind != yaml.ScalarNode {
			n.Style = yaml.FlowStyle
		}
		if origins {
			n.LineComment = v.Origin
		}
	}
	return n
}
