// Package token knows what a JWT is here: which bytes are one, what its claims say, how ours are signed, and which keys
// do it. It is the only package that imports jwx, and jwx never parses what came from outside: Parse is a strict parser
// of our own, and jwx verifies a signature over bytes that Parse has already split.
//
// The order of trust is visible in the types. A *Token is what somebody sent. Claims exist only after a signature was
// verified with a key that the caller chose. Whether the claims suit an issuer, an audience or a clock is not decided
// here.
package token

import (
	"crypto/rand"
	"encoding/base64"
)

// Algorithm is a signature algorithm by its name in RFC 7518 and RFC 8037. The zero value is no algorithm.
type Algorithm string

// The algorithms that Gatehouse signs and verifies with. There are no others: no "none", no HMAC.
const (
	ES256 Algorithm = "ES256" // ECDSA on P-256 with SHA-256
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256
	PS256 Algorithm = "PS256" // RSASSA-PSS with SHA-256
	EdDSA Algorithm = "EdDSA" // Ed25519
)

// Known reports whether a is one of the four algorithms.
func (a Algorithm) Known() bool {
	switch a {
	case ES256, RS256, PS256, EdDSA:
		return true
	}
	return false
}

// Dialect is which claims an access token of ours carries. The zero value is no dialect.
type Dialect string

// The dialects: RFC 9068, and the claims that Auth0 puts into an access token for client credentials.
const (
	RFC9068 Dialect = "rfc9068"
	Auth0   Dialect = "auth0"
)

// Type is the dialect's typ header: "at+jwt" (RFC 9068 section 2.1), "JWT", or "" for what is no dialect.
func (d Dialect) Type() string {
	switch d {
	case RFC9068:
		return "at+jwt"
	case Auth0:
		return "JWT"
	}
	return ""
}

// ClientClaim is the name of the claim that holds the client's id: "client_id" (RFC 9068 section 2.2), "azp", or "" for
// what is no dialect.
func (d Dialect) ClientClaim() string {
	switch d {
	case RFC9068:
		return "client_id"
	case Auth0:
		return "azp"
	}
	return ""
}

// NewID returns 128 random bits in base64url: the jti of a new token.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: the process aborts where the system has no randomness
	return base64.RawURLEncoding.EncodeToString(b[:])
}
