package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/token"
)

// TestMethods: the most specific path wins, then its methods; another method there is 405, never a weaker route.
func TestMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, scoped("GET /admin/{id}", "admin"), scoped("POST /admin/{other}", "admin"), public("/{path...}"), public("PURGE /cache"),
		public("HEAD /cache"), public("/mixed"), scoped("POST /mixed", "admin"), public("GET /tree/"), public("GET /end/{$}"))
	for _, tt := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"GET", "/admin/5", 401, ""},
		{"HEAD", "/admin/5", 401, ""},
		{"POST", "/admin/5", 401, ""},
		{"DELETE", "/admin/5", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/admin/5", 405, "GET, HEAD, POST"},
		{"PURGE", "/admin/5", 405, "GET, HEAD, POST"},
		{"DELETE", "/admin/5/x", 200, ""},
		{"OPTIONS", "/other", 200, ""},
		{"GET", "/", 200, ""},
		{"PURGE", "/cache", 200, ""},
		{"GET", "/cache", 405, "HEAD, PURGE"},
		{"POST", "/mixed", 401, ""},
		{"GET", "/mixed", 200, ""},
		{"HEAD", "/tree/a/b", 200, ""},
		{"POST", "/tree/", 405, "GET, HEAD"},
		{"GET", "/tree", 404, ""}, // ServeMux would redirect
		{"GET", "/end/", 200, ""},
		{"POST", "/end/", 405, "GET, HEAD"},
		{"GET", "/end/x", 200, ""},
		{"BREW", "/other", 400, ""},
	} {
		got := w.send(tt.method, tt.target)
		if got.StatusCode != tt.status || got.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s = %d Allow %q, want %d %q", tt.method, tt.target, got.StatusCode, got.Header.Get("Allow"), tt.status, tt.allow)
		}
		if loc := got.Header.Get("Location"); loc != "" {
			t.Errorf("%s %s redirects to %s", tt.method, tt.target, loc)
		}
	}
}

// TestEmptySegments: where // is allowed, {name} still stands for something.
func TestEmptySegments(t *testing.T) {
	t.Parallel()
	rt := func(match string) *Route {
		rt := public(match)
		rt.Allow = AllowDoubleSlash
		return rt
	}
	w := newWorld(t, nil, rt("GET /a/{id}/b"), rt("GET /rest/{path...}"), rt("GET /t/{x}/"))
	for target, want := range map[string]int{"/a/1/b": 200, "/a//b": 400, "/rest//x//": 200, "/t//": 400, "/t/1//": 200, "/a/1//b": 400, "//a/1/b": 400} {
		got := w.get(target)
		if got.StatusCode != want {
			t.Errorf("GET %s = %d, want %d", target, got.StatusCode, want)
		}
		if seen := w.up.take(); len(seen) == 1 && seen[0].target != target {
			t.Errorf("GET %s: the upstream saw %s", target, seen[0].target)
		}
	}
}

// TestLeadingSlashes: a path that starts with // never becomes an authority on the way to the upstream.
func TestLeadingSlashes(t *testing.T) {
	t.Parallel()
	all := public("GET /{path...}")
	all.Allow = AllowDoubleSlash | AllowSlash | AllowPercent | AllowSemicolon
	w := newWorld(t, nil, all)
	for _, target := range []string{"//evil.example/x?y", "///", "//a%2fb;c%25", "/a%2Fb", "/50%25;v=1", `/a|b"[c]`, "/%7e~%41"} {
		if got := w.get(target); got.StatusCode != 200 {
			t.Errorf("GET %s = %d", target, got.StatusCode)
		}
		seen := w.up.take()
		if len(seen) != 1 || seen[0].target != target || seen[0].host != w.up.url(t).Host {
			t.Errorf("GET %s: the upstream saw %+v", target, seen)
		}
	}
	if got := w.get("/a%2f%252e%252e%2fb"); got.StatusCode != 400 {
		t.Errorf("hidden dots = %d", got.StatusCode)
	}
}

