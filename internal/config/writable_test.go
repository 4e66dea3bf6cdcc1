package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWritable: whoever may write the configuration decides what is open, so that a file that everybody may write is told of.
func TestWritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), `version: 1
server: {listen: 127.0.0.1:8080, public_url: "http://127.0.0.1:8080"}
clients_file: clients.yaml
apis_dir: apis.d
`)
	write(t, filepath.Join(dir, "clients.yaml"), "version: 1\n")
	write(t, filepath.Join(dir, "apis.d/a.yaml"), "apis: {a: {audience: a, upstream: \"http://127.0.0.1:9001\", routes: [{match: /a, auth: token}]}}\n")
	for mode, want := range map[os.FileMode]int{0o644: 0, 0o664: 0, 0o666: 1, 0o602: 1} {
		for _, name := range []string{"config.yaml", "clients.yaml", "apis.d/a.yaml"} {
			path := filepath.Join(dir, name)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			c, err := Load(filepath.Join(dir, "config.yaml"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			for _, w := range c.Warnings {
				if strings.Contains(w.Message, "chmod o-w "+path) {
					got++
				}
			}
			if got != want || len(c.Warnings) != want {
				t.Errorf("%s with mode %04o: %v, want %d warnings", name, mode, c.Warnings, want)
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
