package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/secret"
)

// result is what a command printed and how it ended.
type result struct {
	code           int
	stdout, stderr string
}

func gatehouse(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := execute(context.Background(), args, strings.NewReader(stdin), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// output is a stream that a test reads while a command writes it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// background runs a command until the test ends, and waits for text on its standard output.
func background(t *testing.T, ready string, args ...string) (stdout, stderr *output, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, stderr = &output{}, &output{}
	done := make(chan int, 1)
	go func() { done <- execute(ctx, args, strings.NewReader(""), stdout, stderr) }()
	stop = sync.OnceValue(func() int { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(stdout.String()+stderr.String(), ready) {
		select {
		case <-tick.C:
		case code := <-done:
			t.Fatalf("%v ended with %d\n%s%s", args, code, stdout, stderr)
		case <-deadline:
			t.Fatalf("%v never printed %q\n%s%s", args, ready, stdout, stderr)
		}
	}
	return stdout, stderr, stop
}

// shell runs lines as a person would paste them.
func shell(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	return string(out)
}

// pasted returns the lines of text from the one that begins with first up to the one that holds last.
func pasted(t *testing.T, text, first, last string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, first)
	end := strings.Index(rest, last)
	if !ok || end < 0 {
		t.Fatalf("dev printed no lines from %q to %q:\n%s", first, last, text)
	}
	line, _, _ := strings.Cut(rest[end:], "\n")
	return first + rest[:end] + line + "\n"
}

// The lines that dev prints work as they are pasted, also where the usual ports are taken.
func TestDevLinesWorkAsPrinted(t *testing.T) {
	for port := 8080; port <= 8090; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			defer l.Close()
		}
	}
	for _, tc := range []struct{ name, secret string }{{"generated secret", ""}, {"any secret", `it's "p+q/r=%:&z" $HOME`}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("GATEHOUSE_DEV_SECRET", tc.secret)
			stdout, stderr, stop := background(t, "dev --upstream", "dev")
			text := stdout.String()
			if strings.Contains(text, ":8080/") {
				t.Errorf("dev printed a port that is taken:\n%s", text)
			}
			token := pasted(t, text, "TOKEN=$(curl", "sed ")
			hello := shell(t, token+"echo \"$TOKEN\" >&2\n"+pasted(t, text, `curl -H "Authorization`, "/demo/hello"))
			var got struct {
				Message, Client, RequestID string
				Scopes                     []string
			}
			if err := json.Unmarshal([]byte(hello), &got); err != nil || got.Message != "hello from behind Gatehouse" || got.Client != "demo" || len(got.Scopes) != 1 {
				t.Errorf("the call gave %q (%v)\n%s", hello, err, stderr)
			}
			refusal := shell(t, token+pasted(t, text, "curl -i -X POST", "/demo/echo"))
			for _, want := range []string{"403 Forbidden", `error="insufficient_scope"`, `scope="demo:write"`, "application/problem+json", `"reason":"insufficient_scope"`, "X-Request-Id"} {
				if !strings.Contains(refusal, want) {
					t.Errorf("the refusal lacks %s:\n%s", want, refusal)
				}
			}
			if code := stop(); code != 0 {
				t.Errorf("dev ended with %d\n%s", code, stderr)
			}
			if !strings.Contains(stderr.String(), "DENY 403  insufficient_scope  POST /demo/echo  client=demo") {
				t.Errorf("the window of dev says nothing of the refusal:\n%s", stderr)
			}
		})
	}
}

func TestDevUpstream(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", r.URL.Path, r.Header.Get("X-Client-Id"))
	}))
	defer api.Close()
	stdout, _, _ := background(t, "Get a token", "dev", "--upstream", api.URL, "--client-id", "me", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	waitFor(t, func() bool { return strings.Contains(stdout.String(), `curl -H "Authorization`) })
	text := stdout.String()
	if got := shell(t, pasted(t, text, "TOKEN=$(curl", "sed ")+pasted(t, text, `curl -H "Authorization`, "http")); got != "/ for me" {
		t.Errorf("the call gave %q\n%s", got, text)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("the condition did not come")
		}
	}
}

