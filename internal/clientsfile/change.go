package clientsfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// NewSecret is a secret to be added to a client, as its hash.
type NewSecret struct {
	SHA256  [32]byte
	Created time.Time // zero: not said
	Note    string    // for people; empty: none
}

// ErrUnchanged says that the file was what was asked for already. It was not written.
var ErrUnchanged = errors.New("nothing to change")

// ErrNoClient begins the error where the file has no client of that id.
var ErrNoClient = errors.New("there is no client")

// Rotate adds a secret to a client. Those that it has are good until the time given, unless they end before that.
func Rotate(path, id string, s NewSecret, until time.Time) error {
	return edit(path, id, func(client *yaml.Node) (field string, err error) {
		list, err := secretsOf(client, id)
		if err != nil {
			return "", err
		}
		for _, old := range list.Content {
			if !endsBefore(old, until) {
				set(old, "not_after", moment(until))
			}
		}
		list.Style, list.Kind, list.Tag, list.Value = 0, yaml.SequenceNode, "", ""
		list.Content = append(list.Content, secretNode(s))
		return "secrets", nil
	})
}

// FinishRotation removes the secrets of a client that have an end, and returns how many: those that Rotate left. One
// without an end must remain.
func FinishRotation(path, id string) (removed int, err error) {
	err = edit(path, id, func(client *yaml.Node) (string, error) {
		list, err := secretsOf(client, id)
		if err != nil {
			return "", err
		}
		keep := slices.DeleteFunc(slices.Clone(list.Content), func(s *yaml.Node) bool {
			_, end := find(s, "not_after")
			return end != nil
		})
		removed = len(list.Content) - len(keep)
		switch {
		case removed == 0:
			return "", ErrUnchanged
		case len(keep) == 0:
			return "", fmt.Errorf("every secret of client %q has a not_after, so that none would remain; rotate first", id)
		}
		list.Content = keep
		return "secrets", nil
	})
	return removed, err
}

// SetDisabled disables or enables a client.
func SetDisabled(path, id string, disabled bool) error {
	return edit(path, id, func(client *yaml.Node) (string, error) {
		_, now := find(client, "disabled")
		if is := now != nil && now.Value == "true"; is == disabled {
			return "", ErrUnchanged
		}
		if disabled {
			set(client, "disabled", &yaml.Node{Kind: yaml.ScalarNode, Value: "true"})
		} else {
			unset(client, "disabled")
		}
		return "disabled", nil
	})
}

// Grant adds scopes to what a client may ask of an API. Without scopes it is a grant for routes that need none.
func Grant(path, id, api string, scopes []string) error {
	if err := check(NewClient{ID: id, Grants: map[string][]string{api: scopes}}); err != nil {
		return err
	}
	return edit(path, id, func(client *yaml.Node) (string, error) {
		_, grants := find(client, "grants")
		if grants == nil {
			grants = mapping(yaml.FlowStyle)
			set(client, "grants", grants)
		}
		_, list := find(grants, api)
		changed := list == nil
		if list == nil {
			list = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			put(grants, api, list)
		}
		for _, s := range scopes {
			if !holds(list, s) {
				list.Content, changed = append(list.Content, text(s)), true
			}
		}
		if !changed {
			return "", ErrUnchanged
		}
		return "grants", nil
	})
}

// RevokeGrant takes scopes away from what a client may ask of an API; without scopes, and where none remains, the API.
func RevokeGrant(path, id, api string, scopes []string) error {
	return edit(path, id, func(client *yaml.Node) (string, error) {
		_, grants := find(client, "grants")
		var list *yaml.Node
		if grants != nil {
			_, list = find(grants, api)
		}
		if list == nil {
			return "", ErrUnchanged
		}
		before := len(list.Content)
		list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool {
			return slices.ContainsFunc(scopes, func(s string) bool { return text(s).Value == n.Value })
		})
		switch {
		case len(scopes) == 0 || before > 0 && len(list.Content) == 0:
			unset(grants, api)
			if len(grants.Content) == 0 {
				grants.Style = yaml.FlowStyle // {}
			}
		case len(list.Content) == before:
			return "", ErrUnchanged
		}
		return "grants", nil
	})
}

