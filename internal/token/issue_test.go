package token_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gatehouse/internal/token"
)

// issue is a token as most are.
var issue = token.Issue{
	Issuer: "https://gate.example", Client: "billing-worker", Audience: "https://api.example.com/orders",
	ID: "Zm9vYmFyYmF6cXV4MTIzNA", Scopes: token.NewScopes("orders:write", "orders:read"),
	IssuedAt: 1_700_000_000, Expires: 1_700_000_600, Dialect: token.RFC9068,
}

// Ensure each dialect has exactly its header and claims.
func TestIssue(t *testing.T) {
	t.Parallel()
	auth0 := issue
	auth0.Dialect = token.Auth0
	bare := issue
	bare.Scopes = token.Scopes{}
	for _, c := range []struct {
		name   string
		issue  token.Issue
		typ    string
		claims map[string]any
	}{
		{"rfc9068", issue, "at+jwt", map[string]any{
			"iss": "https://gate.example", "sub": "billing-worker", "client_id": "billing-worker", "aud": "https://api.example.com/orders",
			"jti": "Zm9vYmFyYmF6cXV4MTIzNA", "iat": 1_700_000_000.0, "exp": 1_700_000_600.0, "scope": "orders:read orders:write"}},
		{"auth0", auth0, "JWT", map[string]any{
			"iss": "https://gate.example", "sub": "billing-worker@clients", "azp": "billing-worker", "gty": "client-credentials",
			"aud": "https://api.example.com/orders", "jti": "Zm9vYmFyYmF6cXV4MTIzNA", "iat": 1_700_000_000.0, "exp": 1_700_000_600.0,
			"scope": "orders:read orders:write"}},
		{"no scopes", bare, "at+jwt", map[string]any{
			"iss": "https://gate.example", "sub": "billing-worker", "client_id": "billing-worker", "aud": "https://api.example.com/orders",
			"jti": "Zm9vYmFyYmF6cXV4MTIzNA", "iat": 1_700_000_000.0, "exp": 1_700_000_600.0}},
	} {
		for _, alg := range algorithms {
			k := keyOf(t, alg)
			raw, err := k.Issue(c.issue)
			if err != nil {
				t.Fatal(err)
			}
			h, p, _ := parts(raw)
			wantHeader := map[string]any{"alg": string(alg), "kid": k.Public().ID(), "typ": c.typ}
			if got := decodeObject(t, h); !reflect.DeepEqual(got, wantHeader) {
				t.Errorf("%s %s: header %v, want %v", c.name, alg, got, wantHeader)
			}
			if got := decodeObject(t, p); !reflect.DeepEqual(got, c.claims) {
				t.Errorf("%s %s: claims %v, want %v", c.name, alg, got, c.claims)
			}
			if len(raw) > 1024 {
				t.Errorf("%s %s: %d bytes", c.name, alg, len(raw))
			}
			tok, err := token.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if tok.ExtraHeader || tok.KeyID != k.Public().ID() || tok.Type != c.issue.Dialect.Type() {
				t.Errorf("%s %s: extra %v, kid %q, typ %q", c.name, alg, tok.ExtraHeader, tok.KeyID, tok.Type)
			}
			got, err := tok.Verify(k.Public())
			if err != nil {
				t.Fatal(err)
			}
			if client, ok := got.Text(c.issue.Dialect.ClientClaim()); !ok || client != "billing-worker" {
				t.Errorf("%s %s: client %q", c.name, alg, client)
			}
		}
	}
}

func decodeObject(t *testing.T, part string) (m map[string]any) {
	t.Helper()
	doc, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Ensure no value can add a claim or change another.
func TestIssueValuesStayValues(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.EdDSA)
	for _, v := range []string{`x","client_id":"admin`, `\`, `"`, "a\u2028b", "<&>", "é😀", "a b", "%s"} {
		i := issue
		i.Issuer, i.Client, i.Audience, i.ID = v, v, v, v
		raw, err := k.Issue(i)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := token.Parse(raw)
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		c, err := tok.Verify(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"iss", "sub", "client_id", "aud", "jti"} {
			if got, ok := c.Text(name); !ok || got != v {
				t.Errorf("%s = %q, want %q", name, got, v)
			}
		}
	}
}

