package tokenep

import (
	"net/http"
	"slices"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/token"
	"gatehouse/internal/trace"
)

// grantType is the one grant there is (RFC 6749 §4.4.2).
const grantType = "client_credentials"

// issued is the successful response (RFC 6749 §5.1). There is no refresh token (§4.4.3).
type issued struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope,omitempty"`

	id string // jti, for the record
}

// serveToken is POST /oauth/token.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, rec *exchange.Record) {
	answer, ref := s.grant(w, r, rec)
	if ref != nil {
		rec.OAuthError = ref.word
		ref.write(w, rec)
		return
	}
	rec.OAuthError, rec.Issued, rec.Verdict, rec.Scopes = "ok", true, exchange.Allow, answer.Scope
	rec.TokenID, rec.Own.JTI = exchange.HashID(answer.id), answer.id
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request, rec *exchange.Record) (*issued, *refusal) {
	step := &rec.Own.Step
	if *step = trace.State; !s.o.Revocations.Ready() {
		return nil, unavailable("this node has not loaded its revocations yet")
	}
	*step = trace.Request
	f, ref := readForm(w, r)
	if ref != nil {
		return nil, ref
	}
	*step = trace.Client
	client, ref := s.authenticate(r, f, rec)
	if ref != nil {
		return nil, ref
	}
	api, scopes, ref := s.choose(client, f, rec)
	if ref != nil {
		return nil, ref
	}
	if ignored := f.ignored(); ignored != "" {
		rec.Detail, rec.Own.Warnings = ignored, append(rec.Own.Warnings, ignored)
	}
	scopes, claims, ref := s.askHook(r, client, api, scopes, rec)
	if ref != nil {
		return nil, ref
	}
	*step = trace.Key // after the hook, which takes its time, in which a key may be revoked
	key := s.o.Signer(api.Algorithm)
	if key == nil {
		return nil, unavailable("there is no key that signs with " + string(api.Algorithm))
	}
	*step = trace.Quota
	if ref := s.charge(r, client, w.Header(), rec); ref != nil {
		return nil, ref
	}
	return s.issue(client, api, scopes, claims, key)
}

// choose is what a client that proved itself may have: the API and the scopes of the token.
func (s *Server) choose(client *Client, f form, rec *exchange.Record) (*API, token.Scopes, *refusal) {
	step := &rec.Own.Step
	*step = trace.GrantType
	if ref := checkGrant(client, f); ref != nil {
		return nil, token.Scopes{}, ref
	}
	*step = trace.Scope
	rec.Own.Asked, rec.Own.Audience = f.get("scope"), f.get("audience")
	asked, err := token.ParseScopes(f.get("scope"))
	if err != nil {
		return nil, token.Scopes{}, refuse(invalidScope, "scope must be scopes with one space between them (RFC 6749 section 3.3)")
	}
	*step = trace.Target
	api, ref := s.chooseAPI(client, f, asked)
	if ref != nil {
		return nil, token.Scopes{}, ref
	}
	rec.Own.Audience = api.Audience
	*step = trace.Grant
	scopes, ref := chooseScopes(client.Grants[api.Name], asked, api.Narrow)
	return api, scopes, ref
}

func checkGrant(client *Client, f form) *refusal {
	switch f.get("grant_type") {
	case grantType:
	case "":
		return refuse(invalidRequest, "grant_type is missing from the body: send grant_type=client_credentials")
	default:
		return refuse(unsupportedGrantType, "grant_type must be client_credentials")
	}
	if !slices.Contains(client.GrantTypes, grantType) {
		return refuse(unauthorizedClient, "this client may not use grant_type client_credentials")
	}
	return nil
}

// issue signs the token.
func (s *Server) issue(client *Client, api *API, scopes token.Scopes, claims []token.Claim, key *token.PrivateKey) (*issued, *refusal) {
	iat, expires := s.times(client, api, key)
	id := token.NewID()
	signed, err := key.Issue(token.Issue{
		Issuer: s.o.Issuer, Client: client.ID, Audience: api.Audience, ID: id, Scopes: scopes,
		IssuedAt: iat, Expires: expires, Dialect: api.Dialect, Claims: claims,
	})
	if err != nil {
		return nil, &refusal{status: http.StatusInternalServerError, word: serverError,
			description: "the token could not be signed", detail: err.Error()}
	}
	return &issued{AccessToken: signed, TokenType: "Bearer", ExpiresIn: expires - iat, Scope: scopes.String(), id: id}, nil
}

// times are the iat and exp of a token that is issued now. The iat is moved past the last revocation of the client, the key or
// everyone, so that a token that is asked for right after one is good.
func (s *Server) times(client *Client, api *API, key *token.PrivateKey) (iat, expires int64) {
	ttl := api.TTL
	if client.TTL > 0 {
		ttl = min(ttl, client.TTL)
	}
	iat = max(s.o.Now().Unix(), s.o.Revocations.NotBefore(authz.Local, client.ID, key.Public().ID()))
	return iat, iat + max(1, int64(ttl/time.Second))
}
