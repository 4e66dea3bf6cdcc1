package statuspage

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/pulse"
	"gatehouse/internal/secret"
	"gatehouse/internal/trace"
)

// hostile is what nobody should be able to make a page do.

const (
	markup  = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	hostile = markup + "\u202egnp.exe\u2066"
)

// served is a page with views that a test may change, and a browser of sorts.

type served struct {
	*httptest.Server
	*http.Client
	page     *Page
	status   atomic.Pointer[adminapi.Status]
	token    atomic.Pointer[secret.Text]
	draining atomic.Bool
	revoked  atomic.Pointer[adminapi.RevokeRequest]
	rotated  atomic.Pointer[adminapi.RotateRequest]
	reloads  atomic.Int64
	broken   atomic.Bool
}

func serve(t *testing.T) *served {
	s := &served{}
	s.setToken("")
	s.status.Store(&adminapi.Status{Node: "web-1:8080", Version: "v1", Mode: "run", Ready: true, Admin: "127.0.0.1:8081", Now: time.Now(),
		Config: adminapi.ConfigStatus{Hash: "abc123", Last: adminapi.ReloadInfo{Result: "ok", Trigger: "start"}}, Keys: []adminapi.Key{{ID: "kid-1", Algorithm: "ES256", State: "current"}}})
	denial := adminapi.Denial{ID: "req1", Time: time.Now(), Verdict: trace.Deny, Status: 403, Reason: "insufficient_scope", Detail: "this route needs x", Method: "GET", Path: trace.Shown("/" + hostile), Client: trace.Shown(hostile),
		Trace: &trace.Trace{RequestID: "req1", Verdict: trace.Deny, Status: 403, Reason: "insufficient_scope", API: "orders", Route: "GET " + hostile,
			Steps: []trace.Step{{Check: trace.Path, Outcome: trace.Passed, Fact: hostile}, {Check: trace.Scope, Outcome: trace.Failed, Fact: "needs x"}, {Check: trace.Limit, Outcome: trace.NotReached}},
			Asked: &trace.Asked{Scope: "orders:all", Method: "private_key_jwt", Failure: "assertion_expired"},
			Why:   []trace.Line{{Text: hostile, Where: "clients.yaml:7"}}, Fix: []string{"gatehouse client grant " + hostile}}}
	p := pulse.New([]string{"expired"})
	s.page = New(Options{
		Token:  func() secret.Text { return *s.token.Load() },
		Status: func() adminapi.Status { return *s.status.Load() },
		Pulse:  func() pulse.View { return p.View(time.Now()) },
		Routes: func() []adminapi.Route {
			return []adminapi.Route{{API: "orders", Match: "GET " + hostile, Pattern: "/orders/{id}", Needs: hostile, Where: "config.yaml:3"}}
		},
		Clients: func() []Client {
			return []Client{{ID: "worker", Grants: []Grant{{"orders", "https://orders", []string{"a"}}}, Secrets: []Secret{{Note: hostile}}, TokenURL: "http://x/oauth/token"}, {ID: markup}}
		},
		LastTokens: func(context.Context) (adminapi.Clients, error) {
			return adminapi.Clients{Since: "2026-01-01", Clients: []adminapi.Client{{ID: "worker", LastTokenDay: "2026-11-24"}}}, nil
		},
		LimitUse: func(context.Context, string) []Use {
			return []Use{{What: "tokens", Limit: "1000 per 1h0m0s", Left: 998, Of: 1000}, {What: hostile, Limit: "1 per 1m0s", Of: 1}, {Left: 7, Of: 9, Share: true}, {Unknown: true}}
		},
		Keys: func() []adminapi.Key { return s.status.Load().Keys }, CertificateEnds: func() time.Time { return time.Time{} },
		Denials: func(int) []adminapi.Denial { return []adminapi.Denial{denial} },
		Denial:  func(id string) (adminapi.Denial, bool) { return denial, id == "req1" },
		Explain: func(_ context.Context, q adminapi.ExplainRequest) (*trace.Trace, error) {
			if q.URL == "" {
				return nil, errors.New("url is missing")
			}
			return denial.Trace, nil
		},
		Reload: func() adminapi.Reloaded {
			s.reloads.Add(1)
			if s.broken.Load() {
				return adminapi.Reloaded{Errors: []adminapi.Problem{{Message: "wrong"}}}
			}
			return adminapi.Reloaded{Result: "nothing changed"}
		},
		Rotate: func(_ context.Context, q adminapi.RotateRequest) ([]adminapi.Rotation, error) {
			s.rotated.Store(&q)
			return []adminapi.Rotation{{Algorithm: "ES256", New: "kid-2", Signs: time.Now(), Note: "Take the file out of key_dir."}}, nil
		},
		Revoke: func(_ context.Context, q adminapi.RevokeRequest) (adminapi.Revoked, error) {
			s.revoked.Store(&q)
			return adminapi.Revoked{Applied: 1, Live: 1}, nil
		},
		Draining: s.draining.Load,
	})
	s.Server = httptest.NewServer(s.page)
	t.Cleanup(s.Server.Close)
	s.Client = browser(t)
	return s
}

