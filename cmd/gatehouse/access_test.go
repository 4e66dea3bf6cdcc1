package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/app"
)

const accessConfig = `version: 1
server: {listen: "127.0.0.1:1", public_url: "http://127.0.0.1:1"}
admin: {listen: "127.0.0.1:3"}
clients_file: clients.yaml
issuers:
  corp: {issuer: "https://login.example.com/", jwks_uri: "https://login.example.com/keys", algorithms: [RS256]}
apis:
  orders:
    audience: https://api.example.com/orders
    upstream: http://127.0.0.1:2
    issuers: [local, corp]
    scopes: {orders:read: Read, orders:write: Write, orders:admin: Administer}
    rate_limit: {requests: 100, per: 1s}
    routes:
      - {match: "GET /orders", scopes: [orders:read]}
      - {match: "POST /orders", scopes: [orders:write]}
      - {match: "/orders/{id}", scopes: {all: [orders:read], any: [[orders:write], [orders:admin]]}}
      - {match: "GET /orders/health", auth: public}
  users:
    audience: https://api.example.com/users
    upstream: http://127.0.0.1:2
    hosts: [users.example.com]
    scopes: {users:read: Read}
    routes:
      - {match: "GET /users", auth: token}
      - {match: "GET /shadow", scopes: [users:read], mode: observe}
`

const accessClients = `version: 1
clients:
  billing-worker: {grants: {orders: [orders:read]}, disabled: false}
  editor: {grants: {orders: [orders:read, orders:write], users: []}}
  gone: {grants: {orders: [orders:read, orders:write]}, disabled: true}
`

// site writes a configuration with its clients into a folder of its own.
func site(t *testing.T, config, clients string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config.yaml": config, "clients.yaml": clients} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yaml")
}

func TestAccessCommands(t *testing.T) {
	config := site(t, accessConfig, accessClients)
	for _, tt := range []struct {
		golden, args string
		code         int
		stdout       string
		stderr       string
	}{
		{"routes", "routes list", 0, "", ""},
		{"", "routes list --public", 0, "GET     -     /orders/health", ""},
		{"", "routes list --api users", 0, "users.example.com", ""},
		{"", "routes list --api user", exitFailed, "", `no API "user" — did you mean "users"?`},
		{"", "routes list -o xml", exitUsage, "", "table, json or yaml"},
		{"can", "can editor POST /orders", 0, "ALLOWED", ""},
		{"can-not", "can billing-worker POST /orders", exitDenied, "client grant billing-worker orders:orders:write", ""},
		{"", "can editor PUT /orders/7", 0, "ALLOWED", ""},
		{"", "can billing-worker PUT /orders/7", exitDenied, "insufficient_scope", ""},
		{"", "can editor POST /orders --scope orders:read", exitDenied, "granted; this token was asked for with fewer scopes", ""},
		{"", "can editor GET http://users.example.com/users", 0, "ALLOWED", ""},
		{"", "can editor GET /users", 0, "judged as one of users.example.com", ""},
		{"", "can billing-worker GET /users", exitDenied, "invalid_target", ""},
		{"", "can editor GET /users --audience https://api.example.com/orders", exitDenied, "wrong_audience", ""},
		{"", "can gone GET /orders", exitDenied, "gatehouse client enable gone", ""},
		{"", "can nobody GET /orders", exitDenied, "client_disabled", ""},
		{"", "can x GET /orders --issuer corp --scope orders:read", 0, "ALLOWED", ""},
		{"", "can x GET /orders --issuer corp", exitDenied, "insufficient_scope", ""},
		{"", "can editor GET /orders/%2e%2e/x", exitDenied, "malformed_request", ""},
		{"", "can editor get /orders", exitDenied, `method "get" — did you mean "GET"?`, ""},
		{"", "can editor GET orders", exitUsage, "", `did you mean "/orders"?`},
		{"", "can nobody GET /orders", exitDenied, "Fix:  gatehouse client create nobody", ""},
		{"reach", "can billing-worker", 0, "", ""},
		{"", "can billing-wroker", exitFailed, "", "did you mean billing-worker?"},
		{"", "can", exitUsage, "", "CLIENT METHOD PATH"},
		{"who-can", "who-can POST /orders", 0, "editor\nany client of corp with orders:write\n", "orders · POST /orders"},
		{"", "who-can GET /orders/health", 0, "anyone, without a token\n", ""},
		{"", "who-can GET http://users.example.com/users", 0, "editor\n", ""},
		{"", "who-can GET http://users.example.com/shadow", 0, "anyone, while the route is only observed\n", ""},
		{"", "who-can GET /order", exitDenied, "", "Near: GET /orders"},
	} {
		r := gatehouse(t, "", append(strings.Fields(tt.args), "-c", config)...)
		if r.code != tt.code || !strings.Contains(r.stdout, tt.stdout) || !strings.Contains(r.stderr, tt.stderr) {
			t.Errorf("%s: %d\n%s\n%s", tt.args, r.code, r.stdout, r.stderr)
		}
		if strings.Contains(r.stdout, "expires in 0s") {
			t.Errorf("%s: the token that is assumed has no life\n%s", tt.args, r.stdout)
		}
		if tt.golden != "" {
			golden(t, tt.golden+".txt", steady(strings.ReplaceAll(r.stdout, filepath.Dir(config)+"/", "")))
		}
	}
	var rows []app.RouteRow
	if r := gatehouse(t, "", "routes", "list", "-o", "json", "-c", config); json.Unmarshal([]byte(r.stdout), &rows) != nil || len(rows) != 6 || rows[2].Method != "" || len(rows[2].Any) != 2 {
		t.Errorf("routes list -o json: %+v", r)
	}
	var who whoCan
	if r := gatehouse(t, "", "who-can", "GET", "/order", "-o", "json", "-c", config); json.Unmarshal([]byte(r.stdout), &who) != nil || who.Trace == nil || who.Clients == nil || r.code != exitDenied {
		t.Errorf("who-can -o json: %+v", r)
	}
}

