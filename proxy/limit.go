package proxy

import (
	"net/netip"
	"strconv"

	"gatehouse/authz"
	"gatehouse/internal/ratelimit"
)

// charging is the limits of a route by whom they count, made once at load.
type charging struct {
	ip, route, client []*ratelimit.Policy
	// ipAndClient is for callers without a verified token: they count by address wherever clients do.
	ipAndClient []*ratelimit.Policy
	all         []*ratelimit.Policy // in the order of the configuration
	field       string              // the RateLimit-Policy header
	subject     ratelimit.Subject   // of the route itself
}

func newCharging(rt *Route) (c charging) {
	for _, l := range rt.Limits {
		p := &l.Policy
		c.all = append(c.all, p)
		switch l.By {
		case ratelimit.ByRoute:
			c.route = append(c.route, p)
		case ratelimit.ByIP:
			c.ip = append(c.ip, p)
			c.ipAndClient = append(c.ipAndClient, p)
		default:
			c.client = append(c.client, p)
			c.ipAndClient = append(c.ipAndClient, p)
		}
	}
	c.field, _ = ratelimit.Fields(c.all, ratelimit.Decision{})
	c.subject = ratelimit.Subject{Kind: ratelimit.ByRoute, Value: rt.API.Name + " " + rt.Match}
	return c
}

// charges are what one request takes: by address, by route, by client, in this order. A nil p is a caller without a
// verified token.
func (c *charging) charges(dst []ratelimit.Charge, remote netip.Addr, p *authz.Principal) []ratelimit.Charge {
	byAddr := c.ip
	if p == nil {
		byAddr = c.ipAndClient
	}
	if len(byAddr) > 0 {
		dst = append(dst, ratelimit.Charge{Subject: ratelimit.Subject{Kind: ratelimit.ByIP, Value: ratelimit.AddrSubject(remote)}, Policies: byAddr})
	}
	if len(c.route) > 0 {
		dst = append(dst, ratelimit.Charge{Subject: c.subject, Policies: c.route})
	}
	if len(c.client) > 0 && p != nil {
		dst = append(dst, ratelimit.Charge{Subject: ratelimit.Subject{Kind: ratelimit.ByClient, Issuer: p.Issuer, Value: p.Client}, Policies: c.client})
	}
	return dst
}

// limit charges the request to all limits of its route. It is called for requests that the verdict allowed.
func (c *call) limit() *denial {
	rt := c.route
	if len(rt.Limits) == 0 {
		return nil
	}
	var room [3]ratelimit.Charge
	d := c.gw.o.Limiter.Check(c.r.Context(), rt.charging.charges(room[:0], c.remote, c.principal), rt.Cost)
	_, c.fields.limit = ratelimit.Fields(rt.charging.all, d)
	c.rec.LimitSource = d.Source.String()
	if d.Policy != nil {
		c.rec.Limit = d.Policy.Name
	}
	switch {
	case d.OK:
		return nil
	case d.Unavailable || d.Policy == nil:
		return &denial{reason: authz.StateUnavailable, detail: "the limits of this route could not be checked: the shared state is away"}
	}
	return &denial{reason: authz.RateLimited, detail: overLimit(d), retryAfter: d.RetryAfterSeconds()}
}

func overLimit(d ratelimit.Decision) string {
	return "the limit " + strconv.Quote(d.Policy.Name) + " of " + strconv.FormatInt(d.Policy.Requests, 10) + " per " + d.Policy.Per.String() +
		" is used up; try again in " + strconv.FormatInt(d.RetryAfterSeconds(), 10) + "s"
}
