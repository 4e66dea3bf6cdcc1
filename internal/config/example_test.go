package config

import (
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// shownOtherwise are the keys of which config.example.yaml shows, in comments, another value than their default.
var shownOtherwise = map[string]string{
	"apis.*.revocation.max_staleness": "an API's own is of use where it differs",
	"apis.*.upstreams.weight":         "a weight is of use where it differs",
}

// TestExampleDefaults holds config.example.yaml to the declarations: a key that is commented out shows its default.
func TestExampleDefaults(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(content), "\n# The clients file is")
	byPath := make(map[string]keyShape)
	pathsOf(configForm.shape, "", byPath)
	line := regexp.MustCompile(`^( *)(# (?:  )?|- )?([A-Za-z_]+):(?: (.*))?$`)
	var at []string // the keys above, one for each two columns
	compared := 0
	for l := range strings.Lines(text) {
		m := line.FindStringSubmatch(strings.TrimRight(l, "\n"))
		if m == nil {
			continue
		}
		depth := len(m[1])/2 + map[string]int{"#   ": 1, "- ": 1}[m[2]]
		at = append(at[:min(depth, len(at))], m[3])
		path := strings.Join(at, ".")
		if _, known := byPath[path]; !known && len(at) > 1 && at[0] == "apis" {
			at[1] = "*" // the API's name
			path = strings.Join(at, ".")
		}
		if !strings.HasPrefix(m[2], "#") {
			continue
		}
		var v yaml.Node
		if err := yaml.Unmarshal([]byte(m[4]), &v); err != nil || len(v.Content) == 0 || strings.Contains(v.Content[0].Value, " ") {
			continue // prose
		}
		compared += compareDefaults(t, byPath, path, v.Content[0])
	}
	if compared < 35 {
		t.Errorf("only %d defaults were found in the example", compared)
	}
}

// pathsOf collects the declared keys by their path, without [] and with what lies in a section.
func pathsOf(s shape, at string, into map[string]keyShape) {
	for _, k := range s.keys {
		path := strings.TrimPrefix(at+"."+k.name, ".")
		into[path] = k
		pathsOf(k.shape, path, into)
	}
	if s.elem != nil {
		if s.kind == "map" {
			at += ".*"
		}
		pathsOf(*s.elem, at, into)
	}
}

// compareDefaults compares what is shown with the defaults, and returns how many it compared.
func compareDefaults(t *testing.T, byPath map[string]keyShape, path string, shown *yaml.Node) (n int) {
	t.Helper()
	k, known := byPath[path]
	switch shown.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(shown.Content); i += 2 {
			n += compareDefaults(t, byPath, path+"."+shown.Content[i].Value, shown.Content[i+1])
		}
		return n
	case yaml.SequenceNode:
		for _, m := range shown.Content {
			if m.Kind == yaml.MappingNode {
				n += compareDefaults(t, byPath, path, m)
			}
		}
	}
	if !known || k.std == "" || k.std == "{}" || k.std == "[]" || n > 0 {
		return n
	}
	if _, other := shownOtherwise[path]; other {
		return 0
	}
	if got := textOf(shown); sameValue(got) != sameValue(k.std) {
		t.Errorf("%s: the example shows %s, and the default is %s", path, got, k.std)
	}
	return 1
}

func textOf(n *yaml.Node) string {
	if n.Kind != yaml.SequenceNode {
		return n.Value
	}
	var members []string
	for _, m := range n.Content {
		members = append(members, m.Value)
	}
	return "[" + strings.Join(members, ", ") + "]"
}

// sameValue makes 60s and 1m, 1024KiB and 1MiB, ./state and state alike.
func sameValue(s string) string {
	if d, err := time.ParseDuration(s); err == nil {
		return d.String()
	}
	if m := sizeText.FindStringSubmatch(s); m != nil {
		n, _ := new(big.Int).SetString(m[1], 10)
		return n.Mul(n, big.NewInt(map[string]int64{"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[m[2]])).String()
	}
	return strings.TrimPrefix(s, "./")
}
