package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/exchange"
)

// CORS says what pages of other origins may do with an API, as browsers enforce it (Fetch, "CORS protocol"). It grants
// nothing here: a token is asked for all the same. The zero value allows no origin.
type CORS struct {
	Origins []string // as Origin headers have them; "*" is every origin
	Methods []string
	Headers []string // of requests, besides those that need no leave; a page that sends tokens needs Authorization
	Expose  []string // of responses
	// Credentials lets pages send cookies and client certificates. It excludes the origin "*".
	Credentials bool
	MaxAge      time.Duration // how long a browser may keep the answer to a preflight; whole seconds
}

// cors is a CORS as it is sent.
type cors struct {
	*CORS
	any                              bool
	methods, headers, expose, maxAge string
}

// newCORS returns nil for nil.
func newCORS(o *CORS) (*cors, error) {
	if o == nil {
		return nil, nil
	}
	c := &cors{CORS: o, any: slices.Contains(o.Origins, "*"), methods: strings.Join(o.Methods, ", "), headers: strings.Join(o.Headers, ", "),
		expose: strings.Join(o.Expose, ", "), maxAge: strconv.FormatInt(int64(o.MaxAge/time.Second), 10)}
	if c.any && o.Credentials {
		return nil, errors.New(`the origin "*" is not allowed together with credentials`)
	}
	return c, nil
}

func corsByAPI(routes []*Route) (map[*API]*cors, error) {
	out := map[*API]*cors{}
	for _, rt := range routes {
		if out[rt.API] != nil {
			continue
		}
		c, err := newCORS(rt.API.CORS)
		if err != nil {
			return nil, fmt.Errorf("API %q: %w", rt.API.Name, err)
		}
		out[rt.API] = c
	}
	return out, nil
}

func (o *cors) allows(origin string) bool {
	return origin != "" && (o.any || slices.Contains(o.Origins, origin))
}

// originOf is the one Origin of a request; "" where there is none, or more.
func originOf(r *http.Request) string {
	if v := r.Header["Origin"]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// isPreflight reports whether a browser asks what it may send (Fetch, "CORS-preflight request").
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && originOf(r) != "" && len(r.Header["Access-Control-Request-Method"]) == 1
}

// corsOf is what holds for a request whose path is p, which is nil where there is none: that of the API whose route it is.
// Where no route takes the request, it is that of any API here, best one that allows the origin, so that what is there and
// what is not are answered alike. Nil: none.
func (c *call) corsOf(p *path, method string) *cors {
	if p != nil && p.own != nil {
		return nil
	}
	if p != nil {
		if rt := p.method(method); rt != nil {
			return rt.cors
		}
	}
	origin := originOf(c.r)
	for _, o := range c.table.cors {
		if o.allows(origin) {
			return o
		}
	}
	if len(c.table.cors) > 0 {
		return c.table.cors[0]
	}
	return nil
}

// preflight finds what answers a preflight; nil where the request is none, or for no API with CORS, and passes on as the
// OPTIONS that it also is.
func (c *call) preflight(p *path) http.Handler {
	if !isPreflight(c.r) {
		return nil
	}
	o := c.corsOf(p, c.r.Header["Access-Control-Request-Method"][0])
	if o == nil {
		return nil
	}
	c.cors = o
	return http.HandlerFunc(o.answer)
}

// answer is the response to a preflight. It says what the API allows, whatever was asked for.
func (o *cors) answer(w http.ResponseWriter, r *http.Request) {
	rec := exchange.FromContext(r.Context())
	rec.Endpoint, rec.Verdict = "preflight", exchange.Allow
	h := w.Header()
	addVary(h, "Access-Control-Request-Method", "Access-Control-Request-Headers")
	if o.allows(originOf(r)) {
		for name, value := range map[string]string{"Access-Control-Allow-Methods": o.methods, "Access-Control-Allow-Headers": o.headers, "Access-Control-Max-Age": o.maxAge} {
			if value != "" {
				h[name] = []string{value}
			}
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// stamp sets the CORS headers of a response in place of the upstream's, which would contradict them.
func (o *cors) stamp(h http.Header, origin string) {
	if o == nil {
		return
	}
	for _, name := range [...]string{"Origin", "Credentials", "Methods", "Headers"} {
		delete(h, "Access-Control-Allow-"+name)
	}
	delete(h, "Access-Control-Expose-Headers")
	delete(h, "Access-Control-Max-Age")
	if o.any {
		h["Access-Control-Allow-Origin"] = []string{"*"}
	} else {
		addVary(h, "Origin")
	}
	if !o.allows(origin) {
		return
	}
	if !o.any {
		h["Access-Control-Allow-Origin"] = []string{origin}
	}
	if o.Credentials {
		h["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	if o.expose != "" {
		h["Access-Control-Expose-Headers"] = []string{o.expose}
	}
}

// addVary adds the names that are not there yet.
func addVary(h http.Header, names ...string) {
	for _, name := range names {
		if !hasToken(h["Vary"], name) && !hasToken(h["Vary"], "*") {
			h["Vary"] = append(h["Vary"], name)
		}
	}
}