func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *served) setToken(text string) { token := secret.Hide(text); s.token.Store(&token) }

// page loads a page; it follows no redirect.

func (s *served) load(t *testing.T, path string) (int, string, http.Header) {
	t.Helper()
	res, err := s.Get(s.URL + path)
	return read(t, res, err)
}

func read(t *testing.T, res *http.Response, err error) (int, string, http.Header) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func (s *served) post(t *testing.T, path string, pairs ...string) (int, string, http.Header) {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	res, err := s.PostForm(s.URL+path, form)
	return read(t, res, err)
}

// form is what the forms of this browser carry.

func (s *served) form(t *testing.T) string {
	t.Helper()
	_, body, _ := s.load(t, "/keys")
	m := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no form in %s", body)
	}
	return m[1]
}

var all = []string{"/", "/routes", "/denials", "/denials/req1", "/clients", "/clients/one?id=worker", "/clients/one?id=" + url.QueryEscape(markup), "/keys"}

func TestPages(t *testing.T) {
	s := serve(t)
	for _, path := range append(all, "/routes?q="+url.QueryEscape(hostile), "/denials?q="+url.QueryEscape(hostile), "/routes?method="+url.QueryEscape(hostile)+"&url="+url.QueryEscape(hostile)) {
		status, body, _ := s.load(t, path)
		if status != 200 || !strings.Contains(body, "web-1:8080") || !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
			t.Errorf("%s: %d %s", path, status, body)
		}
		for _, bad := range []string{"<script>alert", "<img", "\u202e", "\u2066", "style=", "onclick", "ZgotmplZ"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %q:\n%s", path, bad, body)
			}
		}
	}
	for path, want := range map[string]int{"/denials/none": 404, "/clients/one?id=none": 404, "/nowhere": 404, "/assets/none": 404, "/denials/" + strings.Repeat("x", 8<<10): 404, "/events?page=none": 404} {
		if status, _, _ := s.load(t, path); status != want {
			t.Errorf("%.60s: %d, want %d", path, status, want)
		}
	}
	for name, kind := range map[string]string{"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		if status, body, h := s.load(t, "/assets/"+name); status != 200 || body == "" || !strings.HasPrefix(h.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %v", name, status, h)
		}
	}
	_, body, _ := s.load(t, "/denials/req1")
	for _, want := range []string{`✓ <span class="word">passed`, `✗ <span class="word">failed`, `· <span class="word">not reached`, "clients.yaml:7", "gatehouse explain req1</pre>", "What was asked for", "orders:all", "by <code>private_key_jwt</code>: <span class=\"bad\">✗ assertion_expired</span>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the denial lacks %q", want)
		}
	}
	_, body, _ = s.load(t, "/clients/one?id=worker")
	for _, want := range []string{"<td>1000 per 1h</td>", "998 of 1\u202f000", `<rect width="99"`, "✗ used up", "7 of 9 <span class=\"none\">of this node", "not known: Redis is away"} {
		if !strings.Contains(body, want) {
			t.Errorf("the client lacks %q", want)
		}
	}
	if _, body, _ := s.load(t, "/clients"); !strings.Contains(body, "2026-11-24") || !strings.Contains(body, "none since 2026-01-01") {
		t.Errorf("days of tokens: %s", body)
	}
}

// The state of a fleet, and of everything else that a status may hold.

func TestFleet(t *testing.T) {
	s := serve(t)
	full, zero, late := *s.status.Load(), 0.0, 2.5
	full.State.Redis = &adminapi.RedisStatus{Mode: "standalone", Addrs: []string{"127.0.0.1:6379"}, Up: true}
	full.Revocations.Staleness = &zero
	full.Fleet = []adminapi.FleetNode{{Name: "a", Self: true, Live: true, Behind: &zero}, {Name: "b", Live: true, Behind: &late}, {Name: "c"}}
	full.Upstreams = []adminapi.UpstreamStatus{{API: "orders", Endpoint: "http://x", Up: true, Breaker: "closed"}, {API: "orders", Endpoint: "http://y", Why: "refused"}}
	full.Limits.Decisions = map[string]int64{"redis": 7}
	full.Audit = &adminapi.AuditStatus{Failing: true, Lost: 3}
	full.Denials = s.page.o.Denials(1)
	s.status.Store(&full)
	status, body, _ := s.load(t, "/")
	for _, want := range []string{"up to date", "behind by 2.5 s", "reading all anew", "✗ silent", "✗ down", "refused", "7 by redis", "can't be written", "req1"} {
		if status != 200 || !strings.Contains(strings.ReplaceAll(body, "&#39;", "'"), want) {
			t.Errorf("%d lacks %q", status, want)
		}
	}
}

