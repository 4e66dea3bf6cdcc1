package app

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
	"gatehouse/internal/trace"
)

// payload is what a token says.
func payload(t *testing.T, raw string) (claims map[string]any) {
	t.Helper()
	_, rest, _ := strings.Cut(raw, ".")
	body, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestClaims: claims of the file are in the tokens of their API alone, pass the gate, are counted by limits, and follow a reload.
func TestClaims(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		claims := func(team string) {
			s.limit = `{requests: 1, per: 1h, by: "claim:https://example.com/team"}
    claims: {"https://example.com/team": "` + team + `", "https://example.com/who": "{client.id}@{api.name} {{x}"}`
			s.write()
		}
		claims("all")
		n := s.start()
		reader, writer, other := s.token(n, "reader"), s.token(n, "writer"), s.token(n, "other")
		for raw, want := range map[string][2]any{reader: {"all", "reader@orders {x}"}, writer: {"all", "writer@orders {x}"}, other: {nil, nil}} {
			if got := payload(t, raw); got["https://example.com/team"] != want[0] || got["https://example.com/who"] != want[1] {
				t.Errorf("%v, want %v", got, want)
			}
		}
		if got := n.call("GET", "/orders/1", reader).status; got != 200 {
			t.Errorf("the first of the team: %d", got)
		}
		if got := n.call("GET", "/orders/1", writer).status; got != 429 {
			t.Errorf("the second of the team: %d, want 429", got)
		}
		whatIf := n.explained(adminapi.ExplainRequest{Method: "GET", URL: s.url() + "/orders/1", Client: "writer"})
		if step := whatIf.Step(trace.Limit); step == nil || step.Outcome != trace.Failed {
			t.Errorf("what if: %+v, want a limit that refuses", whatIf.Steps)
		}
		claims("{client.id}")
		if _, err := n.Reload("api"); err != nil {
			t.Fatal(err)
		}
		if got := n.call("GET", "/orders/1", s.token(n, "writer")).status; got != 200 {
			t.Errorf("after the reload, a team of its own: %d", got)
		}
	})
}

// hookServer answers questions with what answer says, in JSON.
func hookServer(t *testing.T, answer func(q map[string]any) string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Errorf("the question: %v", err)
		}
		io.WriteString(w, answer(q))
	}))
	t.Cleanup(server.Close)
	return server
}

// hookWithout is the URL of a hook that leaves one scope out.
func hookWithout(t *testing.T, scope string) string {
	return hookServer(t, func(q map[string]any) string {
		left := []string{}
		for _, s := range q["scopes"].([]any) {
			if s != scope {
				left = append(left, s.(string))
			}
		}
		text, err := json.Marshal(map[string]any{"scopes": left})
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}).URL
}

// counts checks that a series has a value by now: requests are counted just after they were answered.
func (n *node) counts(series string, want int) {
	n.t.Helper()
	eventually(n.t, 5*time.Second, fmt.Sprint(series, " is ", want), func() bool {
		_, text := n.adminBody("GET", "/metrics")
		return strings.Contains(text, fmt.Sprintf("\n%s %d\n", series, want))
	})
}

