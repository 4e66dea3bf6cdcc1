package proxy

import (
	"slices"
	"strconv"

	"gatehouse/authz"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/trace"
)

// ownLimits are the limits that a client of ours has of its own; nil where it has none.
func (g *Gateway) ownLimits(p *authz.Principal) []*ratelimit.Policy {
	if p == nil || p.Issuer != authz.Local {
		return nil
	}
	return g.o.ClientLimits[p.Client]
}

// limit charges the request to all limits of its route and of its client. It is called for requests that the verdict allowed.
func (c *call) limit() *denial {
	rt := c.route
	own := c.gw.ownLimits(c.principal)
	if len(rt.Limits)+len(own) == 0 {
		return nil
	}
	var room [4]ratelimit.Charge
	charges := rt.charging.charges(room[:0], c.remote, c.principal, own)
	var d ratelimit.Decision
	if c.what != nil {
		d = c.gw.o.Limiter.Look(c.r.Context(), charges, rt.Cost)
	} else {
		d = c.gw.o.Limiter.Check(c.r.Context(), charges, rt.Cost)
	}
	if len(own) > 0 {
		c.fields.policy, c.fields.limit = ratelimit.Fields(slices.Concat(own, rt.charging.others), d)
	} else {
		c.fields.limit = d.Field()
	}
	c.rec.LimitSource = d.Source.String()
	if d.Policy != nil {
		c.rec.Limit = d.Policy.Name
	}
	switch {
	case d.OK:
		return nil
	case d.Unavailable || d.Policy == nil:
		return &denial{reason: authz.StateUnavailable, at: trace.Limit, detail: "the limits of this request could not be checked: the shared state is away"}
	}
	return &denial{reason: authz.RateLimited, at: trace.Limit, detail: overLimit(d), retryAfter: d.RetryAfterSeconds()}
}

func overLimit(d ratelimit.Decision) string {
	return "the limit " + strconv.Quote(d.Policy.Name) + " of " + strconv.FormatInt(d.Policy.Requests, 10) + " per " + d.Policy.Per.String() +
		" is used up; try again in " + strconv.FormatInt(d.RetryAfterSeconds(), 10) + "s"
}
