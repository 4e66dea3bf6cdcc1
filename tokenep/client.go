package tokenep

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/token"
)

// The ways to authenticate (RFC 6749 §2.3.1), as clients.yaml and the metadata name them.
const (
	methodBasic = "client_secret_basic"
	methodPost  = "client_secret_post"
)

// Client is a client of ours, as the configuration knows it.
type Client struct {
	ID         string
	Grants     map[string]token.Scopes // by the API's name; an API that is not there is not granted
	GrantTypes []string                // empty: it may authenticate and ask for nothing
	Auth       string                  // the one method it may use; empty: Basic and post
	Secrets    []Secret                // any that is good now authenticates; empty: none does
	TTL        time.Duration           // shortens the API's; 0: the API's
	Quotas     []Quota                 // on the tokens that it is issued
	Introspect []string                // names of the APIs whose tokens it may introspect
	Disabled   bool
}

// Secret is the SHA-256 of one whole secret, and when it is good. A zero time is no bound.
type Secret struct {
	SHA256    [sha256.Size]byte
	NotBefore time.Time // good from here
	NotAfter  time.Time // no longer good from here
}

func (s *Secret) live(now time.Time) bool {
	return !now.Before(s.NotBefore) && (s.NotAfter.IsZero() || now.Before(s.NotAfter))
}

// Registry is the set of clients of one configuration. It does not change and is safe for concurrent use.
type Registry struct {
	clients map[string]*Client
	width   int    // the most secrets that any client has
	dummy   Client // stands in for the unknown; the id in the log is no caller's word
	filler  Secret // stands in for a secret that a client does not have
}

// NewRegistry returns the registry of these clients. Of two with one id, the later counts.
func NewRegistry(clients []Client) *Registry {
	r := &Registry{clients: make(map[string]*Client, len(clients)), width: 1, dummy: Client{ID: "?"}}
	rand.Read(r.filler.SHA256[:]) // never fails; nobody knows what it is the digest of
	for _, c := range clients {
		r.clients[c.ID] = &c
		r.width = max(r.width, len(c.Secrets))
	}
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

// authenticate returns the client that proved itself, or nil and what was wrong, for the log. What work is done depends
// only on what was presented, never on whether the client exists, is enabled or has one secret or many.
func (r *Registry) authenticate(p presented, now time.Time) (*Client, string) {
	wrong := ""
	for _, c := range p.readings {
		client, why := r.try(c, p.method, now)
		if why == "" {
			return client, ""
		}
		if wrong == "" {
			wrong = fmt.Sprintf("client %q: %s", client.ID, why)
		}
	}
	return nil, wrong
}

// try returns the client that c names, or the dummy, and why c does not authenticate it; "" where it does.
func (r *Registry) try(c credentials, method string, now time.Time) (*Client, string) {
	client := r.clients[c.id]
	if client == nil {
		client = &r.dummy
	}
	matched, live := r.match(client, c.secret, now)
	switch {
	case client == &r.dummy:
		return client, "no client has this id"
	case !matched:
		return client, "the secret is wrong"
	case !live:
		return client, "the secret is not good yet, or no longer"
	case client.Auth != "" && client.Auth != method:
		return client, "it may not use " + method
	case client.Disabled:
		return client, "it is disabled"
	}
	return client, ""
}

// match compares the secret's digest with as many others for every client, each in constant time.
func (r *Registry) match(client *Client, secret string, now time.Time) (matched, live bool) {
	digest := sha256.Sum256([]byte(secret))
	for i := range r.width {
		s, own := &r.filler, false
		if i < len(client.Secrets) {
			s, own = &client.Secrets[i], true
		}
		equal := subtle.ConstantTimeCompare(digest[:], s.SHA256[:]) == 1
		matched = matched || equal && own
		live = live || equal && own && s.live(now)
	}
	return matched, live
}
