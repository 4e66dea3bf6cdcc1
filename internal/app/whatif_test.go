package app

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/trace"
)

// TestWhatIfParity asks, for random clients, scopes, audiences and requests, what if; then it does just that: gets the token and
// sends the request. The same is refused for the same reason, by the running gateway and by the files alone.
func TestWhatIfParity(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.extra = `      - {match: "/both/{id}", scopes: {all: [orders:read], any: [[orders:write]]}}
      - {match: "GET /any", auth: token}
      - {match: "DELETE /both/{id}", scopes: [orders:write]}
      - {match: "GET /seen", scopes: [orders:write], mode: observe}
`
	s.clients = map[string]string{"both": "grants: {orders: [orders:read], users: [users:read]}", "bare": "grants: {orders: []}", "none": "grants: {}"}
	s.writeClients()
	s.write()
	n := s.start()
	cfg, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	off, err := OpenOffline(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer off.Close()

	random := rand.New(rand.NewPCG(3, 5))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	audiences := map[string]string{"/users": "https://api.example.com/users"}
	reasons := map[string]int{}
	for range 400 {
		q := adminapi.ExplainRequest{Method: pick("GET", "GET", "POST", "DELETE", "PUT"), Client: pick("reader", "writer", "other", "both", "bare", "none"),
			URL: pick("/orders/1", "/orders", "/open/x", "/users", "/both/1", "/any", "/seen", "/nowhere", "/orders/%2e%2e", "/orders/a;b")}
		for _, scope := range []string{"orders:read", "orders:write", "users:read"} {
			if random.IntN(4) == 0 {
				q.Scopes = append(q.Scopes, scope)
			}
		}
		if random.IntN(4) == 0 {
			q.Audience = pick("https://api.example.com/users", "https://api.example.com/orders", "urn:nobody")
		}
		asked := n.explained(q)
		audience := q.Audience
		if audience == "" {
			if audience = audiences[q.URL]; audience == "" {
				audience = "https://api.example.com/orders"
			}
		}
		got := s.carryOut(n, q, audience, asked)
		reasons[got]++
		if want := outcomeOf(asked); got != want {
			t.Errorf("%+v: done it is %q, asked it was %q", q, got, want)
		}
		if there, err := off.Explain(t.Context(), q); err != nil || outcomeOf(there) != got {
			t.Errorf("%+v: done it is %q, offline %q %v", q, got, outcomeOf(there), err)
		}
	}
	for _, reason := range []string{"", "would_deny insufficient_scope", "insufficient_scope", "invalid_scope", "invalid_target", "wrong_audience", "no_route", "method_not_allowed", "malformed_request"} {
		if reasons[reason] == 0 {
			t.Errorf("nothing ended with %q: %v", reason, reasons)
		}
	}
}

func outcomeOf(t *trace.Trace) string {
	if t == nil {
		return "?"
	}
	if t.Verdict == trace.WouldDeny {
		return "would_deny " + t.Reason
	}
	return t.Reason
}

// carryOut does what was asked about. A token is got only where the request would be judged by one.
func (s *site) carryOut(n *node, q adminapi.ExplainRequest, audience string, asked *trace.Trace) string {
	s.t.Helper()
	bearer := ""
	if asked.API != "" && !asked.Public {
		form := url.Values{"grant_type": {"client_credentials"}, "audience": {audience}, "scope": {strings.Join(q.Scopes, " ")}}
		a := s.post(n, "/oauth/token", q.Client, form)
		var body struct {
			Error string
			Token string `json:"access_token"`
		}
		decode(s.t, a.body, &body)
		if body.Error != "" {
			return body.Error
		}
		bearer = body.Token
	}
	a := n.call(q.Method, q.URL, bearer)
	if a.status < 400 {
		var list []adminapi.Denial // observe mode lets it through, and tells
		id := a.header.Get("X-Request-Id")
		if asked.Verdict == trace.WouldDeny {
			return "would_deny " + n.denial(id).Reason
		}
		n.adminCall("GET", "/api/v1/denials?limit=5", nil, &list)
		if slices.ContainsFunc(list, func(d adminapi.Denial) bool { return d.ID == id }) {
			return "refused unasked"
		}
		return ""
	}
	return a.reason()
}

// TestDenialsOfTheTokenEndpoint: the caller learns little, and the operator who asks learns what was meant.
func TestDenialsOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.clients = map[string]string{"billing-worker": "grants: {orders: [orders:read]}", "off": "grants: {orders: []}\n    disabled: true", "idle": "grants: {orders: []}\n    grant_types: []",
		"keyed": "grants: {orders: []}\n    auth: private_key_jwt\n    jwks_uri: http://127.0.0.1:2/jwks"}
	s.writeClients()
	n := s.start()
	with := func(pairs ...string) url.Values {
		form := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return form
	}
	s.secrets["keyed"] = "another one" // than that in the file
	s.secrets["biling-worker"] = s.secrets["billing-worker"]
	for _, tt := range []struct {
		client, reason string
		form           url.Values
		at             trace.Check
		says           []string
	}{
		{"biling-worker", "invalid_client", with(), trace.Client, []string{"unknown client", "the client billing-worker", "clients.yaml:"}},
		{"off", "invalid_client", with(), trace.Client, []string{"client disabled", "gatehouse client enable off -c "}},
		{"keyed", "invalid_client", with(), trace.Client, []string{"its auth is private_key_jwt", "clients.yaml:", "Fix:  send a client_assertion"}},
		{"billing-worker", "invalid_scope", with("scope", "orders:raed"), trace.Grant, []string{`did you mean "orders:read"`, "billing-worker is granted orders:[orders:read]"}},
		{"billing-worker", "invalid_scope", with("scope", "orders:write"), trace.Grant, []string{"Fix:  gatehouse client grant billing-worker orders:orders:write"}},
		{"billing-worker", "invalid_scope", with("scope", "a  b"), trace.Scope, []string{"one space"}},
		{"billing-worker", "invalid_target", with("audience", "https://api.example.com/order"), trace.Target, []string{`did you mean "https://api.example.com/orders"`}},
		{"billing-worker", "invalid_target", with("audience", "https://api.example.com/users"), trace.Target, []string{"gatehouse client grant billing-worker users"}},
		{"billing-worker", "invalid_request", url.Values{}, trace.GrantType, []string{"grant_type=client_credentials"}},
		{"billing-worker", "unsupported_grant_type", with("grant_type", "password"), trace.GrantType, []string{"gatehouse token get"}},
		{"idle", "unauthorized_client", with(), trace.GrantType, []string{"add client_credentials"}},
	} {
		a := s.post(n, "/oauth/token", tt.client, tt.form)
		d := n.denial(a.header.Get("X-Request-Id"))
		if d.Reason != tt.reason || d.Endpoint != "token" || d.Status != a.status || d.Trace.Asked == nil {
			t.Errorf("%s %v: %d %s, %+v", tt.client, tt.form, a.status, a.body, d)
			continue
		}
		checkSteps(t, d.Trace, tt.at)
		text := d.Trace.Text(false)
		for _, says := range tt.says {
			if !strings.Contains(text, says) {
				t.Errorf("%s %v does not say %q:\n%s", tt.client, tt.form, says, text)
			}
		}
		if body, _ := json.Marshal(d); strings.Contains(string(body), "biling-worker") || strings.Contains(string(body), s.secrets[tt.client]) {
			t.Errorf("it repeats what a stranger said: %s", body)
		}
	}
	a := n.call("GET", "/oauth/token", "")
	d := n.denial(a.header.Get("X-Request-Id"))
	checkSteps(t, d.Trace, trace.Request)
	if d.Status != 405 {
		t.Errorf("%+v", d)
	}
}

