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
type kindOfRequest struct{ host, match, method, path string }

// DiffAccess compares two configurations by asking both who may send the requests that any of their routes takes. A request is
// followed to whichever route takes it, so that a new route in front of an old one shows as what it is.
func DiffAccess(before, after *Offline) []AccessChange {
	kinds := map[kindOfRequest]bool{}
	deepest := max(before.deepest(), after.deepest())
	for _, o := range []*Offline{before, after} {
		for _, rt := range o.snap.gateway.Routes() {
			for _, host := range hostsOf(rt) {
				for _, k := range o.kindsOf(rt, host, deepest) {
					kinds[k] = true
				}
			}
		}
	}
	changes := []AccessChange{}
	seen := map[string]bool{} // one route of both, which is asked about by each
	inOrder := slices.SortedFunc(maps.Keys(kinds), func(a, b kindOfRequest) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.match, b.match), cmp.Compare(a.method, b.method), cmp.Compare(a.path, b.path))
	})
	for _, k := range inOrder {
		c, was, is := AccessChange{Host: k.host, Match: k.match}, before.resolve(k), after.resolve(k)
		c.OldRoute, c.OldWhere = routeAndPlace(was)
		c.NewRoute, c.NewWhere = routeAndPlace(is)
		key := strings.Join([]string{k.host, k.method, c.OldRoute, c.OldWhere, c.NewRoute, c.NewWhere}, "\x00")
		if seen[key] {
			continue
		}
		seen[key] = true
		could, can := before.whoMay(was), after.whoMay(is)
		if c.Gains, c.Loses = gained(could, can), gained(can, could); len(c.Gains)+len(c.Loses) > 0 {
			changes = append(changes, c)
		}
	}
	return changes
}

func hostsOf(rt *proxy.Route) []string {
	if len(rt.API.Hosts) == 0 {
		return []string{""}
	}
	return rt.API.Hosts
}

// deepest is how many segments the longest pattern has.
func (o *Offline) deepest() (n int) {
	for _, rt := range o.snap.gateway.Routes() {
		n = max(n, strings.Count(rt.Pattern, "/"))
	}
	return n
}

// kindsOf are requests that reach the route on the host, and not another one in front of it: one for each number of segments
// that other patterns may count on, where the route takes any number. The method is the route's own, or one that no other route
// of its path names.
func (o *Offline) kindsOf(rt *proxy.Route, host string, deepest int) (kinds []kindOfRequest) {
	methods := []string{rt.Method}
	if rt.Method == "" {
		methods = o.methods()
	}
	for _, path := range examplePaths(rt.Pattern, deepest+1) {
		for _, m := range methods {
			k := kindOfRequest{host, rt.Match, m, path}
			if found := o.resolve(k); found != nil && found.API.Name == rt.API.Name && found.Match == rt.Match {
				kinds = append(kinds, k)
				break
			}
		}
	}
	return kinds
}

// methods are those by which the route of a pattern without a method may be reached.
func (o *Offline) methods() []string {
	list := slices.Clone(methodsToTry)
	for _, rt := range o.snap.gateway.Routes() {
		if rt.Method != "" && !slices.Contains(list, rt.Method) {
			list = append(list, rt.Method)
		}
	}
	return list
}

// anyHost is one that nobody names.
const anyHost = "a-host-that-no-api-names.invalid"

func (o *Offline) resolve(k kindOfRequest) *proxy.Route {
	host := k.host
	if host == "" {
		host = anyHost
	}
	return o.snap.gateway.Resolve(k.method, host, k.path)
}

// examplePaths are paths that the pattern takes, and hardly any other pattern that it is compared with. Where it takes any
// number of segments at its end, there is one for each number up to so many in all.
func examplePaths(pattern string, segments int) (paths []string) {
	const example = "any-1a2b3c"
	list := strings.Split(pattern, "/")[1:]
	last := len(list) - 1
	open := list[last] == "" || strings.HasSuffix(list[last], "...}")
	for i, s := range list {
		switch {
		case s == "{$}" || i == last && open:
			list[i] = ""
		case strings.HasPrefix(s, "{"):
			list[i] = example
		}
	}
	for {
		paths = append(paths, (&url.URL{Path: "/" + strings.Join(list, "/")}).EscapedPath())
		if !open || len(list) >= segments && len(paths) > 1 {
			return paths
		}
		if list[len(list)-1] == "" {
			list = list[:len(list)-1] // the path that ends with a slash comes first
		}
		list = append(list, example)
	}
}

// routeAndPlace names a route as a change does; nil is no route.
func routeAndPlace(rt *proxy.Route) (route, where string) {
	if rt == nil {
		return "", ""
	}
	return rt.API.Name + " " + rt.Match, rt.Where
}

// mayer is who may send a request.
type mayer struct {
	who    []string
	anyone bool // everybody may; who says why
}

// whoMay is who may use a route; nobody, where it is nil.
func (o *Offline) whoMay(rt *proxy.Route) (m mayer) {
	if rt == nil {
		return m
	}
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
