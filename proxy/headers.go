package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// Reserved names are the gateway's to set: what a client sends under them never reaches an upstream.
var (
	reservedNames    = []string{"X-Client-Id", "Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Proxy"}
	reservedPrefixes = []string{"X-Client-Cert", "Client-Cert", "X-Token-", "X-Forwarded-", "X-Original-", "X-Rewrite-", "X-Envoy-", "X-Http-Method"}
)

// dropUnsafe deletes the reserved names, and every name outside [A-Za-z0-9-]: many upstreams fold _ and . to -, and would
// read X_Client_Id as X-Client-Id.
func dropUnsafe(h http.Header) {
	for name := range h {
		if !passes(name) {
			delete(h, name)
		}
	}
}

// dropCookie takes a cookie out of what the client sent, and leaves the others as they are.
func dropCookie(h http.Header, name string) {
	lines := h["Cookie"]
	if name == "" || !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, name) }) {
		return
	}
	var kept []string
	for _, l := range lines {
		pairs := slices.DeleteFunc(strings.Split(l, ";"), func(pair string) bool {
			n, _, _ := strings.Cut(pair, "=")
			return strings.TrimSpace(n) == name
		})
		if len(pairs) > 0 {
			kept = append(kept, strings.TrimLeft(strings.Join(pairs, ";"), " "))
		}
	}
	if delete(h, "Cookie"); len(kept) > 0 {
		h["Cookie"] = kept
	}
}

// passes reports whether a client may send a header of this name through to the upstream.
func passes(name string) bool { return isPlain(name) && !isReserved(name) }

// passesInTrailer is passes for a trailer. What the gateway checks, strips or sets as a header, and says who is asked, is
// no trailer either (RFC 9110 §6.5.1): some upstreams merge the two.
func passesInTrailer(name string) bool {
	switch name {
	case "Authorization", "Host", "X-Request-Id", "Traceparent", "Tracestate":
		return false
	}
	return passes(name)
}

func isPlain(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return name != ""
}

func isReserved(name string) bool {
	for _, n := range reservedNames {
		if strings.EqualFold(name, n) {
			return true
		}
	}
	for _, p := range reservedPrefixes {
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) {
			return true
		}
	}
	return false
}

// identityHeaders tells the upstream who calls. The names are reserved, so that without an identity they are absent.
func (c *call) identityHeaders(h http.Header) {
	p := c.identity
	if p == nil {
		return
	}
	h["X-Client-Id"] = []string{headerValue(p.Client)}
	h["X-Token-Issuer"] = []string{headerValue(p.IssuerURL)}
	if p.Subject != "" {
		h["X-Token-Subject"] = []string{headerValue(p.Subject)}
	}
	if scopes := p.Scopes.String(); scopes != "" {
		h["X-Token-Scopes"] = []string{scopeValue(scopes)}
	}
}

// scopeValue encodes a list of scopes like headerValue, and leaves the spaces between them.
func scopeValue(scopes string) string {
	list := strings.Split(scopes, " ")
	for i, s := range list {
		list[i] = headerValue(s)
	}
	return strings.Join(list, " ")
}

// traceparent continues the trace of a valid traceparent, else starts one; a tracestate means nothing without the former.
func traceparent(in, out http.Header) {
	if v := in["Traceparent"]; len(v) == 1 && isTraceparent(v[0]) {
		out["Traceparent"] = v
		return
	}
	out["Traceparent"] = []string{newTraceparent()}
	delete(out, "Tracestate")
}
