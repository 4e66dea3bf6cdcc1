package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gatehouse/authz"
	"gatehouse/internal/token"
)

// newIncidentWorld has a subtree for scope read and one for scope admin, and an API under a prefix.
func newIncidentWorld(t testing.TB) *world {
	api := &API{Name: "stripped", StripPrefix: "/api"}
	stripped := scoped("/api/{path...}", "read")
	stripped.API = api
	return newWorld(t, nil, scoped("GET /public/{path...}", "read"), scoped("GET /admin", "admin"), scoped("GET /admin/{path...}", "admin"),
		scoped("GET /exact", "read"), scoped("POST /exact", "read"), stripped)
}

// TestIncidentPaths are failures that other gateways had, by the rows of the threat list: the token holds read alone, so
// that a 200 which is not for /public would be a way around.
func TestIncidentPaths(t *testing.T) {
	t.Parallel()
	w := newIncidentWorld(t)
	raw := w.token("read")
	for _, tt := range []struct {
		row, target string
		status      int
		upstream    string // the target that the upstream saw; "" for nothing
	}{
		{"R0 control", "/public/a", 200, "/public/a"},
		{"R0 control", "/admin/a", 403, ""},
		{"R1", "/public/../admin", 400, ""},
		{"R2", "/public/%2e%2e/admin", 400, ""},
		{"R2", "/public/.%2e/admin", 400, ""},
		{"R2", "/public/%2E./admin", 400, ""},
		{"R2 twice", "/public/%252e%252e/admin", 400, ""},
		{"R3", "/admin%2f", 400, ""},
		{"R3", "/public/x%5cadmin", 400, ""},
		{"R3", "/public/%00", 400, ""},
		{"R3", "/public/a%3bb", 400, ""},
		{"R3", "/public/%3f", 400, ""},
		{"R3", "/public/%23", 400, ""},
		{"R4", "/%61pi/x", 200, "/x"},
		{"R4", "/api/%61dmin?q=%61", 200, "/%61dmin?q=%61"},
		{"R4 empty", "/api/", 200, "/"},
		{"R5", "/api/%2e%2e/admin", 400, ""},
		{"R6", "/api../admin", 404, ""},
		{"R6", "/apix", 404, ""},
		{"R7", "/api/x/%2e%2e%2fadmin", 400, ""},
		{"R8", "/public#/admin", 400, ""},
		{"R8", "/public/a?x#y", 400, ""},
		{"R12", "/public/../admin/secrets", 400, ""},
		{"R13", "/%41dmin", 404, ""},
		{"R13", "/ADMIN", 404, ""},
		{"R13", "/%61dmin", 403, ""},
		{"R15", `/public\..\admin`, 400, ""},
		{"R15", "/public/%5c..%5cadmin", 400, ""},
		{"R17", "/public/..;/admin", 400, ""},
		{"R17", "/admin;x=1", 400, ""},
		{"R17", "/public/.;/admin", 400, ""},
		{"R18", "//admin", 400, ""},
		{"R18", "/public//..//admin", 400, ""},
		{"R18", "/public//a", 400, ""},
		{"R21", "/unlisted", 404, ""},
		{"R22", "/admin-x", 404, ""},
		{"R22", "/exact/sibling", 404, ""},
		{"R22", "/publicx", 404, ""},
		{"R25 no redirect", "/public", 404, ""},
		{"R26", "/admin /x", 400, ""},
		{"R26", "/public../", 404, ""},
		{"S7 query untouched", "/public/a?u=1;admin=1&a=%zz&&=&b", 200, "/public/a?u=1;admin=1&a=%zz&&=&b"},
		{"S7 empty query", "/public/a?", 200, "/public/a?"},
		{"bytes kept", "/public/%c3%A9%7e|'(x)", 200, "/public/%c3%A9%7e|'(x)"},
		{"S19", "*", 400, ""},
		{"absolute", "http://gate.example/public/a", 200, "/public/a"},
		{"absolute, userinfo", "http://x@gate.example/public/a", 400, ""},
		{"absolute, no path", "http://gate.example", 400, ""},
		{"absolute, dots", "http://gate.example/public/../admin", 400, ""},
		{"other scheme", "ftp://gate.example/public/a", 400, ""},
		{"too long", "/public/" + strings.Repeat("a", maxTarget), 414, ""},
		{"D8", "/public/" + strings.Repeat("../", 2700), 400, ""},
	} {
		got := w.get(tt.target, bearer(raw))
		var upstream string
		if list := w.up.take(); len(list) > 0 {
			upstream = list[0].target
		}
		if got.StatusCode != tt.status || upstream != tt.upstream {
			t.Errorf("%s: GET %.60q = %d, upstream %q; want %d, %q", tt.row, tt.target, got.StatusCode, upstream, tt.status, tt.upstream)
		}
	}
}

