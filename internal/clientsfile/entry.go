package clientsfile

import (
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// entryOf is a map with the client alone.
func entryOf(c NewClient) (*yaml.Node, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	client := mapping(0)
	if c.Grants != nil {
		grants := mapping(yaml.FlowStyle)
		for _, api := range slices.Sorted(maps.Keys(c.Grants)) {
			scopes := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, s := range c.Grants[api] {
				scopes.Content = append(scopes.Content, text(s))
			}
			put(grants, api, scopes)
		}
		put(client, "grants", grants)
	}
	secret := mapping(0)
	put(secret, "sha256", text(hex.EncodeToString(c.SHA256[:])))
	if !c.Created.IsZero() {
		put(secret, "created", &yaml.Node{Kind: yaml.ScalarNode, Value: c.Created.UTC().Format(time.DateOnly)})
	}
	if c.Note != "" {
		put(secret, "note", text(c.Note))
	}
	put(client, "secrets", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{secret}})
	if c.TTL != 0 {
		put(client, "ttl", text(short(c.TTL)))
	}
	if c.Rate != (Rate{}) {
		limit := mapping(yaml.FlowStyle)
		put(limit, "requests", &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatInt(c.Rate.Requests, 10)})
		put(limit, "per", text(short(c.Rate.Per)))
		put(client, "rate_limit", limit)
	}
	entry := mapping(0)
	put(entry, c.ID, client)
	return entry, nil
}

// short is a duration without its zero parts: 5m, not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func mapping(style yaml.Style) *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Style: style} }

func put(m *yaml.Node, key string, value *yaml.Node) {
	k := &yaml.Node{}
	k.SetString(key)
	m.Content = append(m.Content, k, value)
}

// text is a string in a value, where the loader expands variables: $$ stands for $.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(strings.ReplaceAll(s, "$", "$$"))
	if strings.ContainsAny(s, "\r\n") {
		n.Style = yaml.DoubleQuotedStyle // one line, whatever the indentation
	}
	return n
}

// textOf is a node as YAML, indented by some spaces.
func textOf(n *yaml.Node, indent int) (string, error) {
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return "", err
	}
	pad := strings.Repeat(" ", indent)
	return pad + strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\n", "\n"+pad) + "\n", nil
}
