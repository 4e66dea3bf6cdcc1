package openapi

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
)

// server takes the first of the document's servers as the upstream.
func (r *reading) server() {
	if len(r.t.Servers) == 0 || r.t.Servers[0] == nil {
		r.doc.NoServer = "the document names no server"
		return
	}
	s := r.t.Servers[0]
	text := s.URL
	for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
		if v := s.Variables[name]; v != nil {
			text = strings.ReplaceAll(text, "{"+name+"}", v.Default)
		}
	}
	server, err := upstream(text, r.doc.File)
	if err != nil {
		r.doc.NoServer = fmt.Sprintf("the document's server %q %v", printable(text, 200), err)
		return
	}
	r.doc.Server = server
	if len(r.t.Servers) > 1 {
		r.warn(r.at(r.t.Origin, "servers"), "the document names %d servers, and the upstream is the first: %s", len(r.t.Servers), printable(server, 200))
	}
}

// upstream is the URL of a server as an upstream can have it, its path put in front of every path.
func upstream(text, document string) (string, error) {
	u, err := url.Parse(text)
	if err == nil && IsURL(document) && !u.IsAbs() {
		if base, baseErr := url.Parse(document); baseErr == nil {
			u = base.ResolveReference(u)
			u.User, u.RawQuery, u.Fragment = nil, "", ""
		}
	}
	switch {
	case err != nil || strings.ContainsAny(text, "{}"):
		return "", fmt.Errorf("is no URL")
	case !u.IsAbs():
		return "", fmt.Errorf("is relative")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", fmt.Errorf("is no http or https URL")
	case u.User != nil || strings.ContainsAny(u.String(), "?#"):
		return "", fmt.Errorf("has a user, a query or a fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if u.EscapedPath() != u.Path || u.Path != "" && path.Clean(u.Path) != u.Path {
		return "", fmt.Errorf("has a path that is not canonical")
	}
	return u.String(), nil
}
