package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
)

const page = "https://app.example"

func withCORS(o CORS, routes ...*Route) []*Route {
	api := &API{Name: "orders", CORS: &o}
	for _, rt := range routes {
		rt.API = api
	}
	return routes
}

// told are the CORS headers of a response, with Vary.
func told(h http.Header) string {
	var out []string
	for name, values := range h {
		if short, ok := strings.CutPrefix(name, "Access-Control-"); ok {
			out = append(out, short+"="+strings.Join(values, "+"))
		}
	}
	slices.Sort(out)
	if v := h["Vary"]; len(v) > 0 {
		out = append(out, "Vary="+strings.Join(v, ","))
	}
	return strings.Join(out, " ")
}

// TestPreflight: it is answered here and alike, whether or not there is a route, without a token, a limit or the upstream.
func TestPreflight(t *testing.T) {
	t.Parallel()
	hidden := scoped("GET /files/{name}", "read")
	hidden.Allow = AllowSlash
	w := newWorld(t, nil, withCORS(CORS{Origins: []string{page, "http://localhost:3000"}, Methods: []string{"GET", "PUT"}, Headers: []string{"Authorization", "X-Page"},
		Expose: []string{"ETag"}, Credentials: true, MaxAge: 10 * time.Minute},
		limited(scoped("GET /orders", "read"), perHour("orders", 1, ratelimit.ByIP)), scoped("POST /orders", "write"), hidden, public("OPTIONS /options"))...)
	want := "Allow-Credentials=true Allow-Headers=Authorization, X-Page Allow-Methods=GET, PUT Allow-Origin=" + page +
		" Expose-Headers=ETag Max-Age=600 Vary=Origin,Access-Control-Request-Method,Access-Control-Request-Headers"
	ask := []string{"Origin: " + page, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-page"}
	for _, target := range []string{"/orders", "/nowhere", "/orders", "/files/a%2Fb", "/nowhere/a%2Fb", "/options"} {
		got := w.send("OPTIONS", target, ask...)
		if got.StatusCode != 204 || told(got.Header) != want || got.Header.Get("X-Request-Id") == "" || got.Header.Get("RateLimit") != "" {
			t.Errorf("%s: %d %s", target, got.StatusCode, told(got.Header))
		}
	}
	vary := "Vary=Origin,Access-Control-Request-Method,Access-Control-Request-Headers"
	for _, origin := range []string{"https://evil.example", "https://app.example.evil", "null", page + ":8443", strings.ToUpper(page)} {
		if got := w.send("OPTIONS", "/orders", "Origin: "+origin, "Access-Control-Request-Method: GET"); got.StatusCode != 204 || told(got.Header) != vary {
			t.Errorf("from %s: %d %s", origin, got.StatusCode, told(got.Header))
		}
	}
	for name, headers := range map[string][]string{
		"no method asked for": {"Origin: " + page}, "no origin": {"Access-Control-Request-Method: GET"},
		"two origins": {"Origin: " + page, "Origin: " + page, "Access-Control-Request-Method: GET"},
	} {
		if got := w.send("OPTIONS", "/orders", headers...); got.StatusCode != 405 {
			t.Errorf("%s: %d, want the 405 of any OPTIONS", name, got.StatusCode)
		}
	}
	if got := w.send("OPTIONS", "/a/../orders", ask...); got.StatusCode != 400 {
		t.Errorf("the gate is open for a preflight: %d", got.StatusCode)
	}
	if got := w.send("OPTIONS", "/oauth/token", ask...); got.body != "own" || strings.Contains(told(got.Header), "Allow") {
		t.Errorf("our own endpoint: %q %s", got.body, told(got.Header))
	}
	if len(w.up.take()) != 0 {
		t.Error("the upstream saw a preflight")
	}
	if rec := w.sink.nth(1); rec.Endpoint != "preflight" || rec.Verdict != exchange.Allow || rec.Status != 204 {
		t.Errorf("record %+v", rec)
	}
}

// TestResponsesWithCORS: what the upstream says of other origins is replaced, and denials say it, too.
func TestResponsesWithCORS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, withCORS(CORS{Origins: []string{page}, Expose: []string{"ETag"}}, scoped("GET /orders", "read"), public("GET /open"))...)
	w.up.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Max-Age", "5")
		h.Set("Vary", "Accept")
	})
	raw := w.token("read")
	here, nowhere := "Allow-Origin="+page+" Expose-Headers=ETag Vary=", "Vary="
	for _, tt := range []struct {
		name, method, target, raw string
		status                    int
		vary                      string
	}{
		{"allowed", "GET", "/orders", raw, 200, "Accept,Origin"},
		{"public", "GET", "/open", "", 200, "Accept,Origin"},
		{"no scope", "GET", "/orders", w.token(""), 403, "Origin"},
		{"no token", "GET", "/orders", "junk", 401, "Origin"},
		{"no method", "DELETE", "/orders", raw, 405, "Origin"},
		{"no route", "GET", "/nowhere", raw, 404, "Origin"},
		{"slashes", "GET", "/orders//x", raw, 400, "Origin"},
	} {
		for origin, want := range map[string]string{page: here, "https://evil.example": nowhere} {
			got := w.send(tt.method, tt.target, bearer(tt.raw), "Origin: "+origin)
			if got.StatusCode != tt.status || told(got.Header) != want+tt.vary {
				t.Errorf("%s from %s: %d %s, want %d %s", tt.name, origin, got.StatusCode, told(got.Header), tt.status, want+tt.vary)
			}
		}
	}
}

