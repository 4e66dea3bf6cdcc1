package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/secret"
)

var exported = regexp.MustCompile(`(?m)^export GATEHOUSE_CLIENT_SECRET=(gatecs_\w+)$`)

// newSecret is the secret that a command printed, which must be whole and printed once.
func newSecret(t *testing.T, r result) string {
	t.Helper()
	m := exported.FindStringSubmatch(r.stdout)
	if r.code != 0 || m == nil || !secret.Whole(m[1]) || strings.Contains(r.stderr, m[1]) {
		t.Fatalf("%+v", r)
	}
	return m[1]
}

func TestClientCommands(t *testing.T) {
	path, port := project(t)
	file := filepath.Join(filepath.Dir(path), "clients.yaml")
	text := func() string {
		t.Helper()
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	run := func(args ...string) result {
		t.Helper()
		return gatehouse(t, "", append([]string{"client"}, append(args, "-c", path)...)...)
	}
	first := newSecret(t, run("create", "worker", "--grant", "orders:orders:read", "--note", "for tests"))
	if err := os.WriteFile(file, []byte(strings.Replace(text(), "  worker:", "  # works at night\n  worker:", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run("list"); r.code != 0 || !regexp.MustCompile(`(?m)^worker +enabled +orders:orders:read +1 live \(0d\)$`).MatchString(r.stdout) {
		t.Errorf("list: %+v", r)
	}

	_, stderr, stop := background(t, `"msg":"ready"`, "run", "-c", path)
	works := func(secret string) bool {
		t.Helper()
		t.Setenv("GATEHOUSE_CLIENT_ID", "worker")
		t.Setenv("GATEHOUSE_CLIENT_SECRET", secret)
		r := gatehouse(t, "", "token", "get", "--audience", "https://api.example.com/orders", "--url", fmt.Sprintf("http://127.0.0.1:%d/oauth/token", port))
		return r.code == 0
	}
	rotated := run("rotate", "worker", "--overlap", "1h")
	second := newSecret(t, rotated)
	if !strings.Contains(rotated.stderr, "--finish") {
		t.Errorf("rotate: %+v", rotated)
	}
	// The reload is waited for, not the answer: wrong credentials are counted, and too many of them lock out.
	reloads := 0
	reloaded := func() {
		t.Helper()
		reloads++
		waitFor(t, func() bool { return strings.Count(stderr.String(), `"msg":"configuration reloaded"`) >= reloads })
	}
	reloaded()
	if !works(second) {
		t.Error("the new secret does not work")
	}
	if !works(first) {
		t.Error("the old secret does not work during the overlap")
	}
	var shown clientView
	if r := run("show", "worker", "-o", "json"); json.Unmarshal([]byte(r.stdout), &shown) != nil || len(shown.Secrets) != 2 ||
		shown.Secrets[0].NotAfter == nil || time.Until(*shown.Secrets[0].NotAfter) > time.Hour || shown.Secrets[1].NotAfter != nil || shown.Secrets[0].Note != "for tests" {
		t.Errorf("show: %+v", r)
	}
	if r := run("rotate", "worker", "--finish"); r.code != 0 || r.stdout != "removed 1 secret of worker\n" {
		t.Errorf("finish: %+v", r)
	}
	reloaded()
	if works(first) {
		t.Error("the old secret works after --finish")
	}
	if !works(second) {
		t.Error("the new secret does not work after --finish")
	}
	if r := run("rotate", "worker", "--finish"); r.code != 0 || !strings.Contains(r.stdout, "nothing was removed") {
		t.Errorf("finish again: %+v", r)
	}
	if r := run("disable", "worker"); r.code != 0 || r.stdout != "worker is disabled\n" {
		t.Errorf("disable: %+v", r)
	}
	reloaded()
	if works(second) {
		t.Error("a disabled client gets a token")
	}
	if r := run("show", "worker"); !regexp.MustCompile(`(?m)^state +disabled$`).MatchString(r.stdout) {
		t.Errorf("show: %+v", r)
	}
	if r := run("enable", "worker", "-o", "json"); r.code != 0 || json.Unmarshal([]byte(r.stdout), &shown) != nil || shown.Disabled {
		t.Errorf("enable: %+v", r)
	}
	reloaded()
	if !works(second) {
		t.Error("the client does not work once it is enabled again")
	}
	if r := run("grant", "worker", "orders:orders:write", "users:users:read"); r.code != 0 || r.stdout != "worker is granted orders:orders:read,orders:write users:users:read\n" {
		t.Errorf("grant: %+v", r)
	}
	if r := run("grant", "worker", "users:users:read"); r.code != 0 || !strings.Contains(r.stderr, "Nothing to change") {
		t.Errorf("grant again: %+v", r)
	}
	if r := run("revoke-grant", "worker", "users"); r.code != 0 || r.stdout != "worker is granted orders:orders:read,orders:write\n" {
		t.Errorf("revoke-grant: %+v", r)
	}
	if code := stop(); code != 0 {
		t.Errorf("run ended with %d\n%s", code, stderr)
	}
	if !strings.Contains(text(), "# works at night") {
		t.Errorf("a comment is gone:\n%s", text())
	}
	for _, s := range []string{first, second} {
		if strings.Contains(text()+stderr.String(), s) {
			t.Error("a secret is in the file or in the log")
		}
	}
}

// What would not load changes nothing, also where part of it was written; and what is wrong is said.
// Edits at the same moment all count, and so does one that changes nothing.
func TestClientCommandsAtOnce(t *testing.T) {
	path, _ := project(t)
	newSecret(t, gatehouse(t, "", "client", "create", "worker", "-c", path))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if r := gatehouse(t, "", "client", "create", fmt.Sprint("new", i), "-c", path); r.code != 0 {
				t.Errorf("create %d: %+v", i, r)
			}
		})
		all.Go(func() {
			if r := gatehouse(t, "", "client", "disable", "worker", "-c", path); r.code != 0 {
				t.Errorf("disable: %+v", r)
			}
		})
	}
	all.Wait()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "clients.yaml"))
	if err != nil || strings.Count(string(b), "  new") != 8 || strings.Count(string(b), "disabled: true") != 1 {
		t.Errorf("an edit is lost: %v\n%s", err, b)
	}
}

