package tokenep

import (
	"net/http"
	"slices"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/token"
	"gatehouse/internal/trace"
)

// introspected is what is said of a token (RFC 7662 §2.2). Of one that is not active nothing but that is said.
type introspected struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	Client    string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	NotBefore int64  `json:"nbf,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`
}

// serveIntrospect is POST /oauth/introspect (RFC 7662): an API's own client asks whether a token for that API is good.
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request, rec *exchange.Record) {
	answer, ref := s.introspect(w, r, rec)
	if ref != nil {
		ref.write(w, rec)
		return
	}
	rec.Verdict, rec.Own.Introspect = exchange.Allow, "inactive"
	if answer.Active {
		rec.Own.Introspect, rec.Detail = "active", ""
	}
	writeJSON(w, http.StatusOK, answer)
}

// introspect answers that a token is not active where the caller may not know of it, too (§2.2): it learns nothing of
// tokens for the APIs of others. token_type_hint could only speed up a search that there is none of (§2.1).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request, rec *exchange.Record) (answer introspected, ref *refusal) {
	caller, raw, ref := s.tokenOfClient(w, r, rec)
	if ref != nil {
		return answer, ref
	}
	now := s.o.Now().Unix()
	p, _, failed := s.o.Verifier.Verify(raw, now)
	if failed != nil {
		rec.Detail = "not active: " + failed.Detail
		return answer, nil
	}
	recordToken(rec, p)
	api := s.apiOf(p)
	if api == nil || !slices.Contains(caller.Introspect, api.Name) {
		rec.Detail = "not active: the client may not introspect tokens for this audience"
		return answer, nil
	}
	policy := authz.Policy{Audience: api.Audience, Scopes: token.AnyToken(), Issuers: []string{authz.Local},
		MaxStaleness: api.MaxStaleness, AllowStale: api.AllowStale}
	d := authz.Decide(p, &policy, authz.Read(s.o.Revocations, s.o.Clients, p), now)
	switch {
	case d.Reason == authz.StateUnavailable:
		return answer, unavailable(d.Detail)
	case !d.Allowed:
		rec.Detail = "not active: " + d.Detail
		return answer, nil
	}
	rec.Scopes = p.Scopes.String()
	return introspected{Active: true, Scope: rec.Scopes, Client: p.Client, TokenType: "Bearer", Expires: p.Expires, IssuedAt: p.IssuedAt,
		NotBefore: p.NotBefore, Subject: p.Subject, Audience: api.Audience, Issuer: p.IssuerURL, ID: p.TokenID}, nil
}

// apiOf is the API that a token of ours is for; nil for a token of others, and where the API is no longer there.
func (s *Server) apiOf(p *authz.Principal) *API {
	if p.Issuer != authz.Local || len(p.Audience) != 1 {
		return nil
	}
	return s.byAudience[p.Audience[0]]
}

// tokenOfClient reads the request of a client that shows a token, as revocation and introspection have it.
func (s *Server) tokenOfClient(w http.ResponseWriter, r *http.Request, rec *exchange.Record) (client *Client, raw string, ref *refusal) {
	rec.Own.Step = trace.Request
	f, ref := readForm(w, r)
	if ref != nil {
		return nil, "", ref
	}
	rec.Own.Step = trace.Client
	client, ref = s.authenticate(r, f, rec)
	if ref != nil {
		return nil, "", ref
	}
	rec.Own.Step = trace.Token
	if raw = f.get("token"); raw == "" {
		return nil, "", refuse(invalidRequest, "token is missing from the body")
	}
	rec.Own.Step = trace.State
	return client, raw, nil
}

// recordToken notes which token it was about.
func recordToken(rec *exchange.Record, p *authz.Principal) {
	rec.TokenID, rec.Own.JTI = exchange.HashID(p.TokenID), p.TokenID
	if len(p.Audience) == 1 {
		rec.Own.Audience = p.Audience[0]
	}
}
