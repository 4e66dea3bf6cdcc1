package app

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/adminapi"
	"gatehouse/internal/config"
	"gatehouse/internal/exchange"
	"gatehouse/internal/token"
	"gatehouse/internal/trace"
	"gatehouse/proxy"
	"gatehouse/tokenep"
)

// denialsNow is GET /api/v1/denials.
func (a *App) denialsNow(n int) []adminapi.Denial {
	list := []adminapi.Denial{}
	for _, d := range a.denials.Last(n) {
		list = append(list, denial(d))
	}
	return list
}

// denialOf is GET /api/v1/denials/{id}. What is said about it is said by the configuration in force now.
func (a *App) denialOf(id string) (adminapi.Denial, bool) {
	d, ok := a.denials.Find(id)
	if !ok {
		return adminapi.Denial{}, false
	}
	a.current.Load().hint(d.Trace)
	out := denial(d)
	out.Trace = d.Trace
	return out, true
}

func denial(d exchange.Denied) adminapi.Denial {
	t := d.Trace
	return adminapi.Denial{ID: t.RequestID, Time: t.Time, Verdict: t.Verdict, Status: t.Status, Reason: t.Reason, Detail: t.Detail, Method: t.Method,
		Host: t.Host, Path: t.Path, Endpoint: t.Endpoint, API: t.API, Route: t.Route, Client: t.Client, Issuer: t.Issuer, Remote: d.Remote}
}

// explain is POST /api/v1/explain.
func (a *App) explain(ctx context.Context, q adminapi.ExplainRequest) (*trace.Trace, error) {
	return a.current.Load().explain(ctx, q, false)
}

// explain answers a question by the rules of one configuration, with its hints. Where there are no keys, the signature of the
// token is taken for good.
func (s *snapshot) explain(ctx context.Context, q adminapi.ExplainRequest, blind bool) (*trace.Trace, error) {
	ask, err := question(q)
	if err != nil {
		return nil, err
	}
	var t *trace.Trace
	switch {
	case q.Client != "":
		t, err = s.whatIf(ctx, q, ask)
	default:
		ask.Token, ask.Unverified = q.Token, blind
		t = s.gateway.Explain(ctx, ask)
	}
	if err != nil {
		return nil, err
	}
	if !ask.At.IsZero() {
		t.Notes = append(t.Notes, "only the token is judged at the time given: revocations, clients and limits are those of now")
	}
	s.hint(t)
	return t, nil
}

// question is what is asked of the gateway, but for the token.
func question(q adminapi.ExplainRequest) (ask proxy.Question, err error) {
	switch {
	case q.URL == "":
		return ask, unprocessable("url is missing: a path such as /orders/1, or a whole URL")
	case q.Token != "" && q.Client != "":
		return ask, unprocessable("token and client exclude each other: the one is a token that there is, the other one that there might be")
	case q.Client == "" && (q.Issuer != "" || len(q.Scopes) > 0 || q.Audience != ""):
		return ask, unprocessable("issuer, scopes and audience go with client")
	case len(q.Token) > 16<<10:
		return ask, unprocessable("token is longer than any that is looked at")
	}
	ask = proxy.Question{Method: q.Method, Target: q.URL, At: q.At.Time}
	if ask.Method == "" {
		ask.Method = http.MethodGet
	}
	if _, rest, whole := strings.Cut(q.URL, "://"); whole && !strings.HasPrefix(q.URL, "/") {
		ask.Host, ask.Target, _ = strings.Cut(rest, "/")
		ask.Target, _, _ = strings.Cut("/"+ask.Target, "#") // the rest is for browsers
		if i := strings.LastIndexByte(ask.Host, '@'); i >= 0 {
			ask.Host = ask.Host[i+1:] // what stands before it is sent as Authorization, if at all
		}
	}
	return ask, nil
}

