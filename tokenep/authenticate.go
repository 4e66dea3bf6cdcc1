package tokenep

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
)

// Lockout ends guessing. Safe for concurrent use.
type Lockout interface {
	// Locked is how long the source is locked out for any of the client ids, as they were sent; 0 where it is not.
	Locked(ctx context.Context, source netip.Addr, ids ...string) time.Duration
	// Failed counts a failure, and returns how long the source was locked out before; 0 where it was not.
	Failed(ctx context.Context, source netip.Addr, ids ...string) time.Duration
}

// authenticate is how a client proves itself on every endpoint that asks for it.
func (s *Server) authenticate(r *http.Request, f form, rec *exchange.Record) (*Client, *refusal) {
	p, ref := readCredentials(r, f)
	if ref != nil {
		return nil, ref
	}
	rec.Own.Method = p.method
	if ids := p.ids(); len(ids) > 0 {
		rec.Own.Claimed = ids[0]
	}
	if p.chain != nil && relayed(r) {
		return nil, badClient(failCertificate, "the request was passed on, as its headers say, so that the certificate is a proxy's")
	}
	source, _ := netip.ParseAddr(rec.Remote) // the zero Addr for those that have none
	client, ref := s.prove(r.Context(), p, source)
	if ref != nil {
		return nil, ref
	}
	if p.chain != nil {
		rec.Own.Method = client.Auth
	}
	rec.Client, rec.Issuer = client.ID, authz.Local
	return client, nil
}

// prove tries what was presented, and counts failures. A success counts only if the source is not locked out by then, so
// that guesses sent all at once gain nothing. What is costly to try is not tried for a source that is locked out.
func (s *Server) prove(ctx context.Context, p presented, source netip.Addr) (*Client, *refusal) {
	ids := p.ids()
	if slices.ContainsFunc(p.readings, func(c credentials) bool { return s.o.Clients.needsSlow(c.secret) }) {
		if wait := s.o.Lockout.Locked(ctx, source, ids...); wait > 0 {
			return nil, lockedOut(wait)
		}
	}
	client, used, ref := s.try(ctx, p, source)
	if ref == nil {
		if wait := s.o.Lockout.Locked(ctx, source, ids...); wait > 0 {
			return nil, lockedOut(wait)
		}
		ref = s.once(ctx, client, used)
	}
	if ref != nil && ref.status == http.StatusUnauthorized {
		if wait := s.o.Lockout.Failed(ctx, source, ids...); wait > 0 {
			return nil, lockedOut(wait)
		}
	}
	if ref != nil {
		return nil, ref
	}
	return client, nil
}

// try returns the client that proved itself, with the assertion that it used, if it did.
func (s *Server) try(ctx context.Context, p presented, source netip.Addr) (*Client, *use, *refusal) {
	if p.method == methodJWT {
		return s.tryAssertion(ctx, p)
	}
	if p.chain != nil {
		client, ref := s.tryCertificate(ctx, p)
		return client, nil, ref
	}
	client, ref := s.trySecret(ctx, p, source)
	return client, nil, ref
}

// trySecret compares the secret. What work is done depends only on what was presented and on what the registry holds as a
// whole, never on whether the client exists, is enabled, or has one secret or many of which kind.
func (s *Server) trySecret(ctx context.Context, p presented, source netip.Addr) (*Client, *refusal) {
	r, now := s.o.Clients, s.o.Now()
	found := make([]match, len(p.readings))
	slow := false
	for i, c := range p.readings {
		client := r.named(c.id)
		found[i] = r.fast(client, c.secret, now)
		if r.judge(client, found[i], p.method) == nil {
			return client, nil
		}
		slow = slow || r.needsSlow(c.secret)
	}
	if slow {
		err := s.o.SlowHashes.Do(ctx, ratelimit.AddrSubject(source), func() {
			for i, c := range p.readings {
				if !r.needsSlow(c.secret) {
					continue
				}
				m := r.slow(r.named(c.id), c.secret, now)
				found[i].known, found[i].live = found[i].known || m.known, found[i].live || m.live
			}
		})
		if err != nil {
			return nil, busy(err)
		}
	}
	var first *refusal
	for i, c := range p.readings {
		ref := r.judge(r.named(c.id), found[i], p.method)
		if ref == nil {
			return r.named(c.id), nil
		}
		if first == nil {
			first = ref
		}
	}
	return nil, first
}

// judge is nil where the match authenticates the client.
func (r *Registry) judge(client *Client, m match, method string) *refusal {
	switch {
	case client == &r.dummy:
		return badClient(failUnknown, "no client has this id")
	case !m.known:
		return wrong(client, failSecret, "the secret is wrong")
	case !m.live:
		return wrong(client, failSecretTime, "the secret is not good yet, or no longer")
	case client.Auth != "" && client.Auth != method:
		return wrong(client, failMethod, "it may not use "+method)
	case client.Disabled:
		return wrong(client, failDisabled, "it is disabled")
	}
	return nil
}
