package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// of returns the table of a canonical host; nil where nobody serves it.
func (t *tables) of(host string) *table {
	if own := t.hosts[host]; own != nil {
		return own
	}
	return t.rest
}

// find returns the most specific path that matches; nil where there is none. ServeMux is asked with CONNECT, for which it
// cleans nothing; what it then returns besides our own paths, its redirects above all, is no match.
func (t *table) find(c *canonical) *path {
	q, ok := questions.Get().(*question)
	if !ok {
		q = new(question)
		q.Method, q.Request.URL = http.MethodConnect, &q.at
	}
	q.at.Path, q.at.RawPath = c.decoded, c.match
	h, _ := t.mux.Handler(&q.Request)
	q.at.Path, q.at.RawPath = "", ""
	questions.Put(q)
	p, ok := h.(*path)
	if !ok || c.classes&AllowDoubleSlash != 0 && fillsEmpty(p.pattern, c.match) {
		return nil
	}
	return p
}

// question is what ServeMux is asked with. It keeps none.
type question struct {
	http.Request
	at url.URL
}

var questions sync.Pool

// fillsEmpty reports whether a {name} of pattern stands for an empty segment of path, which ServeMux takes.
func fillsEmpty(pattern, path string) bool {
	for pattern != "" && path != "" {
		var want, got string
		want, pattern = firstSegment(pattern)
		got, path = firstSegment(path)
		if strings.HasSuffix(want, "...}") {
			return false
		}
		if got == "" && isWildcard(want) {
			return true
		}
	}
	return false
}

func firstSegment(path string) (segment, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// method returns the route for a method; nil where the path has none. HEAD is answered by GET.
func (p *path) method(m string) *served {
	if rt := p.methods[m]; rt != nil {
		return rt
	}
	if rt := p.methods[http.MethodGet]; rt != nil && m == http.MethodHead {
		return rt
	}
	return p.any
}

// allow is the value of Allow: the methods of the path.
func (p *path) allow() string {
	var list []string
	for m := range p.methods {
		list = append(list, m)
	}
	if p.methods[http.MethodGet] != nil && p.methods[http.MethodHead] == nil {
		list = append(list, http.MethodHead)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
