package tokenep

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/hook"
	"gatehouse/internal/token"
	"gatehouse/internal/trace"
)

// Claim is a claim that all tokens of an API have, by a name that is a URI.
type Claim struct {
	Name  string
	Value []string // the text, cut where the client's id stands: at least one part
}

// text is the value for a client.
func (c *Claim) text(client string) string { return strings.Join(c.Value, client) }

// claims are what a token of the API says besides what every token does.
func (a *API) claims(client *Client) (list []token.Claim) {
	for i := range a.Claims {
		list = append(list, token.TextClaim(a.Claims[i].Name, a.Claims[i].text(client.ID)))
	}
	return list
}

// askHook has the API's hook look at a token that is to be issued: it may leave out scopes, add claims, and refuse. Without an
// answer there is no token.
func (s *Server) askHook(r *http.Request, client *Client, api *API, scopes token.Scopes, rec *exchange.Record) (token.Scopes, []token.Claim, *refusal) {
	claims := api.claims(client)
	if api.Hook == nil {
		return scopes, claims, nil
	}
	rec.Own.Step = trace.Hook
	began := time.Now()
	a, err := api.Hook.Ask(r.Context(), hook.Question{
		Client: client.ID, Audience: api.Audience, Scopes: slices.AppendSeq([]string{}, scopes.All()),
		Asked: strings.Fields(rec.Own.Asked), RequestID: rec.ID,
	})
	rec.Own.Hook = &exchange.Hook{API: api.Name, Result: exchange.HookAllowed, Took: time.Since(began)}
	switch {
	case err != nil:
		rec.Own.Hook.Result = exchange.HookFailed
		return scopes, nil, unavailable("the hook of " + api.Name + ": " + err.Error())
	case a.Deny != nil:
		rec.Own.Hook.Result = exchange.HookDenied
		return scopes, nil, denied(api, a.Deny)
	case a.Scopes.Len() == 0 && scopes.Len() > 0:
		rec.Own.Hook.Result = exchange.HookDenied
		return scopes, nil, &refusal{status: http.StatusBadRequest, word: invalidScope,
			description: "the client may have none of these scopes now", detail: "the hook of " + api.Name + " left none of the scopes " + scopes.String()}
	}
	replaced := func(c token.Claim) bool {
		return slices.ContainsFunc(a.Claims, func(o token.Claim) bool { return o.Name == c.Name })
	}
	claims = append(slices.DeleteFunc(claims, replaced), a.Claims...)
	if err := token.CheckClaims(claims); err != nil {
		rec.Own.Hook.Result = exchange.HookFailed
		return scopes, nil, unavailable("the hook of " + api.Name + ": " + err.Error())
	}
	return a.Scopes, claims, nil
}

// denied is a refusal in the hook's words.
func denied(api *API, d *hook.Denial) *refusal {
	ref := refuse(d.Error, d.Description)
	if d.Error == accessDenied {
		ref.status = http.StatusForbidden
	}
	if ref.description == "" {
		ref.description = "the client may not have this token now"
	}
	ref.detail = "the hook of " + api.Name + " denied it: " + ref.description
	return ref
}
