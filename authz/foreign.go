package authz

import (
	"slices"
	"strings"

	"gatehouse/internal/token"
)

// NoType, in Profile.Types, stands for a token whose header has no typ.
const NoType = "none"

// Profile says how the tokens of another issuer are read. The zero value takes none.
type Profile struct {
	// Types are the values of typ that a token may have. They are media types, whose case means nothing and before which
	// "application/" may stand (RFC 7515 §4.1.9).
	Types []string
	// ScopeClaims are the claims that may hold the scopes, as a string with single spaces or as an array. The first one that
	// a token has counts.
	ScopeClaims []string
	// ClientClaims are the claims that may hold the client's id. The first one that a token has counts.
	ClientClaims []string
}

// foreign reads the rest as the issuer's profile says. jti and iat may be missing: without the one, a token can be revoked
// by its client, its key or its issuer alone; without the other, its lifetime counts from now.
func (iss *Issuer) foreign(p *Principal, t *token.Token, c token.Claims, now int64) (*Principal, *Failure) {
	if !iss.Profile.takes(t.Type) {
		return nil, malformed("typ is none that this issuer's access tokens have: wanted " + strings.Join(iss.Profile.Types, ", "))
	}
	name := first(c, iss.Profile.ClientClaims)
	if p.Client, _ = c.Text(name); p.Client == "" {
		return nil, malformed("the client's id is missing, empty or not a string: wanted one of " + strings.Join(iss.Profile.ClientClaims, ", "))
	}
	for _, text := range []struct {
		claim string
		into  *string
	}{{"sub", &p.Subject}, {"jti", &p.TokenID}} {
		var ok bool
		if *text.into, ok = c.Text(text.claim); !ok && c.Has(text.claim) {
			return nil, malformed(text.claim + " is not a string")
		}
	}
	if f := p.readTimes(c, false); f != nil {
		return nil, f
	}
	since := p.IssuedAt
	if !c.Has("iat") {
		since = now
	}
	if f := p.tooLong(since, iss.MaxLifetime); f != nil {
		return nil, f
	}
	p.Scopes = foreignScopes(c, first(c, iss.Profile.ScopeClaims))
	return p, nil
}

func (p *Profile) takes(typ string) bool {
	if typ == "" {
		return slices.Contains(p.Types, NoType)
	}
	if media, rest, ok := strings.Cut(typ, "/"); ok && strings.EqualFold(media, "application") {
		typ = rest
	}
	return slices.ContainsFunc(p.Types, func(t string) bool { return t != NoType && strings.EqualFold(t, typ) })
}

// first is the first of the names that there is a claim of, of whatever type; "" where there is none. A claim of the wrong
// type is not passed over for the next: it would say something else than the issuer meant.
func first(c token.Claims, names []string) string {
	for _, name := range names {
		if c.Has(name) {
			return name
		}
	}
	return ""
}

// foreignScopes is empty where the claim is missing, of the wrong type, or holds anything that is no scope.
func foreignScopes(c token.Claims, name string) token.Scopes {
	if text, ok := c.Text(name); ok {
		s, err := token.ParseScopes(text)
		if err != nil {
			return token.Scopes{}
		}
		return s
	}
	list, _ := c.Texts(name)
	for _, scope := range list {
		if s, err := token.ParseScopes(scope); err != nil || s.Len() != 1 {
			return token.Scopes{}
		}
	}
	return token.NewScopes(list...)
}
