package tokenep_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/jwks"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
	"gatehouse/tokenep"
)

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signer is a client that signs assertions.
type signer struct {
	*fixture
	id  string
	key *token.PrivateKey
}

// startSigner runs the endpoints with the client c-pk, who has this key, and some others that do not.
func startSigner(t testing.TB, alg token.Algorithm, change func(o *tokenep.Options, c *tokenep.Client)) *signer {
	t.Helper()
	s := &signer{id: "c-pk", key: tokentest.Key(t, alg)}
	s.fixture = start(t, func(o *tokenep.Options) {
		c := signs(t, s.id, s.key)
		if change != nil {
			change(o, &c)
		}
		off, secretive := signs(t, "c-pk-off", s.key), signs(t, "c-pk-secret", s.key)
		off.Disabled, secretive.Auth = true, ""
		o.Clients = tokenep.NewRegistry(append(clients(time.Unix(1_800_000_000, 0), map[string]string{}), c, off, secretive))
	})
	return s
}

func signs(t testing.TB, id string, keys ...*token.PrivateKey) tokenep.Client {
	t.Helper()
	var public []*token.PublicKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	doc, err := token.MarshalJWKS(public)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwks.File(doc)
	if err != nil {
		t.Fatal(err)
	}
	return tokenep.Client{ID: id, Grants: map[string]token.Scopes{"b": token.NewScopes("read:b")}, GrantTypes: []string{"client_credentials"},
		Auth: "private_key_jwt", Keys: set, Algorithms: []token.Algorithm{token.ES256, token.RS256, token.PS256, token.EdDSA}}
}

// claims are good ones, changed by pairs of a name and a value; nil removes.
func (s *signer) claims(pairs ...any) string {
	now := s.clock.Now().Unix()
	m := map[string]any{"iss": s.id, "sub": s.id, "aud": issuerURL, "jti": token.NewID(), "iat": now, "exp": now + 60}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(m, pairs[i].(string))
		}
	}
	out, _ := json.Marshal(m)
	return string(out)
}

