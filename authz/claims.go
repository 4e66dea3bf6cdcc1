package authz

import (
	"strconv"
	"time"

	"gatehouse/internal/token"
)

// principal reads the claims of a token whose signature has verified.
func (iss *Issuer) principal(t *token.Token, c token.Claims, now int64) (*Principal, *Failure) {
	p := &Principal{Issuer: iss.Name, IssuerURL: iss.URL, KeyID: t.KeyID}
	if url, _ := c.Text("iss"); url != iss.URL {
		return nil, &Failure{Reason: WrongIssuer, At: CheckClaims, Detail: "iss is not the issuer whose key verifies the token"}
	}
	var ok bool
	if p.Audience, ok = c.Texts("aud"); !ok {
		return nil, malformed("aud is missing, or neither a string nor an array of strings")
	}
	if iss.Profile != nil {
		return iss.foreign(p, t, c, now)
	}
	return iss.own(p, t, c)
}

// own reads the rest under the strict rules for our own tokens (RFC 9068 §2.2, §4): everything that we write must be
// there, and in the form in which we write it.
func (iss *Issuer) own(p *Principal, t *token.Token, c token.Claims) (*Principal, *Failure) {
	dialect, ok := iss.dialect(p.Audience)
	if !ok {
		return nil, &Failure{Reason: WrongAudience, At: CheckAudience, Detail: "aud names no API of this gateway"}
	}
	if t.Type != dialect.Type() {
		return nil, malformed("typ is not that of an access token for this audience: wanted " + dialect.Type())
	}
	for _, text := range []struct {
		claim string
		into  *string
	}{{dialect.ClientClaim(), &p.Client}, {"sub", &p.Subject}, {"jti", &p.TokenID}} {
		if *text.into, _ = c.Text(text.claim); *text.into == "" {
			return nil, malformed(text.claim + " is missing, empty or not a string")
		}
	}
	if f := p.readTimes(c, true); f != nil {
		return nil, f
	}
	if f := p.tooLong(p.IssuedAt, iss.MaxLifetime); f != nil {
		return nil, f
	}
	p.Scopes = scopes(c)
	return p, nil
}

// dialect is that of the first audience that is an API's. We write one audience into a token, so it is the only one.
func (iss *Issuer) dialect(audience []string) (token.Dialect, bool) {
	for _, aud := range audience {
		if d, ok := iss.Dialect(aud); ok {
			return d, true
		}
	}
	return "", false
}

func (p *Principal) readTimes(c token.Claims, needIssuedAt bool) *Failure {
	for _, at := range []struct {
		claim    string
		required bool
		into     *int64
	}{{"iat", needIssuedAt, &p.IssuedAt}, {"exp", true, &p.Expires}, {"nbf", false, &p.NotBefore}} {
		v, present, ok := c.Int(at.claim)
		if !present && !at.required {
			continue
		}
		// A negative one is no time that we write, and would let the difference below overflow.
		if !ok || v < 0 {
			return malformed(at.claim + " is missing or not a whole number of seconds")
		}
		*at.into = v
	}
	return nil
}

// tooLong refuses a token that lives for longer than most, counted from since, which is not negative.
func (p *Principal) tooLong(since int64, most time.Duration) *Failure {
	if p.Expires-since > int64(most/time.Second) {
		return malformed("the token lives longer than " + most.String())
	}
	return nil
}

// scopes is empty where the claim is missing, not a string or not a scope (RFC 6749 §3.3): such a token has none.
func scopes(c token.Claims) token.Scopes {
	text, _ := c.Text("scope")
	s, err := token.ParseScopes(text)
	if err != nil {
		return token.Scopes{}
	}
	return s
}

// further are the claims with these names that are text, but for the empty one, or whole numbers.
func further(c token.Claims, names []string) map[string]string {
	var out map[string]string
	for _, name := range names {
		value, _ := c.Text(name)
		if n, _, ok := c.Int(name); ok {
			value = strconv.FormatInt(n, 10)
		}
		if value == "" {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(names))
		}
		out[name] = value
	}
	return out
}

func malformed(detail string) *Failure {
	return &Failure{Reason: MalformedToken, At: CheckClaims, Detail: detail}
}
