package proxy

import (
	"strconv"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/trace"
)

// stepOf is the step of a trace that a check of authz belongs to.
var stepOf = map[authz.Check]trace.Check{
	authz.CheckHeader: trace.Token, authz.CheckForm: trace.Token, authz.CheckKnown: trace.Issuer, authz.CheckKey: trace.Key,
	authz.CheckSignature: trace.Signature, authz.CheckClaims: trace.Form,
	authz.CheckReady: trace.Revocation, authz.CheckToken: trace.Token, authz.CheckIssuer: trace.Issuer, authz.CheckTime: trace.Time,
	authz.CheckRevocation: trace.Revocation, authz.CheckClient: trace.Client, authz.CheckAudience: trace.Audience, authz.CheckScopes: trace.Scope,
}

// verified are the steps that a token has passed where one of Verify's checks failed.
var verified = map[authz.Check][]trace.Check{
	authz.CheckKnown: {trace.Token}, authz.CheckKey: {trace.Token}, authz.CheckSignature: {trace.Token, trace.Key},
	authz.CheckClaims: {trace.Token, trace.Key, trace.Signature}, authz.CheckAudience: {trace.Token, trace.Key, trace.Signature},
}

// tokenChecks are the steps about the token, in order.
var tokenChecks = []trace.Check{trace.Token, trace.Key, trace.Signature, trace.Form, trace.Issuer, trace.Time, trace.Revocation, trace.Client, trace.Audience, trace.Scope}

// tokenSteps are what Verify and Decide have found.
func (e *evidence) tokenSteps() []trace.Step {
	outcomes := map[trace.Check]trace.Outcome{}
	switch f := e.token.failure; {
	case f != nil:
		for _, c := range verified[f.At] {
			outcomes[c] = e.seen(c)
		}
	case e.token.principal != nil:
		for _, c := range []trace.Check{trace.Token, trace.Key, trace.Signature, trace.Form} {
			outcomes[c] = e.seen(c)
		}
	}
	for _, s := range e.token.steps {
		switch c := stepOf[s.Check]; {
		case s.Check == authz.CheckToken: // that there is one is seen above
		case s.Outcome == authz.Passed && outcomes[c] == "":
			outcomes[c] = trace.Passed
		case s.Outcome == authz.NotReached && s.Check == authz.CheckRevocation:
			delete(outcomes, c) // to be ready is half of it
		}
	}
	if e.denied {
		outcomes[e.at] = trace.Failed
	}
	var list []trace.Step
	for _, c := range tokenChecks {
		if e.what && (c == trace.Key || c == trace.Signature || c == trace.Form) {
			continue // nothing more is to be said of a token that is assumed
		}
		s := trace.Step{Check: c, Outcome: outcomes[c], Fact: e.fact(c)}
		if s.Outcome == "" {
			s.Outcome = trace.NotReached
		}
		list = append(list, s)
	}
	return list
}

// seen is the outcome of a check of the token that did not fail.
func (e *evidence) seen(c trace.Check) trace.Outcome {
	if e.what || e.blind && (c == trace.Key || c == trace.Signature) {
		return trace.NotChecked
	}
	return trace.Passed
}

// fact is what is said of a step about the token that passed, and of one that failed where that says more than the refusal.
func (e *evidence) fact(c trace.Check) string {
	p := e.token.principal
	if c == trace.Token && !e.what {
		return "Authorization: Bearer, " + strconv.Itoa(e.token.length) + " bytes"
	}
	if c == trace.Key && p == nil {
		return keyFact(e.said.Algorithm, e.said.KeyID)
	}
	if p == nil {
		return ""
	}
	if e.blind && c == trace.Signature {
		return "there are no keys here; it was taken for good"
	}
	if e.blind && c == trace.Key {
		return "there are no keys here"
	}
	switch c {
	case trace.Token:
		return "a token of this client is assumed"
	case trace.Key:
		return keyFact(string(p.Algorithm), p.KeyID)
	case trace.Issuer:
		return trace.Shown(p.IssuerURL)
	case trace.Time:
		return times(p, e.now)
	case trace.Client:
		return trace.Shown(p.Client)
	case trace.Audience:
		return trace.Shown(e.audience)
	case trace.Scope:
		return e.scopes(p)
	}
	return ""
}

func (e *evidence) scopes(p *authz.Principal) string {
	has := trace.Shown(p.Scopes.String())
	if has == "" {
		has = "no scope"
	}
	if e.required == "" {
		return "any token of this API   token has " + has
	}
	return "needs " + trace.Shown(e.required) + "   token has " + has
}

// times are when a token was issued and when it ends, as seen at now.
func times(p *authz.Principal, now time.Time) string {
	var parts []string
	if p.IssuedAt > 0 {
		parts = append(parts, "issued "+span(now.Sub(time.Unix(p.IssuedAt, 0)), "ago", "ahead"))
	}
	left := time.Unix(p.Expires, 0).Sub(now)
	if left > 0 {
		parts = append(parts, "expires in "+span(left, "", ""))
	} else {
		parts = append(parts, "expired "+span(-left, "ago", ""))
	}
	return strings.Join(parts, ", ")
}

// span is a duration in whole seconds, with a word for the past and one for the future.
func span(d time.Duration, past, future string) string {
	word := past
	if d < 0 {
		d, word = -d, future
	}
	return strings.TrimSpace(d.Truncate(time.Second).String() + " " + word)
}
