package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gatehouse/authz"
	"gatehouse/internal/config"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/statuspage"
)

// limitUse is what is left of the limits that count one client of ours, in its tokens and in its requests to the APIs that it is
// granted. Nothing is charged. Limits of single routes are not among them. Nil for a client that there is not.
func (a *App) limitUse(ctx context.Context, id string) (list []statuspage.Use) {
	cfg := a.current.Load().cfg
	i := slices.IndexFunc(cfg.Clients, func(c config.Client) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	c := &cfg.Clients[i]
	look := func(what string, kind ratelimit.Kind, p ratelimit.Policy, words string) {
		subject := ratelimit.Subject{Kind: kind, Issuer: authz.Local, Value: id}
		d := a.limiter.Look(ctx, []ratelimit.Charge{{Subject: subject, Policies: []*ratelimit.Policy{&p}}}, 1)
		u := statuspage.Use{What: what, Limit: words, Left: d.Remaining, Of: p.Burst, Share: d.Source == ratelimit.FellLocal}
		u.Unknown = d.Source == ratelimit.FellOpen || d.Source == ratelimit.FellShut
		list = append(list, u)
	}
	for _, q := range c.Quotas {
		words := fmt.Sprintf("%d per %s", q.Tokens, q.Per)
		if q.Observe {
			words += ", only counted"
		}
		look("tokens", ratelimit.ByIssuance, quota(q), words)
	}
	for _, l := range c.RateLimits {
		look("requests to all APIs", ratelimit.ByClient, policy(l), rateInWords(l))
	}
	for _, api := range slices.Sorted(maps.Keys(c.Grants)) {
		i := slices.IndexFunc(cfg.APIs, func(x config.API) bool { return x.Name == api })
		if i < 0 || len(c.RateLimits) > 0 { // a client's own limits stand in for those of APIs
			continue
		}
		for _, l := range cfg.APIs[i].RateLimits {
			if limit(l).By == ratelimit.ByClient {
				look("requests to "+api, ratelimit.ByClient, policy(l), rateInWords(l))
			}
		}
	}
	return list
}

func rateInWords(l config.RateLimit) string {
	return fmt.Sprintf("%d per %s, %d at once", l.Requests, l.Per, l.Burst)
}

func quota(q config.Quota) ratelimit.Policy {
	return ratelimit.Policy{Name: q.Name, Requests: q.Tokens, Per: q.Per, Burst: q.Tokens}
}
