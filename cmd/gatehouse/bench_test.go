package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/secret"
)

// benchKeys are those of the document, which scripts read.
const benchKeys = "allocations_per_request concurrency cpu_us_per_request cpus gateway latency_ms rate requests requests_per_second scenario seconds statuses unexpected version"

func readBench(t *testing.T, r result) (d benchReport) {
	t.Helper()
	var keys map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &keys); err != nil {
		t.Fatalf("%v: %+v", err, r)
	}
	if got := strings.Join(slices.Sorted(maps.Keys(keys)), " "); got != benchKeys {
		t.Errorf("the keys of -o json are %s\nwant %s", got, benchKeys)
	}
	latency, _ := keys["latency_ms"].(map[string]any)
	if got := strings.Join(slices.Sorted(maps.Keys(latency)), " "); got != "max p50 p95 p99" {
		t.Errorf("the keys of latency_ms are %s", got)
	}
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBenchJSON(t *testing.T) {
	t.Setenv("GATEHOUSE_TEST_IS_COMMAND", "1") // for the gateway
	d := readBench(t, gatehouse(t, "", "bench", "--duration", "300ms", "--concurrency", "4", "-o", "json"))
	if d.Scenario != "call" || d.Gateway != "embedded" || d.Concurrency != 4 || d.Requests == 0 || d.Statuses["200"] != d.Requests || d.Unexpected == nil || len(d.Unexpected) > 0 {
		t.Errorf("%+v", d)
	}
	if d.Seconds < 0.3 || d.PerSecond <= 0 || d.Latency.P50 <= 0 || d.Latency.P50 > d.Latency.P95 || d.Latency.P95 > d.Latency.P99 || d.Latency.P99 > d.Latency.Max {
		t.Errorf("%+v", d)
	}
	if d.CPU == nil || d.Allocations == nil || *d.Allocations < 1 || *d.Allocations > 10_000 {
		t.Errorf("CPU and allocations: %v, %v", d.CPU, d.Allocations)
	}
}

func TestBenchWithoutRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if r := gatehouse(t, "", "bench", "--redis"); r.code != exitFailed || !strings.Contains(r.stderr, "leave --redis out") {
		t.Errorf("--redis where there is no redis-server: %+v", r)
	}
}

// benchProject is a gateway that runs, with a client that may read orders and not users, and a file with its secret.
func benchProject(t *testing.T) (url, secretFile string) {
	path, port := project(t)
	created := gatehouse(t, "", "client", "create", "worker", "-c", path, "--grant", "orders:orders:read")
	if created.code != 0 {
		t.Fatalf("client create: %+v", created)
	}
	_, word, _ := strings.Cut(created.stdout, "GATEHOUSE_CLIENT_SECRET=")
	word = strings.TrimSpace(word)
	if !secret.Whole(word) {
		t.Fatalf("client create printed %q", created.stdout)
	}
	secretFile = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(word+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, "ready", "run", "-c", path)
	return fmt.Sprintf("http://127.0.0.1:%d", port), secretFile
}

func TestBenchTarget(t *testing.T) {
	t.Parallel()
	url, file := benchProject(t)
	args := func(more ...string) []string {
		return append([]string{"bench", "--target", url + "/", "--client", "worker", "--secret-file", file, "--duration", "200ms", "--concurrency", "3", "-o", "json"}, more...)
	}
	for _, tc := range []struct {
		args   []string
		code   int
		status string // of most answers
	}{
		{args("--scenario", "token"), 0, "200"},
		{args("--path", "/orders"), 0, "200"},
		{args("--scenario", "mixed", "--path", "/orders"), 0, "200"},
		{args("--scenario", "revoked", "--path", "/orders", "--scope", "orders:read", "--audience", "https://api.example.com/orders"), 0, "401"},
		{args("--path", "/nothing"), 1, "404"},
		{args("--path", "/users"), 1, "401"}, // the token is for another audience
		{args("--scenario", "mixed", "--path", "/orders", "--denied-path", "/orders"), 1, "200"},
	} {
		r := gatehouse(t, "", tc.args...)
		d := readBench(t, r)
		most, n := "", uint64(0)
		for status, count := range d.Statuses {
			if count > n {
				most, n = status, count
			}
		}
		if r.code != tc.code || most != tc.status || d.Gateway != url+"/" || d.CPU != nil || d.Allocations != nil || (len(d.Unexpected) > 0) != (tc.code == 1) {
			t.Errorf("%v: %d, mostly %s\n%s%s", tc.args, r.code, most, r.stdout, r.stderr)
		}
	}
	refused := gatehouse(t, "a wrong secret", "bench", "--target", url, "--client", "worker", "--secret-stdin", "--scenario", "token")
	if refused.code != exitDenied || refused.stdout != "" || !strings.Contains(refused.stderr, "invalid_client") {
		t.Errorf("a wrong secret: %+v", refused)
	}
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	if r := gatehouse(t, "a secret", "bench", "--target", missing.URL, "--client", "x", "--secret-stdin", "--scenario", "token"); r.code != exitFailed || !strings.Contains(r.stderr, "is --target right?") {
		t.Errorf("an address that is no gateway: %+v", r)
	}
	away := gatehouse(t, "a secret", "bench", "--target", "http://127.0.0.1:1", "--client", "x", "--secret-stdin", "--scenario", "token")
	if away.code != exitUnreachable {
		t.Errorf("nobody there: %+v", away)
	}
}

// An interrupt ends the load: what was measured so far is printed, with what the gateway has used, and nothing stays behind.
func TestBenchInterrupted(t *testing.T) {
	t.Setenv("GATEHOUSE_TEST_IS_COMMAND", "1")
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	talk := &output{}
	done := make(chan int, 1)
	go func() {
		done <- execute(ctx, []string{"bench", "--duration", "1h", "--concurrency", "4", "-o", "json"}, strings.NewReader(""), &out, talk)
	}()
	waitFor(t, func() bool { return strings.Contains(talk.String(), "measuring") })
	time.AfterFunc(benchWarmup+500*time.Millisecond, cancel) // what is to be printed takes time to come about
	if code := <-done; code != exitInterrupted {
		t.Errorf("interrupted: %d\n%s", code, talk)
	}
	d := readBench(t, result{stdout: out.String()})
	if d.Requests == 0 || d.Seconds > 3000 || d.CPU == nil || len(d.Unexpected) > 0 {
		t.Errorf("%+v", d)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	early, soon := context.WithCancel(t.Context())
	soon()
	out.Reset()
	if code := execute(early, []string{"bench"}, strings.NewReader(""), &out, talk); code != exitInterrupted || out.Len() > 0 {
		t.Errorf("interrupted before anything was measured: %d\n%s%s", code, out.String(), talk)
	}
}
