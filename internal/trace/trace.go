// Package trace is the account of one decision: what was looked at, how each look ended, and what to do about it. The
// packages that decide fill it in; the log's reader, `gatehouse explain`, the admin API and the tests all show this one type.
//
// It is made for people, when one of them asks, and never on the way of a request that is let through. What a caller sent is
// in it clipped and escaped (see Shown), and neither a token, nor a signature, a secret, a query or a header ever is.
package trace

import (
	"slices"
	"time"
)

// Outcome is how a step ended. The zero value says nothing and is not used.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "passed"
	Failed     Outcome = "failed"
	NotReached Outcome = "not_reached" // an earlier step refused
	NotChecked Outcome = "not_checked" // nobody could look, or it was taken for granted: the fact says why
)

// The verdicts, as in logs and metrics.
const (
	Allow     = "allow"
	Deny      = "deny"
	WouldDeny = "would_deny" // observe mode: refused by the rules, let through
)

// NoLimit is the fact of the step Limit where no limit applies.
const NoLimit = "no limit applies"

// Check names a step.
type Check string

// The steps of a request to an API, in the order in which they are made.
const (
	Path       Check = "path"      // the target is canonical
	Request    Check = "request"   // method, protocol version, Host
	Grant      Check = "grant"     // a "what if": that the client may have such a token
	Route      Check = "route"     // a route takes path and method
	Token      Check = "token"     // there is one, and it can be read
	Key        Check = "key"       // its alg and kid name a key
	Signature  Check = "signature" // the key made it
	Form       Check = "claims"    // it has the form of an access token
	Issuer     Check = "issuer"
	Time       Check = "time"
	Revocation Check = "revocation"
	Client     Check = "client" // known and enabled; at our own endpoints: it proved who it is
	Audience   Check = "audience"
	Scope      Check = "scope"
	Upgrade    Check = "upgrade" // to a WebSocket
	Limit      Check = "limit"
	Body       Check = "body"
	Upstream   Check = "upstream"
)

// The steps of a request to our own endpoints besides Request, Client, Scope and Key.
const (
	GrantType Check = "grant_type"
	Target    Check = "target" // the API that the token is for
	Hook      Check = "hook"   // the API's hook lets it have the token
	Quota     Check = "quota"
	State     Check = "state" // this node has what it needs to answer
)

// Step is one thing that was looked at.
type Step struct {
	Check   Check   `json:"check"`
	Outcome Outcome `json:"outcome"`
	Fact    string  `json:"fact,omitempty"`  // what was seen, in a few words
	Where   string  `json:"where,omitempty"` // file:line of the configuration that says so
}

// Line is a sentence with the place in the configuration that it is about; Where may be empty.
type Line struct {
	Text  string `json:"text"`
	Where string `json:"where,omitempty"`
}

// Claims are what a token says whose signature was verified; with Unverified, what somebody says it does.
type Claims struct {
	Issuer     string    `json:"iss,omitempty"`
	Subject    string    `json:"sub,omitempty"`
	Client     string    `json:"client,omitempty"`
	Audience   []string  `json:"aud,omitempty"`
	Scopes     string    `json:"scope,omitempty"`
	TokenID    string    `json:"jti,omitempty"`
	Algorithm  string    `json:"alg,omitempty"`
	KeyID      string    `json:"kid,omitempty"`
	IssuedAt   time.Time `json:"iat,omitzero"`
	NotBefore  time.Time `json:"nbf,omitzero"`
	Expires    time.Time `json:"exp,omitzero"`
	Unverified bool      `json:"unverified,omitempty"`
}

// Asked is what a client sent to the token endpoint, or to one of those beside it.
type Asked struct {
	Audience string `json:"audience,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Method   string `json:"auth_method,omitempty"`  // how it authenticated, or tried to
	Failure  string `json:"auth_failure,omitempty"` // why it did not: of a closed set
	// Claimed is the id that it gave where it did not authenticate. It may be anything, and is never shown: it is there to find
	// out which client was meant.
	Claimed string `json:"-"`
}

// Trace is the account of one decision. Times are UTC. The zero value is a refusal of nothing in particular.
type Trace struct {
	RequestID string    `json:"request_id,omitempty"` // "" for a question
	Time      time.Time `json:"time,omitzero"`        // the moment that is judged
	Method    string    `json:"method"`
	Host      string    `json:"host,omitempty"`
	Path      string    `json:"path"`               // without the query
	Endpoint  string    `json:"endpoint,omitempty"` // one of our own: token, revoke, introspect, jwks, metadata, preflight

	Verdict string `json:"verdict"`
	Status  int    `json:"status,omitempty"` // the response's; for a question, what it would be
	Reason  string `json:"reason,omitempty"` // of the closed set, or the OAuth error of our own endpoints; "" when allowed
	Detail  string `json:"detail,omitempty"` // the reason in words

	API      string  `json:"api,omitempty"`
	Route    string  `json:"route,omitempty"` // its match, as configured; "" where none matched
	Where    string  `json:"where,omitempty"` // file:line of the route
	Public   bool    `json:"public,omitempty"`
	Required string  `json:"required,omitempty"` // the scopes that the route names
	Client   string  `json:"client,omitempty"`
	Issuer   string  `json:"issuer,omitempty"` // the configured name of the client's issuer
	Claims   *Claims `json:"claims,omitempty"` // nil: no token, or none that could be read
	Asked    *Asked  `json:"asked,omitempty"`  // at the token endpoint; else nil

	Steps []Step   `json:"steps"`
	Why   []Line   `json:"why,omitempty"`
	Near  []Line   `json:"near,omitempty"` // what may have been meant
	Fix   []string `json:"fix,omitempty"`  // what to do; the first is the likeliest
	Notes []string `json:"notes,omitempty"`
}

// Allowed reports whether the request passes by the rules, whatever observe mode makes of it.
func (t *Trace) Allowed() bool { return t.Verdict == Allow }

// Step returns the step of that name; nil where the trace has none.
func (t *Trace) Step(c Check) *Step {
	i := slices.IndexFunc(t.Steps, func(s Step) bool { return s.Check == c })
	if i < 0 {
		return nil
	}
	return &t.Steps[i]
}

// Arrange puts the steps into the order of what happened: what passed, what failed, what was not reached. A step that could
// not be checked stays before those that were not reached.
func (t *Trace) Arrange() {
	rank := map[Outcome]int{Passed: 0, NotChecked: 0, Failed: 1, NotReached: 2}
	slices.SortStableFunc(t.Steps, func(a, b Step) int { return rank[a.Outcome] - rank[b.Outcome] })
}
