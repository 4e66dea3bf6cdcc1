package tokenep

import (
	"crypto/rand"
	"slices"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/token"
)

// The ways to authenticate (RFC 6749 §2.3.1, RFC 7523 §2.2, RFC 8705 §2), as clients.yaml and the metadata name them.
const (
	methodBasic = "client_secret_basic"
	methodPost  = "client_secret_post"
	methodJWT   = "private_key_jwt"

	methodTLS        = "tls_client_auth"
	methodSelfSigned = "self_signed_tls_client_auth"
)

// Client is a client of ours, as the configuration knows it.
type Client struct {
	ID         string
	Grants     map[string]token.Scopes // by the API's name; an API that is not there is not granted
	GrantTypes []string                // empty: it may authenticate and ask for nothing
	Auth       string                  // the one method it may use; empty: Basic and post
	Secrets    []Secret                // any that is good now authenticates; empty: none does
	Keys       Keys                    // verify its assertions, or are its certificate's; nil: nothing does
	Subject    Subject                 // what its certificate names, with tls_client_auth
	Algorithms []token.Algorithm       // that its assertions may be signed with; empty: none
	TTL        time.Duration           // shortens the API's; 0: the API's
	Quotas     []Quota                 // on the tokens that it is issued
	Introspect []string                // names of the APIs whose tokens it may introspect
	Disabled   bool

	fast, slow []*Secret // by kind; slow as Registry.dummies is, with nil where it has none
}

// Registry is the set of clients of one configuration. It does not change and is safe for concurrent use.
type Registry struct {
	clients map[string]*Client
	width   int       // the most SHA-256 secrets that any client has
	dummy   Client    // stands in for the unknown; the id in the log is no caller's word
	filler  Secret    // stands in for a SHA-256 secret that a client does not have
	dummies []*Secret // stand in for argon2id secrets; none where no client has one
}

// NewRegistry returns the registry of these clients. Of two with one id, the later counts.
func NewRegistry(clients []Client) *Registry {
	r := &Registry{clients: make(map[string]*Client, len(clients)), width: 1, dummy: Client{ID: "?"}}
	rand.Read(r.filler.SHA256[:]) // never fails; nobody knows what it is the digest of
	for _, c := range clients {
		r.clients[c.ID] = &c
	}
	r.arrange()
	return r
}

// Status tells whether a client is known and enabled. The clients here are our own: of any other issuer, all are unknown.
func (r *Registry) Status(issuer, id string) authz.ClientStatus {
	c := r.clients[id]
	switch {
	case issuer != authz.Local || c == nil:
		return authz.Unknown
	case c.Disabled:
		return authz.Disabled
	}
	return authz.Enabled
}

// certificateMethods are the ways to show a certificate that clients use.
func (r *Registry) certificateMethods() (methods []string) {
	for _, c := range r.clients {
		if (c.Auth == methodTLS || c.Auth == methodSelfSigned) && !slices.Contains(methods, c.Auth) {
			methods = append(methods, c.Auth)
		}
	}
	slices.Sort(methods)
	return methods
}

// named returns the client with this id, or the dummy.
func (r *Registry) named(id string) *Client {
	if c := r.clients[id]; c != nil {
		return c
	}
	return &r.dummy
}