func TestRoutesTest(t *testing.T) {
	config := site(t, accessConfig, accessClients)
	run := func(text string, args ...string) result {
		t.Helper()
		file := filepath.Join(filepath.Dir(config), "routes_test.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := gatehouse(t, "", append([]string{"routes", "test", file, "-c", config}, args...)...)
		r.stdout, r.stderr = strings.ReplaceAll(r.stdout, filepath.Dir(config)+"/", ""), strings.ReplaceAll(r.stderr, filepath.Dir(config)+"/", "")
		return r
	}
	good := `# the orders API
- {request: "GET /orders", client: billing-worker, want: allow}
- {request: "POST /orders", client: billing-worker, want: insufficient_scope}
- {request: "POST /orders", client: billing-worker, scopes: [orders:write], want: invalid_scope}
- {request: "GET /orders/%2e%2e/admin", want: malformed_request}
- {request: "GET /orders", want: missing_token}
- {request: "GET /orders/health", want: allow}
- {request: "GET /users", host: users.example.com, client: editor, want: allow}
- {request: "GET /users", host: users.example.com, client: editor, audience: https://api.example.com/orders, want: wrong_audience}
- {request: "GET /users", host: users.example.com, client: billing-worker, want: invalid_target}
- {request: "GET /shadow", host: users.example.com, client: editor, want: insufficient_scope}
- {request: "GET /orders", client: app, issuer: corp, scopes: [orders:read], want: allow}
- {request: "GET /orders", client: gone, want: client_disabled}
- {request: "PATCH /orders", client: editor, want: method_not_allowed}
`
	if r := run(good); r.code != 0 || r.stdout != "13 tests, 0 failed\n" {
		t.Errorf("good tests: %+v", r)
	}
	failing := run(strings.Replace(good, "want: insufficient_scope", "want: allow", 1))
	if failing.code != exitFailed {
		t.Errorf("exit code %d", failing.code)
	}
	golden(t, "routes-test-failed.txt", steady(failing.stdout))
	var results []app.RouteResult
	if r := run(good, "-o", "json"); json.Unmarshal([]byte(r.stdout), &results) != nil || len(results) != 13 || !results[0].OK || results[1].Trace.Reason != "insufficient_scope" {
		t.Errorf("-o json: %+v", r)
	}
	for name, text := range map[string]string{
		"keys":  "- {request: \"GET /orders\", want: allow, cleint: x}\n- {request: GET /orders}\n- want: allow\n- nonsense\n- {request: orders, want: allow}\n- {request: \"GET /orders\", scopes: [a], want: allow}\n",
		"wants": "- {request: \"GET /orders\", want: insufficient_scopes}\n- {request: \"GET /orders\", want: maybe}\n",
		"map":   "request: GET /orders\n",
		"issue": "- {request: \"GET /orders\", client: x, issuer: crop, want: allow}\n",
	} {
		r := run(text)
		if r.code != exitConfig || r.stdout != "" {
			t.Errorf("%s: %+v", name, r)
		}
		golden(t, "routes-test-bad-"+name+".txt", r.stderr)
	}
	if r := run("[]\n"); r.code != exitFailed || !strings.Contains(r.stderr, "no test") {
		t.Errorf("no tests: %+v", r)
	}
	if r := gatehouse(t, "", "routes", "test", filepath.Join(t.TempDir(), "none.yaml"), "-c", config); r.code != exitConfig {
		t.Errorf("no file: %+v", r)
	}
}

func TestDiffAccess(t *testing.T) {
	before := site(t, accessConfig, accessClients)
	if r := gatehouse(t, "", "diff", "--access", before, site(t, accessConfig, accessClients)); r.code != 0 || r.stdout != "nobody gains or loses a route\n" {
		t.Errorf("the same: %+v", r)
	}
	change := func(pairs ...string) string {
		t.Helper()
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(accessConfig+accessClients, pairs[i]) {
				t.Fatalf("nothing is %q", pairs[i])
			}
		}
		r := strings.NewReplacer(pairs...)
		return site(t, r.Replace(accessConfig), r.Replace(accessClients))
	}
	for name, after := range map[string]string{
		"grant":   change("billing-worker: {grants: {orders: [orders:read]}", "billing-worker: {grants: {orders: [orders:read, orders:write]}"),
		"disable": change("users: []}}", "users: []}, disabled: true}"),
		"public":  change(`"POST /orders", scopes: [orders:write]`, `"POST /orders", auth: public`),
		"scope":   change(`"GET /orders", scopes: [orders:read]`, `"GET /orders", scopes: [orders:admin]`),
		"front":   change(`      - {match: "GET /orders/health", auth: public}`, "      - {match: \"GET /orders/health\", auth: public}\n      - {match: \"DELETE /orders/{id}\", scopes: [orders:admin]}"),
		"removed": change(`      - {match: "GET /orders/health", auth: public}`+"\n", ""),
		"issuer":  change("    issuers: [local, corp]\n", ""),
		"name":    change("/orders/{id}", "/orders/{order}"),
		"host":    change("hosts: [users.example.com]", "hosts: [people.example.com]"),
	} {
		r := gatehouse(t, "", "diff", "--access", before, after)
		want := exitFailed
		if name == "name" {
			want = 0
		}
		if r.code != want || r.stderr != "" {
			t.Errorf("%s: %d %s", name, r.code, r.stderr)
		}
		for _, dir := range []string{filepath.Dir(before), filepath.Dir(after)} {
			r.stdout = strings.ReplaceAll(r.stdout, dir+"/", "")
		}
		golden(t, "diff-"+name+".txt", r.stdout)
	}
	var changes []app.AccessChange
	if r := gatehouse(t, "", "diff", "--access", "-o", "json", before, before); json.Unmarshal([]byte(r.stdout), &changes) != nil || changes == nil {
		t.Errorf("-o json: %+v", r)
	}
	if r := gatehouse(t, "", "diff", before, before); r.code != exitUsage || !strings.Contains(r.stderr, "--access") {
		t.Errorf("without --access: %+v", r)
	}
	if r := gatehouse(t, "", "diff", "--access", before, "/nowhere.yaml"); r.code != exitConfig {
		t.Errorf("no file: %+v", r)
	}
}

