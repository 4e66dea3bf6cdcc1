package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/internal/openapi"
)

// routesTest are tests of what each route answers: to the first client, to a token that lacks a scope, and without one. Routes for
// which no path is found that no other route takes have none.
func routesTest(p *initProject) string {
	var b strings.Builder
	b.WriteString("# What each route must answer. Try it with:  gatehouse routes test routes_test.yaml\n")
	plan := p.config.Plan
	find := newPathFinder(plan.Routes)
	for _, r := range plan.Routes {
		path := find.example(r)
		if path == "" {
			continue
		}
		method := r.Method
		if method == "" {
			method = http.MethodGet
		}
		request := strconv.Quote(method + " " + path)
		if r.Requirement.Auth == openapi.Public {
			fmt.Fprintf(&b, "- {request: %s, want: allow}\n", request)
			continue
		}
		fmt.Fprintf(&b, "- {request: %s, client: %s, want: allow}\n", request, p.client)
		if some, ok := r.Requirement.Lacking(plan.Scopes); ok && len(some) > 0 { // no scope at all reads as all that is granted
			fmt.Fprintf(&b, "- {request: %s, client: %s, scopes: %s, want: insufficient_scope}\n", request, p.client, flowList(some[:min(len(some), 3)]))
		}
		fmt.Fprintf(&b, "- {request: %s, want: missing_token}\n", request)
	}
	return b.String()
}

// flowList is a list in YAML. A scope holds no quotes and no backslashes.
func flowList(scopes []string) string {
	var out []string
	for _, s := range scopes {
		out = append(out, `"`+s+`"`)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// pathFinder finds paths that take a route of a plan and none of the others.
type pathFinder struct{ mux *http.ServeMux }

func newPathFinder(routes []openapi.Route) pathFinder {
	mux := http.NewServeMux()
	seen := make(map[string]bool)
	for _, o := range routes {
		if shape := openapi.Shape(o.Pattern); !seen[shape] {
			seen[shape] = true
			mux.Handle(o.Pattern, http.NotFoundHandler())
		}
	}
	return pathFinder{mux}
}

// example is a path that the route takes and none of the others, as a request has it; empty where none is found.
func (f pathFinder) example(r openapi.Route) string {
	for _, value := range []string{"1", "x1", "a-gatehouse-example"} {
		segments := strings.Split(r.Pattern, "/")
		for i, s := range segments {
			switch {
			case s == "{$}" || strings.HasSuffix(s, "...}"):
				segments[i] = ""
			case strings.HasPrefix(s, "{"):
				segments[i] = value
			}
		}
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: strings.Join(segments, "/")}}
		if _, pattern := f.mux.Handler(req); openapi.Shape(pattern) == openapi.Shape(r.Pattern) {
			return req.URL.EscapedPath()
		}
	}
	return ""
}

// firstPath is one to call first: a GET, and without wildcards where there is any.
func firstPath(p *openapi.Plan) string {
	best, score := "/", -1
	find := newPathFinder(p.Routes)
	for _, r := range p.Routes {
		s := 0
		if r.Method == http.MethodGet || r.Method == "" {
			s += 2
		}
		if !strings.Contains(r.Pattern, "{") {
			s++
		}
		if s <= score {
			continue
		}
		if path := find.example(r); path != "" {
			best, score = path, s
		}
	}
	return best
}
