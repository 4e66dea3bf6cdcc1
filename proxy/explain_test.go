package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/token"
	"gatehouse/internal/trace"
)

// failedStep is the step of a trace that refused; "" where none did.
func failedStep(t *trace.Trace) trace.Check {
	for _, s := range t.Steps {
		if s.Outcome == trace.Failed {
			return s.Check
		}
	}
	return ""
}

// TestTraceOfMisdirected and TestTraceOfPanic are the two reasons that need TLS, or a bug.
func TestTraceOfMisdirected(t *testing.T) {
	t.Parallel()
	gate := public("GET /a")
	gate.API = &API{Name: "gate", Hosts: []string{"gate.example", "other.example"}}
	s := newSecured(t, nil, gate)
	conn, err := s.handshake(func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "gate.example", true })
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: other.example\r\n\r\n")
	readAnswers(bufio.NewReader(conn), "GET")
	tr := s.sink.nth(1).Case.Trace()
	if tr.Reason != string(authz.Misdirected) || tr.Status != 421 || failedStep(tr) != trace.Request {
		t.Errorf("%+v", tr)
	}
}

func TestTraceOfPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) {
		o.Own = map[string]http.Handler{"/oauth/token": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })}
	}, public("GET /a"))
	if got := w.get("/oauth/token"); got.StatusCode != 500 {
		t.Fatalf("%d", got.StatusCode)
	}
	tr := w.sink.nth(1).Case.Trace()
	if tr.Reason != string(authz.InternalError) || tr.Status != 500 || tr.Verdict != trace.Deny || failedStep(tr) != "" {
		t.Errorf("%+v", tr)
	}
}

// TestTraceUnderObserve: the first refusal is the verdict, also where what comes after it refuses for good.
func TestTraceUnderObserve(t *testing.T) {
	t.Parallel()
	rt := scoped("POST /a", "write")
	rt.Observe, rt.MaxBody = true, 4
	w := newWorld(t, nil, rt)
	if got := w.send("POST", "/a"); got.StatusCode != 200 {
		t.Fatalf("%d", got.StatusCode)
	}
	rec := w.sink.nth(1)
	if tr := rec.Case.Trace(); rec.Verdict != exchange.WouldDeny || tr.Reason != string(authz.MissingToken) || failedStep(tr) != trace.Token {
		t.Errorf("%s %+v", rec.Verdict, tr)
	}
	if tr := w.gw.Explain(context.Background(), Question{Method: "POST", Target: "/a"}); tr.Verdict != trace.WouldDeny || tr.Reason != string(authz.MissingToken) {
		t.Errorf("asked: %+v", tr)
	}
	if tr := w.gw.Explain(context.Background(), Question{Method: "POST", Target: "/a", Token: w.token("write")}); !tr.Allowed() {
		t.Errorf("asked with a token: %+v", tr)
	}
}

// TestExplainLeavesNothing: a question charges no limit, is in no record, and its token is not remembered, since a token that
// was good at another time is not for others.
func TestExplainLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, scoped("GET /a", "read"))
	raw := w.token("read")
	for range 3 {
		if tr := w.gw.Explain(context.Background(), Question{Method: "GET", Target: "/a", Token: raw}); !tr.Allowed() || tr.Client != "worker" {
			t.Fatalf("%+v", tr)
		}
	}
	got := w.send("GET", "/a", "Authorization: Bearer "+raw)
	if rec := w.sink.nth(1); got.StatusCode != 200 || rec.Hit != exchange.CacheMiss || rec.Case != nil {
		t.Errorf("%d, the token was a %v, case %v", got.StatusCode, rec.Hit, rec.Case)
	}
	w.issuer.mu.Lock()
	w.issuer.revoked["worker"] = true
	w.issuer.mu.Unlock()
	if tr := w.gw.Explain(context.Background(), Question{Method: "GET", Target: "/a", Token: raw}); tr.Reason != string(authz.Revoked) {
		t.Errorf("after the revocation: %+v", tr)
	}
}

// TestHostileTraces: what strangers send comes out on one line each, in printable ASCII, and short.
func TestHostileTraces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, scoped("GET /a/{id}", "read"))
	long := strings.Repeat("x", 8<<10)
	texts := []string{
		"GET /\x1b[31m HTTP/1.1\r\nHost: gate.example\r\n\r\n", "GET /" + long + " HTTP/1.1\r\nHost: gate.example\r\n\r\n",
		"GET /a/%E2%80%AEevil HTTP/1.1\r\nHost: gate.example\r\n\r\n", "GET /a/\u202eevil HTTP/1.1\r\nHost: gate.example\r\n\r\n",
		"GET /a/1 HTTP/1.1\r\nHost: " + long + "\r\n\r\n", "GET /a/1?secret=c4n4ry HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer c4n4ry\r\n\r\n",
		"GET /a/1 HTTP/1.1\r\nHost: user:c4n4ry@gate.example\r\n\r\n", strings.ToUpper(long) + " /a/1 HTTP/1.1\r\nHost: gate.example\r\n\r\n",
	}
	for _, text := range texts {
		w.raw(text, "GET")
	}
	w.sink.nth(5) // net/http answers the others itself; a record ends after its response
	for _, rec := range w.sink.all() {
		checkHostile(t, rec.Case.Trace())
	}
	client := "\x1b]0;evil\a\u202e<script>" + long[:1<<10] // in a token that is short enough to be read
	raw := w.token("", func(i *token.Issue) { i.Client = client })
	tr := w.gw.Explain(context.Background(), Question{Method: "GET", Target: "/a/1", Token: raw})
	if tr.Reason == "" {
		t.Fatalf("%+v", tr)
	}
	checkHostile(t, tr)
}

