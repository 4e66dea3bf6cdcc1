package proxy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// withClaims returns a token of ours with further claims.
func (w *world) withClaims(more map[string]any) string {
	w.t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": "http://gate.example", "sub": "worker", "client_id": "worker", "aud": audience, "scope": "read",
		"iat": now, "exp": now + 600, "jti": token.NewID()}
	maps.Copy(claims, more)
	body, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	return tokentest.Sign(w.t, w.issuer.key, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, w.issuer.key.Public().ID()), string(body))
}

func byClaim(name string, n int64, claim string) Limit {
	l := perHour(name, n, ratelimit.ByClaim)
	l.Claim = claim
	return l
}

// TestLimitsByClaim: the values of a claim are counted whoever bears them; a token without it counts by its client, and a
// caller without a token by its address.
func TestLimitsByClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) {
		v, err := authz.NewVerifier(authz.Options{Claims: []string{"org", "team"}, CacheEntries: 100, CacheBytes: 1 << 20, Issuers: []authz.Issuer{{
			Name: "local", URL: "http://gate.example", Algorithms: []token.Algorithm{token.ES256}, Keys: o.Revocations.(*issuer), MaxLifetime: time.Hour,
			Dialect: func(string) (token.Dialect, bool) { return token.RFC9068, true }}}})
		if err != nil {
			t.Fatal(err)
		}
		o.Verifier = v
	},
		limited(scoped("GET /org", "read"), byClaim("org", 2, "org"), byClaim("team", 3, "team")),
		limited(public("GET /open"), byClaim("open", 1, "org")))
	for i, tt := range []struct {
		target string
		claims map[string]any
		status int
		policy string // the one in RateLimit
	}{
		{"/org", map[string]any{"org": "a", "team": "t"}, 200, "org"},
		{"/org", map[string]any{"org": "a", "team": "t", "client_id": "other"}, 200, "org"},
		{"/org", map[string]any{"org": "a", "team": "u"}, 429, "org"},
		{"/org", map[string]any{"org": "b", "team": "t"}, 200, "team"},
		{"/org", map[string]any{"org": "c", "team": "t"}, 429, "team"}, // charged org c, and refused by its team
		{"/org", map[string]any{"org": "c", "team": "v"}, 200, "org"},
		{"/org", map[string]any{"org": "c", "team": "v"}, 429, "org"},
		{"/org", map[string]any{"org": 7, "team": 7}, 200, "org"},
		{"/org", map[string]any{"org": 7, "team": 7}, 200, "org"},
		{"/org", map[string]any{"org": "7", "team": "x"}, 429, "org"}, // a number is its digits
		{"/org", nil, 200, "org"},
		{"/org", map[string]any{"org": []string{"a"}, "team": ""}, 200, "org"}, // neither is a value, so that this is the client, again
		{"/org", nil, 429, "org"},
		{"/org", map[string]any{"client_id": "other"}, 200, "org"},
		{"/open", map[string]any{"org": "a"}, 200, "open"},
		{"/open", map[string]any{"org": "b"}, 429, "open"}, // a public route knows addresses
	} {
		got := w.get(tt.target, bearer(w.withClaims(tt.claims)))
		if policy := got.Header.Get("RateLimit"); got.StatusCode != tt.status || !strings.HasPrefix(policy, `"`+tt.policy+`"`) {
			t.Errorf("step %d: %d by %s, want %d by %s", i, got.StatusCode, policy, tt.status, tt.policy)
		}
	}
}

