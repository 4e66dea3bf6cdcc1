package proxy

import (
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

// origin is who calls, and how the caller reached us.
type origin struct{ client, chain, host, proto string }

// forwarded is the origin of a request. A trusted peer's word is continued; anyone else's counts for nothing, and the peer is
// the client.
func (c *call) forwarded() origin {
	o := origin{client: c.rec.Remote, chain: c.rec.Remote, host: c.r.Host, proto: "http"}
	if c.r.TLS != nil {
		o.proto = "https"
	}
	if !isTrusted(c.peer, c.gw.o.TrustedProxies) {
		return o
	}
	in := c.r.Header
	o.chain = c.peer.String()
	if prior := strings.Join(in["X-Forwarded-For"], ", "); prior != "" {
		o.chain = prior + ", " + o.chain
	}
	if v := in["X-Forwarded-Proto"]; len(v) == 1 && (v[0] == "http" || v[0] == "https") {
		o.proto = v[0]
	}
	if v := in["X-Forwarded-Host"]; len(v) == 1 && canonicalHost(v[0]) != "" {
		o.host = v[0]
	}
	return o
}

// headers tells the upstream. A peer on a Unix socket has no address.
func (o origin) headers(set *setter) {
	if o.client != "" {
		set.to("X-Real-Ip", o.client)
		set.to("X-Forwarded-For", o.chain)
	}
	set.to("X-Forwarded-Host", o.host)
	set.to("X-Forwarded-Proto", o.proto)
}
