package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// peerAddr is the address at the other end of the connection; the zero Addr where there is none (a Unix socket).
func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// clientAddr is the address of the client. X-Forwarded-For is read from the right for as long as those who wrote it are
// trusted: the first address that is not one of them is the client's. What can't be read ends the walk at its writer.
func clientAddr(peer netip.Addr, forwarded []string, trusted []netip.Prefix) netip.Addr {
	addr := peer
	for i := len(forwarded) - 1; i >= 0; i-- {
		hops := strings.Split(forwarded[i], ",")
		for j := len(hops) - 1; j >= 0; j-- {
			if !isTrusted(addr, trusted) {
				return addr
			}
			next := parseHop(strings.TrimSpace(hops[j]))
			if !next.IsValid() {
				return addr
			}
			addr = next
		}
	}
	return addr
}

// parseHop reads one member of X-Forwarded-For: an address, which some proxies write with a port.
func parseHop(s string) netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone("")
	}
	return peerAddr(s)
}

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// forwardedHeaders sets who calls, and how the caller reached us. A trusted peer's word is continued; anyone else's is
// gone by now, and the peer is the client.
func (c *call) forwardedHeaders(h http.Header) {
	in := c.r.Header
	host, proto, chain := c.r.Host, "http", c.peer.String()
	if c.r.TLS != nil {
		proto = "https"
	}
	if isTrusted(c.peer, c.gw.o.TrustedProxies) {
		if prior := strings.Join(in["X-Forwarded-For"], ", "); prior != "" {
			chain = prior + ", " + chain
		}
		if v := in["X-Forwarded-Proto"]; len(v) == 1 && (v[0] == "http" || v[0] == "https") {
			proto = v[0]
		}
		if v := in["X-Forwarded-Host"]; len(v) == 1 && canonicalHost(v[0]) != "" {
			host = v[0]
		}
	}
	if c.peer.IsValid() {
		h["X-Real-Ip"] = []string{c.remote.String()}
		h["X-Forwarded-For"] = []string{chain}
	}
	h["X-Forwarded-Host"] = []string{host}
	h["X-Forwarded-Proto"] = []string{proto}
}