// TestHook: a hook narrows, adds, denies, and fails closed, on the whole way from the file to the metric.
func TestHook(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		var says atomic.Value
		says.Store("{}")
		asked := make(chan map[string]any, 100)
		server := hookServer(t, func(q map[string]any) string { asked <- q; return says.Load().(string) })
		s := newSite(t, redis)
		s.file("hook.key", strings.Repeat("k", 32)+"\n")
		with := func(extra string) {
			s.limit = "[]\n    hook: {url: \"" + server.URL + "/?sig=canary\", secret_file: hook.key, timeout: 10s}\n" + extra
			s.write()
		}
		with(`    claims: {"https://example.com/team": file, "https://example.com/who": "{client.id}"}` + "\n")
		s.client("limited", "grants: {orders: [orders:read]}\n    quota: {tokens: 2, per: 24h}")
		n := s.start()
		n.counts(`gatehouse_hook_requests_total{api="orders",result="failed"}`, 0)
		ask := func(client string, answer string, form ...string) answer {
			says.Store(answer)
			all := url.Values{"grant_type": {"client_credentials"}}
			for i := 0; i+1 < len(form); i += 2 {
				all.Set(form[i], form[i+1])
			}
			return s.post(n, "/oauth/token", client, all)
		}

		a := ask("writer", `{"scopes":["orders:read"],"claims":{"https://example.com/team":["a","b"],"urn:x":1}}`, "scope", "orders:write orders:read")
		var body struct {
			Access string `json:"access_token"`
			Scope  string `json:"scope"`
		}
		decode(t, a.body, &body)
		claims := payload(t, body.Access)
		if a.status != 200 || body.Scope != "orders:read" || claims["scope"] != "orders:read" || fmt.Sprint(claims["https://example.com/team"]) != "[a b]" ||
			claims["urn:x"] != 1.0 || claims["https://example.com/who"] != "writer" || n.call("GET", "/orders/1", body.Access).status != 200 || n.call("POST", "/orders", body.Access).status != 403 {
			t.Errorf("narrowed, with claims: %d %s, %v", a.status, a.body, claims)
		}
		q := <-asked
		if q["client"] != "writer" || q["audience"] != "https://api.example.com/orders" || fmt.Sprint(q["scopes"]) != "[orders:read orders:write]" ||
			fmt.Sprint(q["asked"]) != "[orders:write orders:read]" || q["request_id"] != a.header.Get("X-Request-Id") {
			t.Errorf("the question: %v", q)
		}

		for _, tt := range []struct {
			answer, word, says, fix string
			status                  int
		}{
			{`{"deny":{"error":"access_denied","description":"no contract"}}`, "access_denied", "no contract", "ask who runs that hook", 403},
			{`{"deny":{"error":"invalid_request"}}`, "invalid_request", "may not have this token now", "ask who runs that hook", 400},
			{`{"scopes":[]}`, "invalid_scope", "none of these scopes", "ask who runs that hook", 400},
			{`{"scopes":["orders:admin"]}`, "temporarily_unavailable", "try again", "gatehouse check --deep", 503},
			{`{"claims":{"aud":"x"}}`, "temporarily_unavailable", "try again", "gatehouse check --deep", 503},
			{`{"claims":{"urn:x":"` + strings.Repeat("x", 5000) + `"}}`, "temporarily_unavailable", "try again", "gatehouse check --deep", 503},
			{`no JSON`, "temporarily_unavailable", "try again", "gatehouse check --deep", 503},
		} {
			a := ask("limited", tt.answer)
			d := n.denial(a.header.Get("X-Request-Id"))
			checkSteps(t, d.Trace, trace.Hook)
			if text := d.Trace.Text(false); a.status != tt.status || !strings.Contains(a.body, `"`+tt.word+`"`) || !strings.Contains(a.body, tt.says) ||
				!strings.Contains(text, tt.fix) || !strings.Contains(text, server.URL) || strings.Contains(text, "canary") {
				t.Errorf("%.60s: %d %s\n%s", tt.answer, a.status, a.body, text)
			}
		}
		for range 2 { // what was refused took nothing from the quota
			if a := ask("limited", "{}"); a.status != 200 {
				t.Errorf("the quota: %d %s", a.status, a.body)
			}
		}
		n.counts(`gatehouse_hook_requests_total{api="orders",result="failed"}`, 4)
		n.counts(`gatehouse_hook_requests_total{api="orders",result="denied"}`, 3)
		n.counts(`gatehouse_hook_requests_total{api="orders",result="allowed"}`, 3)
		n.counts(`gatehouse_hook_duration_seconds_count{api="orders"}`, 10)

		whatIf := n.explained(adminapi.ExplainRequest{Method: "GET", URL: s.url() + "/orders/1", Client: "writer"})
		if text := whatIf.Text(false); !strings.Contains(text, "the hook of orders was not asked") || len(asked) != 9 {
			t.Errorf("what if, with %d questions:\n%s", len(asked), text)
		}

		server.Close()
		if a := s.post(n, "/oauth/token", "writer", clientCredentials); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("the hook is gone: %d %s", a.status, a.body)
		}
		if a := s.post(n, "/oauth/token", "other", clientCredentials); a.status != 200 {
			t.Errorf("another API: %d %s", a.status, a.body)
		}
		s.limit = ""
		s.write()
		if _, err := n.Reload("api"); err != nil {
			t.Fatal(err)
		}
		if a := s.post(n, "/oauth/token", "writer", clientCredentials); a.status != 200 {
			t.Errorf("without the hook: %d %s", a.status, a.body)
		}
		if _, text := n.adminBody("GET", "/metrics"); strings.Contains(text, "gatehouse_hook_requests_total{") {
			t.Error("the series of a hook outlive it")
		}
		if log := n.log.String(); strings.Contains(log, "canary") || !strings.Contains(log, "the hook of orders") {
			t.Errorf("the log tells too much, or too little:\n%s", log)
		}
	})
}

// TestClaimsAtTheirLimit: whatever claims the file may have, each client gets tokens that pass the gate.
func TestClaimsAtTheirLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	odd := strings.Repeat(`\`, 128)
	s.client(odd, "grants: {orders: [orders:read]}")
	ids := strings.Repeat("{client.id}", 7)
	s.limit = "[]\n    claims: {'https://example.com/<&>': '" + strings.Repeat("<>&", 170) + "', 'urn:a': '" + ids + "', 'urn:b': '" + strings.Repeat(`\"`, 100) + "'}"
	s.write()
	n := s.start()
	for _, client := range []string{"reader", odd} {
		raw := s.token(n, client)
		if got := payload(t, raw)["urn:a"]; got != strings.Repeat(client, 7) {
			t.Errorf("%.10s: %v", client, got)
		}
		if a := n.call("GET", "/orders/1", raw); a.status != 200 {
			t.Errorf("%.10s: %d %s", client, a.status, a.body)
		}
	}
}
