// Package exchange holds the record of one finished request. The gateway fills it in as the request passes; metrics,
// the access log and the terminal of `gatehouse dev` read it once, when the request is over. Handlers therefore contain
// neither metrics nor logging.
package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"gatehouse/internal/trace"
)

// Record is one exchange with a caller. The goroutine that serves the request owns it until Finish is called on the
// sinks; a sink must not keep it.
type Record struct {
	ID     string // the request id, as in X-Request-Id
	Start  time.Time
	Method string // as sent; a label only through MethodLabel
	Host   string
	Path   string // the canonical path, without the query; empty where the gate refused it
	Remote string // the client's address after trusted_proxies

	API   string // name of the API; "" where none matched
	Route string // the configured match; "" where none matched
	// Endpoint names one of our own endpoints (token, revoke, introspect, jwks, metadata, preflight); "" for proxied traffic.
	Endpoint string

	Status   int
	Verdict  Verdict
	Reason   string // closed set; "" when allowed
	Detail   string // the reason in words, for people; never a secret
	Client   string // the authenticated client's id; "" before authentication
	Issuer   string // the name of its issuer, "local" for ours
	TokenID  string // HashID of the token's id, for joining log lines
	Scopes   string // the token's scopes
	Required string // the scopes that the route needs
	Hit      Hit    // whether the verified-token cache knew the token

	// OAuthError is the RFC 6749 error word of the token endpoint, or "ok"; "" elsewhere.
	OAuthError string
	// AuthFailure is why a client did not authenticate at one of our endpoints: a closed set; "" where it did or need not.
	AuthFailure string
	// Issued is true where the token endpoint issued a token.
	Issued bool
	// Case is what a refusal rests on; nil where there was none, or nobody could ask more of it.
	Case Case
	// Own is what the endpoints that clients authenticate to know besides; its zero value for all other requests.
	Own Own

	Limit       string // the policy that decided
	LimitSource string // memory, redis, lease, remembered, local, open, closed; "" where no limit applied

	BytesIn, BytesOut int64
	Decided           time.Duration // from Start until the request was forwarded; 0 where it was not
	Upstream          time.Duration // to the upstream's response headers; 0 where it was not asked
	Server            string        // the URL of the upstream that answered, or failed last; "" where none was asked
	Attempts          int           // how often the request was sent to an upstream
	UpstreamError     string        // closed set: dial, tls, timeout, reset, canceled, breaker, other; "" for none
	UpstreamDetail    string        // the error in words, for the log alone
	Duration          time.Duration
	// Closed is why the gateway ended a connection that had become a tunnel (status 101): idle, reload, drain, or the reason
	// for which its token no longer passes; "" where one of its sides ended it.
	Closed string
}

// Own is what the token, revocation and introspection endpoints add to a record.
type Own struct {
	Step       trace.Check // the one that is under way; "" where there are none
	Method     string      // how the client authenticated, or tried to, as in the metadata; "" where it did not try
	Claimed    string      // the id that the caller gave: its own words, for the audit trail, and to find out who was meant
	Audience   string      // of the token that is issued, revoked or introspected
	Asked      string      // the scopes that were asked for
	JTI        string      // the token's id
	Introspect string      // what introspection answered: "active" or "inactive"; "" elsewhere
	Warnings   []string    // what passed and deserves a look, such as a parameter that was ignored
	Quotas     []Quota     // the client's quotas as this request left them
	Hook       *Hook       // nil: none was asked
}

// Hook is what became of the question to an API's hook.
type Hook struct {
	API    string
	Result string // of HookResults
	Took   time.Duration
}

// HookResults returns the closed set of what may become of such a question. The caller owns the slice.
func HookResults() []string { return []string{HookAllowed, HookDenied, HookFailed} }

// The results.
const (
	HookAllowed = "allowed" // perhaps with fewer scopes, or with claims
	HookDenied  = "denied"
	HookFailed  = "failed" // no answer, or none that can be used: no token
)

// Quota is one of a client's quotas after a request for a token.
type Quota struct {
	Name    string  // "quota", "quota#2"
	Mode    string  // "enforce" or "observe"
	Used    float64 // how much of it is used, from 0 to 1; -1 where Redis did not answer, so that only this node's share is known
	Over    bool    // it had nothing left: in the mode enforce the request was refused
	Reached []int   // those of 60, 80 and 100 per cent that this request reached
}

// HashID is 16 hex digits that stand for a token's id in logs; "" for an empty id.
func HashID(id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	var out [16]byte
	hex.Encode(out[:], sum[:8])
	return string(out[:])
}

// Verdict is what was decided about a request.
type Verdict uint8

// The verdicts. The zero value is a denial.
const (
	Deny Verdict = iota
	Allow
	WouldDeny // observe mode: refused by the rules, let through
)

// String is the verdict as a metric label.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case WouldDeny:
		return "would_deny"
	}
	return "deny"
}

// Hit says how the verified-token cache answered.
type Hit uint8

// The answers of the cache. None means that no token was looked up.
const (
	None Hit = iota
	CacheHit
	CacheMiss
)

// Sink consumes finished records. Finish is called once for each exchange, concurrently, and must not block or keep r.
type Sink interface {
	Finish(r *Record)
}

// MethodLabel returns the method as a metric label: one of the nine standard methods, or "other".
func MethodLabel(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return method
	}
	return "other"
}

type contextKey struct{}

// NewContext returns a context that carries r to our own endpoints.
func NewContext(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// FromContext returns the record of the request, or a fresh one that nobody reads where there is none.
func FromContext(ctx context.Context) *Record {
	if r, ok := ctx.Value(contextKey{}).(*Record); ok {
		return r
	}
	return new(Record)
}
