package config

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A host's table says which paths its routes take. Overlaps are found by http.ServeMux itself, which the gateway matches
// with: whatever loads here can be registered there.
type hostTable struct {
	mux   *http.ServeMux
	paths map[string]*pathRoutes // by shape
}

// pathRoutes are the routes of one path: one for each method, and one at most for the methods that none names.
type pathRoutes struct {
	first   val[pattern]
	methods map[string]val[pattern]
}

// routeTables checks the routes of all APIs against each other and against our own endpoints.
func (r *reader) routeTables(apis []*rawAPI, public val[publicURL]) {
	tables := make(map[string]*hostTable)
	reported := make(map[[2]Pos]bool) // two APIs may meet on several hosts; one report is enough
	for _, a := range apis {
		hosts := []string{""} // the hosts that nobody names
		if a.hosts.set {
			hosts = plainList(a.hosts)
		}
		for _, host := range hosts {
			t := tables[host]
			if t == nil {
				t = &hostTable{http.NewServeMux(), make(map[string]*pathRoutes)}
				tables[host] = t
			}
			for _, route := range a.routes.v {
				if route.v.match.set {
					t.add(r, route.v.match, reported)
				}
			}
		}
	}
	if public.set {
		r.ownPaths(apis, public.v)
	}
}

func (t *hostTable) add(r *reader, m val[pattern], reported map[[2]Pos]bool) {
	shape := shapeOf(m.v.path)
	known := t.paths[shape]
	if known == nil {
		known = &pathRoutes{m, make(map[string]val[pattern])}
		if other, example := t.register(m.v.path); other != "" {
			first := t.paths[shapeOf(other)].first
			if key := [2]Pos{first.at.pos(), m.at.pos()}; !reported[key] {
				reported[key] = true
				r.fail(m.at, "%q overlaps %q (%s): both match %s and neither is more specific — make one more specific, or name the hosts",
					m.v.path, first.v.path, first.at.ref(), example)
			}
			return
		}
		t.paths[shape] = known
	}
	first, twice := known.methods[m.v.method]
	if !twice {
		known.methods[m.v.method] = m
		return
	}
	key := [2]Pos{first.at.pos(), m.at.pos()}
	if reported[key] {
		return
	}
	reported[key] = true
	what := "method " + m.v.method
	if m.v.method == "" {
		what = "a route without a method"
	}
	r.fail(m.at, "%s of this path is set twice — first set as %q at %s", what, first.v.match, first.at.ref())
}

// conflict finds the other pattern in ServeMux's message, and the path that both match.
var conflict = regexp.MustCompile(`conflicts with pattern ("(?:[^"\\]|\\.)*")[^\n]*\n.*like ("(?:[^"\\]|\\.)*")`)

// register adds a path to the mux. Where it conflicts, other is the pattern that stood there first and example a path
// that both match.
func (t *hostTable) register(path string) (other, example string) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		m := conflict.FindStringSubmatch(fmt.Sprint(p))
		if m == nil {
			panic(p) // checkPath and shapeOf keep every other refusal from happening
		}
		other, _ = strconv.Unquote(m[1])
		example, _ = strconv.Unquote(m[2])
	}()
	t.mux.Handle(path, http.NotFoundHandler())
	return "", ""
}

// ownPaths reports routes that name one of our own endpoints, on the host where those live: the host of public_url,
// with the routes of APIs without hosts where nobody names it. The metadata documents of APIs (RFC 9728) have a whole
// subtree, there and on every host that has one.
func (r *reader) ownPaths(apis []*rawAPI, public publicURL) {
	host := urlEndpoint(public.url).host
	named := slices.ContainsFunc(apis, func(a *rawAPI) bool { return slices.Contains(plainList(a.hosts), host) })
	prefix := strings.TrimSuffix(public.url.Path, "/")
	own := []string{
		prefix + "/oauth/token", prefix + "/oauth/revoke", prefix + "/oauth/introspect",
		prefix + "/.well-known/jwks.json", prefix + "/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server" + prefix,
	}
	documents := documentHosts(apis)
	for _, a := range apis {
		hosts := plainList(a.hosts)
		public := slices.Contains(hosts, host) || !named && !a.hosts.set
		documented := public || slices.ContainsFunc(hosts, func(h string) bool { return documents[h] })
		for _, route := range a.routes.v {
			m := route.v.match
			below := m.v.path == resource || strings.HasPrefix(m.v.path, resource+"/")
			if m.set && (public && slices.Contains(own, m.v.path) || documented && below) {
				r.fail(m.at, "%s is Gatehouse's own endpoint on this host — choose another path", m.v.path)
			}
		}
	}
}

// resource is where the metadata documents of APIs are (RFC 9728), before the path of the audience.
const resource = "/.well-known/oauth-protected-resource"

// documentHosts are the hosts of APIs that have a metadata document there: an audience that is a URL on such a host.
func documentHosts(apis []*rawAPI) map[string]bool {
	hosts := make(map[string]bool)
	for _, a := range apis {
		u, err := url.Parse(a.audience.v)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		for _, h := range plainList(a.hosts) {
			hosts[h] = hosts[h] || strings.Trim(h, "[]") == strings.ToLower(u.Hostname())
		}
	}
	return hosts
}

// plainList is a list without positions, each member once.
func plainList(l val[[]val[string]]) []string {
	var out []string
	for _, m := range l.v {
		if !slices.Contains(out, m.v) {
			out = append(out, m.v)
		}
	}
	return out
}
