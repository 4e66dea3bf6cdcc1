package config

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	anError    = regexp.MustCompile(`^(\S+?)(?::(\d+):(\d+))?: error: (.*)$`)
	unknownKey = regexp.MustCompile(`^(?:(.*): )?unknown key "([^"]*)"(.*)$`)
	badWord    = regexp.MustCompile(`^(.*): "([^"]*)" is not allowed here(.*)$`)
	unknownOf  = regexp.MustCompile(`unknown (scope|API|issuer) "[^"]*"(.*)$`)
)

// ofAWhole are the messages that have no place in their file.
var ofAWhole = []string{"the file is empty", "config.yaml does not exist"}

// wants are the messages of all broken configurations, by case.
func wants(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, file := range files {
		for line := range strings.Lines(readArchive(t, file).sections["want"]) {
			if m := anError.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
				out[filepath.Base(file)] = append(out[filepath.Base(file)], m[0])
			}
		}
	}
	return out
}

// Each message says where; and where a word near to the one that was written would have been right, which.
func TestMessagesHelp(t *testing.T) {
	t.Parallel()
	all := wants(t)
	if len(all) < 60 {
		t.Fatalf("%d broken configurations, want at least 60", len(all))
	}
	for file, list := range all {
		for _, line := range list {
			m := anError.FindStringSubmatch(line)
			if text := m[4]; m[2] == "" && !slices.Contains(ofAWhole, text) {
				t.Errorf("%s: has no place: %s", file, line)
			} else if missing := lacks(m[1], text); missing != "" {
				t.Errorf("%s: lacks %s: %s", file, missing, line)
			}
		}
	}
}

// lacks is what a message should say besides; "" where it says enough.
func lacks(file, text string) string {
	top := configForm.shape
	switch {
	case file == "clients.yaml":
		top = clientsForm.shape
	case file != "config.yaml":
		top = extraForm.shape
	}
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		if !strings.Contains(m[3], " — ") {
			return "what to write instead"
		}
		here, _ := top.at(m[1])
		return suggestion(m[2], m[3], maps.Keys(here.keyNames()))
	}
	if m := badWord.FindStringSubmatch(text); m != nil {
		here, _ := top.at(m[1])
		return suggestion(m[2], m[3], slices.Values(here.words))
	}
	if m := unknownOf.FindStringSubmatch(text); m != nil && !strings.Contains(m[2], " — ") && m[1] != "API" {
		return "where to declare it"
	}
	return ""
}

func suggestion(got, said string, candidates func(func(string) bool)) string {
	if best := nearest(got, candidates); best != "" && !strings.Contains(said, best) {
		return "the suggestion " + best
	}
	return ""
}

// keyNames are the keys of an object.
func (s shape) keyNames() map[string]bool {
	out := map[string]bool{}
	for _, k := range s.keys {
		out[k.name] = true
	}
	return out
}

// at is the shape at the path of a message, in which lists go without [].
func (s shape) at(path string) (shape, bool) {
	for name := range strings.SplitSeq(path, ".") {
		for s.elem != nil && s.kind != "map" && len(s.keys) == 0 {
			s = *s.elem
		}
		k, ok := s.key(name)
		switch {
		case path == "":
			return s, true
		case ok:
			s = k.shape
		case s.kind == "map":
			s = *s.elem
		default:
			return shape{}, false
		}
	}
	for s.elem != nil && s.kind != "map" && len(s.keys) == 0 {
		s = *s.elem
	}
	return s, true
}
