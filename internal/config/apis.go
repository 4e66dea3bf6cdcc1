package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"sync"
)

// buildAPIs turns the APIs into their final form, and checks them against each other and against our own listeners.
func (r *reader) buildAPIs(c *Config, raw *rawConfig, apis []entry[*rawAPI]) {
	defaults := raw.defaults.v
	if defaults == nil {
		defaults = new(rawDefaults)
	}
	audiences := make(map[string]entry[*rawAPI])
	ours := sync.OnceValue(machineAddrs)
	plain := make([]*rawAPI, 0, len(apis))
	for _, e := range apis {
		plain = append(plain, e.v)
		if e.v.audience.set {
			if other, twice := audiences[e.v.audience.v]; twice {
				r.fail(e.v.audience.at, "is already used by apis.%s (%s) — every API has an audience of its own", other.name, other.v.audience.at.ref())
			} else {
				audiences[e.v.audience.v] = e
			}
		}
		r.checkUpstreams(e.v, raw, c, ours)
		c.APIs = append(c.APIs, r.buildAPI(e, c, defaults))
	}
	var public val[publicURL]
	if raw.server.v != nil {
		public = raw.server.v.publicURL
	}
	r.routeTables(plain, public)
}

func (r *reader) checkUpstream(u val[*url.URL], raw *rawConfig, c *Config, ours func() []netip.Addr) {
	if !u.set || raw.server.v == nil {
		return
	}
	to := urlEndpoint(u.v)
	own := []struct {
		key  string
		addr string
		at   node
	}{{"server.listen", c.Server.Listen, raw.server.v.listen.at}, {key: "admin.listen", addr: c.Admin.Listen}}
	if raw.admin.v != nil {
		own[1].at = raw.admin.v.listen.at
	}
	for _, l := range own {
		if !to.reaches(listenEndpoint(l.addr), ours) {
			continue
		}
		where := "the default"
		if l.at.Node != nil {
			where = l.at.ref()
		}
		r.fail(u.at, "is this gateway's own address (%s, %s) — name the API's", l.key, where)
		return
	}
	if u.v.Scheme == "http" && !to.loopback() {
		r.warn(u.at, "requests and identity headers cross the network unencrypted — use https, or a network that you trust")
	}
	if public := raw.server.v.publicURL; public.set && to == urlEndpoint(public.v.url) {
		r.warn(u.at, "is the host of server.public_url (%s): where that leads back here, requests go in circles", public.at.ref())
	}
}

// inherited is an API's own value, else that of defaults where null does not switch it off.
func inherited[V any](own, fallback val[V]) val[V] {
	if own.present() {
		return own
	}
	return fallback
}

func (r *reader) buildAPI(e entry[*rawAPI], c *Config, defaults *rawDefaults) API {
	a := e.v
	out := API{
		Name:         e.name,
		Pos:          e.key.pos(),
		Audience:     a.audience.v,
		Scopes:       make(map[string]string),
		Algorithm:    a.algorithm.or(c.Tokens.Algorithm),
		TTL:          a.ttl.or(c.Tokens.TTL),
		Dialect:      a.dialect.or("rfc9068"),
		NarrowScopes: a.scopePolicy.v == "narrow",
		Issuers:      r.issuersOf(a, c),
		Observe:      a.mode.v == "observe",
		Revocation:   revocationOf(a.revocation, c.Revocation),
		Hosts:        plainList(a.hosts),
		StripPrefix:  a.stripPrefix.v,
		RateLimits:   limitsOf(e.name, inherited(a.rateLimit, defaults.rateLimit).v, "client"),
		Timeout:      inherited(a.timeout, defaults.timeout).or(defaultTimeout),
		MaxBody:      inherited(a.maxBody, defaults.maxBody).or(defaultMaxBody),
	}
	r.buildUpstreams(e, &out, defaults)
	r.buildOpenAPI(a, &out)
	out.Claims, out.Hook = r.buildClaims(a.claims.v, &out), r.buildHook(a.hook)
	for _, s := range a.scopes.v {
		out.Scopes[s.name] = s.v
	}
	forward := inherited(a.forward, defaults.forward).v
	if forward == nil {
		forward = new(rawForward)
	}
	out.KeepHost = forward.host.v == "keep"
	keep := func(observe bool) bool { return forward.authorization.or(keepUnder(observe)) == "keep" }
	out.KeepAuthorization = keep(out.Observe)
	for _, m := range a.routes.v {
		route := r.buildRoute(m, a, &out)
		route.KeepAuthorization = route.Auth == "public" || keep(route.Observe)
		out.Routes = append(out.Routes, route)
	}
	out.CORS = r.corsOf(inherited(a.cors, defaults.cors), &out)
	return out
}

// buildOpenAPI names the document of an API. What it says is for `check` to compare: routes are what the file says they are.
func (r *reader) buildOpenAPI(a *rawAPI, out *API) {
	if !a.openapi.set {
		return
	}
	out.OpenAPI, out.OpenAPIPos = near(a.openapi.at, a.openapi.v), a.openapi.at.pos()
	if _, err := r.files.file(out.OpenAPI, maxFile); err != nil {
		r.fail(a.openapi.at, "%v", err)
	}
}

// keepUnder is the default of forward.authorization: under observe the API's own authentication is still at work.
func keepUnder(observe bool) string {
	if observe {
		return "keep"
	}
	return "strip"
}

