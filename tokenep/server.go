// Package tokenep is the authorization server: the OAuth 2.0 client credentials grant (RFC 6749 §4.4), revocation
// (RFC 7009), introspection (RFC 7662), the key set and the metadata (RFC 8414).
//
// A request to the token endpoint passes four steps, each of which may refuse: read the parameters from the body,
// authenticate the client, choose the API and the scopes, sign. Handlers return a *refusal, and one function turns it
// into the response. They neither log nor count: they fill in the exchange.Record of the request.
package tokenep

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/revoke"
	"gatehouse/internal/token"
)

// Revocations is what the endpoints need of the revocation store. Safe for concurrent use.
type Revocations interface {
	// NotBefore is the iat, in seconds since 1970, that a token must reach so that no revocation known now refuses it.
	NotBefore(issuer, client, key string) int64
	// Revoke returns an error where the revocation will not outlive this process.
	Revoke(ctx context.Context, e revoke.Entry) error
	// What was revoked, for introspection.
	authz.Revocations
}

// Options are what a Server needs. Everything is required but APIs, Now and ClientCAs, and Quotas where no client has one.
type Options struct {
	Issuer      string   // iss and issuer: public_url exactly as it is configured
	PublicURL   *url.URL // the same, parsed
	APIs        []API
	Clients     *Registry
	Signer      func(token.Algorithm) *token.PrivateKey // nil where there is no key now
	JWKS        func() []byte                           // nil while there are no keys: 503
	JWKSMaxAge  func() time.Duration                    // how long caches may keep it, asked after JWKS; nil: 5 minutes
	Verifier    *authz.Verifier                         // knows our own tokens
	Revocations Revocations
	ClientCAs   *x509.CertPool // sign the certificates of clients with tls_client_auth; nil: nobody does
	Quotas      Quotas
	Lockout     Lockout
	SlowHashes  SlowHashes // compare argon2id secrets
	Replays     Replays
	Now         func() time.Time // nil: time.Now
}

// Server answers on our own endpoints, by one configuration. It is safe for concurrent use.
type Server struct {
	o          Options
	byName     map[string]*API
	byAudience map[string]*API
	metadata   []byte
}

// New checks the options and returns a Server. Two APIs with one name or audience, and a grant for an API that is not
// there, are errors.
func New(o Options) (*Server, error) {
	if o.Issuer == "" || o.PublicURL == nil || o.Clients == nil || o.Signer == nil || o.JWKS == nil || o.Verifier == nil || o.Revocations == nil ||
		o.Lockout == nil || o.SlowHashes == nil || o.Replays == nil {
		return nil, errors.New("the token endpoint needs an issuer, a public URL, clients, a signer, a key set, a verifier, revocations, a lockout, slow hashes and replays")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	methods := o.Clients.certificateMethods()
	if !slices.Contains(methods, methodTLS) {
		o.ClientCAs = nil // no chain is good for anything, so that strangers' are not verified
	}
	s := &Server{o: o, byName: map[string]*API{}, byAudience: map[string]*API{}, metadata: metadata(o.Issuer, methods)}
	for _, api := range o.APIs {
		if api.Name == "" || api.Audience == "" || api.TTL < time.Second || !api.Algorithm.Known() || api.Dialect.Type() == "" {
			return nil, fmt.Errorf("API %q needs a name, an audience, a lifetime of at least 1s, an algorithm and a dialect", api.Name)
		}
		if s.byName[api.Name] != nil || s.byAudience[api.Audience] != nil {
			return nil, fmt.Errorf("API %q has the name or the audience %q of another", api.Name, api.Audience)
		}
		s.byName[api.Name], s.byAudience[api.Audience] = &api, &api
	}
	for _, c := range o.Clients.clients {
		if err := s.check(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) check(c *Client) error {
	for name := range c.Grants {
		if s.byName[name] == nil {
			return fmt.Errorf("client %q has a grant for API %q, which there is none of", c.ID, name)
		}
	}
	if len(c.Quotas) > 0 && s.o.Quotas == nil {
		return fmt.Errorf("client %q has a quota, and nothing counts it", c.ID)
	}
	return nil
}

// Endpoints returns the handler of each path. A path in the public URL stands in front of all but the metadata of
// RFC 8414, where it follows (§3.1).
func (s *Server) Endpoints() map[string]http.Handler {
	base := strings.TrimSuffix(s.o.PublicURL.Path, "/")
	document := func() []byte { return s.metadata }
	return map[string]http.Handler{
		base + tokenPath:                                 post("token", s.serveToken),
		base + revokePath:                                post("revoke", s.serveRevoke),
		base + introspectPath:                            post("introspect", s.serveIntrospect),
		base + jwksPath:                                  get("jwks", s.o.JWKS, s.o.JWKSMaxAge),
		base + "/.well-known/openid-configuration":       get("metadata", document, nil),
		"/.well-known/oauth-authorization-server" + base: get("metadata", document, nil),
	}
}

// post serves an endpoint that takes POST alone.
func post(name string, serve func(http.ResponseWriter, *http.Request, *exchange.Record)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := exchange.FromContext(r.Context())
		rec.Endpoint = name
		if r.Method != http.MethodPost {
			wrongMethod("POST").write(w, rec)
			return
		}
		serve(w, r.WithContext(ratelimit.Impatient(r.Context())), rec)
	})
}

func wrongMethod(allow string) *refusal {
	return &refusal{status: http.StatusMethodNotAllowed, word: invalidRequest, description: "this endpoint takes " + allow, allow: allow}
}