// TestIncidentBypasses are requests that other gateways took for something else than what they ask for.
func TestIncidentBypasses(t *testing.T) {
	t.Parallel()
	w := newIncidentWorld(t)
	noScope := w.token("")
	for _, tt := range []struct {
		row, method, target string
		headers             []string
		status              int
		reason              authz.Reason
	}{
		{"R9 query", "GET", "/admin?next=/public/a", nil, 401, authz.MissingToken},
		{"R10 forwarded", "GET", "/admin", []string{"X-Forwarded-Uri: /public/a", "X-Original-URL: /public/a"}, 401, authz.MissingToken},
		{"R11 probe", "GET", "/admin", []string{"User-Agent: kube-probe/1.30"}, 401, authz.MissingToken},
		{"R23 no scope", "GET", "/public/a", []string{bearer(noScope)}, 403, authz.InsufficientScope},
		{"H8 two tokens", "GET", "/public/a", []string{bearer(noScope), bearer(noScope)}, 400, authz.MultipleTokens},
		{"other scheme", "GET", "/public/a", []string{"Authorization: Basic Zm9vOmJhcg=="}, 401, authz.MissingToken},
		{"empty bearer", "GET", "/public/a", []string{"Authorization: Bearer"}, 401, authz.MalformedToken},
		{"token in query", "GET", "/public/a?access_token=" + noScope, nil, 401, authz.MissingToken},
		{"S1 CONNECT", "CONNECT", "gate.example:443", nil, 405, authz.MethodNotAllowed},
		{"S1 CONNECT path", "CONNECT", "/public/a", nil, 405, authz.MethodNotAllowed},
		{"S19 TRACE", "TRACE", "/public/a", nil, 400, authz.MalformedRequest},
		{"S19 PRI", "PRI", "/public/a", nil, 400, authz.MalformedRequest},
		{"S19 lower", "get", "/public/a", nil, 400, authz.MalformedRequest},
		{"S19 unknown", "BREW", "/public/a", nil, 400, authz.MalformedRequest},
		{"S19 OPTIONS *", "OPTIONS", "*", nil, 400, authz.MalformedRequest},
		{"method", "DELETE", "/admin/5", []string{bearer(noScope)}, 405, authz.MethodNotAllowed},
		{"S2 websocket", "GET", "/public/a", []string{bearer(w.token("read")), "Connection: keep-alive, Upgrade", "Upgrade: WebSocket"}, 403, authz.UpgradeNotAllowed},
	} {
		before := len(w.sink.list)
		got := w.send(tt.method, tt.target, tt.headers...)
		if rec := w.sink.nth(before + 1); got.StatusCode != tt.status || rec.Reason != string(tt.reason) {
			t.Errorf("%s: %d %s, want %d %s", tt.row, got.StatusCode, rec.Reason, tt.status, tt.reason)
		}
		if list := w.up.take(); len(list) != 0 {
			t.Errorf("%s: the upstream saw %v", tt.row, list)
		}
	}
}

func TestTokenVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, scoped("GET /a", "read"), anyToken("GET /any"))
	w.issuer.revoked["gone"] = true
	client := func(id string) func(*token.Issue) { return func(i *token.Issue) { i.Client = id } }
	for _, tt := range []struct {
		name, target, raw string
		status            int
		reason, public    string
		challenge         string
	}{
		{"good", "/a", w.token("read"), 200, "", "", ""},
		{"any token", "/any", w.token(""), 200, "", "", ""},
		{"no scope", "/a", w.token("write"), 403, "insufficient_scope", "insufficient_scope",
			`Bearer realm="gatehouse", error="insufficient_scope", error_description="this route needs read; the token has write", scope="read"`},
		{"other audience", "/a", w.token("read", func(i *token.Issue) { i.Audience = "https://other" }), 401, "wrong_audience", "wrong_audience", "invalid_token"},
		{"other issuer", "/a", w.token("read", func(i *token.Issue) { i.Issuer = "http://evil" }), 401, "wrong_issuer", "invalid_token", "invalid_token"},
		{"expired", "/a", w.token("read", func(i *token.Issue) { i.IssuedAt -= 900; i.Expires = i.IssuedAt + 60 }), 401, "expired", "expired", "invalid_token"},
		{"revoked", "/a", w.token("read", client("gone")), 401, "revoked", "revoked", "invalid_token"},
		{"disabled", "/a", w.token("read", client("disabled")), 401, "client_disabled", "client_disabled", "invalid_token"},
		{"garbage", "/a", "e30.e30.e30", 401, "malformed_token", "invalid_token", "invalid_token"},
		{"flipped", "/a", flip(w.token("read")), 401, "bad_signature", "invalid_token", "invalid_token"},
	} {
		before := len(w.sink.list)
		got := w.get(tt.target, bearer(tt.raw))
		rec := w.sink.nth(before + 1)
		if got.StatusCode != tt.status || rec.Reason != tt.reason {
			t.Errorf("%s: %d %q, want %d %q", tt.name, got.StatusCode, rec.Reason, tt.status, tt.reason)
		}
		if tt.public != "" && !strings.Contains(got.body, fmt.Sprintf("%q:%q", "reason", tt.public)) {
			t.Errorf("%s: body %s", tt.name, got.body)
		}
		if c := got.Header.Get("WWW-Authenticate"); !strings.Contains(c, tt.challenge) {
			t.Errorf("%s: challenge %s", tt.name, c)
		}
		if seen := len(w.up.take()); (seen == 1) != (tt.status == 200) {
			t.Errorf("%s: the upstream saw %d requests", tt.name, seen)
		}
	}
}

// flip changes one bit of the signature.
func flip(raw string) string {
	i := strings.LastIndexByte(raw, '.') + 10
	c := byte('A')
	if raw[i] == 'A' {
		c = 'B'
	}
	return raw[:i] + string(c) + raw[i+1:]
}

// TestStaleRevocations: what may have been revoked unheard is answered 503, never 401.
func TestStaleRevocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, scoped("GET /a", "read"))
	w.issuer.staleness = 2 * 60e9
	got := w.get("/a", bearer(w.token("read")))
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q; want 503 with one", got.StatusCode, got.Header.Get("Retry-After"))
	}
}

// TestHosts is row R14: a host is the same host in every spelling, however many there are.
func TestHosts(t *testing.T) {
	t.Parallel()
	var routes []*Route
	for i := range 150 {
		rt := scoped("GET /a", "read")
		rt.API = &API{Name: fmt.Sprint("api", i), Hosts: []string{fmt.Sprintf("h%d.example.com", i)}}
		routes = append(routes, rt)
	}
	w := newWorld(t, nil, routes...)
	for host, want := range map[string]int{"h7.example.com": 401, "H149.Example.COM": 401, "h7.example.com.": 401, "h7.example.com:443": 401,
		"h7.example.com.:80": 401, "h7.example.com:8080": 401, "other.example.com": 400, "h7.example.com.evil": 400, "h7.example.com, h8.example.com": 400,
		"u@h7.example.com": 400, "gate.example": 404, "": 400, strings.Repeat("h", 256): 400} {
		list := w.raw("GET /a HTTP/1.1\r\nHost: "+host+"\r\n\r\n", "GET")
		if len(list) != 1 || list[0].StatusCode != want {
			t.Errorf("Host %.40q: %v, want %d", host, list, want)
		}
	}
	for name, text := range map[string]string{
		"two hosts":              "GET /a HTTP/1.1\r\nHost: h7.example.com\r\nHost: h8.example.com\r\n\r\n",
		"no host":                "GET /a HTTP/1.1\r\n\r\n",
		"no host, 1.0":           "GET /a HTTP/1.0\r\n\r\n",
		"absolute, foreign host": "GET http://other.example.com/a HTTP/1.1\r\nHost: h7.example.com\r\n\r\n",
		"HTTP/1.2":               "GET /a HTTP/1.2\r\nHost: h7.example.com\r\n\r\n",
	} {
		if list := w.raw(text, "GET"); len(list) != 1 || list[0].StatusCode != 400 {
			t.Errorf("%s: %v, want 400", name, list)
		}
	}
	if list := w.up.take(); len(list) != 0 {
		t.Errorf("the upstream saw %v", list)
	}
}