// TestAllowPathIsPerRoute: what one route takes, another does not.
func TestAllowPathIsPerRoute(t *testing.T) {
	t.Parallel()
	slash := public("GET /files/{name}")
	slash.Allow = AllowSlash
	w := newWorld(t, nil, slash, public("GET /plain/{name}"))
	for target, want := range map[string]int{"/files/a%2fb": 200, "/files/a%2Fb": 200, "/plain/a%2fb": 400, "/files/a;b": 400, "/nowhere/a%2fb": 400, "/files%2fa": 400} {
		if got := w.get(target); got.StatusCode != want {
			t.Errorf("GET %s = %d, want %d", target, got.StatusCode, want)
		}
	}
	if got := ParseAllow("slash") | ParseAllow("percent") | ParseAllow("semicolon") | ParseAllow("double_slash") | ParseAllow("other"); got.String() != "slash, percent, semicolon, double_slash" {
		t.Errorf("all classes are %q", got)
	}
}

// TestOwnEndpoints: they live on the host of the public URL, as exact paths that no wildcard receives.
func TestOwnEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("/{path...}"))
	for target, want := range map[string]string{"/oauth/token": "own", "/oauth/%74oken": "own", "/oauth/token/": "ok", "/oauth/tokens": "ok"} {
		got := w.get(target)
		if got.body != want || got.Header.Get("X-Request-Id") == "" {
			t.Errorf("GET %s answers %q, want %q", target, got.body, want)
		}
	}
	if got := w.send("DELETE", "/oauth/token"); got.body != "own" {
		t.Errorf("DELETE goes to %q", got.body)
	}
	if len(w.up.take()) != 2 {
		t.Error("the wildcard received an own endpoint")
	}
	rec := w.sink.nth(5)
	if rec.Endpoint != "token" || rec.Verdict != exchange.Allow || rec.Status != 200 || rec.BytesOut != 3 {
		t.Errorf("record %+v", rec)
	}

	named, free := public("/{path...}"), public("/{path...}")
	named.API, free.API = &API{Name: "named", Hosts: []string{"api.example"}}, &API{Name: "free"}
	w = newWorld(t, nil, named, free)
	for host, want := range map[string]string{"gate.example": "own", "api.example": "ok", "other.example": "ok"} {
		list := w.raw("GET /oauth/token HTTP/1.1\r\nHost: "+host+"\r\n\r\n", "GET")
		if len(list) != 1 || list[0].body != want {
			t.Errorf("%s: %+v, want %q", host, list, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	api := func() *API { return &API{Name: "x", Upstream: mustURL(t, "http://up")} }
	with := func(match string, change func(*Route)) *Route {
		rt := public(match)
		rt.API = api()
		if change != nil {
			change(rt)
		}
		return rt
	}
	own := map[string]http.Handler{"/oauth/token": http.NotFoundHandler()}
	for want, o := range map[string]Options{
		"public URL":        {},
		"is there already":  {Routes: []*Route{with("GET /a/{x}", nil), with("GET /a/{y}", nil)}},
		"conflicts":         {Routes: []*Route{with("/a/{x}", nil), with("/{y}/b", nil)}},
		"start with /":      {Routes: []*Route{with("GET a", nil)}},
		"endpoint of":       {Routes: []*Route{with("GET /oauth/token", nil)}, Own: own},
		"needs a verifier":  {Routes: []*Route{with("GET /a", func(rt *Route) { rt.Public = false })}},
		"needs a limiter":   {Routes: []*Route{with("GET /a", func(rt *Route) { rt.Limits = []Limit{{}} })}},
		"TRACE":             {Routes: []*Route{with("TRACE /a", nil)}},
		"is no host name":   {Routes: []*Route{with("GET /a", func(rt *Route) { rt.API.Hosts = []string{"a b"} })}},
		"no query":          {Routes: []*Route{with("GET /a", func(rt *Route) { rt.API.Upstream = mustURL(t, "http://up?x") })}},
		"with an upstream":  {Routes: []*Route{with("GET /a", func(rt *Route) { rt.API = nil })}},
		"http or https, a ": {Routes: []*Route{with("GET /a", func(rt *Route) { rt.API.Upstream = mustURL(t, "ftp://up") })}},
	} {
		if want != "public URL" {
			o.PublicURL = mustURL(t, "http://gate.example")
		}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func limited(rt *Route, limits ...Limit) *Route { rt.Limits = limits; return rt }

func perHour(name string, n int64, by ratelimit.Kind) Limit {
	return Limit{By: by, Policy: ratelimit.Policy{Name: name, Requests: n, Per: time.Hour, Burst: n}}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil,
		limited(scoped("GET /client", "read"), perHour("orders", 2, ratelimit.ByClient), perHour("wide", 100, ratelimit.ByRoute)),
		limited(public("GET /open"), perHour("open", 2, ratelimit.ByClient)),
		limited(scoped("GET /route", "read"), perHour("route", 2, ratelimit.ByRoute)))
	a, b := w.token("read"), w.token("read", func(i *token.Issue) { i.Client = "other" })
	another := w.token("read") // of the same client
	for i, tt := range []struct {
		target, raw string
		status      int
		limit       string
	}{
		{"/client", a, 200, `"orders";r=1;t=1800`},
		{"/client", "junk", 401, ""}, // charges nothing
		{"/client", w.token(""), 403, ""},
		{"/client", another, 200, `"orders";r=0;t=3600`},
		{"/client", a, 429, `"orders";r=0;t=3600`},
		{"/client", b, 200, `"orders";r=1;t=1800`},
		{"/open", "", 200, `"open";r=1;t=1800`},
		{"/open", a, 200, `"open";r=0;t=3600`}, // a public route knows no client
		{"/open", b, 429, `"open";r=0;t=3600`},
		{"/route", a, 200, `"route";r=1;t=1800`},
		{"/route", b, 200, `"route";r=0;t=3600`},
		{"/route", b, 429, `"route";r=0;t=3600`},
	} {
		got := w.get(tt.target, bearer(tt.raw))
		if got.StatusCode != tt.status || got.Header.Get("RateLimit") != tt.limit {
			t.Errorf("step %d: GET %s = %d %s, want %d %s", i, tt.target, got.StatusCode, got.Header.Get("RateLimit"), tt.status, tt.limit)
		}
		if got.Header.Get("RateLimit-Policy") == "" {
			t.Errorf("step %d: no RateLimit-Policy", i)
		}
		if retry := got.Header.Get("Retry-After"); (retry != "") != (tt.status == 429) {
			t.Errorf("step %d: Retry-After %q", i, retry)
		}
	}
	if got := w.get("/client", bearer(a)).Header.Get("RateLimit-Policy"); got != `"orders";q=2;w=3600, "wide";q=100;w=3600` {
		t.Errorf("RateLimit-Policy %s", got)
	}
}

// TestObserve holds a route in observe mode against the same in enforce mode: the same reasons are counted, the same
// limits charged, and nothing is refused.
func TestObserve(t *testing.T) {
	t.Parallel()
	enforced := limited(scoped("GET /a", "read"), perHour("a", 2, ratelimit.ByClient))
	observed := limited(scoped("GET /b", "read"), perHour("b", 2, ratelimit.ByClient))
	observed.Observe = true
	w := newWorld(t, nil, enforced, observed)
	w.issuer.revoked["gone"] = true
	raws := []string{w.token("read"), w.token("write"), "junk", "", w.token("read", func(i *token.Issue) { i.Client = "gone" }), w.token("read"), w.token("read")}
	for i, raw := range raws {
		headers := []string{bearer(raw)}
		if raw == "" {
			headers = nil
		}
		w.get("/a", headers...)
		got := w.get("/b", headers...)
		a, b := w.sink.nth(2*i+1), w.sink.nth(2*i+2)
		if a.Reason != b.Reason || got.StatusCode != 200 {
			t.Errorf("step %d: enforced %q, observed %q %d", i, a.Reason, b.Reason, got.StatusCode)
		}
		if want := map[bool]exchange.Verdict{true: exchange.Allow, false: exchange.WouldDeny}[a.Verdict == exchange.Allow]; b.Verdict != want {
			t.Errorf("step %d: observed %v, want %v", i, b.Verdict, want)
		}
		if a.LimitSource != b.LimitSource {
			t.Errorf("step %d: limits %q and %q", i, a.LimitSource, b.LimitSource)
		}
	}
	if got := w.get("/b/../a"); got.StatusCode != 400 {
		t.Errorf("the gate is off under observe: %d", got.StatusCode)
	}
	if got := w.get("/b", "Connection: Upgrade", "Upgrade: websocket"); got.StatusCode != 403 {
		t.Errorf("upgrades are allowed under observe: %d", got.StatusCode)
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, scoped("GET /a", "read", "write"), scoped("POST /a", "read"))
	got := w.get("/a", bearer(w.token("read")))
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"type": "urn:gatehouse:denial:insufficient_scope", "title": "Forbidden", "status": 403.0, "reason": "insufficient_scope",
		"detail": "this route needs read write; the token has read", "request_id": got.Header.Get("X-Request-Id")}
	if fmt.Sprint(body) != fmt.Sprint(want) {
		t.Errorf("body %v, want %v", body, want)
	}
	if ct := got.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	if got := w.get("/a"); got.Header.Get("WWW-Authenticate") != `Bearer realm="gatehouse"` {
		t.Errorf("bare challenge %q", got.Header.Get("WWW-Authenticate"))
	}
	if got := w.send("HEAD", "/a"); got.StatusCode != 401 || got.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d, Content-Length %q", got.StatusCode, got.Header.Get("Content-Length"))
	}
}

func TestGRPCDenials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, limited(scoped("POST /svc/Call", "read"), perHour("svc", 1, ratelimit.ByClient)))
	raw := w.token("read")
	w.send("POST", "/svc/Call", bearer(raw), "Content-Length: 0")
	for name, tt := range map[string]struct{ auth, status string }{
		"401": {"X-None: 1", "16"}, "403": {bearer(w.token("")), "7"}, "429": {bearer(raw), "8"},
	} {
		got := w.send("POST", "/svc/Call", tt.auth, "Content-Type: application/grpc+proto", "Content-Length: 0")
		if got.StatusCode != 200 || got.Header.Get("Grpc-Status") != tt.status || got.Header.Get("Grpc-Message") == "" || got.body != "" {
			t.Errorf("%s: %d, grpc-status %q, message %q, body %q", name, got.StatusCode, got.Header.Get("Grpc-Status"), got.Header.Get("Grpc-Message"), got.body)
		}
	}
	if grpcStatus(503) != 14 || grpcStatus(500) != 2 {
		t.Error("503 is 14, and 500 is 2")
	}
}

