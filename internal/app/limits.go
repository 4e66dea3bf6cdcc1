package app

import (
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/ratelimit"
	"gatehouse/proxy"
)

func limit(l config.RateLimit) proxy.Limit {
	out := proxy.Limit{Policy: policy(l)}
	switch claim, ok := claimOf(l); {
	case ok:
		out.By, out.Claim = ratelimit.ByClaim, claim
	case l.By == "ip":
		out.By = ratelimit.ByIP
	case l.By == "route":
		out.By = ratelimit.ByRoute
	}
	return out
}

func policy(l config.RateLimit) ratelimit.Policy {
	fail := map[string]ratelimit.Fail{"local": ratelimit.Local, "open": ratelimit.Open, "closed": ratelimit.Closed}
	return ratelimit.Policy{Name: l.Name, Requests: l.Requests, Per: l.Per, Burst: l.Burst, OnError: fail[l.OnError]}
}

func claimOf(l config.RateLimit) (claim string, ok bool) { return strings.CutPrefix(l.By, "claim:") }

// limitedClaims are the claims that some limit counts by.
func limitedClaims(cfg *config.Config) (names []string) {
	add := func(limits []config.RateLimit) {
		for _, l := range limits {
			if claim, ok := claimOf(l); ok && !slices.Contains(names, claim) {
				names = append(names, claim)
			}
		}
	}
	for _, api := range cfg.APIs {
		add(api.RateLimits)
		for _, r := range api.Routes {
			add(r.RateLimits)
		}
	}
	return names
}

// clientLimits are the limits that clients have of their own, by client.
func clientLimits(cfg *config.Config) map[string][]*ratelimit.Policy {
	out := map[string][]*ratelimit.Policy{}
	for _, c := range cfg.Clients {
		for _, l := range c.RateLimits {
			p := policy(l)
			out[c.ID] = append(out[c.ID], &p)
		}
	}
	return out
}

func cors(c *config.CORS) *proxy.CORS {
	if c == nil {
		return nil
	}
	return &proxy.CORS{Origins: c.Origins, Methods: c.Methods, Headers: c.Headers, Expose: c.Expose, Credentials: c.Credentials, MaxAge: c.MaxAge}
}