// What takes any number of segments is compared also where a route of one segment stands in front of it.
func TestDiffAccessDepths(t *testing.T) {
	const last = `      - {match: "GET /orders/health", auth: public}` + "\n"
	with := func(routes ...string) string {
		t.Helper()
		text := last
		for _, r := range routes {
			text += "      - " + r + "\n"
		}
		return site(t, strings.Replace(accessConfig, last, text, 1), accessClients)
	}
	const (
		front  = `{match: "GET /docs/{id}", auth: public}`
		closed = `{match: "GET /docs/{rest...}", scopes: [orders:admin]}`
		open   = `{match: "GET /docs/{rest...}", auth: public}`
	)
	usual := func() (routes []string) {
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			routes = append(routes, `{match: "`+m+` /docs", auth: public}`)
		}
		return append(routes, `{match: "PROPFIND /dav", auth: token}`)
	}
	for name, tt := range map[string]struct{ before, after, want string }{
		"behind one segment":  {with(front, closed), with(front, open), "GET /docs/{rest...}"},
		"behind an empty one": {with(`{match: "GET /docs/{$}", auth: public}`, closed), with(`{match: "GET /docs/{$}", auth: public}`, open), "GET /docs/{rest...}"},
		"any method":          {with(front, `{match: "/docs/{rest...}", scopes: [orders:admin]}`), with(front, `{match: "/docs/{rest...}", auth: public}`), "/docs/{rest...}"},
		"behind two": {with(`{match: "GET /docs/{a}/{b}", auth: public}`, front, closed), with(`{match: "GET /docs/{a}/{b}", auth: public}`, front, open),
			"GET /docs/{rest...}"},
		"no usual method left": {with(append(usual(), `{match: "/docs", scopes: [orders:admin]}`)...), with(append(usual(), `{match: "/docs", auth: public}`)...), "/docs"},
	} {
		r := gatehouse(t, "", "diff", "--access", tt.before, tt.after)
		if r.code != exitFailed || !strings.HasPrefix(r.stdout, tt.want+"  (") || !strings.Contains(r.stdout, "+ anyone, without a token") || strings.Count(r.stdout, "\n") != 2 {
			t.Errorf("%s: %+v", name, r)
		}
		if r := gatehouse(t, "", "diff", "--access", tt.after, tt.after); r.code != 0 {
			t.Errorf("%s, the same: %+v", name, r)
		}
	}
}