func (r *reader) buildRoute(m val[*rawRoute], a *rawAPI, api *API) Route {
	t := m.v
	if s := literal(t.match.v.path); s != "" {
		r.warn(t.match.at, "the segment %q is plain text here — a wildcard is {name}, or {name...} for the rest", clipText(s))
	}
	out := Route{
		Pos:       m.at.pos(),
		Match:     t.match.v.match,
		Method:    t.match.v.method,
		Pattern:   t.match.v.path,
		Auth:      t.auth.or("scopes"),
		Observe:   t.mode.or(modeOf(api.Observe)) == "observe",
		Timeout:   t.timeout.or(api.Timeout),
		MaxBody:   t.maxBody.or(api.MaxBody),
		Cost:      t.cost.or(1),
		Streaming: t.streaming.v,
		WebSocket: len(t.upgrade.v) > 0,
		AllowPath: plainList(t.allowPath),
	}
	if t.match.set {
		out.Pos = t.match.at.pos()
		if meant := nearest(out.Method, slices.Values(methods)); meant != "" && meant != out.Method {
			r.warn(t.match.at, "method %s is not a standard one — did you mean %s?", out.Method, meant)
		}
		if api.StripPrefix != "" {
			if err := under(out.Pattern, api.StripPrefix); err != nil {
				r.fail(t.match.at, "%q %v", out.Match, err)
			}
		}
	}
	r.routeScopes(m, a, api, &out)
	out.CloseOnExpiry = r.closeOnExpiry(t, &out)
	by := "client"
	if out.Auth == "public" {
		by = "ip"
	}
	out.RateLimits = limitsOf(api.Name+" "+out.Match, t.rateLimit.v, by)
	r.checkCost(m, api, &out)
	if out.WebSocket && api.UpstreamProtocol != "http1" {
		r.fail(t.upgrade.at, "a WebSocket begins with HTTP/1.1, and upstream_protocol is %s — give these routes an API of their own", api.UpstreamProtocol)
	}
	return out
}

// closeOnExpiry reports a route that has nothing to close, or no token that could expire.
func (r *reader) closeOnExpiry(t *rawRoute, out *Route) bool {
	switch {
	case !t.closeOnExpiry.v:
		return false
	case !out.WebSocket:
		r.fail(t.closeOnExpiry.at, "closes WebSockets, which this route does not take — add upgrade: [websocket], or remove it")
	case out.Auth == "public":
		r.fail(t.closeOnExpiry.at, "a public route reads no token that could expire — remove it")
	}
	return true
}

func modeOf(observe bool) string {
	if observe {
		return "observe"
	}
	return "enforce"
}

// routeScopes checks that a route says exactly one of scopes and auth, and that the API declares its scopes.
func (r *reader) routeScopes(m val[*rawRoute], a *rawAPI, api *API, out *Route) {
	t := m.v
	switch {
	case t.scopes.present() && t.auth.present():
		r.fail(t.auth.at, "scopes and auth exclude each other — remove one")
	case !t.scopes.present() && !t.auth.present():
		r.fail(m.at, "a route says who may use it — add scopes: […], or auth: token, or auth: public")
	}
	if !t.scopes.set {
		return
	}
	for _, s := range t.scopes.v.named() {
		r.checkDeclared(s, a, api)
	}
	for _, s := range t.scopes.v.all {
		out.All = append(out.All, s.v)
	}
	for _, member := range t.scopes.v.any {
		var set []string
		for _, s := range member {
			set = append(set, s.v)
		}
		out.Any = append(out.Any, set)
	}
}

// checkDeclared reports a scope that the API does not declare.
func (r *reader) checkDeclared(s val[string], a *rawAPI, api *API) {
	if _, ok := api.Scopes[s.v]; ok || a.scopes.present() && !a.scopes.set {
		return
	}
	r.fail(s.at, "unknown scope %q%s", clipText(s.at.Value), declaredAt(s.v, a, api))
}

// declaredAt is the suggestion for a scope that an API does not declare, with the place of the one that was meant.
func declaredAt(scope string, a *rawAPI, api *API) string {
	best := nearScope(scope, slices.Sorted(maps.Keys(api.Scopes)))
	for _, e := range a.scopes.v {
		if e.name == best {
			return fmt.Sprintf(" — did you mean %q? (declared at %s)", best, e.key.ref())
		}
	}
	return fmt.Sprintf(" — declare it under apis.%s.scopes", api.Name)
}

// limitsOf names the limits: the first by name alone, the later ones with #2, #3.
func limitsOf(name string, raw []*rawLimit, by string) []RateLimit {
	var out []RateLimit
	for i, l := range raw {
		n := name
		if i > 0 {
			n = fmt.Sprintf("%s#%d", name, i+1)
		}
		out = append(out, RateLimit{
			Name: n, Requests: l.requests.v, Per: l.per.v, Burst: l.burst.or(l.requests.v),
			By: l.by.or(by), OnError: l.onError.or("local"),
		})
	}
	return out
}

// checkCost reports a cost that no full bucket could pay.
func (r *reader) checkCost(m val[*rawRoute], api *API, out *Route) {
	for _, l := range slices.Concat(api.RateLimits, out.RateLimits) {
		if l.Burst > 0 && out.Cost > l.Burst {
			at := m.v.cost.at
			if !m.v.cost.present() {
				at = m.at
			}
			r.fail(at, "cost %d is above the burst %d of the limit %q, so that no request would pass — lower the cost, or raise the burst", out.Cost, l.Burst, l.Name)
		}
	}
}