// TestDenialsAPI: limits, order, and what is not there.
func TestDenialsAPI(t *testing.T) {
	t.Parallel()
	n := newSite(t, nil).start()
	var list []adminapi.Denial
	if status, body := n.adminBody("GET", "/api/v1/denials"); status != 200 || body != "[]\n" {
		t.Errorf("none yet: %d %q", status, body)
	}
	var last string
	for i := range 5 {
		last = n.call("GET", fmt.Sprint("/nowhere/", i), "").header.Get("X-Request-Id")
		n.denial(last)
	}
	if n.adminCall("GET", "/api/v1/denials?limit=3", nil, &list); len(list) != 3 || list[0].ID != last || list[0].Path != "/nowhere/4" || list[2].Path != "/nowhere/2" || list[0].Trace != nil {
		t.Errorf("%+v", list)
	}
	for path, want := range map[string]int{"/api/v1/denials?limit=0": 422, "/api/v1/denials?limit=x": 422, "/api/v1/denials?limit=1001": 422, "/api/v1/denials/none": 404, "/api/v1/denials/" + strings.Repeat("x", 5000): 404} {
		if status, body := n.adminBody("GET", path); status != want || !strings.Contains(body, `"error"`) {
			t.Errorf("%.60s: %d %s, want %d", path, status, body, want)
		}
	}
	for _, q := range []adminapi.ExplainRequest{{}, {URL: "/", Token: "x", Client: "y"}, {URL: "/", Scopes: []string{"a"}}, {URL: "/orders/1", Client: "reader", Issuer: "nobody"}, {URL: "/", Token: strings.Repeat("x", 20<<10)}} {
		if status := n.adminCall("POST", "/api/v1/explain", q, nil); status != 422 {
			t.Errorf("%.80v: %d, want 422", q, status)
		}
	}
}

// What if a client called that may have spent its quota? The endpoint is not asked, and the answer says so.
func TestWhatIfQuota(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.client("limited", "grants: {orders: [orders:read]}\n    quota: {tokens: 1, per: 1h}")
	n := s.start()
	for client, wanted := range map[string]bool{"limited": true, "reader": false} {
		tr := n.explained(adminapi.ExplainRequest{Client: client, URL: "/orders/1"})
		if got := slices.ContainsFunc(tr.Notes, func(note string) bool { return strings.Contains(note, "quota") }); got != wanted {
			t.Errorf("%s: %q", client, tr.Notes)
		}
	}
}
