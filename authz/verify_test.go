package authz

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

const issuerURL = "https://issuer.example"

// ring is a key set that tests can change.
type ring struct {
	keys       atomic.Pointer[map[string]*token.PublicKey]
	generation atomic.Uint64
}

func newRing(keys ...*token.PrivateKey) *ring {
	r := &ring{}
	set := map[string]*token.PublicKey{}
	for _, k := range keys {
		set[k.Public().ID()] = k.Public()
	}
	r.keys.Store(&set)
	return r
}

func (r *ring) Key(kid string, _ token.Algorithm) *token.PublicKey { return (*r.keys.Load())[kid] }
func (r *ring) Generation() uint64                                 { return r.generation.Load() }

func (r *ring) withdraw() {
	r.keys.Store(&map[string]*token.PublicKey{})
	r.generation.Add(1)
}

func dialects(audience string) (token.Dialect, bool) {
	switch audience {
	case apiA:
		return token.RFC9068, true
	case "urn:c":
		return token.Auth0, true
	}
	return "", false
}

func issuer(keys Keys) Issuer {
	return Issuer{Name: Local, URL: issuerURL, Algorithms: []token.Algorithm{token.ES256}, Keys: keys, MaxLifetime: time.Hour, Dialect: dialects}
}

func verifier(t testing.TB, entries int, issuers ...Issuer) *Verifier {
	t.Helper()
	v, err := NewVerifier(Options{Issuers: issuers, CacheEntries: entries, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func issue(t testing.TB, k *token.PrivateKey, id string) string {
	t.Helper()
	raw, err := k.Issue(token.Issue{Issuer: issuerURL, Client: "demo", Audience: apiA, ID: id, Scopes: token.NewScopes("read", "write"),
		IssuedAt: testNow, Expires: testNow + 600, Dialect: token.RFC9068})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// raw signs a token whose header and claims differ from a good one's; a nil member is left out.
func raw(t testing.TB, k *token.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	h := map[string]any{"alg": string(k.Public().Algorithm()), "kid": k.Public().ID(), "typ": "at+jwt"}
	c := map[string]any{"iss": issuerURL, "sub": "demo", "client_id": "demo", "aud": apiA, "jti": "id", "scope": "read write",
		"iat": testNow, "exp": testNow + 600}
	return tokentest.Sign(t, k, merged(t, h, header), merged(t, c, claims))
}

func merged(t testing.TB, base, change map[string]any) string {
	t.Helper()
	maps.Copy(base, change)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	v := verifier(t, 100, issuer(newRing(k)))
	p, hit, f := v.Verify(issue(t, k, "one"), testNow)
	if f != nil || hit {
		t.Fatalf("Verify = hit %v, failure %+v", hit, f)
	}
	if p.Client != "demo" || p.Subject != "demo" || p.Issuer != Local || p.IssuerURL != issuerURL || p.TokenID != "one" ||
		p.KeyID != k.Public().ID() || !slices.Equal(p.Audience, []string{apiA}) || p.Scopes.String() != "read write" ||
		p.IssuedAt != testNow || p.NotBefore != 0 || p.Expires != testNow+600 {
		t.Errorf("principal = %+v", p)
	}
	other, err := k.Issue(token.Issue{Issuer: issuerURL, Client: "demo", Audience: "urn:c", ID: "two", IssuedAt: testNow, Expires: testNow + 60, Dialect: token.Auth0})
	if err != nil {
		t.Fatal(err)
	}
	p, _, f = v.Verify(other, testNow)
	if f != nil || p.Client != "demo" || p.Subject != "demo@clients" || p.Scopes.Len() != 0 {
		t.Errorf("principal of the dialect auth0 = %+v, failure %+v", p, f)
	}
}

// tokenCase is a hostile or unusual token that carries a good signature.
type tokenCase struct {
	name           string
	header, claims map[string]any
	reason         Reason // empty: it has a Principal
}

type object = map[string]any

var tokenCases = []tokenCase{
	{"good", nil, nil, ""},
	{"audience in an array", nil, object{"aud": []string{apiA}}, ""},
	{"audience among others", nil, object{"aud": []string{"https://elsewhere.example", apiA}}, ""},
	{"expired", nil, object{"iat": testNow - 700, "exp": testNow - 100}, ""},
	{"nbf", nil, object{"nbf": testNow}, ""},
	{"no scope", nil, object{"scope": nil}, ""},
	{"as long as may be", nil, object{"exp": testNow + 3600}, ""},

	{"issuer of nobody", nil, object{"iss": "https://evil.example"}, WrongIssuer},
	{"issuer with a slash", nil, object{"iss": issuerURL + "/"}, WrongIssuer},
	{"issuer missing", nil, object{"iss": nil}, WrongIssuer},
	{"issuer a number", nil, object{"iss": 1}, WrongIssuer},
	{"kid missing", object{"kid": nil}, nil, UnknownKey},
	{"kid of nobody", object{"kid": "x"}, nil, UnknownKey},
	{"alg none", object{"alg": "none"}, nil, UnsupportedAlg},
	{"alg None", object{"alg": "None"}, nil, UnsupportedAlg},
	{"alg HS256", object{"alg": "HS256"}, nil, UnsupportedAlg},
	{"alg of another key", object{"alg": "RS256"}, nil, UnsupportedAlg},
	{"alg missing", object{"alg": nil}, nil, MalformedToken},
	{"jku", object{"jku": "https://evil.example/jwks"}, nil, MalformedToken},
	{"jwk", object{"jwk": object{"kty": "EC"}}, nil, MalformedToken},
	{"x5u", object{"x5u": "https://evil.example"}, nil, MalformedToken},
	{"crit", object{"crit": []string{"foo"}}, nil, MalformedToken},
	{"b64", object{"b64": false}, nil, MalformedToken},
	{"cty", object{"cty": "JWT"}, nil, MalformedToken},
	{"typ of an ID token", object{"typ": "JWT"}, nil, MalformedToken},
	{"typ in another case", object{"typ": "AT+JWT"}, nil, MalformedToken},
	{"typ missing", object{"typ": nil}, nil, MalformedToken},
	{"typ of the other dialect's API", nil, object{"aud": "urn:c", "azp": "demo"}, MalformedToken},
	{"client's claim of the other dialect", object{"typ": "JWT"}, object{"aud": "urn:c"}, MalformedToken},

	{"audience of no API", nil, object{"aud": "https://api.b.example/"}, WrongAudience},
	{"audience empty", nil, object{"aud": ""}, WrongAudience},
	{"audience in another case", nil, object{"aud": strings.ToUpper(apiA)}, WrongAudience},
	{"audience without the slash", nil, object{"aud": strings.TrimSuffix(apiA, "/")}, WrongAudience},
	{"audience a prefix", nil, object{"aud": apiA + "x"}, WrongAudience},
	{"audience an empty array", nil, object{"aud": []string{}}, WrongAudience},
	{"audience missing", nil, object{"aud": nil}, MalformedToken},
	{"audience a number", nil, object{"aud": 1}, MalformedToken},
	{"audience an object", nil, object{"aud": object{apiA: 1}}, MalformedToken},
	{"audience a mixed array", nil, object{"aud": []any{apiA, 1}}, MalformedToken},

	{"jti missing", nil, object{"jti": nil}, MalformedToken},
	{"jti empty", nil, object{"jti": ""}, MalformedToken},
	{"jti a number", nil, object{"jti": 7}, MalformedToken},
	{"client missing", nil, object{"client_id": nil}, MalformedToken},
	{"client in another case", nil, object{"client_id": nil, "Client_ID": "demo"}, MalformedToken},
	{"client empty", nil, object{"client_id": ""}, MalformedToken},
	{"subject missing", nil, object{"sub": nil}, MalformedToken},
	{"iat missing", nil, object{"iat": nil}, MalformedToken},
	{"iat a string", nil, object{"iat": "1800000000"}, MalformedToken},
	{"iat negative", nil, object{"iat": -1}, MalformedToken},
	{"exp missing", nil, object{"exp": nil}, MalformedToken},
	{"exp a string", nil, object{"exp": "1800000600"}, MalformedToken},
	{"exp a fraction", nil, object{"exp": json.RawMessage("1800000600.5")}, MalformedToken},
	{"exp with an exponent", nil, object{"exp": json.RawMessage("1e300")}, MalformedToken},
	{"exp beyond 64 bits", nil, object{"exp": json.RawMessage("99999999999999999999")}, MalformedToken},
	{"exp far away", nil, object{"exp": int64(9e18)}, MalformedToken},
	{"exp the largest, iat the smallest", nil, object{"iat": int64(-1 << 63), "exp": int64(1<<63 - 1)}, MalformedToken},
	{"exp negative", nil, object{"exp": -1}, MalformedToken},
	{"Exp for exp", nil, object{"exp": nil, "Exp": testNow + 600}, MalformedToken},
	{"a second too long", nil, object{"exp": testNow + 3601}, MalformedToken},
	{"nbf a string", nil, object{"nbf": "0"}, MalformedToken},
}

func (tc tokenCase) run(t *testing.T, k *token.PrivateKey) {
	v := verifier(t, 100, issuer(newRing(k)))
	text := raw(t, k, tc.header, tc.claims)
	for range 2 { // what was refused once is refused again, and never remembered
		p, hit, f := v.Verify(text, testNow)
		if tc.reason == "" {
			if f != nil || p == nil {
				t.Fatalf("refused: %+v", f)
			}
			continue
		}
		if p != nil || hit || f == nil || f.Reason != tc.reason {
			t.Fatalf("Verify = %+v, hit %v, %+v, want %s", p, hit, f, tc.reason)
		}
		if f.Detail == "" || strings.Contains(f.Detail, "evil") {
			t.Errorf("detail %q is empty or quotes the token", f.Detail)
		}
	}
	if tc.reason != "" && v.cache.len() != 0 {
		t.Errorf("a refused token is in the cache")
	}
}

func TestVerifyClaims(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	for _, tc := range tokenCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, k)
		})
	}
}

