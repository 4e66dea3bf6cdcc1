package authz

import "slices"

// Reason says why a request was refused: one word of a closed set, used alike in responses, logs and as a metric label.
// The empty Reason belongs to a request that was not refused.
type Reason string

// The reasons, in the order in which a request meets their checks.
const (
	MalformedRequest    Reason = "malformed_request"
	URITooLong          Reason = "uri_too_long"
	MultipleTokens      Reason = "multiple_tokens"
	Misdirected         Reason = "misdirected"
	NoRoute             Reason = "no_route"
	MethodNotAllowed    Reason = "method_not_allowed"
	MissingToken        Reason = "missing_token"
	MalformedToken      Reason = "malformed_token"
	UnsupportedAlg      Reason = "unsupported_alg"
	UnknownKey          Reason = "unknown_key"
	BadSignature        Reason = "bad_signature"
	WrongIssuer         Reason = "wrong_issuer"
	Expired             Reason = "expired"
	NotYetValid         Reason = "not_yet_valid"
	Revoked             Reason = "revoked"
	ClientDisabled      Reason = "client_disabled"
	WrongBinding        Reason = "wrong_binding"
	WrongAudience       Reason = "wrong_audience"
	InsufficientScope   Reason = "insufficient_scope"
	UpgradeNotAllowed   Reason = "upgrade_not_allowed"
	RateLimited         Reason = "rate_limited"
	BodyTooLarge        Reason = "body_too_large"
	StateUnavailable    Reason = "state_unavailable"
	Overloaded          Reason = "overloaded"
	UpstreamUnavailable Reason = "upstream_unavailable"
	UpstreamTimeout     Reason = "upstream_timeout"
	InternalError       Reason = "internal_error"
)

// invalidToken is what the caller is told until the signature of the token has verified.
const invalidToken Reason = "invalid_token"

// statuses holds each reason once, with the HTTP status that answers it.
var statuses = []struct {
	reason Reason
	status int
}{
	{MalformedRequest, 400}, {URITooLong, 414}, {MultipleTokens, 400}, {Misdirected, 421}, {NoRoute, 404},
	{MethodNotAllowed, 405}, {MissingToken, 401}, {MalformedToken, 401}, {UnsupportedAlg, 401}, {UnknownKey, 401},
	{BadSignature, 401}, {WrongIssuer, 401}, {Expired, 401}, {NotYetValid, 401}, {Revoked, 401}, {ClientDisabled, 401},
	{WrongBinding, 401}, {WrongAudience, 401}, {InsufficientScope, 403}, {UpgradeNotAllowed, 403}, {RateLimited, 429},
	{BodyTooLarge, 413}, {StateUnavailable, 503}, {Overloaded, 503}, {UpstreamUnavailable, 502},
	{UpstreamTimeout, 504}, {InternalError, 500},
}

// Reasons returns all reasons, in the order in which a request meets their checks. The caller owns the slice.
func Reasons() []Reason {
	all := make([]Reason, len(statuses))
	for i, s := range statuses {
		all[i] = s.reason
	}
	return all
}

// Status is the HTTP status that answers the reason; 500 for a word outside the set.
func (r Reason) Status() int {
	for _, s := range statuses {
		if s.reason == r {
			return s.status
		}
	}
	return 500
}

// Public is the word that the caller is told. Who sends a token whose signature has not verified learns only that it is
// an invalid_token; the exact word goes to metric and log.
func (r Reason) Public() Reason {
	if slices.Contains([]Reason{MalformedToken, UnsupportedAlg, UnknownKey, BadSignature, WrongIssuer}, r) {
		return invalidToken
	}
	return r
}
