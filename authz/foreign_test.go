package authz

import (
	"slices"
	"testing"
	"time"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

func corp(keys Keys) Issuer {
	return Issuer{Name: "corp", URL: issuerURL, Algorithms: []token.Algorithm{token.ES256}, Keys: keys, MaxLifetime: time.Hour, Profile: &Profile{
		Types: []string{"at+jwt", "JWT", NoType}, ScopeClaims: []string{"scope", "scp"}, ClientClaims: []string{"client_id", "azp"}}}
}

// TestForeignTokens: what another issuer's token may be, and what of it counts.
func TestForeignTokens(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	v := verifier(t, 100, corp(newRing(k)))
	for _, tt := range []struct {
		name           string
		header, claims object
		reason         Reason // empty: it has a Principal
		client, scopes string
	}{
		{"as ours", nil, nil, "", "demo", "read write"},
		{"typ JWT", object{"typ": "JWT"}, nil, "", "demo", "read write"},
		{"typ in another case", object{"typ": "jwt"}, nil, "", "demo", "read write"},
		{"typ as a media type", object{"typ": "application/AT+JWT"}, nil, "", "demo", "read write"},
		{"no typ", object{"typ": nil}, nil, "", "demo", "read write"},
		{"typ none", object{"typ": "none"}, nil, MalformedToken, "", ""},
		{"typ of another kind", object{"typ": "logout+jwt"}, nil, MalformedToken, "", ""},
		{"typ of another tree", object{"typ": "text/at+jwt"}, nil, MalformedToken, "", ""},
		{"more in the header", object{"x5t": "a", "jku": "https://evil.example"}, nil, "", "demo", "read write"},
		{"crit", object{"crit": []string{"exp"}}, nil, MalformedToken, "", ""},
		{"scopes in an array", nil, object{"scope": nil, "scp": []string{"write", "read", "read"}}, "", "demo", "read write"},
		{"scopes in the second claim", nil, object{"scope": nil, "scp": "read"}, "", "demo", "read"},
		{"the first scope claim counts", nil, object{"scope": "", "scp": "read"}, "", "demo", ""},
		{"a first scope claim of the wrong type", nil, object{"scope": 1, "scp": "read"}, "", "demo", ""},
		{"a scope with a space in an array", nil, object{"scope": []string{"read write"}}, "", "demo", ""},
		{"an empty scope in an array", nil, object{"scope": []string{"read", ""}}, "", "demo", ""},
		{"two spaces", nil, object{"scope": "read  write"}, "", "demo", ""},
		{"a number among the scopes", nil, object{"scope": []any{"read", 1}}, "", "demo", ""},
		{"no scope", nil, object{"scope": nil}, "", "demo", ""},
		{"claims in another case", nil, object{"scope": nil, "Scope": "read", "SCP": "read"}, "", "demo", ""},
		{"the client in the second claim", nil, object{"client_id": nil, "azp": "app"}, "", "app", "read write"},
		{"a first client claim of the wrong type", nil, object{"client_id": 1, "azp": "app"}, MalformedToken, "", ""},
		{"an empty client", nil, object{"client_id": "", "azp": "app"}, MalformedToken, "", ""},
		{"no client", nil, object{"client_id": nil}, MalformedToken, "", ""},
		{"no sub", nil, object{"sub": nil}, "", "demo", "read write"},
		{"sub a number", nil, object{"sub": 1}, MalformedToken, "", ""},
		{"no jti", nil, object{"jti": nil}, "", "demo", "read write"},
		{"jti a number", nil, object{"jti": 1}, MalformedToken, "", ""},
		{"no iat", nil, object{"iat": nil}, "", "demo", "read write"},
		{"no iat, and too long from now", nil, object{"iat": nil, "exp": testNow + 3601}, MalformedToken, "", ""},
		{"too long", nil, object{"iat": testNow - 3000, "exp": testNow + 601}, MalformedToken, "", ""},
		{"iat with a fraction", nil, object{"iat": 1.5}, MalformedToken, "", ""},
		{"iat below 0", nil, object{"iat": -1}, MalformedToken, "", ""},
		{"no exp", nil, object{"exp": nil}, MalformedToken, "", ""},
		{"no aud", nil, object{"aud": nil}, MalformedToken, "", ""},
		{"another issuer", nil, object{"iss": issuerURL + "/"}, WrongIssuer, "", ""},
		{"another alg", object{"alg": "RS256"}, nil, UnsupportedAlg, "", ""},
	} {
		p, _, f := v.Verify(raw(t, k, tt.header, tt.claims), testNow)
		switch {
		case tt.reason != "":
			if p != nil || f.Reason != tt.reason {
				t.Errorf("%s: %+v, %+v, want %s", tt.name, p, f, tt.reason)
			}
		case p == nil:
			t.Errorf("%s: %+v", tt.name, f)
		case p.Client != tt.client || p.Scopes.String() != tt.scopes || p.Issuer != "corp" || p.IssuerURL != issuerURL:
			t.Errorf("%s: %+v, want client %q and scopes %q", tt.name, p, tt.client, tt.scopes)
		}
	}
}

// TestIssuersApart: a key counts for its own issuer alone, and a name or a URL stands once.
func TestIssuersApart(t *testing.T) {
	t.Parallel()
	ours, theirs := tokentest.Key(t, token.ES256), tokentest.Key(t, token.ES256)
	other := corp(newRing(theirs))
	other.URL = "https://corp.example"
	v := verifier(t, 100, issuer(newRing(ours)), other)
	if p, _, f := v.Verify(raw(t, theirs, nil, object{"iss": other.URL}), testNow); p == nil || p.Issuer != "corp" {
		t.Errorf("a token of corp: %+v", f)
	}
	for name, text := range map[string]string{"their key for us": raw(t, theirs, nil, nil), "our key for them": raw(t, ours, nil, object{"iss": other.URL})} {
		if _, _, f := v.Verify(text, testNow); f == nil || f.Reason != UnknownKey {
			t.Errorf("%s: %+v", name, f)
		}
	}
	same, posing := other, other
	same.URL, posing.Name = "https://another.example", Local
	for name, list := range map[string][]Issuer{"two of one name": {other, same}, "a profile for local": {posing}} {
		if _, err := NewVerifier(Options{Issuers: list}); err == nil {
			t.Errorf("%s are accepted", name)
		}
	}
	if p := (&Profile{}); p.takes("") || p.takes("JWT") || slices.Contains(p.Types, "") {
		t.Error("the zero Profile takes a token")
	}
}
