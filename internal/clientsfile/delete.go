package clientsfile

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Delete takes a client out of the file, with the comments above it and in it. A client that is not there is an error.
func Delete(path, id string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := without(path, old, id)
	if err != nil {
		return err
	}
	return Replace(path, text)
}

func without(path string, old []byte, id string) ([]byte, error) {
	root, err := parse(path, old)
	if err != nil {
		return nil, err
	}
	if _, err := clientIn(path, root, id); err != nil {
		return nil, err
	}
	e := extentOf(root, id, string(old)) // of the text as it stands
	above := ""
	if e.id != nil {
		above = e.id.HeadComment
	}
	_, clients := find(root, "clients")
	unset(clients, id)
	if len(clients.Content) == 0 {
		clients.Style = yaml.FlowStyle // {}
	}
	for _, try := range []func() (string, bool){
		func() (string, bool) { return e.removed(above) },
		func() (string, bool) { root.Style = 0; out, err := textOf(root, 0); return out, err == nil },
	} {
		if out, ok := try(); ok && says(out, root) {
			return []byte(out), nil
		}
	}
	return nil, fmt.Errorf("%s is written in a way that can't be edited here; take client %q out by hand", path, id)
}

// removed is the text without the entry and the lines of its comment above.
func (e *extent) removed(above string) (string, bool) {
	if e.id == nil {
		return "", false
	}
	begin := e.begin
	for range strings.Split(above, "\n") {
		if above != "" && begin > 0 && strings.HasPrefix(strings.TrimSpace(e.lines[begin-1]), "#") {
			begin--
		}
	}
	return strings.Join(slices.Delete(slices.Clone(e.lines), begin, e.end), ""), true
}