func TestActs(t *testing.T) {
	s := serve(t)
	form := s.form(t)
	for _, path := range []string{"/reload", "/clients/revoke", "/keys/rotate", "/routes/try", "/logout"} {
		if status, _, _ := s.post(t, path, "client", "worker", "confirm", "yes", "form", "x"); status != 403 {
			t.Errorf("%s with another's form: %d", path, status)
		}
		if status, _, _ := s.load(t, path); status == 200 {
			t.Errorf("GET %s acts", path)
		}
	}
	if status, body, _ := s.post(t, "/clients/revoke", "client", "worker", "form", form); status != 200 || !strings.Contains(body, "Revoke all tokens of worker?") || s.revoked.Load() != nil {
		t.Fatalf("without a yes: %d %s", status, body)
	}
	status, _, h := s.post(t, "/clients/revoke", "client", "worker", "form", form, "confirm", "yes", "reason", " leaked ")
	if status != 303 || s.revoked.Load() == nil || *s.revoked.Load() != (adminapi.RevokeRequest{Client: "worker", Reason: "leaked"}) {
		t.Fatalf("%d %v", status, s.revoked.Load())
	}
	if _, body, _ := s.load(t, h.Get("Location")); !strings.Contains(body, "on 1 of 1 node, every token") {
		t.Errorf("no note: %s", body)
	}
	if _, body, _ := s.load(t, h.Get("Location")); strings.Contains(body, "every token issued to worker so far") {
		t.Error("the note is shown twice")
	}
	if status, _, _ := s.post(t, "/clients/revoke", "client", "nobody", "form", form, "confirm", "yes"); status != 404 {
		t.Errorf("a client that there is not: %d", status)
	}
	if status, _, h = s.post(t, "/keys/rotate", "alg", "ES256", "form", form, "confirm", "yes"); status != 303 || s.rotated.Load().Algorithm != "ES256" {
		t.Errorf("rotate: %d", status)
	}
	if _, body, _ := s.load(t, h.Get("Location")); !strings.Contains(body, "kid-2 signs from 20") || !strings.Contains(body, " UTC. Take the file out of key_dir.") {
		t.Errorf("no note of what is left to do: %s", body)
	}
	s.broken.Store(true)
	_, _, h = s.post(t, "/reload", "form", form, "confirm", "yes")
	if _, body, _ := s.load(t, h.Get("Location")); s.reloads.Load() != 1 || !strings.Contains(body, "The reload was refused") {
		t.Errorf("reload: %d %s", s.reloads.Load(), body)
	}
	if status, body, _ := s.post(t, "/routes/try", "form", form, "url", "/orders/1", "token", "eyJsecret"); status != 200 || !strings.Contains(body, "✗ Denied") || strings.Contains(body, "eyJsecret") {
		t.Errorf("try: %d %s", status, body)
	}
	if _, body, _ := s.post(t, "/routes/try", "form", form); !strings.Contains(body, "url is missing") {
		t.Errorf("try nothing: %s", body)
	}
}

