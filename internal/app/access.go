package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gatehouse/authz"
	"gatehouse/internal/adminapi"
	"gatehouse/internal/config"
	"gatehouse/internal/trace"
	"gatehouse/proxy"
	"gatehouse/tokenep"
)

// RouteRow is one route with what it requires, as it is listed.
type RouteRow struct {
	API       string     `json:"api"`
	Hosts     []string   `json:"hosts"`  // empty: those that no API names
	Method    string     `json:"method"` // "": what the path's other routes do not name
	Pattern   string     `json:"pattern"`
	Match     string     `json:"match"`
	Auth      string     `json:"auth"` // scopes, token or public
	All       []string   `json:"scopes"`
	Any       [][]string `json:"any_scopes,omitempty"` // every scope of at least one member, too
	Limits    []string   `json:"limits"`
	Upstreams []string   `json:"upstreams"`
	Observe   bool       `json:"observe,omitempty"`
	Where     string     `json:"where"`
}

// Routes are the routes of a configuration, by API, in the order of the file.
func Routes(cfg *config.Config) []RouteRow {
	list := []RouteRow{}
	for _, api := range cfg.APIs {
		for _, r := range api.Routes {
			list = append(list, routeRow(api, r))
		}
	}
	return list
}

func routeRow(api config.API, r config.Route) RouteRow {
	row := RouteRow{API: api.Name, Hosts: orEmpty(api.Hosts), Method: r.Method, Pattern: r.Pattern, Match: r.Match, Auth: r.Auth, All: orEmpty(r.All), Any: r.Any,
		Limits: []string{}, Upstreams: []string{}, Observe: r.Observe, Where: where(r.Pos)}
	for _, l := range slices.Concat(api.RateLimits, r.RateLimits) {
		row.Limits = append(row.Limits, fmt.Sprintf("%d per %s by %s", l.Requests, l.Per, l.By))
	}
	for _, u := range api.Upstreams {
		row.Upstreams = append(row.Upstreams, u.URL.Redacted())
	}
	return row
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Needs are the scopes that a route asks for, in words: all of them, and one of the alternatives after them.
func (r RouteRow) Needs() string {
	switch r.Auth {
	case "public":
		return "public"
	case "token":
		return "any token"
	}
	parts := slices.Clone(r.All)
	var any []string
	for _, member := range r.Any {
		any = append(any, strings.Join(member, "+"))
	}
	if len(any) > 0 {
		parts = append(parts, "("+strings.Join(any, " | ")+")")
	}
	return strings.Join(parts, " ")
}

// Reach are the routes that a client of ours may use with all that it is granted, public ones included.
func (o *Offline) Reach(client string) ([]RouteRow, error) {
	c := o.snap.client(client)
	if c == nil {
		return nil, o.noClient(client)
	}
	list := []RouteRow{}
	tokens := map[string]*authz.Principal{}
	for _, rt := range o.snap.gateway.Routes() {
		if rt.Public || o.may(c, rt, tokens) {
			list = append(list, routeRow(*o.snap.api(rt.API.Name), *o.snap.route(rt.API.Name, rt.Match)))
		}
	}
	return list, nil
}

func (o *Offline) noClient(id string) error {
	t := &trace.Trace{}
	o.snap.nearClient(t, id)
	hint := "gatehouse client list shows those that there are"
	if len(t.Near) > 0 {
		hint = "did you mean " + strings.TrimPrefix(t.Near[0].Text, "the client ") + "?"
	}
	return fmt.Errorf("%s has no client %q — %s", o.snap.cfg.File, trace.Shown(id), hint)
}

// may reports whether a client may use a route that is not public, with a token of the route's API and all that is granted.
// tokens keeps those that were made, by API.
func (o *Offline) may(c *config.Client, rt *proxy.Route, tokens map[string]*authz.Principal) bool {
	api := rt.API.Name
	p, made := tokens[api]
	if !made {
		p, _ = o.snap.endpoint.Preview(tokenep.Wish{Client: c.ID, Audience: rt.Policy.Audience})
		tokens[api] = p
	}
	return p != nil && o.snap.gateway.Judge(p, rt).Allowed
}

// Access is who may send a kind of request.
type Access struct {
	Method  string   `json:"method"`
	Path    string   `json:"path"`
	API     string   `json:"api,omitempty"`
	Route   string   `json:"route,omitempty"` // "": none takes it
	Where   string   `json:"where,omitempty"`
	Public  bool     `json:"public"`  // everybody, without a token
	Clients []string `json:"clients"` // ours, by id
	Others  []string `json:"others"`  // clients of other issuers, as classes
	Observe bool     `json:"observe,omitempty"`
}

// WhoCan finds the clients that may send a request. The trace is that of a request without a token; it says why where no route
// takes it, and is nil where one does.
func (o *Offline) WhoCan(ctx context.Context, method, url string) (Access, *trace.Trace, error) {
	t, err := o.Explain(ctx, adminapi.ExplainRequest{Method: method, URL: url})
	if err != nil {
		return Access{}, nil, err
	}
	a := Access{Method: t.Method, Path: t.Path, API: t.API, Route: t.Route, Where: t.Where, Clients: []string{}, Others: []string{}}
	if t.Route == "" {
		return a, t, nil
	}
	i := slices.IndexFunc(o.snap.gateway.Routes(), func(r *proxy.Route) bool { return r.API.Name == t.API && r.Match == t.Route })
	rt := o.snap.gateway.Routes()[i]
	a.Public, a.Observe = rt.Public, rt.Observe
	a.Clients, a.Others = o.callers(rt)
	return a, nil, nil
}

// callers are who may use a route that asks for a token: our clients by id, and the clients of other issuers as a class.
func (o *Offline) callers(rt *proxy.Route) (clients, others []string) {
	clients, others = []string{}, []string{}
	if rt.Public {
		return clients, others
	}
	for i := range o.snap.cfg.Clients {
		if c := &o.snap.cfg.Clients[i]; o.may(c, rt, map[string]*authz.Principal{}) {
			clients = append(clients, c.ID)
		}
	}
	row := routeRow(*o.snap.api(rt.API.Name), *o.snap.route(rt.API.Name, rt.Match))
	for _, issuer := range rt.Policy.Issuers {
		if issuer != authz.Local {
			others = append(others, "any client of "+issuer+" with "+row.Needs())
		}
	}
	return clients, others
}

// methodsToTry are those by which the route of a pattern without a method is found.
var methodsToTry = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodHead}
