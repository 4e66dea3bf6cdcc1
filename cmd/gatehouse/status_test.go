package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"gatehouse/internal/adminapi"
)

// TestStatus asks a running gatehouse in every way.
func TestStatus(t *testing.T) {
	dir, err := os.MkdirTemp("", "gh") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	config := running(t, "unix:"+dir+"/admin.sock", "")
	r := gatehouse(t, "", "status", "-c", config)
	for _, want := range []string{`^Gatehouse dev on \S+:\d+, up `, `\nready +yes\n`, `\nconfig +[0-9a-f]{12}, .* ago: 1 API, 1 route, 1 client\n`, `last load: ok, by start`,
		`\nstate +embedded: this node runs alone\n`, `\nrevoked +0 tokens and 0 rules revoked\n`, `\n  \S{43}  ES256  current  `, `\n  app  http://127.0.0.1:1 `, `\ndenials: none\n$`} {
		if r.code != 0 || !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("status gave %d %s, want %s in\n%s", r.code, r.stderr, want, r.stdout)
		}
	}
	var s, again adminapi.Status
	if r := gatehouse(t, "", "status", "-o", "json", "-c", config); r.code != 0 || json.Unmarshal([]byte(r.stdout), &s) != nil || !s.Ready || s.State.Engine != "embedded" {
		t.Errorf("json: %+v", r)
	}
	var doc any
	if r := gatehouse(t, "", "status", "-o", "yaml", "-c", config); r.code != 0 || yaml.Unmarshal([]byte(r.stdout), &doc) != nil || strings.ContainsAny(r.stdout[:20], "{") {
		t.Errorf("yaml: %+v", r)
	} else if text, err := json.Marshal(doc); err != nil || json.Unmarshal(text, &again) != nil || again.Node != s.Node || again.Config.Hash != s.Config.Hash {
		t.Errorf("yaml says %s, json %+v", text, s)
	}

	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"status -o xml", exitUsage, "table"},
		{"status --watch -o json", exitUsage, "--watch goes with -o table"},
		{"status extra", exitUsage, "--help"},
		{"status --watch --open", exitUsage, "choose one"},
		{"status --open", exitFailed, "a browser can't open a unix socket"},
		{"status --admin 127.0.0.1:1", exitUnreachable, "cannot reach the admin listener at http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused\nis gatehouse running?"},
		{"status --watch --admin 127.0.0.1:1", exitUnreachable, "is gatehouse running?"},
	} {
		if r := gatehouse(t, "", append(strings.Fields(tt.args), "-c", config)...); r.code != tt.code || !strings.Contains(r.stderr, tt.says) || r.stdout != "" {
			t.Errorf("%s: %d %s%s, want %d with %q", tt.args, r.code, r.stdout, r.stderr, tt.code, tt.says)
		}
	}
}