func TestLogin(t *testing.T) {
	s := serve(t)
	open := s.form(t)
	s.setToken("the-admin-token")
	for _, path := range all {
		if status, _, h := s.load(t, path); status != 303 || !strings.HasPrefix(h.Get("Location"), "/login?next=") {
			t.Errorf("%s without a login: %d", path, status)
		}
	}
	if status, _, _ := s.load(t, "/events?page=overview"); status != 401 {
		t.Errorf("the stream without a login: %d", status)
	}
	if status, _, _ := s.post(t, "/reload", "form", open, "confirm", "yes"); status != 401 || s.reloads.Load() != 0 {
		t.Errorf("an act without a login: %d", status)
	}
	if status, body, _ := s.post(t, "/login", "token", "wrong"); status != 401 || !strings.Contains(body, "not the admin token") {
		t.Errorf("a wrong token: %d", status)
	}
	status, _, h := s.post(t, "/login", "token", "the-admin-token", "next", "/keys")
	cookie := h.Get("Set-Cookie")
	if status != 303 || h.Get("Location") != "/keys" || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, "Secure") {
		t.Errorf("the login: %d %v", status, h)
	}
	for _, path := range all {
		if status, body, _ := s.load(t, path); status != 200 || strings.Contains(body, "the-admin-token") {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, _ := s.post(t, "/reload", "form", open, "confirm", "yes"); status != 403 {
		t.Errorf("the form of who is not logged in: %d", status)
	}
	form := s.form(t)
	if status, _, _ := s.post(t, "/reload", "form", form, "confirm", "yes"); status != 303 || s.reloads.Load() != 1 {
		t.Errorf("an act: %d", status)
	}
	s.setToken("another-token")
	if status, _, _ := s.load(t, "/"); status != 303 {
		t.Errorf("after the token changed: %d", status)
	}
	s.post(t, "/login", "token", "another-token")
	form = s.form(t)
	if status, _, _ := s.post(t, "/logout", "form", form); status != 303 {
		t.Errorf("logout: %d", status)
	}
	if status, _, _ := s.load(t, "/"); status != 303 {
		t.Errorf("after the logout: %d", status)
	}
	for next, want := range map[string]string{"//evil.example/": "/", "https://evil.example": "/", `/\evil.example`: "/", "/denials?q=a": "/denials?q=a", "": "/", "/login": "/", "javascript:alert(1)": "/"} {
		if got := local(next); got != want {
			t.Errorf("local(%q) = %q, want %q", next, got, want)
		}
	}
}

func TestLoginLink(t *testing.T) {
	s := serve(t)
	if l, err := s.page.Login(t.Context(), adminapi.LoginRequest{}); err != nil || l.Path != "/" {
		t.Errorf("without a token: %+v %v", l, err)
	}
	s.setToken("the-admin-token")
	l, err := s.page.Login(t.Context(), adminapi.LoginRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := s.Head(s.URL + l.Path); err != nil || res.StatusCode != 200 || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("a look at the link: %v %v", res, err)
	}
	if status, _, h := s.load(t, l.Path); status != 303 || h.Get("Location") != "/" {
		t.Fatalf("the link: %d", status)
	}
	if status, _, _ := s.load(t, "/"); status != 200 {
		t.Errorf("after the link: %d", status)
	}
	s.Client = browser(t)
	if status, body, _ := s.load(t, l.Path); status != 401 || !strings.Contains(body, "has been used") {
		t.Errorf("the link again: %d", status)
	}
	if s.page.sessions.spend(l.Path[len("/login?code="):], time.Now()) {
		t.Error("a code is good twice")
	}
	l, _ = s.page.Login(t.Context(), adminapi.LoginRequest{})
	if s.page.sessions.spend(l.Path[len("/login?code="):], time.Now().Add(codeEnd)) {
		t.Error("a code is good after a minute")
	}
}

func TestGuessing(t *testing.T) {
	s := serve(t)
	s.setToken("the-admin-token")
	last := 0
	for range mostGuesses + 2 {
		last, _, _ = s.post(t, "/login", "token", "wrong")
	}
	if last != 429 {
		t.Errorf("after many guesses: %d", last)
	}
	if status, _, h := s.post(t, "/login", "token", "the-admin-token"); status != 429 || h.Get("Retry-After") == "" {
		t.Errorf("the right token of a guesser: %d", status)
	}
	if status, _, _ := s.load(t, "/login?code=x"); status != 429 {
		t.Errorf("a code of a guesser: %d", status)
	}
}

func TestSessionsEnd(t *testing.T) {
	s := serve(t)
	token, now := secret.Hide("the-admin-token"), time.Now()
	begin := func(at time.Time) string {
		w := httptest.NewRecorder()
		s.page.sessions.begin(w, httptest.NewRequest("GET", "/", nil), token, at)
		return w.Result().Cookies()[0].Value
	}
	value := begin(now)
	for at := now; at.Before(now.Add(oldEnd)); at = at.Add(idleEnd / 2) {
		if _, ok := s.page.sessions.find(value, token, at, true); !ok {
			t.Fatalf("a session that is used ended after %v", at.Sub(now))
		}
	}
	if _, ok := s.page.sessions.find(value, token, now.Add(oldEnd+time.Second), true); ok {
		t.Error("an old session")
	}
	value = begin(now)
	if _, ok := s.page.sessions.find(value, token, now.Add(idleEnd+time.Second), true); ok {
		t.Error("an idle session")
	}
	first := begin(now)
	for i := range mostLogins {
		begin(now.Add(time.Duration(i+1) * time.Second))
	}
	if _, ok := s.page.sessions.find(first, token, now.Add(time.Minute), true); ok || len(s.page.sessions.live) > mostLogins {
		t.Errorf("%d sessions", len(s.page.sessions.live))
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Forwarded-Proto", "https")
	if !cookie(r, "x").Secure {
		t.Error("behind TLS the cookie is not Secure")
	}
}

// events opens a stream, and returns the names of parts as they come.

// The stream of a page that has no live parts of its own asks for nothing but its banners: not Redis, and not the clients.

// A stream gives the forms of its page what they have to carry, so that they outlive a restart and another login.

// Denials are found by what is shown of them, and by the words that say why: a client that failed to prove itself stands there.

// What a stream carries is as harmless as the page.

// Who opens a stream and does not read it is cut, and makes room for another.

// An open page does not keep its login alive: it ends an hour after somebody last did something.