// What is wrong with a flag is said of the flag, not of a file that dev makes and takes away.
func TestDevFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--listen 0.0.0.0:0": "--listen-anywhere", "--admin-listen 0.0.0.0:0": "--listen-anywhere", "--listen 127.0.0.1": "want host:port",
		"--upstream localhost:9000": "did you mean http://localhost:9000?", "--client-id=": "--client-id", "--redis 127.0.0.1:6379": "redis://[user@]host:port",
		"--redis redis://u:hunter2@127.0.0.1:1": "GATEHOUSE_DEV_REDIS_PASSWORD",
	} {
		if r := gatehouse(t, "", append([]string{"dev"}, strings.Fields(args)...)...); r.code != exitUsage || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "hunter2") || strings.Contains(r.stderr, "gatehouse-dev-") {
			t.Errorf("dev %s: %+v", args, r)
		}
	}
}

const configText = `version: 1
server:
  listen: 127.0.0.1:%d
  public_url: http://127.0.0.1:%d
admin:
  listen: unix:%s
clients_file: clients.yaml
state: {dir: state}
apis:
  orders:
    audience: https://api.example.com/orders
    upstream: %s
    scopes: {orders:read: Read, orders:write: Write}
    routes:
      - match: GET /orders
        scopes: [orders:read]
  users:
    audience: https://api.example.com/users
    upstream: %s
    scopes: {users:read: Read}
    routes:
      - match: GET /users
        scopes: [users:read]
`

// project writes a config.yaml and returns its path and port.
func project(t *testing.T) (path string, port int) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "an order") }))
	t.Cleanup(api.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := t.TempDir()
	path = filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, configText, port, port, filepath.Join(dir, "admin.sock"), api.URL, api.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, port
}

