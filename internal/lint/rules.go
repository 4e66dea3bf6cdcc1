package lint

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/config"
)

// place is where a key stands, else the first of the others that do.
func (a *audit) place(paths ...[]string) config.Pos {
	for _, p := range paths {
		if at, ok := a.cfg.Place(p...); ok {
			return at
		}
	}
	return config.Pos{File: a.cfg.File}
}

func (a *audit) listeners() {
	listen := a.cfg.Admin.Listen
	host, _, _ := net.SplitHostPort(listen)
	if !strings.HasPrefix(listen, "unix:") && !loopback(host) {
		a.find("A03", a.cfg.Admin.ListenPos, "listen on 127.0.0.1 or unix:/path, and let a network policy guard what must be reached",
			"the admin listener is reached from other machines, and its token alone keeps them out")
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.Unmap().IsLoopback()
}

// lifetimes looks at how long tokens live: an API's own value, and the one that the others take.
func (a *audit) lifetimes() {
	for _, api := range a.cfg.APIs {
		if api.TTL > longTTL {
			a.find("A02", a.place([]string{"apis", api.Name, "ttl"}, []string{"tokens", "ttl"}),
				"lower it: clients ask again, and a token that leaks is good for as long", "tokens for %s are good for %s", api.Name, api.TTL)
		}
	}
}

func (a *audit) api(api *config.API) {
	at := func(path ...string) []string { return append([]string{"apis", api.Name}, path...) }
	if api.Observe {
		a.find("A09", a.place(at("mode")), "mode: enforce, once its would-be refusals have been looked through", "nothing is refused on %s", api.Name)
	}
	a.upstreams(api, at)
	a.open(api.RateLimits, at("rate_limit"), []string{"defaults", "rate_limit"})
	for i, r := range api.Routes {
		route := at("routes", strconv.Itoa(i))
		if r.Auth == "public" {
			a.find("A01", r.Pos, "auth: token, or scopes; or say why: # gatehouse:ignore A01 — the reason", "anyone may call %s", r.Match)
		}
		if r.Observe && !api.Observe {
			a.find("A09", a.place(append(route, "mode")), "mode: enforce, once its would-be refusals have been looked through", "nothing is refused on %s", r.Match)
		}
		a.open(r.RateLimits, append(route, "rate_limit"), nil)
	}
	a.scopes(api)
	a.passable(api)
}

func (a *audit) upstreams(api *config.API, at func(...string) []string) {
	for i, u := range api.Upstreams {
		if u.URL.Scheme == "http" && !loopback(host(u.URL)) {
			a.find("A04", a.place(at("upstreams", strconv.Itoa(i), "url"), at("upstream")), "use https, with upstream_tls.ca_file for a certificate of your own",
				"requests to %s cross the network unencrypted, identity headers among them", u.URL.Host)
		}
	}
}

func host(u *url.URL) string { return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".") }

// open looks for limits that let everything through while Redis is away. They stand at own, else at inherited.
func (a *audit) open(limits []config.RateLimit, own, inherited []string) {
	if _, ok := a.cfg.Place(own...); !ok {
		own = inherited
	}
	for i, l := range limits {
		if l.OnError == "open" {
			a.find("A08", a.place(slices.Concat(own, []string{strconv.Itoa(i), "on_error"})), "on_error: local, with which each node counts its share alone",
				"while Redis is away, the limit %q lets everything through", l.Name)
		}
	}
}

// grantees are the clients that may ask for tokens for an API.
func (a *audit) grantees(api string) (list []*config.Client) {
	for i := range a.cfg.Clients {
		c := &a.cfg.Clients[i]
		if _, granted := c.Grants[api]; granted && active(c) {
			list = append(list, c)
		}
	}
	return list
}

// active reports whether a client may get tokens.
func active(c *config.Client) bool { return !c.Disabled && len(c.GrantTypes) > 0 }

// elsewhere are the issuers of an API besides our own, whose clients nobody knows here.
func elsewhere(api *config.API) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(api.Issuers), func(s string) bool { return s == "local" }), ", ")
}

func (a *audit) scopes(api *config.API) {
	clients := a.grantees(api.Name)
	for _, scope := range sorted(api.Scopes) {
		at, _ := a.cfg.PlaceOfKey("apis", api.Name, "scopes", scope)
		needed := slices.ContainsFunc(api.Routes, func(r config.Route) bool {
			return slices.Contains(slices.Concat(slices.Concat(r.Any...), r.All), scope)
		})
		if !needed {
			a.find("A10", at, "remove it, with the grants that name it", "no route of %s needs %s", api.Name, scope)
		}
		if elsewhere(api) == "" && !slices.ContainsFunc(clients, func(c *config.Client) bool { return slices.Contains(c.Grants[api.Name], scope) }) {
			a.find("A05", at, "gatehouse client grant ID "+api.Name+":"+scope+", or remove it", "no client is granted %s", scope)
		}
	}
}

// passable looks for routes that no client can pass.
func (a *audit) passable(api *config.API) {
	if others := elsewhere(api); others != "" {
		a.note("A05 and A12 not checked for API %s: who has tokens of %s is not known here", api.Name, others)
		return
	}
	clients := a.grantees(api.Name)
	for _, r := range api.Routes {
		if r.Auth != "public" && !slices.ContainsFunc(clients, func(c *config.Client) bool { return r.MetBy(c.Grants[api.Name]) }) {
			a.find("A12", r.Pos, "grant a client what it needs, or remove it", "no client can pass %s", r.Match)
		}
	}
}

func sorted(scopes map[string]string) []string {
	list := make([]string, 0, len(scopes))
	for s := range scopes {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}
