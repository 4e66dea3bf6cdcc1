package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/secret"
)

// A client has its whole life by commands: made with a limit of its own, used, found unused, deleted with its tokens.
func TestClientFromCreateToDelete(t *testing.T) {
	path, _ := project(t)
	client := func(args ...string) result {
		t.Helper()
		return gatehouse(t, "", append([]string{"client"}, append(args, "-c", path)...)...)
	}
	var made createdClient
	r := client("create", "worker", "--grant", "orders:orders:read", "--rate", "50/1m", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &made); err != nil || !secret.Whole(made.Secret) || made.ID != "worker" || r.stderr != "" {
		t.Fatalf("create -o json: %+v", r)
	}
	stored, err := os.ReadFile(filepath.Join(filepath.Dir(path), "clients.yaml"))
	if err != nil || !strings.Contains(string(stored), "rate_limit: {requests: 50, per: 1m}") {
		t.Errorf("clients.yaml: %v\n%s", err, stored)
	}
	newSecret(t, client("create", "idle"))
	for _, rate := range []string{"50", "50/", "/1s", "0/1s", "50/10ms", "x/1s"} {
		if r := client("create", "other", "--rate", rate); r.code != exitUsage || !strings.Contains(r.stderr, "50/1s") {
			t.Errorf("--rate %s: %+v", rate, r)
		}
	}

	stdout, _, _ := background(t, `"msg":"ready"`, "run", "-c", path, "--print-effective")
	if text := stdout.String(); !strings.Contains(text, "max_body: 10MiB") || !strings.Contains(text, "default") || !strings.Contains(text, path+":2") && !strings.Contains(text, "config.yaml:") {
		t.Errorf("--print-effective:\n%s", text)
	}
	t.Setenv("GATEHOUSE_CLIENT_ID", "worker")
	t.Setenv("GATEHOUSE_CLIENT_SECRET", made.Secret)
	var got issued
	if r := gatehouse(t, "", "token", "get", "-o", "json", "-c", path); json.Unmarshal([]byte(r.stdout), &got) != nil || got.AccessToken == "" || got.TokenType != "Bearer" || got.ExpiresIn != 600 || got.Scope != "orders:read" {
		t.Errorf("token get -o json: %+v", r)
	}
	unused := gatehouse(t, "", "routes", "list", "--unused", "-c", path)
	if !strings.Contains(unused.stdout, "/orders") || !strings.Contains(unused.stdout, "/users") {
		t.Errorf("routes list --unused: %+v", unused)
	}
	curl := gatehouse(t, "", "token", "get", "--curl", "GET", "/orders", "-c", path)
	if answer := shell(t, strings.Replace(curl.stdout, "curl ", "curl -s ", 1)); answer != "an order" {
		t.Errorf("%q gave %q", curl.stdout, answer)
	}
	waitFor(t, func() bool { // what became of a request is noted once it is over
		r := gatehouse(t, "", "routes", "list", "--unused", "-c", path)
		return r.code == 0 && !strings.Contains(r.stdout, "/orders") && strings.Contains(r.stdout, "/users")
	})
	if r := gatehouse(t, "", "token", "get", "--curl", "GET", "-c", path); r.code != exitUsage {
		t.Errorf("--curl without a path: %+v", r)
	}

	// Tokens have been noted since today alone: what there was before is not known, and not claimed.
	if r := client("list", "--unused", "90d"); r.code != 0 || strings.Contains(r.stdout, "idle") || !strings.Contains(r.stderr, "1 client left out") {
		t.Errorf("list --unused: %+v", r)
	}
	for _, days := range []string{"90", "0d", "-1d", "1h", "x"} {
		if r := client("list", "--unused", days); r.code != exitUsage {
			t.Errorf("--unused %s: %+v", days, r)
		}
	}
	if r := client("show", "worker"); r.code != 0 || !strings.Contains(r.stdout, "limit   50 per 1m") {
		t.Errorf("show: %+v", r)
	}
	elsewhere := gatehouse(t, "", "token", "get", "--audience", "orders", "-c", path)
	_, id, _ := strings.Cut(elsewhere.stderr, "why: gatehouse explain ")
	if id = strings.TrimSpace(id); elsewhere.code != exitDenied || id == "" {
		t.Errorf("token get for no audience: %+v", elsewhere)
	} else if r := gatehouse(t, "", "explain", id, "-c", path); r.code != exitDenied || !strings.Contains(r.stdout, "Fix:  gatehouse token get --audience ") {
		t.Errorf("explain %s: %+v", id, r)
	}
	if r := client("delete", "worker", "--yes"); r.code != 0 || r.stdout != "worker is deleted\n" {
		t.Errorf("delete: %+v", r)
	}
	if r := gatehouse(t, "", "reload", "-c", path); r.code != 0 {
		t.Errorf("reload: %+v", r)
	}
	if after := gatehouse(t, "", "token", "get", "-c", path); after.code != exitDenied || !strings.Contains(after.stderr, "gatehouse client show worker") {
		t.Errorf("a deleted client: %+v", after)
	}
	if out := shell(t, strings.Replace(curl.stdout, "curl ", "curl -s ", 1)); !strings.Contains(out, "client_disabled") {
		t.Errorf("a token of a deleted client: %q", out)
	}
	for _, args := range [][]string{{"disable", "ilde"}, {"grant", "ilde", "orders"}, {"rotate", "ilde"}, {"show", "ilde"}} {
		if r := client(args...); r.code != exitFailed || !strings.Contains(r.stderr, `there is no client "ilde" — did you mean "idle"? see: gatehouse client list`) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := client("delete", "wroker", "--yes"); r.code != exitFailed || !strings.Contains(r.stderr, "there is no client") {
		t.Errorf("delete of nobody: %+v", r)
	}
}

// A secret of which a part is missing is never sent: the answer would be a guess, and count as one.
func TestHalfASecretIsNotSent(t *testing.T) {
	whole := secret.New()
	for _, word := range []string{whole[:len(whole)-1], whole[:20], "gatecs_", strings.ToLower(whole)} {
		r := gatehouse(t, word, "token", "get", "--client", "x", "--secret-stdin", "--url", "http://127.0.0.1:1/oauth/token")
		if r.code != exitUsage || !strings.Contains(r.stderr, "not a whole Gatehouse secret") || len(word) > 10 && strings.Contains(r.stderr, word) {
			t.Errorf("%d characters: %+v", len(word), r)
		}
	}
	if r := gatehouse(t, whole, "token", "get", "--client", "x", "--secret-stdin", "--url", "http://127.0.0.1:1/oauth/token"); r.code != exitUnreachable {
		t.Errorf("a whole one: %+v", r)
	}
}