// The way of the README: create a client where there is no clients.yaml yet, check, run, get a token, call, ask for health.
func TestClientCheckRunToken(t *testing.T) {
	path, port := project(t)
	created := gatehouse(t, "", "client", "create", "worker", "-c", path, "--grant", "orders:orders:read", "--grant", "users:users:read", "--note", "for tests")
	if created.code != 0 {
		t.Fatalf("client create: %+v", created)
	}
	m := regexp.MustCompile(`(?m)^export GATEHOUSE_CLIENT_ID=worker\nexport GATEHOUSE_CLIENT_SECRET=(gatecs_\w+)\n$`).FindStringSubmatch(created.stdout)
	if m == nil || !secret.Whole(m[1]) {
		t.Fatalf("client create printed %q", created.stdout)
	}
	clients := filepath.Join(filepath.Dir(path), "clients.yaml")
	stored, err := os.ReadFile(clients)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(stored), m[1]) || !strings.Contains(string(stored), fmt.Sprintf("%x", secret.Sum(m[1]))) {
		t.Errorf("clients.yaml holds\n%s", stored)
	}
	if again := gatehouse(t, "", "client", "create", "worker", "-c", path); again.code == 0 || !strings.Contains(again.stderr, "worker") {
		t.Errorf("a taken id: %+v", again)
	}
	if wrong := gatehouse(t, "", "client", "create", "second", "-c", path, "--grant", "orders:orders:raed"); wrong.code != 3 || !strings.Contains(wrong.stderr, `did you mean "orders:read"`) {
		t.Errorf("a scope that is not there: %+v", wrong)
	}
	if after, _ := os.ReadFile(clients); !bytes.Equal(after, stored) {
		t.Errorf("a refused client changed clients.yaml to\n%s", after)
	}
	if r := gatehouse(t, "", "check", "-c", path); r.code != 0 || r.stdout != "ok: 2 APIs, 2 routes, 1 client\n" {
		t.Errorf("check: %+v", r)
	}
	if r := gatehouse(t, "", "healthcheck", "-c", path); r.code != 1 {
		t.Errorf("healthcheck before run: %+v", r)
	}

	_, stderr, stop := background(t, `"msg":"ready"`, "run", "-c", path)
	if r := gatehouse(t, "", "healthcheck", "-c", path, "--ready"); r.code != 0 || r.stdout != "ready\n" {
		t.Errorf("healthcheck: %+v", r)
	}
	t.Setenv("GATEHOUSE_CLIENT_ID", "worker")
	t.Setenv("GATEHOUSE_CLIENT_SECRET", m[1])
	header := gatehouse(t, "", "token", "get", "-c", path, "--audience", "https://api.example.com/orders", "--header")
	if header.code != 0 || !strings.HasPrefix(header.stdout, "Authorization: Bearer ey") {
		t.Fatalf("token get: %+v", header)
	}
	call := shell(t, fmt.Sprintf("curl -s -H '%s' http://127.0.0.1:%d/orders", strings.TrimSpace(header.stdout), port))
	if call != "an order" {
		t.Errorf("the call gave %q", call)
	}
	if r := gatehouse(t, "", "token", "get", "-c", path); r.code != exitDenied || !strings.Contains(r.stderr, "invalid_target") {
		t.Errorf("token get without an audience: %+v", r)
	}
	if r := gatehouse(t, "wrong\n", "token", "get", "-c", path, "--secret-stdin"); r.code != exitDenied || !strings.Contains(r.stderr, "invalid_client") {
		t.Errorf("token get with a wrong secret: %+v", r)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(good, []byte("version: 1"), []byte("version: 9"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := gatehouse(t, "", "healthcheck", "-c", path); r.code != 0 || r.stdout != "healthy\n" {
		t.Errorf("healthcheck while the file is broken and the process serves: %+v", r)
	}
	if code := stop(); code != 0 {
		t.Errorf("run ended with %d\n%s", code, stderr)
	}
	if r := gatehouse(t, "", "token", "get", "-c", path); r.code != exitUnreachable {
		t.Errorf("token get after the end: %+v", r)
	}
	if strings.Contains(stderr.String(), m[1]) {
		t.Error("the secret is in the log")
	}
}

func TestExitCodes(t *testing.T) {
	path, _ := project(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("version: 1\nsrever: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"nonsense"}, 2, "nonsense"},
		{[]string{"run", "--nonsense"}, 2, "--help"},
		{[]string{"run", "extra"}, 2, "--help"},
		{[]string{"check", "-c", bad}, 3, `did you mean "server"`},
		{[]string{"run", "-c", bad}, 3, bad + ":2:1"},
		{[]string{"check", bad + ".missing"}, 3, "missing"},
		{[]string{"token", "get", "-c", path}, 2, "--client"},
		{[]string{"client", "create"}, 2, "--help"},
		{[]string{"token", "get", "--client", "x", "--secret-file", "a", "--secret-stdin"}, 2, "secret-stdin"},
		{[]string{"token", "get", "--client", "x", "--cert-file", "a"}, 2, "key-file"},
		{[]string{"healthcheck", "-c", bad + ".missing"}, 1, "--admin"},
		{[]string{"token", "get", "--client", "x", "--url", "127.0.0.1:8080/oauth/token", "--secret-stdin"}, 2, "want a URL"},
		{[]string{"bench", "--duration", "-1s"}, 2, "--duration -1s"},
		{[]string{"version", "-o", "xml"}, 2, "text, json or yaml"},
		{[]string{"client", "create", "x", "-c", path, "--grant", "a:b", "--grant", "a:c"}, 2, "twice"},
	} {
		if r := gatehouse(t, "a secret", tc.args...); r.code != tc.code || !strings.Contains(r.stderr, tc.want) {
			t.Errorf("%v: %d %q, want %d with %q", tc.args, r.code, r.stderr, tc.code, tc.want)
		}
	}
	r := gatehouse(t, "", "check", "-o", "json", bad)
	var findings []map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &findings); err != nil || r.code != 3 || len(findings) == 0 || findings[0]["level"] != "error" {
		t.Errorf("check -o json: %+v (%v)", r, err)
	}
	for _, name := range []string{"version", "--version"} {
		if r := gatehouse(t, "", name); r.code != 0 || !strings.HasPrefix(r.stdout, "gatehouse dev go") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// An answer that does not come is waited for until a signal comes.
func TestInterrupt(t *testing.T) {
	asked := make(chan struct{})
	ctx, interrupt := context.WithCancel(context.Background())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // net/http notices that a caller went away once the body is read
		close(asked)
		<-r.Context().Done()
	}))
	defer silent.Close()
	go func() { <-asked; interrupt() }()
	var out, errOut bytes.Buffer
	args := []string{"token", "get", "--client", "x", "--secret-stdin", "--url", silent.URL}
	if code := execute(ctx, args, strings.NewReader("a secret"), &out, &errOut); code != exitInterrupted {
		t.Errorf("interrupted: %d %q", code, errOut.String())
	}
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	r := gatehouse(t, "a secret", "token", "get", "--client", "x", "--secret-stdin", "--url", missing.URL)
	if r.code != exitFailed || !strings.Contains(r.stderr, "is --url right?") {
		t.Errorf("an address that is no token endpoint: %+v", r)
	}
}

func TestPrintedClientIsWhole(t *testing.T) {
	r := gatehouse(t, "", "client", "create", "worker", "--grant", "orders:orders:read", "--print")
	if r.code != 0 || !strings.Contains(r.stdout, "worker:") || strings.Contains(r.stdout, "gatecs_") || !strings.Contains(r.stderr, "gatecs_") {
		t.Errorf("client create --print: %+v", r)
	}
}
