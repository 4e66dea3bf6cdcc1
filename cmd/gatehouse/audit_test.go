package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/audit"
)

func TestAuditVerify(t *testing.T) {
	path, _ := project(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "clients.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := gatehouse(t, "", "audit", "verify", "-c", path); r.code != 1 || !strings.Contains(r.stderr, "gatehouse run") {
		t.Errorf("before the first run: %+v", r)
	}
	file := filepath.Join(filepath.Dir(path), "state", "audit.log")
	l, err := audit.Open(audit.Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.Admin(audit.Event{Action: "reload"}); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	sound := gatehouse(t, "", "audit", "verify", "-c", path)
	if sound.code != 0 || !strings.HasPrefix(sound.stdout, "ok: 3 lines in 1 file, 1 to 3\nhead ") {
		t.Errorf("a sound trail: %+v", sound)
	}
	head := strings.TrimSpace(strings.SplitAfter(sound.stdout, "head ")[1])
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Join(lines[:2], ""))
	if r := gatehouse(t, "", "audit", "verify", file, "--head", head); r.code != exitDenied || !strings.Contains(r.stderr, head) {
		t.Errorf("a line cut off: %+v", r)
	}
	write(strings.Replace(string(content), "reload", "nothing", 1))
	if r := gatehouse(t, "", "audit", "verify", "-c", path); r.code != exitDenied || !strings.Contains(r.stderr, file+":1: it was changed") {
		t.Errorf("a changed line: %+v", r)
	}
	r := gatehouse(t, "", "audit", "verify", file, "-o", "json")
	var got struct {
		Lines  int
		Breaks []audit.Break
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != exitDenied || got.Lines != 3 || len(got.Breaks) != 1 || got.Breaks[0].Line != 1 {
		t.Errorf("-o json: %+v, %v", r, err)
	}
	if r := gatehouse(t, "", "audit", "verify", "-o", "xml"); r.code != exitUsage {
		t.Errorf("-o xml: %+v", r)
	}
}
