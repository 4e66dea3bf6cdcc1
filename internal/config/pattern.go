package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pattern is a route's match: as written, and in its parts.
type pattern struct {
	match  string
	method string // empty: what the path's other routes do not name
	path   string // in the words of http.ServeMux
}

var aMatch = parsed("match", parseMatch).like("^([A-Z][A-Z0-9_-]* )?/[^ ?#%]*$")

func parseMatch(s string) (pattern, error) {
	method, path, found := strings.Cut(s, " ")
	if !found {
		method, path = "", s
	}
	p := pattern{s, method, path}
	if found {
		if err := checkMethod(method); err != nil {
			return p, err
		}
	}
	if !strings.HasPrefix(path, "/") {
		return p, fmt.Errorf("%q is not [METHOD] /PATTERN — one space, and a pattern that starts with / and names no host", clipText(s))
	}
	return p, checkPath(path)
}

var (
	methodText = regexp.MustCompile(`^[A-Z][A-Z0-9_-]{0,31}$`)
	methods    = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
)

func checkMethod(m string) error {
	switch {
	case m == "CONNECT" || m == "TRACE" || m == "PRI":
		return fmt.Errorf("method %s is never served — remove the route", m)
	case methodText.MatchString(m):
		return nil
	}
	if strings.ContainsAny(m, ",|") {
		return fmt.Errorf("%q is not a method — write a route for each, or none for all that the path's other routes do not name", clipText(m))
	}
	return fmt.Errorf("%q is not a method%s", clipText(m), didYouMean(strings.ToUpper(m), slices.Values(methods)))
}

var wildcardName = regexp.MustCompile(`^[\pL_][\pL\p{Nd}_]*$`)

// checkPath judges a pattern as http.ServeMux does, in words of our own.
func checkPath(p string) error {
	if err := pathText(p); err != nil {
		return err
	}
	segments := strings.Split(p, "/")[1:]
	names := make(map[string]bool)
	for i, s := range segments {
		if !strings.ContainsAny(s, "{}") {
			continue
		}
		name, ok := strings.CutPrefix(s, "{")
		name, closed := strings.CutSuffix(name, "}")
		if !ok || !closed {
			return fmt.Errorf("the segment %q is not read — a wildcard is a whole segment: {name}, {name...} or {$}", clipText(s))
		}
		name, rest := strings.CutSuffix(name, "...")
		last := i == len(segments)-1
		switch {
		case (rest || name == "$") && !last:
			return fmt.Errorf("%q stands only at the end of a pattern", clipText(s))
		case name == "$" && !rest:
			continue
		case !wildcardName.MatchString(name):
			return fmt.Errorf("%q is not a wildcard — %s", clipText(s), wildcardHint(name))
		case names[name]:
			return fmt.Errorf("the wildcard {%s} stands twice", name)
		}
		names[name] = true
	}
	return nil
}

// literal finds a segment that another router would take for a wildcard and that is plain text here; "" where there is none.
func literal(path string) string {
	for _, s := range strings.Split(path, "/") {
		if len(s) > 1 && (s[0] == ':' || s[0] == '<' && s[len(s)-1] == '>') || strings.Trim(s, "*") == "" && s != "" {
			return s
		}
	}
	return ""
}

// shapeOf is the path with its wildcards' names gone: patterns of one shape match the same paths. A trailing slash is
// a wildcard for the rest.
func shapeOf(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case s == "{$}":
		case strings.HasSuffix(s, "...}"), s == "" && i > 0 && i == len(segments)-1:
			segments[i] = "{...}"
		case strings.HasPrefix(s, "{"):
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// under checks that a route lies under its API's strip_prefix.
func under(path, prefix string) error {
	if path == prefix || strings.HasPrefix(path, prefix+"/") {
		return nil
	}
	return errors.New("lies outside strip_prefix " + prefix + ", which is taken off every path — write the path as callers see it")
}
