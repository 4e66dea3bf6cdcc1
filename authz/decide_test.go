package authz

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/token"
)

const (
	testNow = int64(1_800_000_000)
	apiA    = "https://api.a.example/"
)

func principal(change func(p *Principal)) *Principal {
	p := &Principal{Client: "demo", Subject: "demo", Issuer: Local, IssuerURL: "https://issuer.example", TokenID: "id", KeyID: "k",
		Audience: []string{apiA}, Scopes: token.NewScopes("demo:read"), IssuedAt: testNow - 10, Expires: testNow + 590}
	if change != nil {
		change(p)
	}
	return p
}

func policy() *Policy {
	return &Policy{Audience: apiA, Scopes: token.Require([]string{"demo:read"}, nil), Issuers: []string{Local}, MaxStaleness: time.Minute}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	good := State{Ready: true, Client: Enabled}
	with := func(change func(st *State)) State {
		st := good
		change(&st)
		return st
	}
	demand := func(change func(pol *Policy)) *Policy {
		pol := policy()
		change(pol)
		return pol
	}
	for _, tt := range []struct {
		name   string
		p      *Principal
		pol    *Policy
		st     State
		reason Reason
		check  Check
	}{
		{"allowed", principal(nil), policy(), good, "", checks},
		{"not ready comes before a missing token", nil, policy(), State{}, StateUnavailable, CheckReady},
		{"no token", nil, policy(), good, MissingToken, CheckToken},
		{"issuer not accepted", principal(func(p *Principal) { p.Issuer = "corp" }), policy(), good, WrongIssuer, CheckIssuer},
		{"issuer comes before time", principal(func(p *Principal) { p.Issuer, p.Expires = "corp", 0 }), policy(), good, WrongIssuer, CheckIssuer},
		{"no issuer accepted", principal(nil), demand(func(pol *Policy) { pol.Issuers = nil }), good, WrongIssuer, CheckIssuer},
		{"expires in a second", principal(func(p *Principal) { p.Expires = testNow + 1 }), policy(), good, "", checks},
		{"expires now", principal(func(p *Principal) { p.Expires = testNow }), policy(), good, Expired, CheckTime},
		{"expired comes before revoked", principal(func(p *Principal) { p.Expires = testNow - 1 }), policy(), with(func(st *State) { st.Revoked = true }), Expired, CheckTime},
		{"iat within the skew", principal(func(p *Principal) { p.IssuedAt = testNow + Skew }), policy(), good, "", checks},
		{"iat beyond the skew", principal(func(p *Principal) { p.IssuedAt = testNow + Skew + 1 }), policy(), good, NotYetValid, CheckTime},
		{"nbf within the skew", principal(func(p *Principal) { p.NotBefore = testNow + Skew }), policy(), good, "", checks},
		{"nbf beyond the skew", principal(func(p *Principal) { p.NotBefore = testNow + Skew + 1 }), policy(), good, NotYetValid, CheckTime},
		{"revoked", principal(nil), policy(), with(func(st *State) { st.Revoked = true }), Revoked, CheckRevocation},
		{"revoked although stale", principal(nil), policy(), with(func(st *State) { st.Revoked, st.Staleness = true, time.Hour }), Revoked, CheckRevocation},
		{"as stale as may be", principal(nil), policy(), with(func(st *State) { st.Staleness = time.Minute }), "", checks},
		{"stale", principal(nil), policy(), with(func(st *State) { st.Staleness = time.Minute + 1 }), StateUnavailable, CheckRevocation},
		{"stale and allowed", principal(nil), demand(func(pol *Policy) { pol.AllowStale = true }), with(func(st *State) { st.Staleness = time.Hour }), "", checks},
		{"stale comes before the client", principal(nil), policy(), State{Ready: true, Staleness: time.Hour}, StateUnavailable, CheckRevocation},
		{"client unknown", principal(nil), policy(), with(func(st *State) { st.Client = Unknown }), ClientDisabled, CheckClient},
		{"client disabled", principal(nil), policy(), with(func(st *State) { st.Client = Disabled }), ClientDisabled, CheckClient},
		{"client comes before audience", principal(func(p *Principal) { p.Audience = nil }), policy(), State{Ready: true}, ClientDisabled, CheckClient},
		{"other audience", principal(func(p *Principal) { p.Audience = []string{"https://api.b.example/"} }), policy(), good, WrongAudience, CheckAudience},
		{"audience without the slash", principal(func(p *Principal) { p.Audience = []string{"https://api.a.example"} }), policy(), good, WrongAudience, CheckAudience},
		{"audience in another case", principal(func(p *Principal) { p.Audience = []string{"https://API.a.example/"} }), policy(), good, WrongAudience, CheckAudience},
		{"no audience", principal(func(p *Principal) { p.Audience = nil }), policy(), good, WrongAudience, CheckAudience},
		{"one audience of several", principal(func(p *Principal) { p.Audience = []string{"x", apiA} }), policy(), good, "", checks},
		{"no audience on either side", principal(func(p *Principal) { p.Audience = []string{""} }), demand(func(pol *Policy) { pol.Audience = "" }), good, WrongAudience, CheckAudience},
		{"audience comes before scopes", principal(func(p *Principal) { p.Audience, p.Scopes = nil, token.Scopes{} }), policy(), good, WrongAudience, CheckAudience},
		{"scope missing", principal(nil), demand(func(pol *Policy) { pol.Scopes = token.Require([]string{"demo:write"}, nil) }), good, InsufficientScope, CheckScopes},
		{"scope is a prefix", principal(func(p *Principal) { p.Scopes = token.NewScopes("demo:readall") }), policy(), good, InsufficientScope, CheckScopes},
		{"any token", principal(func(p *Principal) { p.Scopes = token.Scopes{} }), demand(func(pol *Policy) { pol.Scopes = token.AnyToken() }), good, "", checks},
		{"zero requirement", principal(nil), demand(func(pol *Policy) { pol.Scopes = token.Requirement{} }), good, InsufficientScope, CheckScopes},
		{"zero policy", principal(nil), &Policy{}, good, WrongIssuer, CheckIssuer},
		{"zero state", principal(nil), policy(), State{}, StateUnavailable, CheckReady},
		{"zero principal", &Principal{}, policy(), good, WrongIssuer, CheckIssuer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := Decide(tt.p, tt.pol, tt.st, testNow)
			if d.Reason != tt.reason || d.Allowed != (tt.reason == "") || (d.Detail == "") != d.Allowed {
				t.Fatalf("Decide = %+v, want reason %q", d, tt.reason)
			}
			checkTrace(t, d.Steps, tt.check)
		})
	}
}