// TestClientsOwnLimit: it is one bucket over all APIs in place of theirs by client, beside those of routes; other clients
// and other issuers' clients of that name don't have it.
func TestClientsOwnLimit(t *testing.T) {
	t.Parallel()
	ofAPI := func(l Limit) Limit { l.OfAPI = true; return l }
	w := newWorld(t, func(o *Options) {
		o.ClientLimits = map[string][]*ratelimit.Policy{"worker": {{Name: "client", Requests: 4, Per: time.Hour, Burst: 4}}}
	},
		limited(scoped("GET /a", "read"), ofAPI(perHour("a", 1, ratelimit.ByClient)), ofAPI(perHour("a#2", 100, ratelimit.ByIP))),
		limited(scoped("GET /b", "read"), ofAPI(perHour("b", 1, ratelimit.ByClient)), perHour("b GET /b", 2, ratelimit.ByClient)),
		scoped("GET /c", "read"))
	raw, other := w.token("read"), w.token("read", func(i *token.Issue) { i.Client = "other" })
	for i, tt := range []struct {
		target, raw   string
		status        int
		limit, policy string
	}{
		{"/a", raw, 200, `"client";r=3;t=900`, `"client";q=4;w=3600, "a#2";q=100;w=3600`},
		{"/b", raw, 200, `"client";r=2;t=1800`, `"client";q=4;w=3600, "b GET /b";q=2;w=3600`},
		{"/b", raw, 200, `"b GET /b";r=0;t=3600`, `"client";q=4;w=3600, "b GET /b";q=2;w=3600`},
		{"/b", raw, 429, `"b GET /b";r=0;t=3600`, `"client";q=4;w=3600, "b GET /b";q=2;w=3600`}, // all or nothing: client is not charged
		{"/c", raw, 200, `"client";r=0;t=3600`, `"client";q=4;w=3600`},
		{"/a", raw, 429, `"client";r=0;t=3600`, `"client";q=4;w=3600, "a#2";q=100;w=3600`},
		{"/c", other, 200, ``, ``},
		{"/a", other, 200, `"a";r=0;t=3600`, `"a";q=1;w=3600, "a#2";q=100;w=3600`},
		{"/a", other, 429, `"a";r=0;t=3600`, `"a";q=1;w=3600, "a#2";q=100;w=3600`},
	} {
		got := w.get(tt.target, bearer(tt.raw))
		limit := got.Header.Get("RateLimit")
		if got.StatusCode != tt.status || limit != tt.limit || got.Header.Get("RateLimit-Policy") != tt.policy {
			t.Errorf("step %d: %d %s %s, want %d %s %s", i, got.StatusCode, limit, got.Header.Get("RateLimit-Policy"), tt.status, tt.limit, tt.policy)
		}
	}
	if own := w.gw.ownLimits(&authz.Principal{Issuer: "corp", Client: "worker"}); own != nil {
		t.Error("another issuer's client of that name has the limit")
	}
}

// TestOrderOfCharges: address, route, claim, client; a token's missing claim is its client's.
func TestOrderOfCharges(t *testing.T) {
	t.Parallel()
	c := newCharging(limited(&Route{API: &API{Name: "a"}, Match: "GET /"}, perHour("client", 1, ratelimit.ByClient), byClaim("claim", 1, "org"),
		byClaim("claim#2", 1, "team"), byClaim("claim#3", 1, "org"), perHour("route", 1, ratelimit.ByRoute), perHour("ip", 1, ratelimit.ByIP)))
	addr := netip.MustParseAddr("2001:db8::1")
	show := func(list []ratelimit.Charge) string {
		var out []string
		for _, ch := range list {
			names := ch.Subject.Kind.String() + ":"
			for _, p := range ch.Policies {
				names += " " + p.Name
			}
			out = append(out, names)
		}
		return strings.Join(out, ", ")
	}
	p := &authz.Principal{Issuer: "local", Client: "x", Claims: map[string]string{"org": "o"}}
	for _, tt := range []struct {
		p    *authz.Principal
		want string
	}{
		{p, "ip: ip, route: route, claim: claim claim#3, client: client claim#2"},
		{nil, "ip: client claim claim#2 claim#3 ip, route: route"},
	} {
		if got := show(c.charges(nil, addr, tt.p, nil)); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.p, got, tt.want)
		}
	}
}
