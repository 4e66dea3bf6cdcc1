package authz

import "time"

// Local is the configured name of the issuer that we are.
const Local = "local"

// ClientStatus is whether a client may still use the tokens it has.
type ClientStatus uint8

// The states of a client. Only Enabled lets a token pass; to delete a client is to revoke its tokens.
const (
	Unknown ClientStatus = iota
	Disabled
	Enabled
)

// Revocations tells what has been revoked. Its methods are called on every request and must not block.
type Revocations interface {
	Revoked(p *Principal) bool
	// Staleness is how long ago revocations were last heard of; 0 where nobody else can revoke.
	Staleness() time.Duration
	// Ready is false until the node knows what was revoked before it started.
	Ready() bool
}

// Clients tells whether a client of an issuer, by its configured name, is known and enabled. It is called on every
// request and must not block.
type Clients interface {
	Status(issuer, id string) ClientStatus
}

// Read reads what Decide needs to know about p at this moment. A nil p reads what does not depend on the token.
func Read(r Revocations, c Clients, p *Principal) State {
	st := State{Ready: r.Ready(), Staleness: r.Staleness()}
	if p != nil {
		st.Revoked = r.Revoked(p)
		st.Client = c.Status(p.Issuer, p.Client)
	}
	return st
}
