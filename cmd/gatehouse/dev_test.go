package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ensure that dev -c, which serves a real configuration for a try, leaves nothing beside its files: no state, and no line
// in its audit trail.
func TestDevLeavesTheRealStateAlone(t *testing.T) {
	path, _ := project(t)
	dir := filepath.Dir(path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(string(text)+"audit: {file: trail/audit.log}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clients.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _, stop := background(t, "Get a token", "dev", "-c", path, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	waitFor(t, func() bool { return strings.Contains(stdout.String(), "sed ") })
	if out := shell(t, pasted(t, stdout.String(), "TOKEN=$(curl", "sed ")+`echo "$TOKEN"`); !strings.HasPrefix(out, "eyJ") {
		t.Fatalf("no token: %q\n%s", out, stdout)
	}
	if code := stop(); code != 0 {
		t.Errorf("dev ended with %d", code)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "config.yaml" && name != "clients.yaml" {
			t.Errorf("dev left %s", name)
		}
	}
}
