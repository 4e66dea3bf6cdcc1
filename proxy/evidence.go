package proxy

import (
	"time"

	"gatehouse/authz"
	"gatehouse/internal/trace"
)

// asked is what authorize has found of the token.
type asked struct {
	length    int // of the token, in bytes
	failure   *authz.Failure
	principal *authz.Principal // also where it was refused
	steps     []authz.Step     // of the decision; nil: it was not reached
}

// evidence is what a verdict rests on, as values: it keeps neither the request nor a configuration alive, and no text is made
// of it before somebody reads it. A Principal is shared with the verified-token cache. It implements exchange.Case.
type evidence struct {
	denied bool
	reason authz.Reason
	at     trace.Check
	detail string

	method, host, path string // clipped copies
	canonical, known   bool   // the path is; the host is
	own, public        bool
	upgrade, limited   bool
	api, match, where  string
	audience, required string
	limit              string // the policy that decided, or the tightest
	server             string // the upstream that was asked last

	now   time.Time
	token asked
	said  authz.Said // of asked.failure: clipped copies
	what  bool       // the token was assumed
	blind bool       // its signature was taken for good
}

// maxDetail is how long a detail may be, in bytes, so that it is kept as it is.
const maxDetail = 512

// evidence is of the refusal d; of a request that passes where d is nil.
func (c *call) evidence(d *denial) *evidence {
	e := &evidence{
		method: trace.Clip(c.r.Method), host: trace.Clip(c.r.Host), path: trace.Clip(c.rec.Path),
		canonical: c.target.raw != "", known: c.table != nil, own: c.own != nil, upgrade: c.upgrade, limit: c.rec.Limit, server: c.rec.Server,
		now: c.now(), token: c.token, what: c.what != nil && c.what.Principal != nil,
		blind: c.what != nil && c.what.Unverified,
	}
	if d != nil {
		e.denied, e.reason, e.at, e.detail = true, d.reason, d.at, d.detail
		if len(d.detail) > maxDetail { // a token may have many audiences and scopes
			e.detail = trace.Clip(d.detail)
		}
	}
	if rt := c.route; rt != nil {
		e.public, e.api, e.match, e.where = rt.Public, rt.API.Name, rt.Match, rt.Where
		e.audience, e.required = rt.Policy.Audience, c.rec.Required
		e.limited = len(rt.Limits)+len(c.gw.ownLimits(c.principal)) > 0
	}
	if f := c.token.failure; f != nil && f.Said != (authz.Said{}) {
		s := f.Said
		e.said = authz.Said{Algorithm: trace.Clip(s.Algorithm), KeyID: trace.Clip(s.KeyID), IssuerURL: trace.Clip(s.IssuerURL), Issuer: s.Issuer}
		e.token.failure = &authz.Failure{Reason: f.Reason, At: f.At, Detail: f.Detail}
	}
	return e
}

// Trace implements exchange.Case.
func (e *evidence) Trace() *trace.Trace {
	t := &trace.Trace{Time: e.now.UTC(), Method: trace.Shown(e.method), Host: trace.ShownHost(e.host), Path: trace.Shown(e.path), Verdict: trace.Allow,
		API: e.api, Route: e.match, Where: e.where, Public: e.public, Required: e.required}
	if e.denied {
		t.Verdict, t.Reason, t.Status, t.Detail = trace.Deny, string(e.reason), e.reason.Status(), trace.Shown(e.detail)
	}
	if p := e.token.principal; p != nil {
		t.Client, t.Issuer, t.Claims = trace.Shown(p.Client), p.Issuer, claims(p, e.blind)
	} else if s := e.said; s.Algorithm != "" {
		t.Issuer = s.Issuer
		t.Claims = &trace.Claims{Issuer: trace.Shown(s.IssuerURL), Algorithm: trace.Shown(s.Algorithm), KeyID: trace.Shown(s.KeyID), Unverified: true}
	}
	t.Steps = e.steps()
	t.Arrange()
	return t
}

func claims(p *authz.Principal, unverified bool) *trace.Claims {
	c := &trace.Claims{Unverified: unverified, Issuer: trace.Shown(p.IssuerURL), Subject: trace.Shown(p.Subject), Client: trace.Shown(p.Client), Scopes: trace.Shown(p.Scopes.String()),
		TokenID: trace.Shown(p.TokenID), Algorithm: string(p.Algorithm), KeyID: trace.Shown(p.KeyID),
		IssuedAt: moment(p.IssuedAt), NotBefore: moment(p.NotBefore), Expires: moment(p.Expires)}
	for _, aud := range p.Audience[:min(len(p.Audience), maxAudiences)] {
		c.Audience = append(c.Audience, trace.Shown(aud))
	}
	return c
}

// maxAudiences is how many members of aud are shown.
const maxAudiences = 8

func moment(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// steps are the outcomes with their facts, in the order of the checks.
func (e *evidence) steps() []trace.Step {
	list := []trace.Step{
		{Check: trace.Path, Outcome: e.outcome(trace.Path, e.canonical), Fact: trace.Shown(e.path)},
		{Check: trace.Request, Outcome: e.outcome(trace.Request, e.known), Fact: trace.Shown(e.method) + " " + trace.ShownHost(e.host)},
		{Check: trace.Route, Outcome: e.outcome(trace.Route, e.match != "" || e.own), Fact: e.match, Where: e.where},
	}
	switch {
	case e.own:
		list[2].Fact = "an endpoint of the gateway itself"
		return e.explained(list)
	case e.public:
		list = append(list, trace.Step{Check: trace.Token, Outcome: trace.Passed, Fact: "the route is public: no token is read"})
	default:
		list = append(list, e.tokenSteps()...)
	}
	if e.upgrade || e.at == trace.Upgrade {
		list = append(list, trace.Step{Check: trace.Upgrade, Outcome: e.outcome(trace.Upgrade, true), Fact: "websocket"})
	}
	limit := trace.Step{Check: trace.Limit, Outcome: e.outcome(trace.Limit, e.after(trace.Limit)), Fact: trace.NoLimit}
	if e.limited {
		limit.Fact = e.limit
	}
	list = append(list, limit, trace.Step{Check: trace.Body, Outcome: e.outcome(trace.Body, e.after(trace.Body))})
	return e.explained(append(list, trace.Step{Check: trace.Upstream, Outcome: e.outcome(trace.Upstream, false), Fact: e.server}))
}

// outcome is that of a step which passed or was not reached, unless it is the one that refused.
func (e *evidence) outcome(c trace.Check, passed bool) trace.Outcome {
	switch {
	case e.denied && e.at == c:
		return trace.Failed
	case passed:
		return trace.Passed
	}
	return trace.NotReached
}

// after reports whether the verdict fell after the step, of the last three.
func (e *evidence) after(c trace.Check) bool {
	if !e.denied {
		return true
	}
	return e.at == trace.Upstream || e.at == trace.Body && c == trace.Limit
}

// explained gives the step that failed the detail of the refusal, and takes the facts off those that were not reached.
func (e *evidence) explained(list []trace.Step) []trace.Step {
	for i := range list {
		switch s := &list[i]; s.Outcome {
		case trace.Failed:
			if s.Check != trace.Scope || s.Fact == "" {
				s.Fact = trace.Shown(e.detail)
			}
		case trace.NotReached:
			s.Fact, s.Where = "", ""
		}
	}
	return list
}

// keyFact is an algorithm and a key's id.
func keyFact(alg, kid string) string {
	if kid == "" {
		return trace.Shown(alg) + ", no kid"
	}
	return trace.Shown(alg) + ", kid " + trace.ShortKey(kid)
}
