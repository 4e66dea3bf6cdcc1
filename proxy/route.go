package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The methods that may be asked for on any path; others only where a route names them.
var standard = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// tables are the routes by host.
type tables struct {
	hosts   map[string]*table
	rest    *table          // of the hosts that nobody names; nil: they are not served
	methods map[string]bool // standard, or named by a route
}

// table is the routes of one host. ServeMux knows the paths and nothing of methods, so that a path that names the method
// never yields to a less specific one that does.
type table struct {
	mux   *http.ServeMux
	paths map[string]*path // by pattern, without the names of wildcards
	cors  []*cors          // of the APIs that have it, each once, in the order of their routes
}

// path is one pattern with what is served under it: routes by method, or an endpoint of our own.
type path struct {
	pattern string
	methods map[string]*served
	any     *served // the route without a method; nil: none
	own     http.Handler
}

// ServeHTTP makes a path a value that ServeMux can hold. It is looked up there and never called.
func (*path) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

func newTables(o *Options, routes []*served) (*tables, error) {
	t := &tables{hosts: map[string]*table{}, methods: map[string]bool{}}
	for _, m := range standard {
		t.methods[m] = true
	}
	for _, rt := range routes {
		t.methods[rt.Method] = true
		for _, h := range rt.API.Hosts {
			name := canonicalHost(h)
			if name == "" {
				return nil, fmt.Errorf("API %q: %q is no host name", rt.API.Name, h)
			}
			t.hosts[name] = nil
		}
	}
	delete(t.methods, "")
	public := canonicalHost(o.PublicURL.Host)
	if public == "" {
		return nil, fmt.Errorf("public URL: %q is no host name", o.PublicURL.Host)
	}
	if len(t.hosts) == 0 {
		var err error
		t.rest, err = newTable(routes, o.Own, o.Documents[public])
		return t, err
	}
	t.hosts[public] = nil
	return t, t.fill(o, routes, public)
}

// fill makes the table of each host that is named, and that of the others.
func (t *tables) fill(o *Options, routes []*served, public string) (err error) {
	for host := range t.hosts {
		of := servedOn(routes, host)
		if len(of) == 0 { // the public host, named by no API
			of = servedOn(routes, "")
		}
		own := o.Own
		if host != public {
			own = nil
		}
		if t.hosts[host], err = newTable(of, own, o.Documents[host]); err != nil {
			return err
		}
	}
	if of := servedOn(routes, ""); len(of) > 0 {
		t.rest, err = newTable(of)
	}
	return err
}

// servedOn are the routes of the APIs that name host; of those that name none where host is "".
func servedOn(routes []*served, host string) (list []*served) {
	for _, rt := range routes {
		named := slices.ContainsFunc(rt.API.Hosts, func(h string) bool { return canonicalHost(h) == host })
		if named || host == "" && len(rt.API.Hosts) == 0 {
			list = append(list, rt)
		}
	}
	return list
}

func newTable(routes []*served, own ...map[string]http.Handler) (*table, error) {
	t := &table{mux: http.NewServeMux(), paths: map[string]*path{}}
	for _, handlers := range own {
		for p, h := range handlers {
			if strings.HasSuffix(p, "/") {
				p += "{$}"
			}
			entry, err := t.path(p)
			if err != nil {
				return nil, err
			}
			entry.own = h
		}
	}
	for _, rt := range routes {
		if rt.cors != nil && !slices.Contains(t.cors, rt.cors) {
			t.cors = append(t.cors, rt.cors)
		}
		entry, err := t.path(rt.Pattern)
		if err == nil {
			err = entry.add(rt)
		}
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", rt.Match, err)
		}
	}
	return t, nil
}

// path returns the entry for a pattern. That ServeMux panics where patterns overlap becomes an error.
func (t *table) path(pattern string) (p *path, err error) {
	key := nameless(pattern)
	if p := t.paths[key]; p != nil {
		return p, nil
	}
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, fmt.Errorf("%v", v)
		}
	}()
	p = &path{pattern: pattern, methods: map[string]*served{}}
	if !strings.HasPrefix(pattern, "/") {
		return nil, fmt.Errorf("pattern %q does not start with /", pattern)
	}
	t.mux.Handle(pattern, p)
	t.paths[key] = p
	return p, nil
}

func (p *path) add(rt *served) error {
	if p.own != nil {
		return errors.New("the path is an endpoint of the gateway itself")
	}
	if rt.Method == "" {
		if p.any != nil {
			return fmt.Errorf("%q is there already", p.any.Match)
		}
		p.any = rt
		return nil
	}
	if other := p.methods[rt.Method]; other != nil {
		return fmt.Errorf("%q is there already", other.Match)
	}
	p.methods[rt.Method] = rt
	return nil
}

// nameless is a pattern without the names of its wildcards: patterns that match the same paths have one.
func nameless(pattern string) string {
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		switch last := i == len(segments)-1; {
		case last && s == "", isWildcard(s) && strings.HasSuffix(s, "...}"):
			segments[i] = "{...}"
		case isWildcard(s):
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

func isWildcard(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") && segment != "{$}"
}
