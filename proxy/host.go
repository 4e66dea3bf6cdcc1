package proxy

import (
	"net/netip"
	"strings"
)

// maxHost is the longest host name that DNS knows.
const maxHost = 253

var isHostByte = byteSet("abcdefghijklmnopqrstuvwxyz0123456789-._")

// canonicalHost is a Host as the tables name it: lower case, without port and trailing dot; an IPv6 address stands in
// brackets. The port does not choose a table: there is one listener, however its port is mapped on the way here, and a
// foreign port must not lead to other rules than the host's. It returns "" for what is no host.
func canonicalHost(host string) string {
	name, port, hasPort := cutPort(host)
	if hasPort && !isPort(port) {
		return ""
	}
	if strings.HasPrefix(name, "[") {
		a, err := netip.ParseAddr(strings.TrimSuffix(name[1:], "]"))
		if err != nil || !a.Is6() || a.Zone() != "" || !strings.HasSuffix(name, "]") {
			return ""
		}
		return "[" + a.String() + "]"
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > maxHost || name[0] == '.' || strings.Contains(name+".", "..") {
		return ""
	}
	for i := range len(name) {
		if !isHostByte[name[i]] {
			return ""
		}
	}
	return name
}

func cutPort(host string) (name, port string, ok bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[i:], ']') >= 0 {
		return host, "", false
	}
	return host[:i], host[i+1:], true
}

// isPort accepts what may follow the colon: digits, or nothing (RFC 3986 §3.2.3).
func isPort(s string) bool {
	return len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}
