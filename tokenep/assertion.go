package tokenep

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/token"
)

// assertionType is the one kind of assertion there is (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Keys are the public keys of one client. Safe for concurrent use.
type Keys interface {
	// Lookup returns the keys that may have made a signature: the one named kid, or all for alg where kid is empty. The
	// error is for keys that nobody knows now. It may wait for a fetch, until ctx is done at the latest.
	Lookup(ctx context.Context, kid string, alg token.Algorithm) ([]*token.PublicKey, error)
	// Has reports whether a key is one of them. It waits and fails as Lookup does.
	Has(ctx context.Context, key crypto.PublicKey) (bool, error)
}

// Replays remembers assertions that were used. Safe for concurrent use.
type Replays interface {
	// Claim takes the one use of a client's assertion until a time. It is false where that is taken, and an error where
	// nobody knows.
	Claim(ctx context.Context, client, id string, until time.Time) (bool, error)
}

// use is what to remember of an assertion.
type use struct {
	id    string
	until time.Time
}

// tryAssertion verifies an assertion (RFC 7523 §3). It is no access token and goes by its own rules: signed by the client,
// with an algorithm and a key that are the client's, for this issuer alone.
func (s *Server) tryAssertion(ctx context.Context, p presented) (*Client, *use, *refusal) {
	t := p.assertion
	client := s.o.Clients.named(t.UnverifiedIssuer())
	keys, ref := s.assertionKeys(ctx, client, t)
	claims, verified := verify(t, keys)
	switch {
	case ref != nil:
		return nil, nil, ref
	case !verified:
		return nil, nil, wrong(client, failAssertion, "no key of its verifies the assertion's signature")
	case client.Auth != methodJWT:
		return nil, nil, wrong(client, failMethod, "it may not use "+methodJWT)
	case p.id != "" && p.id != client.ID:
		return nil, nil, wrong(client, failAssertion, "client_id names another client than the assertion")
	}
	used, flaw := readAssertion(claims, client.ID, s.o.Issuer, s.o.Now())
	if flaw != "" {
		return nil, nil, wrong(client, failAssertion, "the assertion's "+flaw)
	}
	if client.Disabled {
		return nil, nil, wrong(client, failDisabled, "it is disabled")
	}
	return client, used, nil
}

// assertionKeys are the keys to verify with. Where there are none, decoys stand in, so that it takes about as long to
// refuse an unknown client as a known one.
func (s *Server) assertionKeys(ctx context.Context, client *Client, t *token.Token) ([]*token.PublicKey, *refusal) {
	alg := token.Algorithm(t.Algorithm)
	decoys := []*token.PublicKey{decoy(alg)}
	if client == &s.o.Clients.dummy {
		return decoys, badClient(failUnknown, "no client has the id that the assertion names")
	}
	if client.Keys == nil {
		return decoys, wrong(client, failMethod, "it has no keys for "+methodJWT)
	}
	pinned := false
	for _, a := range client.Algorithms {
		pinned = pinned || a == alg
	}
	if !pinned {
		return decoys, wrong(client, failAssertion, "its assertions may not be signed with "+t.Algorithm)
	}
	keys, err := client.Keys.Lookup(ctx, t.KeyID, alg)
	if err != nil {
		ref := unavailable(fmt.Sprintf("client %q: %v", client.ID, err))
		ref.failure = failKeys
		return decoys, ref
	}
	if len(keys) == 0 {
		return decoys, wrong(client, failAssertion, "it has no key for "+t.Algorithm+" with the assertion's kid")
	}
	return keys, nil
}

// verify tries the keys in turn.
func verify(t *token.Token, keys []*token.PublicKey) (token.Claims, bool) {
	for _, k := range keys {
		if claims, err := t.Verify(k); err == nil {
			return claims, true
		}
	}
	return token.Claims{}, false
}

// once takes the assertion's one use. It is called when everything else was found right, so that nothing else is remembered.
func (s *Server) once(ctx context.Context, client *Client, u *use) *refusal {
	if u == nil {
		return nil
	}
	first, err := s.o.Replays.Claim(ctx, client.ID, u.id, u.until)
	switch {
	case err != nil:
		ref := unavailable(fmt.Sprintf("client %q: whether its assertion was used is not known: %v", client.ID, err))
		ref.failure = failState
		return ref
	case !first:
		return wrong(client, failReplayed, "the assertion was used before")
	}
	return nil
}

// parseAssertion splits an assertion, whose typ may be that of rfc7523bis, JWT or none. Access tokens and DPoP proofs, ours
// among them, name themselves in typ and are none.
func parseAssertion(raw string) (*token.Token, error) {
	t, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(t.Type) {
	case "", "jwt", "client-authentication+jwt", "application/client-authentication+jwt":
		return t, nil
	}
	return nil, errors.New("its typ is that of another kind of token")
}