func TestVerifyForeignBytes(t *testing.T) {
	t.Parallel()
	k, stranger := tokentest.Key(t, token.ES256), tokentest.Key(t, token.ES256)
	v := verifier(t, 100, issuer(newRing(k)))
	good := issue(t, k, "one")
	parts := strings.Split(good, ".")
	forged := raw(t, stranger, object{"kid": k.Public().ID()}, nil)
	expired := raw(t, stranger, object{"kid": k.Public().ID()}, object{"iat": testNow - 700, "exp": testNow - 100})
	for _, tt := range []struct {
		name, raw string
		reason    Reason
	}{
		{"empty", "", MalformedToken},
		{"dots", strings.Repeat(".", 8<<10), MalformedToken},
		{"too long", strings.Repeat("a", 8<<10+1), MalformedToken},
		{"two parts", parts[0] + "." + parts[1], MalformedToken},
		{"five parts", good + ".a.b", MalformedToken},
		{"signed by a stranger", forged, BadSignature},
		{"signed by a stranger and expired", expired, BadSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", BadSignature},
		{"zero signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), BadSignature},
		{"another token's signature", parts[0] + "." + parts[1] + "." + strings.Split(issue(t, k, "two"), ".")[2], BadSignature},
		{"padding", good + "=", MalformedToken},
		{"line break", good + "\n", MalformedToken},
		{"flattened JSON", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, MalformedToken},
		{"duplicate claim", tokentest.Sign(t, k, `{"alg":"ES256","kid":"`+k.Public().ID()+`","typ":"at+jwt"}`,
			`{"iss":"`+issuerURL+`","aud":"a","aud":"`+apiA+`"}`), MalformedToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, hit, f := v.Verify(tt.raw, testNow)
			if p != nil || hit || f == nil {
				t.Fatalf("Verify = %+v, hit %v, %+v", p, hit, f)
			}
			// A signature of the wrong length may be refused before or after the key is asked.
			if f.Reason != tt.reason && !(tt.name == "no signature" && f.Reason == MalformedToken) {
				t.Errorf("reason %s, want %s", f.Reason, tt.reason)
			}
		})
	}
	if v.cache.len() != 0 {
		t.Error("a refused token is in the cache")
	}
}

// TestVerifyIssuers has two issuers: the key of one does not sign for the other, though both are known.
func TestVerifyIssuers(t *testing.T) {
	t.Parallel()
	ours, theirs := tokentest.Key(t, token.ES256), tokentest.Key(t, token.ES256)
	other := issuer(newRing(theirs))
	other.Name, other.URL = "corp", "https://corp.example"
	v := verifier(t, 100, issuer(newRing(ours)), other)
	for _, tt := range []struct {
		name, iss string
		key       *token.PrivateKey
		want      string
		reason    Reason
	}{
		{"ours", issuerURL, ours, Local, ""},
		{"theirs", other.URL, theirs, "corp", ""},
		{"their key for us", issuerURL, theirs, "", UnknownKey},
		{"our key for them", other.URL, ours, "", UnknownKey},
	} {
		p, _, f := v.Verify(raw(t, tt.key, nil, object{"iss": tt.iss}), testNow)
		if tt.reason != "" {
			if f == nil || f.Reason != tt.reason {
				t.Errorf("%s: failure %+v, want %s", tt.name, f, tt.reason)
			}
			continue
		}
		if f != nil || p.Issuer != tt.want {
			t.Errorf("%s: principal %+v, failure %+v", tt.name, p, f)
		}
	}
}

func TestNewVerifier(t *testing.T) {
	t.Parallel()
	keys := newRing()
	for name, change := range map[string]func(*Issuer){
		"name":       func(i *Issuer) { i.Name = "" },
		"URL":        func(i *Issuer) { i.URL = "" },
		"algorithms": func(i *Issuer) { i.Algorithms = nil },
		"keys":       func(i *Issuer) { i.Keys = nil },
		"lifetime":   func(i *Issuer) { i.MaxLifetime = 0 },
		"dialect":    func(i *Issuer) { i.Dialect = nil },
	} {
		iss := issuer(keys)
		change(&iss)
		if _, err := NewVerifier(Options{Issuers: []Issuer{iss}}); err == nil {
			t.Errorf("an issuer without %s is accepted", name)
		}
	}
	if _, err := NewVerifier(Options{Issuers: []Issuer{issuer(keys), issuer(keys)}}); err == nil {
		t.Error("two issuers with one URL are accepted")
	}
	v, err := NewVerifier(Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := tokentest.Key(t, token.ES256)
	if _, _, f := v.Verify(issue(t, k, "one"), testNow); f == nil || f.Reason != WrongIssuer {
		t.Errorf("without issuers: %+v, want %s", f, WrongIssuer)
	}
}

func FuzzVerify(f *testing.F) {
	k := tokentest.Key(f, token.ES256)
	stranger := tokentest.Key(f, token.ES256)
	f.Add(issue(f, stranger, "x"))
	f.Add(raw(f, stranger, object{"kid": k.Public().ID()}, nil))
	f.Add("..")
	f.Add("")
	v := verifier(f, 100, issuer(newRing(k)))
	f.Fuzz(func(t *testing.T, text string) {
		// The key is new in every process, so nothing that the fuzzer finds can be signed by it.
		if p, hit, failed := v.Verify(text, testNow); p != nil || hit || failed == nil {
			t.Fatalf("Verify(%q) = %+v, hit %v", text, p, hit)
		}
	})
}

func BenchmarkVerifyHit(b *testing.B) {
	k := tokentest.Key(b, token.ES256)
	v := verifier(b, 1000, issuer(newRing(k)))
	text := issue(b, k, "one")
	v.Verify(text, testNow)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, hit, _ := v.Verify(text, testNow); !hit {
				b.Error("missed")
			}
		}
	})
}

func BenchmarkVerifyMiss(b *testing.B) {
	k := tokentest.Key(b, token.ES256)
	v := verifier(b, 0, issuer(newRing(k)))
	text := issue(b, k, "one")
	b.ReportAllocs()
	for b.Loop() {
		if _, hit, f := v.Verify(text, testNow); hit || f != nil {
			b.Fatal("hit or refused")
		}
	}
}

func BenchmarkVerifyForged(b *testing.B) {
	k := tokentest.Key(b, token.ES256)
	v := verifier(b, 1000, issuer(newRing(k)))
	text := raw(b, tokentest.Key(b, token.ES256), object{"kid": "nobody"}, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, f := v.Verify(text, testNow); f == nil {
			b.Fatal("accepted")
		}
	}
}

func id(i int) string { return fmt.Sprintf("id-%d", i) }