// Ensure further claims have the values they are given, in every dialect, and that none can be one of the gateway's or break the token.
func TestIssueClaims(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.EdDSA)
	i := issue
	want := map[string]any{"https://example.com/team": `x","aud":"y <&>`, "urn:n": 1.5, "urn:o": map[string]any{"a": []any{true, nil}}}
	for name, value := range want {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		i.Claims = append(i.Claims, token.Claim{Name: name, Value: text})
	}
	for _, i.Dialect = range []token.Dialect{token.RFC9068, token.Auth0} {
		raw, err := k.Issue(i)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := parts(raw)
		got := decodeObject(t, body)
		for name, value := range want {
			if !reflect.DeepEqual(got[name], value) {
				t.Errorf("%s: %s is %v, want %v", i.Dialect, name, got[name], value)
			}
		}
		if got["aud"] != issue.Audience || len(got) < len(want)+7 {
			t.Errorf("%s: %v", i.Dialect, got)
		}
	}
	for name, claims := range map[string][]token.Claim{
		"a claim of ours":   {{Name: "aud", Value: json.RawMessage(`"x"`)}},
		"no JSON":           {{Name: "urn:a", Value: json.RawMessage(`x`)}},
		"two values":        {{Name: "urn:a", Value: json.RawMessage(`1,"aud":2`)}},
		"nothing":           {{Name: "urn:a"}, {Name: "urn:b", Value: json.RawMessage{}}},
		"one twice":         {{Name: "urn:a", Value: json.RawMessage(`1`)}, {Name: "urn:a", Value: json.RawMessage(`2`)}},
		"one twice, inside": {{Name: "urn:a", Value: json.RawMessage(`{"a":1,"a":2}`)}},
		"too deep":          {{Name: "urn:a", Value: json.RawMessage(strings.Repeat("[", 500) + strings.Repeat("]", 500))}},
		"too long":          {{Name: "urn:a", Value: json.RawMessage(`"` + strings.Repeat("x", 8000) + `"`)}},
	} {
		i := issue
		i.Claims = claims
		if raw, err := k.Issue(i); err == nil || raw != "" {
			t.Errorf("%s: issued %s", name, raw)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.ES256)
	for name, change := range map[string]func(*token.Issue){
		"zero value":       func(i *token.Issue) { *i = token.Issue{} },
		"no issuer":        func(i *token.Issue) { i.Issuer = "" },
		"no client":        func(i *token.Issue) { i.Client = "" },
		"no audience":      func(i *token.Issue) { i.Audience = "" },
		"no id":            func(i *token.Issue) { i.ID = "" },
		"no iat":           func(i *token.Issue) { i.IssuedAt = 0 },
		"no exp":           func(i *token.Issue) { i.Expires = 0 },
		"exp before iat":   func(i *token.Issue) { i.Expires = i.IssuedAt },
		"no dialect":       func(i *token.Issue) { i.Dialect = "" },
		"unknown dialect":  func(i *token.Issue) { i.Dialect = "okta" },
		"dialect by typ":   func(i *token.Issue) { i.Dialect = "JWT" },
		"dialect in capit": func(i *token.Issue) { i.Dialect = "RFC9068" },
	} {
		i := issue
		change(&i)
		if raw, err := k.Issue(i); err == nil || raw != "" {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestDialects(t *testing.T) {
	t.Parallel()
	for d, want := range map[token.Dialect][2]string{
		token.RFC9068: {"at+jwt", "client_id"},
		token.Auth0:   {"JWT", "azp"},
		"":            {"", ""},
		"okta":        {"", ""},
	} {
		if got := [2]string{d.Type(), d.ClientClaim()}; got != want {
			t.Errorf("%q: %q, want %q", d, got, want)
		}
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 10_000 {
		id := token.NewID()
		if len(id) != 22 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("NewID() = %q", id)
		}
		if seen[id] {
			t.Fatalf("NewID() repeated %q", id)
		}
		seen[id] = true
	}
}

func BenchmarkParse(b *testing.B) {
	raw, err := keyOf(b, token.ES256).Issue(issue)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseRefused is what a flood of nonsense costs.
func BenchmarkParseRefused(b *testing.B) {
	dots := strings.Repeat(".", 8<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Parse(dots); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			k := keyOf(b, alg)
			raw, err := k.Issue(issue)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				tok, err := token.Parse(raw)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := tok.Verify(k.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkIssue(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(string(alg), func(b *testing.B) {
			k := keyOf(b, alg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Issue(issue); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseScopes(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.ParseScopes("orders:read orders:write"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestIssueNoMoreThanIsRead: claims take what they seem to, and a token that no gate would look at is not issued.
func TestIssueNoMoreThanIsRead(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.EdDSA)
	i := issue
	i.Claims = []token.Claim{{Name: "https://example.com/a&b", Value: json.RawMessage(`  "` + strings.Repeat("<", 4000) + `" `)}}
	raw, err := k.Issue(i)
	if err != nil {
		t.Fatalf("4000 characters of HTML: %v", err)
	}
	if _, err := token.Parse(raw); err != nil {
		t.Errorf("the gate: %v", err)
	}
	var scopes []string
	for n := range 100 {
		scopes = append(scopes, fmt.Sprintf("%03d:%s", n, strings.Repeat("x", 20)))
	}
	for n := len(scopes); n > 0; n-- {
		i.Scopes = token.NewScopes(scopes[:n]...)
		raw, err := k.Issue(i)
		if err == nil {
			if _, err := token.Parse(raw); err != nil {
				t.Errorf("with %d scopes, the gate: %v", n, err)
			}
			if n == len(scopes) {
				t.Error("a token of more than 8 KiB is issued")
			}
			break
		}
	}
}