// TestPanics: 500 where nothing was written, a cut response otherwise, and one record each.
func TestPanics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) {
		o.Own = map[string]http.Handler{
			"/early": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("early") }),
			"/late": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				w.Write([]byte("half"))
				panic("late")
			}),
			"/abort": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		}
	}, public("GET /a"))
	if got := w.get("/early"); got.StatusCode != 500 || !strings.Contains(got.body, "internal_error") || strings.Contains(got.body, "early") {
		t.Errorf("early: %d %s", got.StatusCode, got.body)
	}
	if list := w.raw("GET /late HTTP/1.1\r\nHost: gate.example\r\n\r\n", "GET"); len(list) > 0 && len(list[0].body) == 100 {
		t.Error("late: the response looks whole")
	}
	if list := w.raw("GET /abort HTTP/1.1\r\nHost: gate.example\r\n\r\n", "GET"); len(list) != 0 {
		t.Errorf("abort: answered %+v", list)
	}
	if got := w.get("/a"); got.StatusCode != 200 {
		t.Errorf("afterwards: %d", got.StatusCode)
	}
	for i, want := range []string{"internal_error", "internal_error", "", ""} {
		if rec := w.sink.nth(i + 1); rec.Reason != want {
			t.Errorf("record %d: %q, want %q", i, rec.Reason, want)
		}
	}
}

// TestOneRecordEach: every request, whatever becomes of it, is finished once.
func TestOneRecordEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, scoped("GET /a", "read"), public("GET /p"))
	for _, target := range []string{"/a", "/p", "/nowhere", "/../x", "/oauth/token", "*"} {
		w.get(target)
	}
	w.send("PUT", "/p", "Content-Length: 0")
	w.sink.nth(7)
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	if len(w.sink.list) != 7 || len(w.sink.count) != 7 {
		t.Errorf("%d records with %d ids, want 7", len(w.sink.list), len(w.sink.count))
	}
	for _, rec := range w.sink.list {
		if rec.Status == 0 || rec.Start.IsZero() || rec.Remote != "127.0.0.1" {
			t.Errorf("record %+v", rec)
		}
	}
}

func TestIDsSort(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_000)
	a, b := newID(at), newID(at.Add(time.Millisecond))
	if len(a) != 26 || a >= b || newID(at) == a {
		t.Errorf("ids %s, %s", a, b)
	}
	if got, want := a[:10], "01HF7YAT00"; got != want {
		t.Errorf("the time is written %s, want %s", got, want)
	}
}
