package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/trace"
)

// Question asks what would become of a request. The zero value of each field but Method and Target is what a request has
// that does not say so.
type Question struct {
	Method string
	// Target is the request target: a path that may have a query, as it would be sent.
	Target string
	// Host is the Host header. "": that of the public URL, or the first host whose routes take the path.
	Host string
	// Token is the bearer token; "" is none. Principal stands in for a token that is assumed to have been verified; it wins.
	Token     string
	Principal *authz.Principal
	// Unverified takes the token's signature for good, where the one who asks has no keys.
	Unverified bool
	// At is the moment for which the token is judged. Revocations, clients and limits are always those of now. Zero: now.
	At time.Time
	// Remote is the client's address, for limits by address. The zero Addr is not known, and such limits are not checked.
	Remote netip.Addr
}

// Explain takes the question through every step that a request of this kind passes, by the same code, but for the upstream,
// which is not asked. It charges no limit and remembers no token.
func (g *Gateway) Explain(ctx context.Context, q Question) *trace.Trace {
	r := &http.Request{Method: q.Method, RequestURI: q.Target, Host: q.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
	r = r.WithContext(ctx)
	var notes []string
	if r.Host == "" {
		if r.Host = g.hostFor(q.Target); r.Host != g.o.PublicURL.Host {
			notes = append(notes, "no host was given: the path is judged as one of "+r.Host)
		}
	}
	if q.Token != "" {
		r.Header.Set("Authorization", "Bearer "+q.Token)
	}
	c := &call{gw: g, r: r, what: &q, remote: q.Remote, rec: exchange.Record{Method: q.Method, Host: r.Host}}
	waived, refused := c.decide()
	d := refused
	if d == nil {
		d = waived
	}
	t := c.evidence(d).Trace()
	if refused == nil && waived != nil {
		t.Verdict = trace.WouldDeny
	}
	if s := t.Step(trace.Upstream); s != nil && d == nil {
		s.Outcome, s.Fact = trace.NotChecked, "the upstream is not asked"
	}
	if s := t.Step(trace.Limit); s != nil && s.Outcome == trace.Passed && c.addressless() {
		s.Outcome, s.Fact = trace.NotChecked, "a limit counts by address, and the question names none"
	}
	t.Notes = notes
	return t
}

// addressless reports whether a limit counts the address of a question that has none: no bucket that was looked at is the one
// of the caller that is meant.
func (c *call) addressless() bool {
	if c.route == nil || c.remote.IsValid() {
		return false
	}
	if c.principal == nil {
		return len(c.route.charging.byAddr) > 0
	}
	return len(c.route.charging.ip) > 0
}

// hostFor is the host of the public URL where it serves the path, else the first other one that does, else that of the public
// URL again.
func (g *Gateway) hostFor(target string) string {
	public := g.o.PublicURL.Host
	path, why := parseTarget(target)
	if t := g.tables.of(canonicalHost(public)); why != "" || t != nil && t.find(&path) != nil {
		return public
	}
	for _, host := range g.tables.names() {
		if g.tables.hosts[host].find(&path) != nil {
			return host
		}
	}
	return public
}

// names are the hosts that some API names, and that of the public URL where there are any, sorted.
func (t *tables) names() (list []string) {
	for host := range t.hosts {
		list = append(list, host)
	}
	slices.Sort(list)
	return list
}

// Resolve finds the route of a request as Explain would, without judging anybody's token; nil where none takes it.
func (g *Gateway) Resolve(method, host, target string) *Route {
	r := &http.Request{Method: method, RequestURI: target, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
	c := &call{gw: g, r: r}
	if c.gate() != nil || c.match() != nil || c.route == nil {
		return nil
	}
	return c.route.Route
}

// Near adds to the trace of a refusal by path or method what may have been meant, by the routes of this gateway.
func (g *Gateway) Near(t *trace.Trace) {
	host := canonicalHost(t.Host)
	table := g.tables.of(host)
	path, why := parseTarget(t.Path)
	if why != "" {
		return
	}
	switch authz.Reason(t.Reason) {
	case authz.MethodNotAllowed:
		if table == nil {
			return
		}
		if p := table.find(&path); p != nil {
			t.Near = append(t.Near, p.lines("")...)
			t.Near = append(t.Near, table.outdone(p, &path, t.Method)...)
		}
	case authz.NoRoute, authz.MalformedRequest:
		t.Near = append(t.Near, g.elsewhere(host, &path)...)
		if len(t.Near) == 0 && authz.Reason(t.Reason) == authz.NoRoute {
			t.Near = append(t.Near, table.nearest(t.Method, t.Path)...)
		}
	}
}

// elsewhere are the routes of that very path on other hosts.
func (g *Gateway) elsewhere(host string, path *canonical) (out []trace.Line) {
	for _, name := range g.tables.names() {
		if name == host {
			continue
		}
		if p := g.tables.hosts[name].find(path); p != nil {
			out = append(out, p.lines(" on the host "+name)...)
		}
	}
	return out
}

// lines are the routes of a path, by method.
func (p *path) lines(suffix string) (out []trace.Line) {
	for _, method := range strings.Split(p.allow(), ", ") {
		if rt := p.methods[method]; rt != nil {
			out = append(out, trace.Line{Text: rt.Match + suffix, Where: rt.Where})
		}
	}
	if p.any != nil {
		out = append(out, trace.Line{Text: p.any.Match + suffix, Where: p.any.Where})
	}
	return out
}

// Judge says whether a verified token may use a route, by its policy and the state of now alone.
func (g *Gateway) Judge(p *authz.Principal, rt *Route) authz.Decision {
	return authz.Decide(p, &rt.Policy, authz.Read(g.o.Revocations, g.o.Clients, p), g.now().Unix())
}

// Routes are all routes, in the order in which New was given them. The caller must not change them.
func (g *Gateway) Routes() []*Route { return g.o.Routes }
