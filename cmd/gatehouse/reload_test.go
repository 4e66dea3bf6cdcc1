package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
)

func TestReload(t *testing.T) {
	dir, err := os.MkdirTemp("", "gh") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := running(t, "unix:"+dir+"/admin.sock", "")
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change := func(from, to string) {
		t.Helper()
		text := strings.Replace(string(original), from, to, 1)
		temp := filepath.Join(filepath.Dir(path), "new")
		if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, path); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(args ...string) result {
		return gatehouse(t, "", append([]string{"reload", "-c", path}, args...)...)
	}

	change("routes: [", "routes: [{match: /y, auth: token}, ")
	// A reload by the change of content may come first.
	if r := reload(); r.code != 0 || r.stdout != "+1 route\n" && r.stdout != "nothing changed\n" {
		t.Errorf("a good change: %d %q %s", r.code, r.stdout, r.stderr)
	}
	change("auth: token", "auth: tokne")
	if r := reload(); r.code != exitConfig || r.stdout != "" || !strings.Contains(r.stderr, "config.yaml:9:32: error: apis.app.routes.auth: \"tokne\" is not allowed here — did you mean \"token\"?\n") ||
		!regexp.MustCompile(`still serving the config loaded \d\d:\d\d:\d\d\n`).MatchString(r.stderr) {
		t.Errorf("a bad change: %d %q\n%s", r.code, r.stdout, r.stderr)
	}
	var answer adminapi.Reloaded
	if r := reload("-o", "json"); r.code != exitConfig || json.Unmarshal([]byte(r.stdout), &answer) != nil || len(answer.Errors) != 1 || answer.Loaded.IsZero() {
		t.Errorf("as JSON: %d %s", r.code, r.stdout)
	}
	if r := reload("--wait", "0s"); r.code != exitUsage {
		t.Errorf("--wait 0s: %d", r.code)
	}
	if r := reload("--admin", "127.0.0.1:1"); r.code != exitUnreachable || !strings.Contains(r.stderr, "gatehouse run") {
		t.Errorf("nobody there: %d %s", r.code, r.stderr)
	}
}
