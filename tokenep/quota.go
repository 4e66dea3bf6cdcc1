package tokenep

import (
	"context"
	"fmt"
	"net/http"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
)

// Quota bounds how many tokens a client is issued.
type Quota struct {
	Policy  ratelimit.Policy
	Observe bool // count, and issue all the same
}

// Quotas counts the tokens that are issued. Safe for concurrent use.
type Quotas interface {
	// Check takes cost from all policies of each charge or from none, and is never an error: what a failing store means
	// is the policies' to say.
	Check(ctx context.Context, charges []ratelimit.Charge, cost int64) ratelimit.Decision
}

// levels are the percentages of a quota that are worth a warning.
var levels = [...]int{60, 80, 100}

// charge takes one token from the client's quotas. It comes after everything else that could refuse, so that a refused
// request costs nothing; where an enforced quota has nothing left, none is charged. The quotas that are only observed are
// charged each by itself. All are exact: what is used up decides which request is the one to tell of it.
func (s *Server) charge(r *http.Request, client *Client, h http.Header, rec *exchange.Record) *refusal {
	if len(client.Quotas) == 0 {
		return nil
	}
	subject := ratelimit.Subject{Kind: ratelimit.ByIssuance, Issuer: authz.Local, Value: client.ID}
	var enforced, all []*ratelimit.Policy
	for i := range client.Quotas {
		p := &client.Quotas[i].Policy
		all = append(all, p)
		if !client.Quotas[i].Observe {
			enforced = append(enforced, p)
		}
	}
	take := func(policies []*ratelimit.Policy, mode string) ratelimit.Decision {
		d := s.o.Quotas.Check(r.Context(), []ratelimit.Charge{{Subject: subject, Policies: policies, Exact: true}}, 1)
		q := usage(d, mode)
		rec.Own.Quotas = append(rec.Own.Quotas, q)
		for _, percent := range q.Reached {
			rec.Own.Warnings = append(rec.Own.Warnings, fmt.Sprintf("%d %% of its %s is used", percent, q.Name))
		}
		if q.Over && mode == "observe" {
			rec.Own.Warnings = append(rec.Own.Warnings, "over its "+q.Name+", which is only observed")
		}
		return d
	}
	if len(enforced) > 0 {
		d := take(enforced, "enforce")
		quotaFields(h, enforced, d)
		if !d.OK {
			return &refusal{status: http.StatusTooManyRequests, word: tooManyRequests, retry: d.RetryAfter,
				description: "the client has used up its quota of tokens; reuse the tokens it has until they expire"}
		}
	}
	for i, p := range all {
		if client.Quotas[i].Observe {
			d := take([]*ratelimit.Policy{p}, "observe")
			if len(enforced) == 0 {
				quotaFields(h, all, d)
			}
		}
	}
	return nil
}

// quotaFields sets the fields of the response that routes with limits have as well.
func quotaFields(h http.Header, policies []*ratelimit.Policy, d ratelimit.Decision) {
	policy, limit := ratelimit.Fields(policies, d)
	h["Ratelimit-Policy"], h["Ratelimit"] = []string{policy}, []string{limit}
}

// usage is what the record says of a quota. Of several that were charged together it is the one with the least left.
func usage(d ratelimit.Decision, mode string) exchange.Quota {
	q := exchange.Quota{Name: d.Policy.Name, Mode: mode, Over: !d.OK}
	if d.Source == ratelimit.FellLocal { // Remaining is of this node's share
		q.Used = -1
		return q
	}
	used := d.Policy.Burst - d.Remaining
	q.Used = float64(used) / float64(d.Policy.Burst)
	if !d.OK {
		return q
	}
	for _, level := range levels {
		// The request that takes the use from below the level to it is the one to tell, whichever node it came to.
		if used == (d.Policy.Burst*int64(level)+99)/100 {
			q.Reached = append(q.Reached, level)
		}
	}
	return q
}
