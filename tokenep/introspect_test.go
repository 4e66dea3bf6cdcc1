package tokenep_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/revoke"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
	"gatehouse/tokenep"
)

func (f *fixture) introspect(caller, raw string, more ...string) answer {
	f.t.Helper()
	return f.post("/oauth/introspect", form(append([]string{"token", raw}, more...)...), "Authorization", basic(caller, f.secrets[caller]))
}

// inactive fails unless a says that, and nothing else.
func inactive(t *testing.T, name string, a answer) {
	t.Helper()
	if a.status != 200 || a.body != `{"active":false}` || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %d %s, headers %v", name, a.status, a.body, a.header)
	}
}

func (f *fixture) forge(t *testing.T, key *token.PrivateKey, change func(i *token.Issue)) string {
	t.Helper()
	now := f.clock.Now().Unix()
	i := token.Issue{Issuer: issuerURL, Client: "c-basic", Audience: apiA, ID: token.NewID(), Scopes: token.NewScopes("read:a"),
		IssuedAt: now, Expires: now + 60, Dialect: token.RFC9068}
	change(&i)
	raw, err := key.Issue(i)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestIntrospectActive(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	issued := f.ask("c-basic", "scope", "read:a")
	raw := issued.text(t, "access_token")
	_, claims := f.issued(t, issued)
	a := f.introspect("rs-a", raw, "token_type_hint", "refresh_token")
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		t.Fatalf("INT-002, INT-006: %d %s %v", a.status, a.body, a.header)
	}
	want := map[string]any{"active": true, "token_type": "Bearer", "scope": "read:a", "client_id": "c-basic", "sub": "c-basic", "aud": apiA,
		"iss": issuerURL, "jti": claims["jti"], "exp": claims["exp"], "iat": claims["iat"]}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("INT-002: %s is %v, want %v", name, got[name], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("members %v", got)
	}
	r := f.last()
	if r.Endpoint != "introspect" || r.Verdict != exchange.Allow || r.Client != "rs-a" || r.Own.Introspect != "active" || r.Own.JTI != claims["jti"] ||
		r.TokenID != exchange.HashID(r.Own.JTI) || r.Own.Method != "client_secret_basic" || r.Own.Audience != apiA {
		t.Errorf("record %+v", r)
	}
	c := f.introspect("rs-a", f.ask("c-c").text(t, "access_token"))
	if c.text(t, "client_id") != "c-c" || c.text(t, "sub") != "c-c@clients" {
		t.Errorf("dialect auth0: %s", c.body)
	}
}

func TestIntrospectInactive(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	key := f.signers[token.RS256]
	good := f.ask("c-basic").text(t, "access_token")
	now := f.clock.Now().Unix()
	same := func(*token.Issue) {}
	revoked := f.forge(t, key, func(i *token.Issue) { i.ID = "gone" })
	f.store.Revoke(t.Context(), revoke.Entry{Kind: revoke.Token, ID: revoke.TokenID("local", "gone")})
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	for _, tc := range []struct{ name, caller, raw string }{
		{"INT-003: garbage", "rs-a", "hello"},
		{"INT-003: three empty parts", "rs-a", ".."},
		{"INT-003: expired", "rs-a", f.forge(t, key, func(i *token.Issue) { i.IssuedAt, i.Expires = now-60, now })},
		{"INT-003: revoked", "rs-a", revoked},
		{"INT-003: foreign issuer", "rs-a", f.forge(t, key, func(i *token.Issue) { i.Issuer = "https://other.example" })},
		{"INT-003: another key", "rs-a", f.forge(t, tokentest.Key(t, token.PS256), same)},
		{"INT-004: token of another API", "rs-b", good},
		{"INT-004: caller that may introspect nothing", "c-basic", good},
		{"INT-005: tampered claims", "rs-a", head + "." + body[:len(body)-4] + "AAAA." + sig},
		{"INT-005: tampered signature", "rs-a", head + "." + body + ".AAAA" + sig[4:]},
		{"INT-005: iat ahead", "rs-a", f.forge(t, key, func(i *token.Issue) { i.IssuedAt, i.Expires = now+3600, now+3700 })},
		{"INT-005: client disabled", "rs-a", f.forge(t, key, func(i *token.Issue) { i.Client = "c-off" })},
		{"INT-005: client gone", "rs-a", f.forge(t, key, func(i *token.Issue) { i.Client = "nobody" })},
		{"audience of no API", "rs-a", f.forge(t, key, func(i *token.Issue) { i.Audience = "https://gone.example" })},
	} {
		inactive(t, tc.name, f.introspect(tc.caller, tc.raw))
		if r := f.last(); r.Own.Introspect != "inactive" || r.Detail == "" || r.Verdict != exchange.Allow {
			t.Errorf("%s: record %+v", tc.name, r)
		}
	}
	if a := f.introspect("rs-a", good); a.text(t, "client_id") != "c-basic" {
		t.Errorf("the good token: %s", a.body)
	}
	f.clock.advance(10 * time.Minute)
	inactive(t, "once it has expired", f.introspect("rs-a", good))
}

func TestIntrospectRefuses(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	asA := basic("rs-a", f.secrets["rs-a"])
	refused(t, f.post("/oauth/introspect", form("token", "x")), 401, "invalid_client")
	refused(t, f.post("/oauth/introspect", form("token", "x"), "Authorization", basic("rs-a", "wrong")), 401, "invalid_client")
	refused(t, f.post("/oauth/introspect", form("token", "x"), "Authorization", "Bearer x"), 401, "invalid_client")
	refused(t, f.post("/oauth/introspect", "", "Authorization", asA), 400, "invalid_request")
	refused(t, f.post("/oauth/introspect", "token=a&token=b", "Authorization", asA), 400, "invalid_request")
	refused(t, f.post("/oauth/introspect?token=x", "", "Authorization", asA), 400, "invalid_request")
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		req, err := http.NewRequest(method, f.url+"/oauth/introspect?token=x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := f.do(req); a.status != 405 || a.header.Get("Allow") != "POST" {
			t.Errorf("INT-001: %s gave %d %v", method, a.status, a.header)
		}
	}
	if a := f.post("/oauth/introspect", form("token", "x", "client_id", "rs-a", "client_secret", f.secrets["rs-a"])); a.status != 200 {
		t.Errorf("credentials in the body: %d", a.status)
	}
}

// What is not known to be revoked is only known as long as the node hears of revocations: introspection follows the API's
// rule, and answers what it knows without them.
func TestIntrospectStale(t *testing.T) {
	t.Parallel()
	for _, allow := range []bool{false, true} {
		f := start(t, func(o *tokenep.Options) {
			o.APIs[0].MaxStaleness, o.APIs[0].AllowStale = time.Minute, allow
		})
		good := f.ask("c-basic").text(t, "access_token")
		f.store.mu.Lock()
		f.store.staleness = 2 * time.Minute
		f.store.mu.Unlock()
		if a := f.introspect("rs-a", good); allow && a.text(t, "client_id") != "c-basic" {
			t.Errorf("allow: %d %s", a.status, a.body)
		} else if !allow {
			refused(t, a, 503, "temporarily_unavailable")
		}
		inactive(t, "garbage", f.introspect("rs-a", "x"))
		inactive(t, "the wrong caller", f.introspect("rs-b", good))
		f.store.mu.Lock()
		f.store.notReady = true
		f.store.mu.Unlock()
		refused(t, f.introspect("rs-a", good), 503, "temporarily_unavailable")
	}
}
