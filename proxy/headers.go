package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// hopByHop are the fields that say something of one connection (RFC 9110 §7.6.1), besides those that Connection names. They
// pass in neither direction.
var hopByHop = [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Http2-Settings"}

func dropHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// namesFields reports whether a Connection names fields besides those that are dropped anyway.
func namesFields(connection []string) bool {
	for _, list := range connection {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimSpace(name)
			is := func(known string) bool { return strings.EqualFold(known, name) }
			if name != "" && !is("close") && !slices.ContainsFunc(hopByHop[:], is) {
				return true
			}
		}
	}
	return false
}

// setter sets fields of a header to one value each, out of one piece of memory.
type setter struct {
	header http.Header
	values []string // has room for those that are to come
}

func (s *setter) to(name, value string) {
	s.values = append(s.values, value)
	n := len(s.values)
	s.header[name] = s.values[n-1 : n : n]
}

// outgoing is the header of the request that the upstream gets: the client's, without what is not the client's to say, and
// with what the gateway knows. Mostly it is the client's map itself, which nobody needs as it was; what is asked of it later,
// Origin and Sec-WebSocket-Key, stays.
func (c *call) outgoing() http.Header {
	in := c.r.Header
	set := setter{header: in, values: make([]string, 0, 12)}
	if c.upgrade || namesFields(in["Connection"]) {
		set.header = in.Clone()
	}
	from, trailers, authorization, trace := c.forwarded(), hasToken(in["Te"], "trailers"), in["Authorization"], in["Traceparent"]
	dropHopByHop(set.header)
	dropUnsafe(set.header)
	dropCookie(set.header, c.gw.o.PrivateCookie)
	delete(set.header, "Authorization")
	if (c.route.Public || c.route.KeepAuthorization) && len(authorization) == 1 {
		set.header["Authorization"] = authorization // also where Connection named it
	}
	c.identityHeaders(&set)
	from.headers(&set)
	set.to("X-Request-Id", c.rec.ID)
	traceparent(trace, &set)
	if trailers {
		set.to("Te", "trailers")
	}
	if c.upgrade {
		set.to("Connection", "Upgrade")
		set.to("Upgrade", "websocket")
	}
	return set.header
}

// pass gives the client the header of the upstream's response.
func (c *call) pass(h http.Header) {
	dropHopByHop(c.answer)
	for name, values := range c.answer {
		h[name] = values
	}
}

// isEventStream reports whether a body is Server-Sent Events, which are worth nothing late.
func isEventStream(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 {
		return false
	}
	media, _, _ := strings.Cut(v[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

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
	switch name[0] | 0x20 { // what they begin with; most names of most requests begin with something else
	case 'x', 'f', 't', 'c', 'p':
	default:
		return false
	}
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
func (c *call) identityHeaders(set *setter) {
	p := c.identity
	if p == nil {
		return
	}
	set.to("X-Client-Id", headerValue(p.Client))
	set.to("X-Token-Issuer", headerValue(p.IssuerURL))
	if p.Subject != "" {
		set.to("X-Token-Subject", headerValue(p.Subject))
	}
	if scopes := p.Scopes.String(); scopes != "" {
		set.to("X-Token-Scopes", scopesValue(scopes))
	}
}

// traceparent continues the trace of a valid traceparent, else starts one; a tracestate means nothing without the former.
func traceparent(sent []string, set *setter) {
	if len(sent) == 1 && isTraceparent(sent[0]) {
		set.header["Traceparent"] = sent
		return
	}
	set.to("Traceparent", newTraceparent())
	delete(set.header, "Tracestate")
}
