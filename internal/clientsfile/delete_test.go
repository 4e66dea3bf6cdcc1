package clientsfile

import (
	"os"
	"path/filepath"
	"testing"
)

// What stands around the client that goes stays as it is, byte for byte where the file's style has lines for it.
func TestDelete(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ before, after string }{
		"the middle one, with its comments": {
			"# all clients\nversion: 1\nclients:\n  # the first\n  a: # in line\n    grants: {}\n\n  # goes, and says\n  # so in two lines\n  b:\n    grants: {x: [s]}   # why\n\n  # the last\n  c: {grants: {}}\n",
			"# all clients\nversion: 1\nclients:\n  # the first\n  a: # in line\n    grants: {}\n\n\n  # the last\n  c: {grants: {}}\n",
		},
		"the last one":   {"version: 1\nclients:\n  a: {}\n  b: {}\n", "version: 1\nclients:\n  a: {}\n"},
		"the only one":   {"version: 1\nclients:\n  b: {}\n", "version: 1\nclients: {}\n"},
		"all on a line":  {"version: 1\nclients: {a: {}, b: {}}\n", "version: 1\nclients: {a: {}}\n"},
		"keys after it":  {"clients:\n  a: {}\n  b:\n    ttl: 5m\nversion: 1\n", "clients:\n  a: {}\nversion: 1\n"},
		"a quoted id":    {"version: 1\nclients:\n  'b': {}\n  a: {}\n", "version: 1\nclients:\n  a: {}\n"},
		"no line at end": {"version: 1\nclients:\n  a: {}\n  b: {}", "version: 1\nclients:\n  a: {}\n"},
	} {
		path := filepath.Join(t.TempDir(), "clients.yaml")
		if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Delete(path, "b"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != tt.after {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, tt.after)
		}
		if err := Delete(path, "b"); err == nil {
			t.Errorf("%s: a client that is not there is no error", name)
		}
	}
}
