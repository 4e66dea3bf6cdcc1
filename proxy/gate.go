package proxy

import (
	"net/http"
	"net/netip"
	"strings"

	"gatehouse/authz"
	"gatehouse/internal/trace"
)

// maxTarget is the longest request target, in bytes.
const maxTarget = 16 << 10

// gate refuses what no route may see, public ones included. What passes has one canonical target and a host that
// somebody serves. Nothing is repaired.
func (c *call) gate() *denial {
	r := c.r
	if r.Method == http.MethodConnect {
		return &denial{reason: authz.MethodNotAllowed, at: trace.Request, detail: "CONNECT is served nowhere", allow: strings.Join(standard, ", ")}
	}
	if !c.gw.tables.methods[r.Method] {
		return malformed(trace.Request, "no route takes this method")
	}
	// net/http takes every HTTP/1.x, whose framing an upstream may read otherwise.
	if v := r.Proto; v != "HTTP/1.1" && v != "HTTP/1.0" && v != "HTTP/2.0" {
		return malformed(trace.Request, "wanted HTTP/1.1, HTTP/1.0 or HTTP/2")
	}
	if hosts := r.Header["Host"]; len(hosts) > 1 || len(hosts) == 1 && canonicalHost(hosts[0]) != canonicalHost(r.Host) {
		return malformed(trace.Request, ":authority and Host differ") // RFC 9113 §8.3.1; net/http leaves both where HTTP/2 has both
	}
	if len(r.RequestURI) > maxTarget {
		return &denial{reason: authz.URITooLong, at: trace.Path, detail: "the request target is longer than 16 KiB"}
	}
	target, ok := originForm(r)
	c.rec.Path, _, _ = strings.Cut(target, "?") // the log shows what was asked for also where it is refused
	if !ok {
		return malformed(trace.Path, "the target is neither a path nor a URL of the host that the request is for")
	}
	var why string
	if c.target, why = parseTarget(target); why != "" {
		return malformed(trace.Path, why)
	}
	if c.host = canonicalHost(r.Host); c.host == "" {
		return malformed(trace.Request, "Host is no host name")
	}
	if isMisdirected(r, c.host) {
		return &denial{reason: authz.Misdirected, at: trace.Request, detail: "the TLS connection was opened for another host: open one for this host"}
	}
	if c.table = c.gw.tables.of(c.host); c.table == nil {
		return malformed(trace.Request, "nothing is served for this Host")
	}
	if len(r.Header["Authorization"]) > 1 {
		return &denial{reason: authz.MultipleTokens, at: trace.Token, detail: "the request has more than one Authorization header"}
	}
	return nil
}

func malformed(at trace.Check, detail string) *denial {
	return &denial{reason: authz.MalformedRequest, at: at, detail: detail}
}

// originForm returns the target in origin-form. A target in absolute-form (RFC 9112 §3.2.2) is taken where its authority
// is the request's host and nothing else; net/http has then put it in the place of the Host header.
func originForm(r *http.Request) (target string, ok bool) {
	target = r.RequestURI
	if strings.HasPrefix(target, "/") {
		return target, true
	}
	if r.ProtoMajor != 1 {
		return "", false
	}
	rest, ok := strings.CutPrefix(target, "http://")
	if !ok {
		rest, ok = strings.CutPrefix(target, "https://")
	}
	i := strings.IndexByte(rest, '/')
	if !ok || i <= 0 || rest[:i] != r.Host {
		return "", false
	}
	return rest[i:], true
}

// isMisdirected reports a request over TLS for another host than the one that the client named in the handshake (RFC 9110
// §15.5.20). A client that named none, and a host that is an address, which TLS can't name, are not held to it.
func isMisdirected(r *http.Request, host string) bool {
	if r.TLS == nil || r.TLS.ServerName == "" {
		return false
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return false
	}
	return canonicalHost(r.TLS.ServerName) != host
}

// match finds the route of a gated request, or one of our own endpoints. What the gate left to the route is judged here:
// the classes of paths that it must name.
func (c *call) match() *denial {
	p := c.table.find(&c.target)
	if c.own = c.preflight(p); c.own != nil {
		return nil
	}
	c.cors = c.corsOf(p, c.r.Method)
	var rt *served
	var allowed Allow
	if p != nil {
		rt = p.method(c.r.Method)
	}
	if rt != nil {
		allowed = rt.Allow
	}
	if refused := c.target.classes &^ allowed; refused != 0 {
		return malformed(trace.Path, "the path is of a kind that only a route with allow_path takes: ["+refused.String()+"]")
	}
	switch {
	case p == nil:
		return &denial{reason: authz.NoRoute, at: trace.Route, detail: "nothing is served at this path"}
	case p.own != nil:
		c.own = p.own
		return nil
	case rt == nil:
		return &denial{reason: authz.MethodNotAllowed, at: trace.Route, detail: "this path takes " + p.allow(), allow: p.allow()}
	}
	c.route, c.fields.policy = rt, rt.charging.field
	c.rec.API, c.rec.Route = rt.API.Name, rt.Match
	if !rt.Public {
		c.rec.Required = rt.Policy.Scopes.String()
	}
	var ok bool
	if c.upstreamPath, ok = rt.upstreamPath(c.target.raw); !ok {
		return malformed(trace.Route, "the path does not start with the API's prefix")
	}
	if !writable(c.upstreamPath) {
		return malformed(trace.Route, "the path starts with // where the API's prefix ends, and has bytes that belong percent-encoded")
	}
	return nil
}
