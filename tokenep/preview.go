package tokenep

import (
	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/token"
	"gatehouse/internal/trace"
)

// Wish is a token that a client of ours might ask for. Audience and Scope may be empty, as in a request.
type Wish struct{ Client, Audience, Scope string }

// Preview is the token that the endpoint would issue for a wish at this moment, as a Principal without an id and without a
// key. It authenticates nobody, charges no quota, and leaves it to whoever judges the token whether the client is enabled. A
// wish that would be refused gives the trace of that, and no Principal. A client that is not there has one without scopes for
// the audience: tokens that somebody may still have are to be judged too.
func (s *Server) Preview(w Wish) (*authz.Principal, *trace.Trace) {
	client := s.o.Clients.clients[w.Client]
	if client == nil {
		now := s.o.Now().Unix()
		return &authz.Principal{Client: w.Client, Subject: w.Client, Issuer: authz.Local, IssuerURL: s.o.Issuer,
			Audience: []string{w.Audience}, IssuedAt: now, Expires: now + 1}, nil
	}
	rec := &exchange.Record{Endpoint: "token", Method: "POST", Path: tokenPath, Client: client.ID, Issuer: authz.Local}
	f := form{values: map[string]string{"grant_type": grantType, "audience": w.Audience, "scope": w.Scope}}
	api, scopes, ref := s.choose(client, f, rec)
	if ref == nil {
		if key := s.o.Signer(api.Algorithm); key != nil {
			return s.preview(client, api, scopes, key), nil
		}
		rec.Own.Step, ref = trace.Key, unavailable("there is no key that signs with "+string(api.Algorithm))
	}
	if rec.Detail = ref.detail; rec.Detail == "" {
		rec.Detail = ref.description
	}
	return nil, ref.evidence(rec).Trace()
}

func (s *Server) preview(client *Client, api *API, scopes token.Scopes, key *token.PrivateKey) *authz.Principal {
	p := &authz.Principal{Client: client.ID, Subject: client.ID, Issuer: authz.Local, IssuerURL: s.o.Issuer, Audience: []string{api.Audience},
		Scopes: scopes, Algorithm: api.Algorithm}
	if api.Dialect == token.Auth0 {
		p.Subject += "@clients"
	}
	for i := range api.Claims {
		if p.Claims == nil {
			p.Claims = map[string]string{}
		}
		p.Claims[api.Claims[i].Name] = api.Claims[i].text(client.ID)
	}
	p.IssuedAt, p.Expires = s.times(client, api, key)
	return p
}
