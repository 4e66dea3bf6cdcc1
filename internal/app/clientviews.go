package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/statuspage"
)

// clientViews are the clients of the configuration as the status page shows them, without anything that they prove themselves by.
func (a *App) clientViews() []statuspage.Client {
	cfg := a.current.Load().cfg
	endpoint := strings.TrimSuffix(cfg.Server.Issuer, "/") + "/oauth/token"
	audiences := map[string]string{}
	for _, api := range cfg.APIs {
		audiences[api.Name] = api.Audience
	}
	list := make([]statuspage.Client, 0, len(cfg.Clients))
	for _, c := range cfg.Clients {
		out := statuspage.Client{ID: c.ID, Where: where(c.Pos), Disabled: c.Disabled, Auth: c.Auth, Keys: keysOf(c), Limits: limitsOf(c), TokenURL: endpoint}
		if c.TLSSubject.Kind != "" {
			out.Subject = c.TLSSubject.Kind + " " + c.TLSSubject.Value
		}
		for _, api := range slices.Sorted(maps.Keys(c.Grants)) {
			out.Grants = append(out.Grants, statuspage.Grant{API: api, Audience: audiences[api], Scopes: c.Grants[api]})
		}
		for _, s := range c.Secrets {
			out.Secrets = append(out.Secrets, statuspage.Secret{Created: s.Created, Note: s.Note, NotBefore: s.NotBefore, NotAfter: s.NotAfter})
		}
		list = append(list, out)
	}
	return list
}

func keysOf(c config.Client) string {
	switch {
	case c.Keys.URI != "":
		return c.Keys.URI
	case len(c.Keys.JWKS) > 0:
		return "jwks_file, " + where(c.Keys.Pos)
	}
	return ""
}

// limitsOf are a client's own limits in words: of tokens, and of requests.
func limitsOf(c config.Client) (list []string) {
	for _, q := range c.Quotas {
		text := fmt.Sprintf("%d tokens per %s", q.Tokens, q.Per)
		if q.Observe {
			text += ", only counted"
		}
		list = append(list, text)
	}
	for _, l := range c.RateLimits {
		list = append(list, fmt.Sprintf("%d requests per %s", l.Requests, l.Per))
	}
	return list
}
