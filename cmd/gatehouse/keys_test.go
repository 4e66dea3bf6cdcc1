package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/secret"
)

// running starts a gatehouse with generated keys and one client, and returns its config file.
func running(t *testing.T, admin, tokens string) (config string) {
	t.Helper()
	dir := t.TempDir()
	config = filepath.Join(dir, "config.yaml")
	plain := secret.New()
	t.Setenv("GATEHOUSE_CLIENT_ID", "worker")
	t.Setenv("GATEHOUSE_CLIENT_SECRET", plain)
	port := freePort(t)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("admin.token", "c4n4ry-admin-token\n")
	write("clients.yaml", fmt.Sprintf("version: 1\nclients:\n  worker:\n    grants: {app: []}\n    secrets: [{sha256: %x}]\n", secret.Sum(plain)))
	write("config.yaml", fmt.Sprintf("version: 1\nserver: {listen: \"127.0.0.1:%d\", public_url: \"http://127.0.0.1:%d\"}\nadmin: {listen: %q, token_file: admin.token}\n"+
		"%sclients_file: clients.yaml\napis:\n  app:\n    audience: urn:app\n    upstream: http://127.0.0.1:1\n    routes: [{match: /x, auth: token}]\n", port, port, admin, tokens))
	background(t, `"ready"`, "run", "-c", config)
	return config
}

func TestKeysAndRevoke(t *testing.T) {
	dir, err := os.MkdirTemp("", "gh") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	config := running(t, "unix:"+dir+"/admin.sock", "tokens: {rotation: {every: 1h, publish_before: 1m}}\n")
	ok := func(stdin string, args ...string) string {
		t.Helper()
		r := gatehouse(t, stdin, append(args, "-c", config)...)
		if r.code != 0 {
			t.Fatalf("%v: %d %s", args, r.code, r.stderr)
		}
		return r.stdout
	}
	var keys []struct{ KID, Alg, State string }
	list := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(ok("", "keys", "list", "-o", "json")), &keys); err != nil {
			t.Fatal(err)
		}
	}
	list()
	if len(keys) != 1 || keys[0].State != "current" || keys[0].Alg != "ES256" {
		t.Fatalf("%+v", keys)
	}
	first := keys[0].KID
	if table := ok("", "keys", "list"); !strings.HasPrefix(table, "KID ") || !strings.Contains(table, first+"  ES256  current  ") {
		t.Errorf("table:\n%s", table)
	}
	times := regexp.MustCompile(`(?s)^ES256\n  new key    \S{43}\n  published  \S+Z\n  signs      \S+Z\n  old until  \S+Z  ` + first + "\n$")
	if out := ok("", "keys", "rotate", "--alg", "ES256", "--publish-before", "10m"); !times.MatchString(out) {
		t.Errorf("rotate printed\n%s", out)
	}
	if list(); len(keys) != 2 || keys[1].State != "next" {
		t.Errorf("%+v", keys)
	}
	if r := gatehouse(t, "", "keys", "rotate", "--revoke", "-c", config); r.code != exitUsage || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("revoke without --yes: %d %s", r.code, r.stderr)
	}
	token := strings.TrimSpace(ok("", "token", "get"))
	if out := ok(token+"\n", "revoke", "-", "--reason", "a test"); out != "revoked the token: refused by 1 of 1 nodes, on the disk of this node\n" {
		t.Errorf("revoke: %q", out)
	}
	ok("", "revoke", token)
	ok("", "revoke", "--jti", "x", "--expires", "10m")
	ok("", "revoke", "--jti", "x", "--until", "2126-01-01T00:00:00Z")
	if out := ok("", "revoke", "--client", "worker", "-o", "json"); !strings.Contains(out, `"kind": "client"`) || !strings.Contains(out, `"applied": 1`) {
		t.Errorf("revoke: %s", out)
	}
	ok("", "revoke", "--kid", first)
	ok("", "revoke", "--all", "--yes")
	if out := ok("", "keys", "rotate", "--revoke", "--yes", "-o", "json"); !strings.Contains(out, `"withdrawn"`) || !strings.Contains(out, first) {
		t.Errorf("revoke: %s", out)
	}
	if list(); len(keys) != 1 || keys[0].KID == first {
		t.Errorf("%+v", keys)
	}

	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"revoke", exitUsage, "what is to be revoked"},
		{"revoke x --all", exitUsage, "what is to be revoked"},
		{"revoke --all", exitUsage, "--yes"},
		{"revoke -", exitUsage, "holds no token"},
		{"revoke --jti x", exitUsage, "go together"},
		{"revoke --client x --expires 1h", exitUsage, "go together"},
		{"revoke --jti x --expires soon", exitUsage, "RFC 3339"},
		{"revoke c4n4ry.c4n4ry.c4n4ry", exitFailed, "refused already"},
		{"revoke --client nobody", exitFailed, "nobody"},
		{"keys list -o xml", exitUsage, "table, json or yaml"},
		{"keys rotate --alg RS256", exitFailed, "no API uses"},
		{"keys rotate --revoke --publish-before 1h --yes", exitUsage, "publish-before"},
		{"keys list --admin 127.0.0.1:1", exitUnreachable, "gatehouse run"},
		{"keys list --admin unix:/nowhere/admin.sock", exitUnreachable, "gatehouse run"},
	} {
		r := gatehouse(t, "", append(strings.Fields(tt.args), "-c", config)...)
		if r.code != tt.code || !strings.Contains(r.stderr, tt.says) || strings.Contains(r.stderr+r.stdout, "c4n4ry") {
			t.Errorf("%s: %d %s%s, want %d with %q", tt.args, r.code, r.stdout, r.stderr, tt.code, tt.says)
		}
	}
	t.Setenv("GATEHOUSE_ADMIN_TOKEN", "wrong")
	if r := gatehouse(t, "", "keys", "list", "-c", config); r.code != exitFailed || !strings.Contains(r.stderr, "--admin-token-file") {
		t.Errorf("a wrong token: %d %s", r.code, r.stderr)
	}
	ok("", "keys", "list", "--admin-token-file", filepath.Join(filepath.Dir(config), "admin.token"))
}

// freePort is a port of loopback that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