// TestHostileTargets sends every odd path of the corpora with a token for /public alone. Whatever an upstream saw lies in
// /public in every way of reading it.
func TestHostileTargets(t *testing.T) {
	t.Parallel()
	w := newIncidentWorld(t)
	raw := w.token("read")
	for _, target := range hostileTargets(t) {
		if strings.ContainsAny(target, "\r\n") {
			continue
		}
		w.get(target, bearer(raw))
		for _, s := range w.up.take() {
			checkAuthorized(t, target, s.target)
		}
	}
}

// checkAuthorized holds what the upstream saw against what the token may: it is what was sent, and no reading leaves it.
func checkAuthorized(t *testing.T, sent, saw string) {
	t.Helper()
	if stripped, ok := strings.CutPrefix(sent, "/api"); ok && (saw == stripped || stripped == "") {
		return
	}
	if saw != sent {
		t.Errorf("sent %q, the upstream saw %q", sent, saw)
	}
	path, _, _ := strings.Cut(saw, "?")
	for _, folded := range foldings(path) {
		if folded != "/public" && folded != "/exact" && !strings.HasPrefix(folded, "/public/") {
			t.Errorf("sent %q: an upstream reads %q, which the token is not for", sent, folded)
		}
	}
}

// TestSlashesBehindThePrefix is R4 and R5 with all classes allowed: what is left when the prefix is gone is sent as it came,
// or not at all. An encoded slash never becomes one.
func TestSlashesBehindThePrefix(t *testing.T) {
	t.Parallel()
	rt := public("/api/{path...}")
	rt.API = &API{Name: "stripped", StripPrefix: "/api"}
	rt.Allow = AllowSlash | AllowDoubleSlash | AllowPercent | AllowSemicolon
	w := newWorld(t, nil, rt)
	for target, upstream := range map[string]string{
		"/api//a%2Fb":    "//a%2Fb",
		"/api/a%2Fb|c":   "/a%2Fb|c",
		"/api/x//a%2F|":  "/x//a%2F|",
		"/api//a%2Fb|c":  "",
		"/%61pi//a%3B^c": "",
	} {
		got, seen := w.get(target), w.up.take()
		if upstream == "" && got.StatusCode == 400 && len(seen) == 0 {
			continue
		}
		if len(seen) != 1 || seen[0].target != upstream {
			t.Errorf("%s: %d, the upstream saw %+v, wanted %q", target, got.StatusCode, seen, upstream)
		}
	}
}

// FuzzGate sends any target at all through a whole gateway.
func FuzzGate(f *testing.F) {
	for _, s := range hostileTargets(f) {
		f.Add(s)
	}
	shared := newIncidentWorld(f)
	raw := shared.token("read")
	f.Fuzz(func(t *testing.T, target string) {
		w := *shared
		w.t = t
		if target == "" || strings.ContainsAny(target, "\r\n ") || len(target) > 4096 {
			return
		}
		list := w.raw("GET "+target+" HTTP/1.1\r\nHost: gate.example\r\n"+bearer(raw)+"\r\n\r\n", "GET")
		if len(list) != 1 {
			t.Fatalf("%q: no response", target)
		}
		for _, s := range w.up.take() {
			checkAuthorized(t, target, s.target)
		}
	})
}
