package tokenep

import (
	"net/http"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/revoke"
)

// serveRevoke is POST /oauth/revoke (RFC 7009): a client ends one of its own tokens.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request, rec *exchange.Record) {
	if ref := s.revoke(w, r, rec); ref != nil {
		ref.write(w, rec)
		return
	}
	rec.Verdict = exchange.Allow
	noStore(w.Header())
	w.WriteHeader(http.StatusOK)
}

// revoke succeeds for whatever is no live token of the client, too: there is nothing left to end (§2.2), and the caller
// learns nothing of the tokens of others. token_type_hint could only speed up a search that there is none of (§2.1).
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, rec *exchange.Record) *refusal {
	client, raw, ref := s.tokenOfClient(w, r, rec)
	if ref != nil {
		return ref
	}
	now := s.o.Now().Unix()
	p, _, failed := s.o.Verifier.Verify(raw, now)
	if failed == nil {
		recordToken(rec, p)
	}
	switch {
	case failed != nil:
		rec.Detail = "nothing revoked: " + failed.Detail
		return nil
	case p.Issuer != authz.Local || p.Client != client.ID:
		rec.Detail = "nothing revoked: the token is another client's"
		return nil
	case now >= p.Expires:
		rec.Detail = "nothing revoked: the token has expired"
		return nil
	}
	e := revoke.Entry{Kind: revoke.Token, ID: revoke.TokenID(p.Issuer, p.TokenID), Expires: p.Expires, Reason: "revoked by its client"}
	if err := s.o.Revocations.Revoke(r.Context(), e); err != nil {
		return unavailable(err.Error())
	}
	return nil
}
