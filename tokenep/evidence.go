package tokenep

import (
	"slices"

	"gatehouse/internal/exchange"
	"gatehouse/internal/trace"
)

// evidence is what a refusal of one of our endpoints rests on, in clipped copies. It implements exchange.Case.
type evidence struct {
	endpoint, method, host, path string
	client, issuer               string
	status                       int
	word, detail                 string
	at                           trace.Check
	hooked                       bool // the API has a hook, which was asked
	asked                        trace.Asked
}

func (f *refusal) evidence(rec *exchange.Record) *evidence {
	e := &evidence{endpoint: rec.Endpoint, method: trace.Clip(rec.Method), host: trace.Clip(rec.Host), path: trace.Clip(rec.Path),
		client: rec.Client, issuer: rec.Issuer, status: f.status, word: f.word, detail: rec.Detail, at: rec.Own.Step, hooked: rec.Own.Hook != nil,
		asked: trace.Asked{Audience: trace.Clip(rec.Own.Audience), Scope: trace.Clip(rec.Own.Asked), Method: rec.Own.Method, Failure: f.failure}}
	if rec.Client == "" {
		e.asked.Claimed = trace.Clip(rec.Own.Claimed)
	}
	return e
}

// The steps of our endpoints, in the order in which they are made.
var (
	tokenSteps  = []trace.Check{trace.State, trace.Request, trace.Client, trace.GrantType, trace.Scope, trace.Target, trace.Grant, trace.Key, trace.Quota}
	callerSteps = []trace.Check{trace.Request, trace.Client, trace.Token, trace.State} // of revocation and introspection
)

// Trace implements exchange.Case.
func (e *evidence) Trace() *trace.Trace {
	t := &trace.Trace{Method: trace.Shown(e.method), Host: trace.ShownHost(e.host), Path: trace.Shown(e.path), Endpoint: e.endpoint,
		Verdict: trace.Deny, Status: e.status, Reason: e.word, Detail: trace.Shown(e.detail), Client: e.client, Issuer: e.issuer}
	asked := e.asked
	asked.Audience, asked.Scope = trace.Shown(asked.Audience), trace.Shown(asked.Scope)
	t.Asked = &asked
	t.Steps = e.steps()
	return t
}

func (e *evidence) steps() []trace.Step {
	order := tokenSteps
	if e.hooked {
		order = slices.Insert(slices.Clone(order), slices.Index(order, trace.Key), trace.Hook)
	}
	switch e.endpoint {
	case "revoke", "introspect":
		order = callerSteps
	case "token":
	default:
		return []trace.Step{{Check: trace.Request, Outcome: trace.Failed, Fact: trace.Shown(e.detail)}}
	}
	failed := slices.Index(order, e.at)
	if failed < 0 { // the method, which comes first
		order, failed = append([]trace.Check{trace.Request}, slices.DeleteFunc(slices.Clone(order), func(c trace.Check) bool { return c == trace.Request })...), 0
	}
	var list []trace.Step
	for i, c := range order {
		s := trace.Step{Check: c, Outcome: trace.Passed, Fact: e.fact(c)}
		switch {
		case i == failed:
			s.Outcome, s.Fact = trace.Failed, trace.Shown(e.detail)
		case i > failed:
			s.Outcome, s.Fact = trace.NotReached, ""
		}
		list = append(list, s)
	}
	return list
}

// fact is what is known of a step that passed.
func (e *evidence) fact(c trace.Check) string {
	switch c {
	case trace.Client:
		return e.client
	case trace.GrantType:
		return grantType
	case trace.Scope:
		if e.asked.Scope == "" {
			return "none asked: all that is granted"
		}
		return trace.Shown(e.asked.Scope)
	case trace.Target:
		return trace.Shown(e.asked.Audience)
	}
	return ""
}
