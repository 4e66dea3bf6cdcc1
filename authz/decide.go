// Package authz decides whether a token may use a route. Values go in and a verdict comes out: Decide is pure, and what
// it needs from elsewhere (keys, revocations, clients) comes through interfaces of one to three methods declared here.
//
// The steps are: Bearer finds the token in the request, Verifier turns it into a Principal, Read looks up what may have
// changed since, Decide gives the verdict. The zero value of every type here denies.
package authz

import (
	"slices"
	"strings"
	"time"

	"gatehouse/internal/token"
)

// Skew is how far, in seconds, the clock that wrote nbf or iat may be ahead of ours. There is none on exp.
const Skew = 30

// Principal is what a verified token says, and nothing else: no verdict and no state. It is shared between requests and
// must not be changed.
type Principal struct {
	Client    string          // the client's id, never empty
	Subject   string          // sub
	Issuer    string          // the configured name of the issuer: Local for our own
	IssuerURL string          // iss
	TokenID   string          // jti
	KeyID     string          // the key that verified the token
	Algorithm token.Algorithm // that key's
	Audience  []string
	Scopes    token.Scopes
	Claims    map[string]string // of Options.Claims, those that the token has as text or a whole number; nil for none
	// Seconds since 1970. NotBefore is 0 where the token has no nbf.
	IssuedAt, NotBefore, Expires int64
}

// Policy is what a route demands of a token. The zero value is met by no token.
type Policy struct {
	Audience     string            // the token's aud must hold it
	Scopes       token.Requirement // the zero value is met by no token; see token.AnyToken
	Issuers      []string          // names of the accepted issuers; empty accepts none
	MaxStaleness time.Duration     // how long ago revocations may last have been heard of
	AllowStale   bool              // go on when that is longer ago
}

// State is what was just read about a token and its client. The zero value is a node that is not ready.
type State struct {
	Ready     bool          // the node has loaded its revocations
	Staleness time.Duration // since it last heard of revocations
	Revoked   bool
	Client    ClientStatus
}

// Decision is the verdict. The zero value denies.
type Decision struct {
	Allowed bool
	Reason  Reason // empty when allowed
	Detail  string // the refusal in words, fit for the caller to read; empty when allowed
	Steps   []Step // every check in order, shared between decisions: not to be changed
}

// Decide says whether the bearer of a token may use a route at the time now, in seconds since 1970. p is nil where the
// request brought no token. The first check that fails is the verdict.
func Decide(p *Principal, pol *Policy, st State, now int64) Decision {
	if !st.Ready {
		return deny(CheckReady, StateUnavailable, "this gateway has not loaded its revocations yet")
	}
	if p == nil {
		return deny(CheckToken, MissingToken, missing.Detail)
	}
	if !slices.Contains(pol.Issuers, p.Issuer) {
		return deny(CheckIssuer, WrongIssuer, "this route does not accept tokens of the issuer "+p.IssuerURL)
	}
	if now >= p.Expires {
		return deny(CheckTime, Expired, "the token expired at "+rfc3339(p.Expires))
	}
	if p.IssuedAt > now+Skew || p.NotBefore > now+Skew {
		return deny(CheckTime, NotYetValid, "the token's iat or nbf is more than 30s ahead of this gateway's clock")
	}
	if st.Revoked {
		return deny(CheckRevocation, Revoked, "the token was revoked")
	}
	// What is in the set is revoked, however old the set is; what is not in it is only known not to be while it is fresh.
	if st.Staleness > pol.MaxStaleness && !pol.AllowStale {
		return deny(CheckRevocation, StateUnavailable, "revocations could not be checked: the shared state is away")
	}
	if st.Client != Enabled {
		return deny(CheckClient, ClientDisabled, "the client of this token is disabled or no longer exists")
	}
	if pol.Audience == "" || !slices.Contains(p.Audience, pol.Audience) {
		return deny(CheckAudience, WrongAudience, wrongAudience(p, pol))
	}
	if !pol.Scopes.Met(p.Scopes) {
		return deny(CheckScopes, InsufficientScope, lacking(p, pol))
	}
	return Decision{Allowed: true, Steps: traces[checks]}
}

func deny(at Check, reason Reason, detail string) Decision {
	return Decision{Reason: reason, Detail: detail, Steps: traces[at]}
}

func wrongAudience(p *Principal, pol *Policy) string {
	return "this route needs a token for " + pol.Audience + "; the token is for " + strings.Join(p.Audience, " ")
}

func lacking(p *Principal, pol *Policy) string {
	has := p.Scopes.String()
	if has == "" {
		has = "no scope"
	}
	return "this route needs " + pol.Scopes.String() + "; the token has " + has
}

func rfc3339(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