// whatIf is the trace of a request with a token that the client might have.
func (s *snapshot) whatIf(ctx context.Context, q adminapi.ExplainRequest, ask proxy.Question) (*trace.Trace, error) {
	bare := s.gateway.Explain(ctx, ask)
	route := bare.Step(trace.Route)
	if bare.API == "" || bare.Public || route == nil || route.Outcome != trace.Passed {
		return bare, nil // no token is asked for
	}
	audience := q.Audience
	if audience == "" {
		audience = s.api(bare.API).Audience
	}
	issuer, known := s.issuerName(q.Issuer)
	if !known {
		return nil, unprocessable("issuer: %q is not known; our own is %q, and the others stand under issuers", trace.Shown(q.Issuer), authz.Local)
	}
	scopes, err := token.ParseScopes(strings.Join(q.Scopes, " "))
	if err != nil {
		return nil, unprocessable("scopes: %s", trace.Shown(err.Error()))
	}
	if issuer != authz.Local {
		ask.Principal = s.foreignPrincipal(issuer, q.Client, audience, scopes)
	} else {
		p, refused := s.endpoint.Preview(tokenep.Wish{Client: q.Client, Audience: audience, Scope: scopes.String()})
		if refused != nil {
			return s.ungranted(bare, refused, q.Client), nil
		}
		if api := s.byAudience(audience); api != nil && s.client(q.Client) == nil {
			p.Expires = p.IssuedAt + int64(api.TTL/time.Second) // as of a client that there was
		}
		ask.Principal = p
	}
	if at := ask.At.Unix(); !ask.At.IsZero() { // the token is one of that time
		ask.Principal.Expires += at - ask.Principal.IssuedAt
		ask.Principal.IssuedAt = at
	}
	t := s.gateway.Explain(ctx, ask)
	if c := s.client(q.Client); c != nil && issuer == authz.Local {
		s.granted(t, c)
		if len(c.Quotas) > 0 {
			t.Notes = append(t.Notes, "the client has a quota of tokens, and what is left of it was not looked at")
		}
		if api := s.byAudience(audience); api != nil && api.Hook != nil {
			t.Notes = append(t.Notes, "the hook of "+api.Name+" was not asked: it may leave scopes out, or deny the token")
		}
	}
	return t, nil
}

func (s *snapshot) foreignPrincipal(issuer, client, audience string, scopes token.Scopes) *authz.Principal {
	now := time.Now().Unix()
	p := &authz.Principal{Client: client, Subject: client, Issuer: issuer, Audience: []string{audience}, Scopes: scopes, IssuedAt: now, Expires: now + 600}
	for _, i := range s.cfg.Issuers {
		if i.Name == issuer {
			p.IssuerURL = i.Issuer
		}
	}
	return p
}

// granted adds the step that the token endpoint would take.
func (s *snapshot) granted(t *trace.Trace, c *config.Client) {
	step := trace.Step{Check: trace.Grant, Outcome: trace.Passed, Fact: grants(c), Where: where(c.Pos)}
	t.Steps = slices.Insert(t.Steps, passedUpTo(t, trace.Route), step)
}

// passedUpTo is the place after a step.
func passedUpTo(t *trace.Trace, c trace.Check) int {
	return 1 + slices.IndexFunc(t.Steps, func(s trace.Step) bool { return s.Check == c })
}

// ungranted is the trace of a request for which the client gets no token: the route is there, and the endpoint refuses.
func (s *snapshot) ungranted(bare, refused *trace.Trace, client string) *trace.Trace {
	t := bare
	t.Reason, t.Status, t.Detail, t.Verdict, t.Asked = refused.Reason, refused.Status, refused.Detail, trace.Deny, refused.Asked
	t.Client, t.Issuer, t.Claims = client, authz.Local, nil
	at := passedUpTo(t, trace.Route)
	for i := range t.Steps[at:] {
		step := &t.Steps[at+i]
		step.Outcome, step.Fact, step.Where = trace.NotReached, "", ""
	}
	step := trace.Step{Check: trace.Grant, Outcome: trace.Failed, Fact: refused.Detail}
	if c := s.client(client); c != nil {
		step.Where = where(c.Pos)
	}
	t.Steps = slices.Insert(t.Steps, at, step)
	t.Notes = append(t.Notes, "the token endpoint would refuse to issue such a token")
	return t
}