func checkTrace(t *testing.T, steps []Step, failed Check) {
	t.Helper()
	if len(steps) != int(checks) {
		t.Fatalf("%d steps, want %d", len(steps), checks)
	}
	for i, s := range steps {
		want := Passed
		if Check(i) == failed {
			want = Failed
		} else if Check(i) > failed {
			want = NotReached
		}
		if s.Check != Check(i) || s.Outcome != want {
			t.Errorf("step %d = %v %v, want %v %v", i, s.Check, s.Outcome, Check(i), want)
		}
	}
}

func TestDetail(t *testing.T) {
	t.Parallel()
	pol := policy()
	pol.Scopes = token.Require([]string{"demo:write"}, nil)
	st := State{Ready: true, Client: Enabled}
	none := principal(func(p *Principal) { p.Scopes = token.Scopes{} })
	elsewhere := principal(func(p *Principal) { p.Audience = []string{"urn:c"} })
	for _, tt := range []struct {
		p    *Principal
		want string
	}{
		{principal(nil), "this route needs demo:write; the token has demo:read"},
		{none, "this route needs demo:write; the token has no scope"},
		{elsewhere, "this route needs a token for https://api.a.example/; the token is for urn:c"},
		{principal(func(p *Principal) { p.Expires = testNow - 1 }), "the token expired at 2027-01-15T07:59:59Z"},
	} {
		if got := Decide(tt.p, pol, st, testNow).Detail; got != tt.want {
			t.Errorf("Detail = %q, want %q", got, tt.want)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	hidden := []Reason{MalformedToken, UnsupportedAlg, UnknownKey, BadSignature, WrongIssuer}
	want := map[Reason]int{
		"malformed_request": 400, "multiple_tokens": 400, "no_route": 404, "method_not_allowed": 405, "missing_token": 401,
		"malformed_token": 401, "unsupported_alg": 401, "unknown_key": 401, "bad_signature": 401, "wrong_issuer": 401,
		"expired": 401, "not_yet_valid": 401, "wrong_audience": 401, "revoked": 401, "client_disabled": 401,
		"wrong_binding": 401, "uri_too_long": 414, "insufficient_scope": 403, "upgrade_not_allowed": 403,
		"rate_limited": 429, "body_too_large": 413, "state_unavailable": 503, "overloaded": 503,
		"upstream_unavailable": 502, "upstream_timeout": 504, "misdirected": 421, "internal_error": 500,
	}
	all := Reasons()
	if len(all) != len(want) {
		t.Errorf("%d reasons, want %d", len(all), len(want))
	}
	for _, r := range all {
		if r.Status() != want[r] {
			t.Errorf("%s.Status() = %d, want %d", r, r.Status(), want[r])
		}
		public := r
		if slices.Contains(hidden, r) {
			public = "invalid_token"
		}
		if r.Public() != public {
			t.Errorf("%s.Public() = %s, want %s", r, r.Public(), public)
		}
	}
	if got := Reason("made_up").Status(); got != 500 {
		t.Errorf("status of a word outside the set = %d, want 500", got)
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []string
		raw    string
		reason Reason
	}{
		{"none", nil, "", MissingToken},
		{"empty", []string{""}, "", MissingToken},
		{"token", []string{"Bearer a.b.c"}, "a.b.c", ""},
		{"lower case", []string{"bearer a.b.c"}, "a.b.c", ""},
		{"mixed case", []string{"bEaReR a.b.c"}, "a.b.c", ""},
		{"every kind of character", []string{"Bearer aZ09-._~+/=="}, "aZ09-._~+/==", ""},
		{"two headers", []string{"Bearer a.b.c", "Bearer a.b.c"}, "", MultipleTokens},
		{"two headers, one of another scheme", []string{"Basic eDp5", "Bearer a.b.c"}, "", MultipleTokens},
		{"Basic", []string{"Basic eDp5"}, "", MissingToken},
		{"DPoP", []string{"DPoP a.b.c"}, "", MissingToken},
		{"scheme with a tail", []string{"Bearers a.b.c"}, "", MissingToken},
		{"token alone", []string{"a.b.c"}, "", MissingToken},
		{"tab for the space", []string{"Bearer\ta.b.c"}, "", MissingToken},
		{"nothing after the scheme", []string{"Bearer"}, "", MalformedToken},
		{"only a space", []string{"Bearer "}, "", MalformedToken},
		{"two spaces", []string{"Bearer  a.b.c"}, "", MalformedToken},
		{"space after", []string{"Bearer a.b.c "}, "", MalformedToken},
		{"list", []string{"Bearer a.b.c,a.b.c"}, "", MalformedToken},
		{"list of credentials", []string{"Bearer a.b.c, Bearer a.b.c"}, "", MalformedToken},
		{"JSON", []string{`Bearer {"a":1}`}, "", MalformedToken},
		{"only padding", []string{"Bearer =="}, "", MalformedToken},
		{"NUL", []string{"Bearer a\x00b"}, "", MalformedToken},
		{"non-ASCII", []string{"Bearer é"}, "", MalformedToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw, f := Bearer(tt.values)
			var reason Reason
			if f != nil {
				reason = f.Reason
			}
			if raw != tt.raw || reason != tt.reason {
				t.Errorf("Bearer(%q) = %q, %q, want %q, %q", tt.values, raw, reason, tt.raw, tt.reason)
			}
		})
	}
}

func FuzzBearer(f *testing.F) {
	for _, s := range []string{"", "Bearer a.b.c", "bearer  x", "Basic eDp5", "Bearer a,b", "Bearer =", "BEARER é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		raw, failed := Bearer([]string{value})
		if failed != nil {
			if raw != "" {
				t.Fatalf("Bearer(%q) refused and returned %q", value, raw)
			}
			return
		}
		// Whatever is accepted is exactly the scheme, one space and the token.
		if !strings.EqualFold(value[:7], "Bearer ") || value[7:] != raw || raw == "" || strings.ContainsAny(raw, " ,\t") {
			t.Fatalf("Bearer(%q) = %q", value, raw)
		}
	})
}

