package openapi

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// setTwice is an error where a map of the text has a key twice: of two operations under one path, the OpenAPI library keeps the last
// and says nothing. A text that is no YAML is for the library to refuse.
func setTwice(file string, content []byte) error {
	var root yaml.Node
	if yaml.Unmarshal(content, &root) != nil {
		return nil
	}
	var errs Errors
	twice(&root, func(key, first *yaml.Node) {
		if len(errs) < maxNotes {
			errs = append(errs, Note{Pos{file, key.Line, key.Column}, fmt.Sprintf("%q is set twice, first on line %d, so that readers would not agree on what the document says",
				printable(key.Value, 200), first.Line)})
		}
	})
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// twice tells of each key that its map has already. What an alias stands for is looked at once, where it is written.
func twice(n *yaml.Node, tell func(key, first *yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]*yaml.Node, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
				continue
			}
			if first := seen[key.Value]; first != nil {
				tell(key, first)
			} else {
				seen[key.Value] = key
			}
		}
	}
	for _, c := range n.Content {
		twice(c, tell)
	}
}
