package config

import (
	"fmt"
	"slices"
	"strings"
)

// Key is what is to be said of one key of the configuration, for the reference.
type Key struct {
	// Path is the key's place as in KeyPaths: "apis.*.routes[].match".
	Path string `json:"path"`
	// Kind says what values are like: "duration", "enforce | observe", "list of scope".
	Kind string `json:"kind"`
	// Doc is whole sentences: what it is for, its bounds, whether it is required, its default.
	Doc string `json:"doc"`
	// Example is YAML; empty where the default is one.
	Example string `json:"example,omitempty"`
	// Section reports whether further keys are below it.
	Section bool `json:"section"`
}

// Reference is every key of config.yaml, and of clients.yaml where clients is set, in the order of the declarations.
func Reference(clients bool) []Key {
	if clients {
		return clientsForm.shape.reference("", nil)
	}
	return configForm.shape.reference("", nil)
}

func (s shape) reference(at string, out []Key) []Key {
	for _, k := range s.keys {
		path := strings.TrimPrefix(at+"."+k.name, ".")
		below := k.shape.reference(path, nil)
		out = append(out, Key{Path: path, Kind: k.shape.what(), Doc: k.text(), Example: k.sample, Section: len(below) > 0})
		out = append(out, below...)
	}
	if s.elem != nil {
		out = s.elem.reference(at+map[bool]string{true: ".*", false: "[]"}[s.kind == "map"], out)
	}
	return out
}

// Find returns the keys at and below a path, in which names may stand for * and lists go without []: "apis.orders.routes.match".
// Where there is none, meant is the nearest path, or "".
func Find(keys []Key, path string) (found []Key, meant string) {
	var paths []string
	for _, k := range keys {
		if matches(k.Path, path) {
			found = append(found, k)
		}
		paths = append(paths, strings.ReplaceAll(k.Path, "[]", ""))
	}
	if len(found) == 0 {
		meant = nearest(path, slices.Values(paths))
	}
	return found, meant
}

// matches reports whether a key is at or below a path.
func matches(key, path string) bool {
	have, want := strings.Split(strings.ReplaceAll(key, "[]", ""), "."), strings.Split(strings.ReplaceAll(path, "[]", ""), ".")
	if len(want) > len(have) {
		return false
	}
	for i, w := range want {
		if have[i] != w && have[i] != "*" {
			return false
		}
	}
	return true
}

// Markdown is the reference as deploy/configuration.md has it.
func Markdown() []byte {
	var b strings.Builder
	b.WriteString("# Configuration reference\n\n" +
		"Made from the declarations in `internal/config` by `go test ./internal/config -update`; `gatehouse config doc KEY` prints the same.\n" +
		"`*` stands for a name of your choice, `[]` for each member of a list. How to write values, and the rules that span keys,\n" +
		"are told in [config.example.yaml](../config.example.yaml); editors read [the schema](gatehouse.schema.json).\n")
	for _, file := range []struct {
		name    string
		clients bool
	}{{"config.yaml", false}, {"clients.yaml", true}} {
		fmt.Fprintf(&b, "\n## %s\n\n| Key | Value | What it is for | Example |\n| --- | --- | --- | --- |\n", file.name)
		for _, k := range Reference(file.clients) {
			example := ""
			if k.Example != "" {
				example = "`" + cell(k.Example) + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Path, cell(k.Kind), cell(k.Doc), example)
		}
	}
	return []byte(b.String())
}

// cell is text as a table of Markdown takes it.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(s)
}