func checkHostile(t *testing.T, tr *trace.Trace) {
	t.Helper()
	text := tr.Text(false)
	body, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range text {
		if r != '\n' && (!unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)) {
			t.Fatalf("the text holds %q: %.300q", r, text)
		}
	}
	if strings.ContainsFunc(string(body), func(r rune) bool { return r < ' ' || unicode.Is(unicode.Bidi_Control, r) }) || len(body) > 8<<10 ||
		strings.Contains(text+string(body), "c4n4ry") {
		t.Errorf("JSON of %d bytes: %.600s", len(body), body)
	}
}

// TestNear: what may have been meant, by the routes of this gateway.
func TestNear(t *testing.T) {
	t.Parallel()
	at := func(match, where string) *Route {
		rt := public(match)
		rt.Where = where
		return rt
	}
	other := at("GET /people/{id}", "c:9")
	other.API = &API{Name: "people", Hosts: []string{"people.example"}}
	w := newWorld(t, nil, at("GET /orders", "c:1"), at("POST /orders", "c:2"), at("GET /orders/{id}", "c:3"), at("GET /orders/{id}/items/{item}", "c:4"),
		at("/files/{path...}", "c:5"), at("GET /health", "c:6"), other, at("GET /users/{path...}", "c:7"), at("DELETE /users/{id}", "c:8"))
	for _, tt := range []struct {
		method, host, path string
		want               []string
	}{
		{"GET", "", "/order", []string{"GET /orders c:1"}},
		{"POST", "", "/order", []string{"POST /orders c:2"}},
		{"GET", "", "/orders/", []string{"GET /orders c:1"}},
		{"GET", "", "/Orders/7", []string{"GET /orders/{id} c:3"}},
		{"GET", "", "/orders/7/itmes/3", []string{"GET /orders/{id}/items/{item} c:4"}},
		{"GET", "", "/file/a/b/c", []string{"/files/{path...} c:5"}},
		{"GET", "", "/people/7", []string{"GET /people/{id} on the host people.example c:9"}},
		{"GET", "people.example", "/health", []string{"GET /health on the host gate.example c:6"}},
		{"GET", "", "/nothing/like/it/at/all", nil},
		{"PUT", "", "/orders", []string{"GET /orders c:1", "POST /orders c:2"}},
		{"GET", "", "/users/7", []string{"DELETE /users/{id} c:8",
			"GET /users/{path...}, which does not count here: the most specific path wins, then its methods c:7"}},
		{"PUT", "", "/users/7", []string{"DELETE /users/{id} c:8"}},
		{"POST", "", "/oauth/tokens", []string{"/oauth/token, an endpoint of the gateway itself "}},
	} {
		host := tt.host
		if host == "" {
			host = "gate.example"
		}
		tr := w.gw.Explain(context.Background(), Question{Method: tt.method, Host: host, Target: tt.path})
		w.gw.Near(tr)
		var got []string
		for _, l := range tr.Near {
			got = append(got, l.Text+" "+l.Where)
		}
		if len(got) > 0 && len(tt.want) == 1 {
			got = got[:1] // the first is what counts
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s %s%s is near %q, want %q", tt.method, host, tt.path, got, tt.want)
		}
	}
	if tr := w.gw.Explain(context.Background(), Question{Method: "GET", Target: "/people/7"}); !tr.Allowed() || tr.Host != "people.example" || len(tr.Notes) != 1 {
		t.Errorf("a path that one host alone serves: %+v", tr)
	}
}

// all are the records so far.
func (s *sink) all() []exchange.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// A limit by address can't be said to have room for a caller whose address nobody named.
func TestExplainWithoutAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, limited(public("GET /open"), perHour("open", 1, ratelimit.ByIP)), limited(public("GET /client"), perHour("client", 1, ratelimit.ByClient)),
		limited(scoped("GET /both", "read"), perHour("both", 5, ratelimit.ByClient), perHour("address", 5, ratelimit.ByIP)), limited(scoped("GET /own", "read"), perHour("own", 5, ratelimit.ByClient)))
	if a, b := w.get("/open"), w.get("/open"); a.StatusCode != 200 || b.StatusCode != 429 {
		t.Fatalf("%d, then %d", a.StatusCode, b.StatusCode)
	}
	here := netip.MustParseAddr("127.0.0.1")
	for _, tt := range []struct {
		path   string
		remote netip.Addr
		want   trace.Outcome
	}{
		{"/open", netip.Addr{}, trace.NotChecked}, {"/client", netip.Addr{}, trace.NotChecked}, {"/both", netip.Addr{}, trace.NotChecked},
		{"/own", netip.Addr{}, trace.Passed}, {"/open", here, trace.Failed}, {"/client", here, trace.Passed}, {"/both", here, trace.Passed},
	} {
		tr := w.gw.Explain(context.Background(), Question{Method: "GET", Target: tt.path, Token: w.token("read"), Remote: tt.remote})
		if s := tr.Step(trace.Limit); s == nil || s.Outcome != tt.want {
			t.Errorf("%s from %s: %+v", tt.path, tt.remote, tr.Steps)
		}
	}
}
