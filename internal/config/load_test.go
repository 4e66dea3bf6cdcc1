package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata/bad")

// archive is a test case in one file: sections that start with a line `-- name --`. The section want is what the loader
// says, env holds NAME=value lines, and every other one is a file.
type archive struct {
	names    []string
	sections map[string]string
}

func readArchive(t testing.TB, path string) archive {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a := archive{sections: make(map[string]string)}
	name := ""
	for line := range strings.Lines(string(content)) {
		if head, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(line, " --\n") {
			name = strings.TrimSuffix(head, " --\n")
			a.names = append(a.names, name)
			continue
		}
		a.sections[name] += line
	}
	if a.sections[""] != "" {
		t.Fatalf("%s: text before the first section", path)
	}
	return a
}

// write puts the files into a directory, with an empty clients.yaml where the case has none.
func (a archive) write(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if a.sections["clients.yaml"] == "" && !slices.Contains(a.names, "clients.yaml") {
		write(t, filepath.Join(dir, "clients.yaml"), "version: 1\n")
	}
	for _, name := range a.names {
		if name != "want" && name != "env" {
			write(t, filepath.Join(dir, name), a.sections[name])
		}
	}
	return dir
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (a archive) getenv(name string) (string, bool) {
	for line := range strings.Lines(a.sections["env"]) {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSuffix(v, "\n"), true
		}
	}
	return "", false
}

// load is the case's configuration, or what the loader says, with the directory cut from names.
func (a archive) load(t testing.TB) (*Config, string) {
	t.Helper()
	dir := a.write(t)
	c, err := Load(filepath.Join(dir, "config.yaml"), Options{Getenv: a.getenv})
	if err == nil {
		return c, ""
	}
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("the error is %T, not Errors with members", err)
	}
	return c, strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n"
}

// TestBad holds every word that the loader says of the files in testdata/bad.
func TestBad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d cases, want at least 30: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			a := readArchive(t, file)
			c, got := a.load(t)
			if c == nil || c.Server.PublicURL != nil || len(c.APIs)+len(c.Clients) > 0 {
				t.Error("wanted the files to watch, and nothing that could be served")
			}
			if *update {
				rewrite(t, file, a, got)
			}
			if want := a.sections["want"]; got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func rewrite(t *testing.T, file string, a archive, got string) {
	t.Helper()
	var b strings.Builder
	for _, name := range a.names {
		if name != "want" {
			fmt.Fprintf(&b, "-- %s --\n%s", name, a.sections[name])
		}
	}
	fmt.Fprintf(&b, "-- want --\n%s", got)
	a.sections["want"] = got
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
