package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/admin"
	"gatehouse/internal/adminapi"
	"gatehouse/internal/audit"
	"gatehouse/internal/config"
	"gatehouse/internal/revoke"
)

// revoke is POST /api/v1/revocations.
func (a *App) revoke(ctx context.Context, q adminapi.RevokeRequest) (adminapi.Revoked, error) {
	e, jti, err := a.revocation(q)
	if err != nil {
		return adminapi.Revoked{}, err
	}
	res, err := a.revocations.Revoke(ctx, e)
	a.record(audit.Event{Action: "revoke", Actor: "api", Outcome: outcome(err), Reason: q.Reason, Detail: e.Kind.String(), Client: q.Client, JTI: jti, Key: q.KID})
	switch {
	case err != nil && res.Applied == 0:
		return adminapi.Revoked{}, &admin.Error{Status: http.StatusServiceUnavailable, Message: "nothing was revoked: " + err.Error()}
	case err != nil:
		return adminapi.Revoked{}, &admin.Error{Status: http.StatusServiceUnavailable, Message: fmt.Sprintf(
			"refused from now on by %d of %d nodes, but this node would forget it at a restart, since its disk did not take it: %v; free some space and repeat it", res.Applied, res.Live, err)}
	}
	return adminapi.Revoked{Kind: e.Kind.String(), Local: res.Local, Shared: res.Shared, Queued: a.redis != nil && !res.Shared, Applied: res.Applied, Live: res.Live}, nil
}

// revocation is the entry that a request asks for, and the jti of the token that it is about, if it is about one.
func (a *App) revocation(q adminapi.RevokeRequest) (e revoke.Entry, jti string, err error) {
	snap := a.current.Load()
	issuer, ok := snap.issuerName(q.Issuer)
	if !ok {
		return e, "", unprocessable("issuer: %q is not known; our own is %q, and the others stand under issuers", q.Issuer, authz.Local)
	}
	if q.Named() != 1 {
		return e, "", unprocessable("name exactly one of token, jti, client, kid and all")
	}
	if q.JTI == "" && !q.Expires.IsZero() {
		return e, "", unprocessable("expires goes with jti alone: the rest is kept for as long as a token that it ends may live")
	}
	e = revoke.Entry{Issuer: issuer, Reason: q.Reason}
	switch {
	case q.Token != "":
		return snap.tokenEntry(q)
	case q.JTI != "":
		if q.Expires.IsZero() || q.Expires.Unix() <= 0 {
			return e, "", unprocessable("jti needs expires, the exp of that token: an entry is kept for as long as the token lives")
		}
		e.Kind, e.ID, e.Expires = revoke.Token, revoke.TokenID(issuer, q.JTI), min(q.Expires.Unix(), time.Now().Add(maxLifetime).Unix())
	case q.Client != "":
		if issuer == authz.Local && !slices.ContainsFunc(snap.cfg.Clients, func(c config.Client) bool { return c.ID == q.Client }) {
			return e, "", unprocessable("client: the clients file has no %q, and the tokens of such a client are refused already", q.Client)
		}
		e.Kind, e.Name = revoke.Client, q.Client
	case q.KID != "":
		if issuer == authz.Local && snap.ring.Key(q.KID) == nil {
			return e, "", unprocessable("kid: there is no key %q, and what it signed is refused already", q.KID)
		}
		e.Kind, e.Name = revoke.Key, q.KID
	default:
		e.Kind = revoke.All
	}
	return e, q.JTI, nil
}

// issuerName is the configured name of an issuer that a request names by it, or by its iss; "" is our own.
func (s *snapshot) issuerName(asked string) (name string, known bool) {
	if asked == "" || asked == authz.Local || asked == s.cfg.Server.Issuer {
		return authz.Local, true
	}
	for _, i := range s.cfg.Issuers {
		if asked == i.Name || asked == i.Issuer {
			return i.Name, true
		}
	}
	return "", false
}

// tokenEntry revokes a whole token. Its signature must verify: else anybody's text would name what to revoke.
func (s *snapshot) tokenEntry(q adminapi.RevokeRequest) (e revoke.Entry, jti string, err error) {
	p, _, failed := s.verifier.Verify(q.Token, time.Now().Unix())
	switch {
	case failed != nil && failed.Reason == authz.StateUnavailable:
		return e, "", &admin.Error{Status: http.StatusServiceUnavailable, Message: failed.Detail}
	case failed != nil:
		return e, "", unprocessable("token: refused already: %s", failed.Detail)
	case p.TokenID == "":
		return e, "", unprocessable("token: it has no jti to revoke it by; revoke its client %q of the issuer %q, or its key", p.Client, p.Issuer)
	}
	return revoke.Entry{Kind: revoke.Token, ID: revoke.TokenID(p.Issuer, p.TokenID), Expires: p.Expires, Reason: q.Reason}, p.TokenID, nil
}