// edit changes one client. change works on the client's map and names the key that it changed.
func edit(path, id string, change func(client *yaml.Node) (field string, err error)) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := changed(path, old, id, change)
	if err != nil {
		return err
	}
	return Replace(path, text)
}

func changed(path string, old []byte, id string, change func(*yaml.Node) (string, error)) ([]byte, error) {
	root, err := parse(path, old)
	if err != nil {
		return nil, err
	}
	client, err := clientIn(path, root, id)
	if err != nil {
		return nil, err
	}
	extent := extentOf(root, id, string(old)) // of the text as it stands
	field, err := change(client)
	if err != nil {
		return nil, err
	}
	for _, try := range []func() (string, bool){
		func() (string, bool) { return extent.replaceField(client, field) },
		func() (string, bool) { return extent.replaceClient(client) },
		func() (string, bool) { root.Style = 0; out, err := textOf(root, 0); return out, err == nil },
	} {
		if out, ok := try(); ok && says(out, root) {
			return []byte(out), nil
		}
	}
	return nil, fmt.Errorf("%s is written in a way that can't be edited here; change client %q by hand", path, id)
}

func clientIn(path string, root *yaml.Node, id string) (*yaml.Node, error) {
	var client *yaml.Node
	if root != nil {
		if _, clients := find(root, "clients"); clients != nil && clients.Kind == yaml.MappingNode {
			_, client = find(clients, id)
		}
	}
	switch {
	case client == nil:
		return nil, fmt.Errorf("%w %q in %s; see: gatehouse client list", ErrNoClient, id, path)
	case client.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s:%d: client %q is not a map; correct the file first", path, client.Line, id)
	}
	return client, nil
}

// says reports whether a text says what root says, with the same comments.
func says(out string, root *yaml.Node) bool {
	now, err := parse("", []byte(out))
	return err == nil && now != nil && same(now, root) && slices.Equal(comments(now), comments(root))
}

// comments are the lines of all comments, in byte order: where a comment hangs changes with the lines around it.
func comments(n *yaml.Node) []string {
	var lines []string
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for line := range strings.Lines(n.HeadComment + "\n" + n.LineComment + "\n" + n.FootComment) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(n)
	slices.Sort(lines)
	return lines
}

// secretsOf is the list of a client's secrets, which is made where there is none.
func secretsOf(client *yaml.Node, id string) (*yaml.Node, error) {
	if _, auth := find(client, "auth"); auth != nil && !strings.HasPrefix(auth.Value, "client_secret_") {
		return nil, fmt.Errorf("client %q authenticates by %s, and has no secret to rotate", id, auth.Value)
	}
	_, list := find(client, "secrets")
	if list == nil {
		list = &yaml.Node{Kind: yaml.SequenceNode}
		set(client, "secrets", list)
	}
	return list, nil
}

func secretNode(s NewSecret) *yaml.Node {
	n := mapping(0)
	put(n, "sha256", text(hex.EncodeToString(s.SHA256[:])))
	if !s.Created.IsZero() {
		put(n, "created", &yaml.Node{Kind: yaml.ScalarNode, Value: s.Created.UTC().Format(time.DateOnly)})
	}
	if s.Note != "" {
		put(n, "note", text(s.Note))
	}
	return n
}

// endsBefore reports whether a secret has an end that is not after t.
func endsBefore(s *yaml.Node, t time.Time) bool {
	_, end := find(s, "not_after")
	if end == nil {
		return false
	}
	at, err := time.Parse(time.RFC3339, end.Value)
	return err == nil && !at.After(t)
}

func moment(t time.Time) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: t.UTC().Truncate(time.Second).Format(time.RFC3339)}
}

func holds(list *yaml.Node, s string) bool {
	return slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return n.Value == text(s).Value })
}

// set gives a key of a map another value, or adds it at the end. The comments of the old value stay.
func set(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if old := m.Content[i+1]; m.Content[i].Value == key {
			value.HeadComment, value.LineComment, value.FootComment = old.HeadComment, old.LineComment, old.FootComment
			m.Content[i+1] = value
			return
		}
	}
	put(m, key, value)
}

// unset removes a key with its value and its comments.
func unset(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = slices.Delete(m.Content, i, i+2)
			return
		}
	}
}