func TestClientCommandsRefuse(t *testing.T) {
	path, _ := project(t)
	file := filepath.Join(filepath.Dir(path), "clients.yaml")
	newSecret(t, gatehouse(t, "", "client", "create", "worker", "-c", path, "--grant", "orders:orders:read"))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"grant", "worker", "orders:orders:raed"}, 3, `did you mean "orders:read"`},
		{[]string{"grant", "worker", "ordres"}, 3, `did you mean "orders"`},
		{[]string{"grant", "worker", "users:users:read", "orders:a\"b"}, 1, "not a scope"},
		{[]string{"grant", "worker", "users", "users"}, 2, "twice"},
		{[]string{"grant", "worker"}, 2, "--help"},
		{[]string{"show", "nobody"}, 1, "gatehouse client list"},
		{[]string{"rotate", "nobody"}, 1, "gatehouse client list"},
		{[]string{"disable", "nobody"}, 1, "gatehouse client list"},
		{[]string{"rotate", "worker", "--overlap", "-1h"}, 2, "--overlap"},
		{[]string{"rotate", "worker", "--finish", "--overlap", "1h"}, 2, "finish"},
		{[]string{"list", "-o", "xml"}, 2, "table, json or yaml"},
		{[]string{"rotate", "worker", "-o", "xml"}, 2, "table, json or yaml"},
	} {
		r := gatehouse(t, "", append([]string{"client"}, append(tc.args, "-c", path)...)...)
		if r.code != tc.code || !strings.Contains(r.stderr, tc.want) || strings.Contains(r.stdout, "gatecs_") {
			t.Errorf("%v: %+v, want %d with %q", tc.args, r, tc.code, tc.want)
		}
		if after, _ := os.ReadFile(file); string(after) != string(before) {
			t.Fatalf("%v changed the file to\n%s", tc.args, after)
		}
	}
}

func TestClientListEmpty(t *testing.T) {
	path, _ := project(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "clients.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := gatehouse(t, "", "client", "list", "-c", path, "-o", "json"); r.code != 0 || r.stdout != "[]\n" {
		t.Errorf("%+v", r)
	}
}
