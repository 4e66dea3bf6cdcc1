package proxy

import (
	"net/netip"
	"slices"

	"gatehouse/authz"
	"gatehouse/internal/ratelimit"
)

// charging is the limits of a route by whom they count, made once at load.
type charging struct {
	ip, route, client []*ratelimit.Policy
	claims            []claimCharge // by claim, each claim once
	// routeClient are those of client that a client's own limits leave in force: the route's.
	routeClient []*ratelimit.Policy
	// byAddr are those that count addresses where there is no verified token: ip, and all that count clients and claims.
	byAddr  []*ratelimit.Policy
	all     []*ratelimit.Policy // in the order of the configuration
	others  []*ratelimit.Policy // of all, those that a client's own limits leave in force
	field   string              // the RateLimit-Policy header
	subject ratelimit.Subject   // of the route itself
}

// claimCharge is the limits that count the values of one claim.
type claimCharge struct {
	claim    string
	policies []*ratelimit.Policy
}

func newCharging(rt *Route) (c charging) {
	for _, l := range rt.Limits {
		p := &l.Policy
		c.all = append(c.all, p)
		if l.By != ratelimit.ByRoute {
			c.byAddr = append(c.byAddr, p)
		}
		if l.By != ratelimit.ByClient || !l.OfAPI {
			c.others = append(c.others, p)
		}
		switch l.By {
		case ratelimit.ByRoute:
			c.route = append(c.route, p)
		case ratelimit.ByIP:
			c.ip = append(c.ip, p)
		case ratelimit.ByClaim:
			c.addClaim(l.Claim, p)
		default:
			c.client = append(c.client, p)
			if !l.OfAPI {
				c.routeClient = append(c.routeClient, p)
			}
		}
	}
	c.field, _ = ratelimit.Fields(c.all, ratelimit.Decision{})
	c.subject = ratelimit.Subject{Kind: ratelimit.ByRoute, Value: rt.API.Name + " " + rt.Match}
	return c
}

func (c *charging) addClaim(claim string, p *ratelimit.Policy) {
	i := slices.IndexFunc(c.claims, func(k claimCharge) bool { return k.claim == claim })
	if i < 0 {
		i = len(c.claims)
		c.claims = append(c.claims, claimCharge{claim: claim})
	}
	c.claims[i].policies = append(c.claims[i].policies, p)
}

// charges are what one request takes: by address, by route, by claim, by client, in this order. A nil p is a caller without
// a verified token; own are the limits that its client has of its own, and may be nil.
func (c *charging) charges(dst []ratelimit.Charge, remote netip.Addr, p *authz.Principal, own []*ratelimit.Policy) []ratelimit.Charge {
	byAddr := c.ip
	if p == nil {
		byAddr = c.byAddr
	}
	if len(byAddr) > 0 {
		dst = append(dst, ratelimit.Charge{Subject: ratelimit.Subject{Kind: ratelimit.ByIP, Value: ratelimit.AddrSubject(remote)}, Policies: byAddr})
	}
	if len(c.route) > 0 {
		dst = append(dst, ratelimit.Charge{Subject: c.subject, Policies: c.route})
	}
	if p == nil {
		return dst
	}
	byClient := c.client
	if len(own) > 0 {
		byClient = slices.Concat(own, c.routeClient)
	}
	for i := range c.claims {
		k := &c.claims[i]
		value, ok := p.Claims[k.claim]
		if !ok { // counts by client, in the client's one subject
			byClient = slices.Concat(byClient, k.policies)
			continue
		}
		// The name of a claim holds no NUL, so that no two pairs run together.
		dst = append(dst, ratelimit.Charge{Subject: ratelimit.Subject{Kind: ratelimit.ByClaim, Issuer: p.Issuer, Value: k.claim + "\x00" + value}, Policies: k.policies})
	}
	if len(byClient) > 0 {
		dst = append(dst, ratelimit.Charge{Subject: ratelimit.Subject{Kind: ratelimit.ByClient, Issuer: p.Issuer, Value: p.Client}, Policies: byClient})
	}
	return dst
}