// TestSeveralAPIsWithCORS: each API's own holds on its routes, none of it where it has none; * is sent without credentials.
func TestSeveralAPIsWithCORS(t *testing.T) {
	t.Parallel()
	routes := append(withCORS(CORS{Origins: []string{page}, Methods: []string{"GET"}}, public("GET /one")),
		withCORS(CORS{Origins: []string{"*"}, Methods: []string{"POST"}}, public("POST /any"))...)
	plain := public("/plain")
	plain.API = &API{Name: "plain"}
	w := newWorld(t, nil, append(routes, plain)...)
	ask := func(target, origin, method string) string {
		got := w.send("OPTIONS", target, "Origin: "+origin, "Access-Control-Request-Method: "+method)
		text, _, _ := strings.Cut(told(got.Header), " Vary=")
		return strings.TrimPrefix(text, "Vary=Origin,Access-Control-Request-Method,Access-Control-Request-Headers")
	}
	one, all := "Allow-Methods=GET Allow-Origin="+page+" Max-Age=0", "Allow-Methods=POST Allow-Origin=* Max-Age=0"
	for _, tt := range []struct{ target, origin, method, want string }{
		{"/one", page, "GET", one},
		{"/one", "https://other.example", "GET", ""},
		{"/any", "https://other.example", "POST", all},
		{"/nowhere", page, "GET", one},
		{"/nowhere", "https://other.example", "GET", all},
		{"/plain", page, "GET", ""},
	} {
		if got := ask(tt.target, tt.origin, tt.method); got != tt.want {
			t.Errorf("%s for %s from %s: %s, want %s", tt.method, tt.target, tt.origin, got, tt.want)
		}
	}
	if seen := w.up.take(); len(seen) != 1 || seen[0].method != "OPTIONS" || seen[0].target != "/plain" {
		t.Errorf("without cors, OPTIONS is a method like the others: the upstream saw %+v", seen)
	}
	bad := withCORS(CORS{Origins: []string{"*"}, Credentials: true}, public("GET /"))
	bad[0].API.Upstream = w.up.url(t)
	if _, err := New(Options{Routes: bad, PublicURL: mustURL(t, "http://gate.example")}); err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("* with credentials: %v", err)
	}
}