// TestStatusOpen: the link that is printed logs a browser in, once.
func TestStatusOpen(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	const token = "c4n4ry-admin-token"
	config := running(t, fmt.Sprintf("127.0.0.1:%d", freePort(t)), "")
	r := gatehouse(t, "", "status", "--open", "-c", config)
	address := strings.TrimSpace(r.stdout)
	if r.code != 0 || !strings.Contains(address, "/login?code=") || !strings.Contains(r.stderr, "once, within a minute") || strings.Contains(r.stdout+r.stderr, token) {
		t.Fatalf("%+v", r)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(client *http.Client) (int, string) {
		t.Helper()
		res, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if status, body := get(&http.Client{Jar: jar}); status != 200 || !strings.Contains(body, "Log out") {
		t.Errorf("the link: %d %s", status, body)
	}
	if status, body := get(&http.Client{}); status != 401 || !strings.Contains(body, "has been used") {
		t.Errorf("the link again: %d %s", status, body)
	}
}

// TestStatusWatch: screens follow each other until the interrupt, and a gatehouse that ends is told and waited for.
func TestStatusWatch(t *testing.T) {
	path, _ := project(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "clients.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, end := background(t, `"msg":"ready"`, "run", "-c", path)
	stdout, stderr, interrupt := background(t, "Gatehouse dev on ", "status", "--watch", "-c", path)
	again := func(what string, more int) {
		t.Helper()
		seen := strings.Count(stdout.String(), what)
		waitFor(t, func() bool { return strings.Count(stdout.String(), what) >= seen+more })
	}
	again("Gatehouse dev on ", 2)
	end()
	again("is gatehouse running?", 1)
	background(t, `"msg":"ready"`, "run", "-c", path)
	again("Gatehouse dev on ", 1)
	if code := interrupt(); code != exitInterrupted || stderr.String() != "" || strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("interrupted: %d %q\n%s", code, stderr, stdout)
	}
}

func TestRedraw(t *testing.T) {
	var b bytes.Buffer
	redraw(&b, "one\ntwo\n", true)
	redraw(&b, "three\n", false)
	if got, want := b.String(), "\x1b[2J\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J\x1b[Hthree\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// troubled is a node of a fleet that has much to tell, some of it from strangers.
func troubled() *adminapi.Status {
	at := time.Date(2026, 11, 24, 15, 31, 40, 0, time.UTC)
	sec := func(s float64) *float64 { return &s }
	return &adminapi.Status{
		Version: "v1.2.3", Mode: "run", Node: "web-1:8080", Listen: "0.0.0.0:8080", Admin: "127.0.0.1:8081", Now: at, Started: at.Add(-50 * time.Hour), Uptime: 50 * 3600, Why: "draining",
		Config: adminapi.ConfigStatus{Hash: "7f3a12bc9d01", Loaded: at.Add(-3 * time.Hour), APIs: 2, Routes: 9, Clients: 1, Last: adminapi.ReloadInfo{Result: "refused", Trigger: "watch", At: at.Add(-95 * time.Second),
			Errors: []adminapi.Problem{{File: "config.yaml", Line: 4, Col: 13, Message: "apis.orders: unknown key \"upstraem\" — did you mean \"upstream\"?\n  4 | more"}, {Message: "no keys"}}}},
		State: adminapi.StateStatus{Engine: "redis", Redis: &adminapi.RedisStatus{Mode: "cluster", Addrs: []string{"10.0.0.5:6379"}, BreakerOpen: true, BreakerOpened: 3, Errors: map[string]int64{"timeout": 12, "connection": 40},
			ClockOffset: -0.012, FleetAge: sec(12.4), Reconciled: 1, Masters: []adminapi.MasterStatus{{Name: "10.0.0.5:6379", Up: true}, {Name: "10.0.0.6:6379", BreakerOpen: true}}}},
		Revocations: adminapi.RevocationStatus{Tokens: 1204, Rules: 1, Staleness: sec(12.4), Outbox: 2, JournalErrors: 1, Policies: []adminapi.StalePolicy{{API: "orders", MaxStaleness: 600, OnStale: "deny"}, {API: "users", MaxStaleness: 30, OnStale: "allow"}}},
		Fleet: []adminapi.FleetNode{{Name: "web-1:8080", Version: "v1.2.3", ID: "A", Self: true, Live: true, Heard: 12.4, Behind: sec(0), Clock: sec(0.012)}, {Name: "web-2:8080", Version: "v1.2.3", ID: "B", Live: true, Heard: 12.9, Behind: sec(1.25), Clock: sec(-3605)},
			{Name: "web-3:8080", Version: "v1.2.2", ID: "C", Heard: 44}, {ID: "WRLCOLT6QBI2SY4DJH7M4PPXHV", Live: true, Heard: 12.5, Behind: sec(0)}},
		Limits: adminapi.LimitStatus{Nodes: 4, Keys: 1, Decisions: map[string]int64{"redis": 1203, "local": 4}},
		Audit:  &adminapi.AuditStatus{Failing: true, Lost: 7},
		Keys: []adminapi.Key{{ID: "qKFgY_Ck6v6_ktrd91uOir2oTz1vlC1IsTg2JkNokcc", Algorithm: "ES256", State: "current", Until: at.Add(time.Hour)},
			{ID: "x4mZ1dCk6v6_ktrd91uOir2oTz1vlC1IsTg2JkNokcc", Algorithm: "ES256", State: "next"}},
		Upstreams: []adminapi.UpstreamStatus{{API: "orders", Endpoint: "http://10.0.0.1:9001", Up: true, Breaker: "closed", InFlight: 3}, {API: "users", Endpoint: "http://10.0.0.2:9001", Why: "it can't be connected to"}},
		Denials: []adminapi.Denial{{Time: at.Add(-time.Second), ID: "01JD8Q3Z7K", Status: 403, Reason: "insufficient_scope", Method: "POST", Path: "/orders", Client: "billing-worker"},
			{Time: at.Add(-time.Minute), ID: "01JD8Q3Z7J", Status: 200, Verdict: "would_deny", Reason: "missing_token", Method: "GET", Path: "/\x1b[2J\u202e" + strings.Repeat("x", 100)}},
	}
}

// TestScreen holds what a person sees of a node in trouble.
func TestScreen(t *testing.T) {
	want, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := screen(&b, troubled()); err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant (testdata/status.txt)\n%s", b.String(), want)
	}
}

func TestSpan(t *testing.T) {
	for seconds, want := range map[float64]string{-1: "0s", 0.04: "0s", 0.25: "300ms", 9.94: "9.9s", 12.4: "12s", 60: "1m", 640: "10m40s", 1200: "20m", 3600: "1h", 3660: "1h1m", 36000: "10h", 86400 * 2: "2d", 86400*30 + 3600*20: "30d20h"} {
		if got := span(seconds); got != want {
			t.Errorf("span(%v) = %s, want %s", seconds, got, want)
		}
	}
}

// TestRevokedLine: what is said of a revocation is what is true of it.
func TestRevokedLine(t *testing.T) {
	q := adminapi.RevokeRequest{Client: "worker"}
	for _, tt := range []struct {
		r    adminapi.Revoked
		want string
	}{
		{adminapi.Revoked{Kind: "client", Local: true, Applied: 1, Live: 1}, "revoked every token of client worker: refused by 1 of 1 nodes, on the disk of this node"},
		{adminapi.Revoked{Kind: "client", Local: true, Shared: true, Applied: 3, Live: 3}, "revoked every token of client worker: refused by 3 of 3 nodes, on the disk of this node and in Redis"},
		{adminapi.Revoked{Kind: "token", Local: true, Shared: true, Applied: 2, Live: 3}, "revoked the token: refused by 2 of 3 nodes, on the disk of this node and in Redis; 1 more within a second, or once it reaches Redis"},
		{adminapi.Revoked{Kind: "all", Local: true, Queued: true, Applied: 1, Live: 3}, "revoked every token: refused by 1 of 3 nodes, on the disk of this node, waiting for Redis; the others follow once that takes it"},
		{adminapi.Revoked{Kind: "all", Local: true, Queued: true, Applied: 1, Live: 1}, "revoked every token: refused by 1 of 1 nodes, on the disk of this node, waiting for Redis; the others follow once that takes it"},
	} {
		if got := revokedLine(q, tt.r); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// A gatehouse that has no status is an older one.
func TestStatusOfAnOlderGatehouse(t *testing.T) {
	older := httptest.NewServer(http.NotFoundHandler())
	defer older.Close()
	r := gatehouse(t, "", "status", "--admin", strings.TrimPrefix(older.URL, "http://"), "-c", "/nowhere")
	if r.code != exitFailed || !strings.Contains(r.stderr, "too old") {
		t.Errorf("%+v", r)
	}
}