func (s *signer) header(more string) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q%s}`, s.key.Public().Algorithm(), s.key.Public().ID(), more)
}

// sign is an assertion of good claims, changed.
func (s *signer) sign(pairs ...any) string {
	return tokentest.Sign(s.t, s.key, s.header(""), s.claims(pairs...))
}

func (s *signer) send(assertion string, more ...string) answer {
	s.t.Helper()
	return s.post("/oauth/token", grant+"&"+form(append([]string{"client_assertion_type", jwtBearer, "client_assertion", assertion}, more...)...))
}

// last is the newest record, and an empty one where there is none.
func (f *fixture) last() (rec exchange.Record) {
	for {
		select {
		case rec = <-f.records:
		default:
			return rec
		}
	}
}

func TestAssertion(t *testing.T) {
	t.Parallel()
	for _, alg := range []token.Algorithm{token.ES256, token.RS256, token.PS256, token.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			s := startSigner(t, alg, nil)
			now := s.clock.Now().Unix()
			for name, a := range map[string]string{
				"JCA-001":                   s.sign(),
				"JCA-005 a list":            s.sign("aud", []string{issuerURL}),
				"JCA-008 at the limit":      s.sign("exp", now+310),
				"JCA-010 a little ahead":    s.sign("iat", now+8, "nbf", now+8),
				"without iat":               s.sign("iat", nil),
				"without kid":               tokentest.Sign(t, s.key, fmt.Sprintf(`{"alg":%q}`, alg), s.claims()),
				"JCA-019 typ":               tokentest.Sign(t, s.key, s.header(`,"typ":"client-authentication+jwt"`), s.claims()),
				"JCA-019 JWT":               tokentest.Sign(t, s.key, s.header(`,"typ":"JWT"`), s.claims()),
				"JCA-018 names a key":       tokentest.Sign(t, s.key, s.header(`,"jku":"https://evil.example/","x5u":"https://evil.example/"`), s.claims()),
				"members that mean nothing": s.sign("foo", map[string]any{"bar": 1}),
			} {
				if got := s.send(a); got.status != 200 {
					t.Errorf("%s: %d %s (%s)", name, got.status, got.body, s.last().Detail)
				}
			}
			_, c := s.issued(t, s.send(s.sign(), "client_id", s.id))
			if c["client_id"] != s.id {
				t.Errorf("client_id %v", c["client_id"])
			}
			if a := s.post("/oauth/revoke", form("token", "x", "client_assertion_type", jwtBearer, "client_assertion", s.sign())); a.status != 200 {
				t.Errorf("revocation by assertion: %d %s", a.status, a.body)
			}
		})
	}
}

// Ensure that whatever is wrong is refused alike, and that the log knows what it was.
func TestAssertionRefused(t *testing.T) {
	t.Parallel()
	s := startSigner(t, token.ES256, nil)
	now := s.clock.Now().Unix()
	stranger, rsaKey := tokentest.Key(t, token.ES256), tokentest.Key(t, token.RS256)
	header := func(h string) string { return tokentest.Sign(t, s.key, h, s.claims()) }
	raw := func(h, p string) string { return tokentest.Sign(t, s.key, h, p) }
	b64 := base64.RawURLEncoding.EncodeToString
	own := s.fixture.signers[token.ES256]
	access, err := own.Issue(token.Issue{Issuer: issuerURL, Client: s.id, Audience: apiB, ID: token.NewID(), IssuedAt: now, Expires: now + 60, Dialect: token.RFC9068})
	if err != nil {
		t.Fatal(err)
	}
	good := s.sign()
	h, rest, _ := strings.Cut(good, ".")
	p, sig, _ := strings.Cut(rest, ".")
	embedded, _ := token.MarshalJWKS([]*token.PublicKey{stranger.Public()})
	want := s.post("/oauth/token", grant, "Authorization", basic("c-basic", "wrong"))
	for _, tt := range []struct{ name, assertion, failure string }{
		{"JCA-004 iss", s.sign("iss", "c-basic"), "wrong_method"},
		{"JCA-004 sub", s.sign("sub", "c-basic"), "invalid_assertion"},
		{"JCA-004 no iss", s.sign("iss", nil), "unknown_client"},
		{"JCA-004 no sub", s.sign("sub", nil), "invalid_assertion"},
		{"an unknown client", s.sign("iss", "c-nobody", "sub", "c-nobody"), "unknown_client"},
		{"a disabled client", s.sign("iss", "c-pk-off", "sub", "c-pk-off"), "client_disabled"},
		{"AUT-011 a client that may not", s.sign("iss", "c-pk-secret", "sub", "c-pk-secret"), "wrong_method"},
		{"JCA-005 the endpoint", s.sign("aud", issuerURL+"/oauth/token"), "invalid_assertion"},
		{"JCA-005 two", s.sign("aud", []string{issuerURL, "https://other.example"}), "invalid_assertion"},
		{"JCA-005 twice", s.sign("aud", []string{issuerURL, issuerURL}), "invalid_assertion"},
		{"JCA-005 none", s.sign("aud", nil), "invalid_assertion"},
		{"JCA-005 empty", s.sign("aud", []string{}), "invalid_assertion"},
		{"JCA-005 a slash", s.sign("aud", issuerURL+"/"), "invalid_assertion"},
		{"JCA-007 no exp", s.sign("exp", nil), "invalid_assertion"},
		{"JCA-007 past", s.sign("exp", now), "invalid_assertion"},
		{"JCA-007 text", s.sign("exp", fmt.Sprint(now+60)), "invalid_assertion"},
		{"JCA-007 a fraction", s.sign("exp", float64(now)+60.5), "invalid_assertion"},
		{"JCA-008", s.sign("exp", now+3600), "invalid_assertion"},
		{"JCA-008 huge", s.sign("exp", int64(1)<<62), "invalid_assertion"},
		{"JCA-009", s.sign("nbf", now+60), "invalid_assertion"},
		{"JCA-009 null", s.sign("nbf", json.RawMessage("null")), "invalid_assertion"},
		{"JCA-010", s.sign("iat", now+61), "invalid_assertion"},
		{"JCA-011 no jti", s.sign("jti", nil), "invalid_assertion"},
		{"JCA-011 empty", s.sign("jti", ""), "invalid_assertion"},
		{"JCA-011 a number", s.sign("jti", 1), "invalid_assertion"},
		{"JCA-012 tampered", h + "." + p + "." + flip(sig), "invalid_assertion"},
		{"JCA-014 none", b64([]byte(`{"alg":"none"}`)) + "." + p + ".", "malformed"},
		{"JCA-014 HS256", header(`{"alg":"HS256"}`), "malformed"},
		{"JCA-014 another family", tokentest.Sign(t, rsaKey, `{"alg":"RS256"}`, s.claims()), "invalid_assertion"},
		{"JCA-015", raw(`{"alg":"ES256","crit":["foo"],"foo":1}`, s.claims()), "malformed"},
		{"JCA-016 header", raw(`{"alg":"none","alg":"ES256"}`, s.claims()), "malformed"},
		{"JCA-016 claims", raw(s.header(""), strings.Replace(s.claims(), "{", `{"iss":"x",`, 1)), "malformed"},
		{"JCA-017", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, h, p, sig), "malformed"},
		{"JCA-018", tokentest.Sign(t, stranger, `{"alg":"ES256","jwk":`+strings.TrimSuffix(strings.TrimPrefix(string(embedded), `{"keys":[`), `]}`)+`}`, s.claims()), "invalid_assertion"},
		{"JCA-018 well formed", tokentest.Sign(t, stranger, `{"alg":"ES256","jku":"https://evil.example/"}`, s.claims()), "invalid_assertion"},
		{"JCA-019 at+jwt", raw(s.header(`,"typ":"at+jwt"`), s.claims()), "malformed"},
		{"JCA-019 dpop+jwt", raw(s.header(`,"typ":"dpop+jwt"`), s.claims()), "malformed"},
		{"JCA-020", access, "malformed"},
		{"JCA-020 as JWT", tokentest.Sign(t, own, `{"alg":"ES256","typ":"JWT"}`, s.claims()), "invalid_assertion"},
		{"JCA-021", strings.Repeat("a", 60<<10), "malformed"},
		{"a kid that is not there", raw(`{"alg":"ES256","kid":"x"}`, s.claims()), "invalid_assertion"},
		{"not a JWT", "x", "malformed"},
	} {
		got := s.send(tt.assertion)
		if refused(t, got, 401, "invalid_client"); got.body != want.body || got.header.Get("WWW-Authenticate") != want.header.Get("WWW-Authenticate") {
			t.Errorf("%s: %s, want %s", tt.name, got.body, want.body)
		}
		if rec := s.last(); rec.AuthFailure != tt.failure || rec.Detail == "" || rec.Detail == want.text(t, "error_description") {
			t.Errorf("%s: failure %q, want %q; detail %q", tt.name, rec.AuthFailure, tt.failure, rec.Detail)
		} else if strings.Contains(rec.Detail, sig) || strings.Contains(rec.Detail, p) {
			t.Errorf("%s: the log holds the assertion", tt.name)
		}
	}
	t.Run("JCA-002", func(t *testing.T) {
		refused(t, s.send(s.sign(), "client_id", "c-basic"), 401, "invalid_client")
	})
	t.Run("JCA-003", func(t *testing.T) {
		refused(t, s.post("/oauth/token", grant+"&"+form("client_assertion", s.sign())), 400, "invalid_request")
		refused(t, s.post("/oauth/token", grant+"&"+form("client_assertion", s.sign(), "client_assertion_type", jwtBearer+" ")), 400, "invalid_request")
		refused(t, s.post("/oauth/token", grant+"&"+form("client_assertion_type", jwtBearer)), 401, "invalid_client")
	})
	t.Run("AUT-008", func(t *testing.T) {
		refused(t, s.send(s.sign(), "client_id", s.id, "client_secret", "x"), 400, "invalid_request")
	})
	t.Run("AUT-011 a secret", func(t *testing.T) {
		refused(t, s.post("/oauth/token", grant, "Authorization", basic(s.id, "x")), 401, "invalid_client")
	})
	t.Run("JCA-012", func(t *testing.T) { s.issued(t, s.send(good)) }) // its tampered copies were sent before
}

func flip(s string) string {
	last := "A"
	if strings.HasPrefix(s, "A") {
		last = "B"
	}
	return last + s[1:]
}

// Ensure that an assertion authenticates once, by client, and for no longer than it is good.
func TestAssertionOnce(t *testing.T) {
	t.Parallel()
	s := startSigner(t, token.ES256, nil)
	a := s.sign("jti", "one")
	s.issued(t, s.send(a))
	refused(t, s.send(a), 401, "invalid_client")
	if rec := s.last(); rec.AuthFailure != "assertion_replayed" {
		t.Errorf("failure %q", rec.AuthFailure)
	}
	refused(t, s.send(s.sign("jti", "one", "exp", s.clock.Now().Unix()+120)), 401, "invalid_client")
	s.clock.advance(131 * time.Second)
	refused(t, s.send(a), 401, "invalid_client")
	s.issued(t, s.send(s.sign("jti", "one")))
	// An assertion that authenticates is used, whatever becomes of the request.
	b := s.sign()
	refused(t, s.send(b, "scope", "admin:b"), 400, "invalid_scope")
	refused(t, s.send(b), 401, "invalid_client")
}

func TestAssertionAlgorithms(t *testing.T) {
	t.Parallel()
	s := startSigner(t, token.RS256, func(_ *tokenep.Options, c *tokenep.Client) { c.Algorithms = []token.Algorithm{token.PS256} })
	refused(t, s.send(s.sign()), 401, "invalid_client")
	s = startSigner(t, token.RS256, func(_ *tokenep.Options, c *tokenep.Client) { c.Algorithms = nil })
	refused(t, s.send(s.sign()), 401, "invalid_client")
	s = startSigner(t, token.RS256, func(_ *tokenep.Options, c *tokenep.Client) { c.Keys = nil })
	refused(t, s.send(s.sign()), 401, "invalid_client")
}

type noKeys struct{}

func (noKeys) Lookup(context.Context, string, token.Algorithm) ([]*token.PublicKey, error) {
	return nil, jwks.ErrUnavailable
}

func (noKeys) Has(context.Context, crypto.PublicKey) (bool, error) { return false, jwks.ErrUnavailable }

type noReplays struct{}

func (noReplays) Claim(context.Context, string, string, time.Time) (bool, error) {
	return true, errors.New("redis is away")
}

// Ensure that what can't be known is not held against the client, and lets nobody in (LIM-009).
func TestAssertionUnavailable(t *testing.T) {
	t.Parallel()
	s := startSigner(t, token.ES256, func(_ *tokenep.Options, c *tokenep.Client) { c.Keys = noKeys{} })
	refused(t, s.send(s.sign()), 503, "temporarily_unavailable")
	if rec := s.last(); rec.AuthFailure != "no_keys" || rec.OAuthError != "temporarily_unavailable" {
		t.Errorf("record %+v", rec)
	}
	refused(t, s.send(s.sign("iss", "c-nobody", "sub", "c-nobody")), 401, "invalid_client")
	s = startSigner(t, token.ES256, func(o *tokenep.Options, _ *tokenep.Client) { o.Replays = noReplays{} })
	refused(t, s.send(s.sign()), 503, "temporarily_unavailable")
	refused(t, s.send(s.sign("aud", "x")), 401, "invalid_client")
}
