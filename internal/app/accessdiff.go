package app

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"gatehouse/proxy"
)

// AccessChange is what another configuration makes of a kind of request: who may send it in the new one alone, and who could
// in the old one alone.
type AccessChange struct {
	Host     string   `json:"host,omitempty"` // "": the hosts that no API names
	Match    string   `json:"match"`          // the method, if any, and the pattern of the route, of either configuration
	Gains    []string `json:"gains"`          // "client ID", "anyone, without a token", "any client of ISSUER with SCOPES"
	Loses    []string `json:"loses"`
	OldRoute string   `json:"old_route,omitempty"` // what takes the request in each; "": nothing
	OldWhere string   `json:"old_where,omitempty"`
	NewRoute string   `json:"new_route,omitempty"`
	NewWhere string   `json:"new_where,omitempty"`
}

// kindOfRequest is what a route of one of the configurations takes.
type kindOfRequest struct{ host, match, method, pattern string }

// DiffAccess compares two configurations by asking both who may send the requests that any of their routes takes. A request is
// followed to whichever route takes it, so that a new route in front of an old one shows as what it is.
func DiffAccess(before, after *Offline) []AccessChange {
	kinds := map[kindOfRequest]bool{}
	for _, o := range []*Offline{before, after} {
		for _, rt := range o.snap.gateway.Routes() {
			for _, host := range hostsOf(rt) {
				if method := o.methodOf(rt, host); method != "" {
					kinds[kindOfRequest{host, rt.Match, method, rt.Pattern}] = true
				}
			}
		}
	}
	changes := []AccessChange{}
	seen := map[string]bool{} // one route of both, which is asked about by each
	inOrder := slices.SortedFunc(maps.Keys(kinds), func(a, b kindOfRequest) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.match, b.match), cmp.Compare(a.method, b.method))
	})
	for _, k := range inOrder {
		was, is := before.whoMay(k), after.whoMay(k)
		c := AccessChange{Host: k.host, Match: k.match, Gains: gained(was, is), Loses: gained(is, was),
			OldRoute: was.route, OldWhere: was.where, NewRoute: is.route, NewWhere: is.where}
		key := strings.Join([]string{k.host, k.method, was.route, was.where, is.route, is.where}, "\x00")
		if len(c.Gains)+len(c.Loses) == 0 || seen[key] {
			continue
		}
		seen[key] = true
		changes = append(changes, c)
	}
	return changes
}

func hostsOf(rt *proxy.Route) []string {
	if len(rt.API.Hosts) == 0 {
		return []string{""}
	}
	return rt.API.Hosts
}

// methodOf is a method by which the route takes a request on the host: its own, or one that no other route of its path names;
// "" where there is none left.
func (o *Offline) methodOf(rt *proxy.Route, host string) string {
	if rt.Method != "" {
		return rt.Method
	}
	for _, m := range methodsToTry {
		if found := o.resolve(kindOfRequest{host, rt.Match, m, rt.Pattern}); found != nil && found.API.Name == rt.API.Name && found.Match == rt.Match {
			return m
		}
	}
	return ""
}

// anyHost is one that nobody names.
const anyHost = "a-host-that-no-api-names.invalid"

func (o *Offline) resolve(k kindOfRequest) *proxy.Route {
	host := k.host
	if host == "" {
		host = anyHost
	}
	return o.snap.gateway.Resolve(k.method, host, examplePath(k.pattern))
}

// examplePath is a path that the pattern takes, and hardly any other pattern that it is compared with.
func examplePath(pattern string) string {
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		switch {
		case s == "{$}":
			segments[i] = ""
		case strings.HasPrefix(s, "{"), s == "" && i == len(segments)-1 && i > 0 && pattern != "/":
			segments[i] = "any-1a2b3c"
		}
	}
	return (&url.URL{Path: strings.Join(segments, "/")}).EscapedPath()
}

// mayer is who may send a request, and by which route.
type mayer struct {
	who          []string
	anyone       bool // everybody may; who says why
	route, where string
}

func (o *Offline) whoMay(k kindOfRequest) (m mayer) {
	rt := o.resolve(k)
	if rt == nil {
		return m
	}
	m.route, m.where = rt.API.Name+" "+rt.Match, rt.Where
	if rt.Public {
		m.who, m.anyone = []string{"anyone, without a token"}, true
		return m
	}
	if m.anyone = rt.Observe; rt.Observe {
		m.who = append(m.who, "anyone, while the route is only observed")
	}
	clients, others := o.callers(rt)
	for _, id := range clients {
		m.who = append(m.who, "client "+id)
	}
	m.who = append(m.who, others...)
	return m
}

// gained are those who may by after and might not by before; never nil. Where everybody might, nobody gains by a name.
func gained(before, after mayer) []string {
	out := []string{}
	for _, who := range after.who {
		if !slices.Contains(before.who, who) && (!before.anyone || strings.HasPrefix(who, "anyone")) {
			out = append(out, who)
		}
	}
	return out
}
