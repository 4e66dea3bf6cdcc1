package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	for args, file := range map[string]string{"": "gatehouse.schema.json", "config": "gatehouse.schema.json", "clients": "gatehouse-clients.schema.json"} {
		want, err := os.ReadFile(filepath.Join("../../deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		if r := gatehouse(t, "", append([]string{"config", "schema"}, strings.Fields(args)...)...); r.code != 0 || r.stdout != string(want) {
			t.Errorf("config schema %s is not deploy/%s: %d %s", args, file, r.code, r.stderr)
		}
	}
	if r := gatehouse(t, "", "config", "schema", "routes"); r.code != exitUsage || !strings.Contains(r.stderr, "config or clients") {
		t.Errorf("an unknown file: %d %s", r.code, r.stderr)
	}
}

func TestConfigPrint(t *testing.T) {
	t.Parallel()
	path, _ := project(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "clients.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := config.Load(path, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := gatehouse(t, "", "config", "print", "-c", path)
	if r.code != 0 || !strings.Contains(r.stdout, "drain: 30s\n") {
		t.Fatalf("%d %s %s", r.code, r.stdout, r.stderr)
	}
	again := filepath.Join(filepath.Dir(path), "again.yaml")
	if err := os.WriteFile(again, []byte(r.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := config.Load(again, config.Options{})
	if err != nil || len(after.APIs) != len(before.APIs) || after.Server.Issuer != before.Server.Issuer {
		t.Errorf("what was printed does not load to the same: %v", err)
	}
	if r := gatehouse(t, "", "config", "print", "--origin", "-c", path); r.code != 0 || !strings.Contains(r.stdout, "drain: 30s # default\n") ||
		!strings.Contains(r.stdout, "version: 1 # "+path+":1\n") {
		t.Errorf("with origins: %d\n%s", r.code, r.stdout)
	}
	var leaves []config.Leaf
	r = gatehouse(t, "", "config", "print", "--origin", "-o", "json", "-c", path)
	if err := json.Unmarshal([]byte(r.stdout), &leaves); err != nil || len(leaves) < 20 {
		t.Errorf("%v in %s", err, r.stdout)
	}
	if r := gatehouse(t, "", "config", "print", "-o", "xml", "-c", path); r.code != exitUsage {
		t.Errorf("-o xml: %d", r.code)
	}
	if r := gatehouse(t, "", "config", "print", "-c", path+".gone"); r.code != exitConfig {
		t.Errorf("no file: %d", r.code)
	}
}

func TestConfigDoc(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args, stdout, stderr string
		code                 int
	}{
		{"server.drain", "server.drain  (duration)\n    How long requests in flight may take when the process ends. Default: 30s.\n", "", 0},
		{"apis.orders.routes.match", "apis.*.routes[].match  (match)\n", "", 0},
		{"--clients clients.a.ttl", "clients.*.ttl  (duration)\n", "", 0},
		{"server.drian", "", "did you mean server.drain?", exitFailed},
		{"clients.a.ttl", "", "gatehouse config doc --clients clients.a.ttl", exitFailed},
		{"-o markdown", "# Configuration reference", "", 0},
		{"-o html", "", "yaml or markdown", exitUsage},
	}
	for _, tc := range tests {
		r := gatehouse(t, "", append([]string{"config", "doc"}, strings.Fields(tc.args)...)...)
		if r.code != tc.code || !strings.HasPrefix(r.stdout, tc.stdout) || !strings.Contains(r.stderr, tc.stderr) {
			t.Errorf("config doc %s: %d\n%s%s", tc.args, r.code, r.stdout, r.stderr)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	for name, text := range map[string]string{
		"config.yaml": `version: 1
server: {listen: "127.0.0.1:8080", public_url: "http://127.0.0.1:8080"}
clients_file: clients.yaml
issuers: {corp: {issuer: "https://login.example.com/", algorithms: [RS256]}}
apis:
  orders:
    audience: urn:orders
    issuers: [local, corp]
    upstream: http://127.0.0.1:9001
    scopes: {orders:read: "", orders:write: ""}
    routes: [{match: GET /orders, scopes: [orders:read]}, {match: "GET /orders/{id}", auth: token}, {match: GET /old, auth: token}]
  users:
    audience: urn:users
    upstream: http://127.0.0.1:9001
    routes: [{match: GET /users, auth: token}]
`,
		"clients.yaml": "version: 1\nclients: {billing-worker: {disabled: true}, backup: {disabled: true}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"client", "show", "b"}, "backup billing-worker"},
		{[]string{"client", "rotate", "bi"}, "billing-worker"},
		{[]string{"client", "show", "backup", ""}, ""},
		{[]string{"client", "grant", "ba"}, "backup"},
		{[]string{"client", "grant", "backup", "orders:"}, "orders:orders:read orders:orders:write"},
		{[]string{"client", "create", "x", "--grant", "orders:orders:read,"}, "orders:orders:read,orders:read orders:orders:read,orders:write"},
		{[]string{"client", "create", "x", "--grant", "u"}, "users"},
		{[]string{"token", "get", "--scope", "orders:w"}, "orders:write"},
		{[]string{"token", "get", "--audience", ""}, "urn:orders urn:users"},
		{[]string{"revoke", "--client", "ba"}, "backup"},
		{[]string{"explain", "G"}, "GET"},
		{[]string{"explain", "GET", "/o"}, "/old /orders /orders/"},
		{[]string{"explain", "POST", "/o"}, ""},
		{[]string{"explain", "GET", "/old", ""}, ""},
		{[]string{"explain", "GET", "/old", "--client", "bi"}, "billing-worker"},
		{[]string{"can", "b"}, "backup billing-worker"},
		{[]string{"can", "backup", ""}, "GET"},
		{[]string{"can", "backup", "GET", "/u"}, "/users"},
		{[]string{"can", "backup", "--scope", "orders:r"}, "orders:read"},
		{[]string{"who-can", "GET", "/users"}, "/users"},
		{[]string{"routes", "list", "--api", ""}, "orders users"},
		{[]string{"revoke", "--issuer", ""}, "corp"},
		{[]string{"keys", "rotate", "--alg", ""}, "ES256 RS256 PS256 EdDSA"},
		{[]string{"config", "doc", "server.dr"}, "server.drain server.drain_delay"},
		{[]string{"config", "print", "cl"}, "clients"},
		{[]string{"client", "list", "-o", ""}, "table json yaml"},
		{[]string{"check", "-o", ""}, "text json github sarif"},
		{[]string{"comp"}, "completion"},
	}
	for _, tc := range tests {
		args := append([]string{"__complete", "-c", path}, tc.args...)
		r := gatehouse(t, "", args...)
		var got []string
		for line := range strings.Lines(r.stdout) {
			if !strings.HasPrefix(line, ":") {
				word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
				got = append(got, word)
			}
		}
		if r.code != 0 || strings.Join(got, " ") != tc.want {
			t.Errorf("%v: %d %q, want %q", tc.args, r.code, got, tc.want)
		}
	}
	if r := gatehouse(t, "", "__complete", "-c", filepath.Join(dir, "gone.yaml"), "client", "show", ""); r.code != 0 || strings.Contains(r.stdout+r.stderr, "gone.yaml") {
		t.Errorf("without a configuration: %d %q %q", r.code, r.stdout, r.stderr)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := gatehouse(t, "", "completion", shell); r.code != 0 || !strings.Contains(r.stdout, "gatehouse") {
			t.Errorf("completion %s: %d %s", shell, r.code, r.stderr)
		}
	}
}