func TestDecideAllocates(t *testing.T) {
	p, pol, st := principal(nil), policy(), State{Ready: true, Client: Enabled}
	values := []string{"Bearer a.b.c"}
	if n := testing.AllocsPerRun(100, func() {
		if _, f := Bearer(values); f != nil || !Decide(p, pol, st, testNow).Allowed {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("an allowed request costs %v allocations, want 0", n)
	}
}

type heard struct {
	ready   bool
	revoked string
}

func (h heard) Revoked(p *Principal) bool { return p.TokenID == h.revoked }
func (h heard) Staleness() time.Duration  { return time.Second }
func (h heard) Ready() bool               { return h.ready }

type enabled string

func (e enabled) Status(issuer, id string) ClientStatus {
	if issuer+"/"+id == string(e) {
		return Enabled
	}
	return Unknown
}

func TestRead(t *testing.T) {
	t.Parallel()
	p := principal(nil)
	for _, tt := range []struct {
		name string
		r    heard
		c    enabled
		p    *Principal
		want State
	}{
		{"good", heard{true, ""}, "local/demo", p, State{Ready: true, Staleness: time.Second, Client: Enabled}},
		{"revoked", heard{true, "id"}, "local/demo", p, State{Ready: true, Staleness: time.Second, Revoked: true, Client: Enabled}},
		{"another issuer's client", heard{true, ""}, "corp/demo", p, State{Ready: true, Staleness: time.Second}},
		{"no token", heard{false, ""}, "local/demo", nil, State{Staleness: time.Second}},
	} {
		if got := Read(tt.r, tt.c, tt.p); got != tt.want {
			t.Errorf("%s: Read = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for c := range checks + 1 {
		seen[c.String()] = true
	}
	for o := range Failed + 1 {
		seen[o.String()] = true
	}
	if len(seen) != int(checks)+1+3 || seen[""] {
		t.Errorf("names are not all there or not all different: %v", seen)
	}
}

func BenchmarkDecide(b *testing.B) {
	p, pol, st := principal(nil), policy(), State{Ready: true, Client: Enabled}
	b.ReportAllocs()
	for b.Loop() {
		Decide(p, pol, st, testNow)
	}
}
