package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/secret"
	"gatehouse/internal/trace"
)

// explainable starts a gatehouse with one API, and returns its config file, its address and a token of its client.
func explainable(t *testing.T) (config, base, token string) {
	t.Helper()
	dir := t.TempDir()
	config = filepath.Join(dir, "config.yaml")
	plain := secret.New()
	port, admin := freePort(t), freePort(t)
	base = fmt.Sprintf("http://127.0.0.1:%d", port)
	t.Setenv("GATEHOUSE_CLIENT_ID", "billing-worker")
	t.Setenv("GATEHOUSE_CLIENT_SECRET", plain)
	for name, text := range map[string]string{
		"clients.yaml": fmt.Sprintf("version: 1\nclients:\n  billing-worker:\n    grants: {orders: [orders:read]}\n    secrets: [{sha256: %x}]\n", secret.Sum(plain)),
		"config.yaml": fmt.Sprintf(`version: 1
server: {listen: "127.0.0.1:%d", public_url: %q}
admin: {listen: "127.0.0.1:%d"}
clients_file: clients.yaml
apis:
  orders:
    audience: https://api.example.com/orders
    upstream: http://127.0.0.1:2
    scopes: {orders:read: Read, orders:write: Write}
    routes:
      - {match: "GET /orders", scopes: [orders:read]}
      - {match: "POST /orders", scopes: [orders:write]}
      - {match: "GET /health", auth: public}
`, port, base, admin),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	background(t, `"ready"`, "run", "-c", config)
	r := gatehouse(t, "", "token", "get", "-c", config)
	if r.code != 0 {
		t.Fatalf("token get: %+v", r)
	}
	return config, base, strings.TrimSpace(r.stdout)
}

// changing are the parts of a trace's text that differ from run to run.
var changing = []struct{ what, with string }{
	{`127\.0\.0\.1:\d+`, "HOST"}, {`kid \S+…\S+`, "kid KID"}, {`\d+ bytes`, "N bytes"}, {`issued \S+ ago, expires in \S+`, "TIMES"},
	{` -c (\S*/)?config\.yaml`, ""}, {`(\S*/)?(config|clients)\.yaml:`, "$2.yaml:"}, {` {2,}((config|clients)\.yaml:)`, "  $1"},
}

func steady(text string) string {
	for _, c := range changing {
		text = regexp.MustCompile(c.what).ReplaceAllString(text, c.with)
	}
	return text
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

func TestExplain(t *testing.T) {
	config, base, token := explainable(t)
	// A refusal, by its id: as text, and as the same JSON that the API has.
	req, _ := http.NewRequest("POST", base+"/orders?secret=c4n4ry", strings.NewReader("x"))
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	id := res.Header.Get("X-Request-Id")
	var byID result
	waitFor(t, func() bool { byID = gatehouse(t, "", "explain", id, "-c", config); return byID.code == exitDenied })
	golden(t, "explain-id.txt", steady(byID.stdout))
	var denial adminapi.Denial
	var printed trace.Trace
	admin := regexp.MustCompile(`admin: \{listen: "([^"]*)"`).FindStringSubmatch(read(t, config))[1]
	getJSON(t, "http://"+admin+"/api/v1/denials/"+id, &denial)
	asJSON := gatehouse(t, "", "explain", id, "-o", "json", "-c", config)
	if err := json.Unmarshal([]byte(asJSON.stdout), &printed); err != nil || asJSON.code != exitDenied {
		t.Fatalf("%v: %+v", err, asJSON)
	}
	want, _ := json.Marshal(denial.Trace)
	if got, _ := json.Marshal(printed); string(got) != string(want) || printed.Reason != "insufficient_scope" {
		t.Errorf("explain -o json is\n%s, want\n%s", got, want)
	}
	if strings.Contains(asJSON.stdout+byID.stdout, "c4n4ry") || strings.Contains(asJSON.stdout, token[len(token)-16:]) {
		t.Error("the query or the token came out")
	}

	file := filepath.Join(t.TempDir(), "token.jwt")
	if err := os.WriteFile(file, []byte("Authorization: Bearer "+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, stdin, args string
		code              int
		stdout, stderr    string
	}{
		{"explain-token", token, "explain GET " + base + "/orders --token-file -", 0, "ALLOWED", ""},
		{"", "", "explain GET " + base + "/orders --token-file " + file, 0, "ALLOWED", ""},
		{"", token, "explain " + base + "/orders?a=b --token-file -", 0, "ALLOWED", ""},
		{"", token, "explain GET /orders --token-file - --at 1h", exitDenied, "expired", ""},
		{"explain-offline", token, "explain POST /orders --token-file - --offline", exitDenied, "insufficient_scope", ""},
		{"explain-client", "", "explain POST /orders --client billing-worker", exitDenied, "client grant billing-worker orders:orders:write", ""},
		{"explain-ungranted", "", "explain POST /orders --client billing-worker --scope orders:write", exitDenied, "invalid_scope", ""},
		{"", "", "explain GET /orders --client billing-worker --offline", 0, "ALLOWED", ""},
		{"", "", "explain GET /orders", exitDenied, "missing_token", ""},
		{"explain-public", "", "explain GET /health", 0, "no token is read", ""},
		{"explain-lost", "", "explain GET /order", exitDenied, "GET /orders", ""},
		{"", "", "explain PATCH /orders", exitDenied, "POST /orders", ""},
		{"", "", "explain GET /orders --client biling-worker", exitDenied, "the client billing-worker", ""},
		{"", "", "explain nothing", exitFailed, "", "no refusal with this request id"},
		{"", "", "explain nothing --client x", exitUsage, "", "METHOD URL"},
		{"", "", "explain", exitUsage, "", "--help"},
		{"", "", "explain GET /orders --at soon", exitUsage, "", "RFC 3339"},
		{"", token, "explain GET /orders --token-file - --client x", exitUsage, "", "exclude"},
		{"", "", "explain GET /orders --scope x", exitFailed, "", "go with client"},
		{"", "", "explain GET /orders --client x --issuer corp", exitFailed, "", "is not known"},
		{"", "", "explain GET /orders -o xml", exitUsage, "", "table, json or yaml"},
		{"", "", "explain GET /orders --admin 127.0.0.1:1", exitUnreachable, "", "gatehouse run"},
	} {
		r := gatehouse(t, tt.stdin, append(strings.Fields(tt.args), "-c", config)...)
		if r.code != tt.code || !strings.Contains(r.stdout, tt.stdout) || !strings.Contains(r.stderr, tt.stderr) || (tt.stderr == "") != (r.stderr == "") {
			t.Errorf("%s: %d\n%s%s", tt.args, r.code, r.stdout, r.stderr)
		}
		if tt.name != "" {
			golden(t, tt.name+".txt", steady(r.stdout))
		}
	}
	t.Setenv("GATEHOUSE_TOKEN", token)
	if r := gatehouse(t, "", "explain", "GET", "/orders", "-c", config); r.code != 0 {
		t.Errorf("with GATEHOUSE_TOKEN: %+v", r)
	}
	if r := gatehouse(t, "", "explain", "GET", "/orders", "-c", filepath.Join(t.TempDir(), "none.yaml"), "--offline"); r.code != exitConfig {
		t.Errorf("without a configuration: %+v", r)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func getJSON(t *testing.T, url string, out any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %d %v", url, res.StatusCode, err)
	}
}

// Ensure that the window of dev names the command that explains a refusal, and that it works as it stands there.
func TestDevNamesExplain(t *testing.T) {
	t.Chdir(t.TempDir())
	stdout, stderr, _ := background(t, "Get a token", "dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	base := regexp.MustCompile(`gateway +(http://\S+)`).FindStringSubmatch(stdout.String())[1]
	res, err := http.Get(base + "/demo/helo")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	var line []string
	waitFor(t, func() bool {
		line = regexp.MustCompile(`explain: (?:go run ./cmd/)?gatehouse (explain .*)`).FindStringSubmatch(stderr.String())
		return line != nil
	})
	if !strings.Contains(line[1], res.Header.Get("X-Request-Id")) {
		t.Errorf("dev says %q", line[1])
	}
	waitFor(t, func() bool {
		r := gatehouse(t, "", strings.Fields(line[1])...)
		return r.code == exitDenied && strings.Contains(r.stdout, "Near: GET /demo/hello")
	})
}

// The fix that is printed works as it stands: it names the configuration where the command would look for another.
func TestFixWorksAsPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	stdout, _, _ := background(t, "Get a token", "dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	admin := regexp.MustCompile(`status +http://(\S+)/`).FindStringSubmatch(stdout.String())[1]
	ask := []string{"explain", "POST", "/demo/echo", "--client", "demo", "--admin", admin}
	r := gatehouse(t, "", ask...)
	fix := regexp.MustCompile(`(?m)^Fix:  gatehouse (.*)$`).FindStringSubmatch(r.stdout)
	if r.code != exitDenied || fix == nil {
		t.Fatalf("%+v", r)
	}
	if r := gatehouse(t, "", strings.Fields(fix[1])...); r.code != 0 || r.stdout != "demo is granted demo:demo:read,demo:write\n" {
		t.Fatalf("gatehouse %s: %+v", fix[1], r)
	}
	if r := gatehouse(t, "", "reload", "--admin", admin); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if r := gatehouse(t, "", ask...); r.code != 0 {
		t.Errorf("after the fix: %+v", r)
	}
}
