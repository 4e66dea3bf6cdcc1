package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// aListen is host:port, where an empty host is every address and port 0 is any free port.
var aListen = textIs("host:port", checkListen).like(":[0-9]+$")

func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not host:port — write one such as 127.0.0.1:8080 or :8080", clipText(s))
	case port != "0" && portNumber(port) == 0:
		return fmt.Errorf("port %q is not a number from 0 to 65535", clipText(port))
	case host != "" && !isHost(host):
		return fmt.Errorf("%q is not a host name or an address", clipText(host))
	}
	return nil
}

// anAdminListen is host:port or unix:/path.
var anAdminListen = textIs("host:port or unix:/path", func(s string) error {
	p, isUnix := strings.CutPrefix(s, "unix:")
	if !isUnix {
		return checkListen(s)
	}
	if !strings.HasPrefix(p, "/") || len(p) > 100 {
		return errors.New("expected unix: and an absolute path of at most 100 bytes — such as unix:/run/gatehouse/admin.sock")
	}
	return nil
}).like("^unix:/|:[0-9]+$")

// aHostPort is an address to connect to.
var aHostPort = textIs("host:port", func(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isHost(host) || portNumber(port) == 0 {
		return errors.New("expected host:port" + hostPortHint(s))
	}
	return nil
}).like("^[^/]+:[0-9]+$")

// aHost is a host name or an address as a Host header carries it, without a port, in lower case.
var aHost = parsed("host name", func(s string) (string, error) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil && a.Is6() && a.Zone() == "" {
		return "[" + a.String() + "]", nil
	}
	if !isHost(s) {
		return "", fmt.Errorf("%q is not a host — write a name or an address, without scheme, port and wildcards", clipText(s))
	}
	return strings.ToLower(s), nil
}).like("^[^/ *]+$")

var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= 253 && hostName.MatchString(s)
}

// portNumber is a decimal port from 1 to 65535, else 0.
func portNumber(s string) int {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || !decimal.MatchString(s) {
		return 0
	}
	return int(n)
}

// endpoint is where a listener or a URL is on the network.
type endpoint struct {
	host string
	port int
}

func listenEndpoint(listen string) endpoint {
	host, port, _ := net.SplitHostPort(listen) // a unix socket has no port, and so meets nothing
	return endpoint{strings.ToLower(host), portNumber(port)}
}

func urlEndpoint(u *url.URL) endpoint {
	port := portNumber(u.Port())
	if port == 0 && u.Scheme == "https" {
		port = 443
	} else if port == 0 {
		port = 80
	}
	return endpoint{strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), port}
}

// any reports whether the endpoint is every address of this machine.
func (e endpoint) any() bool {
	a, err := netip.ParseAddr(e.host)
	return e.host == "" || err == nil && a.Unmap().IsUnspecified()
}

// loopback reports whether the endpoint is reached from this machine alone.
func (e endpoint) loopback() bool {
	a, err := netip.ParseAddr(e.host)
	return e.host == "localhost" || strings.HasSuffix(e.host, ".localhost") || err == nil && a.Unmap().IsLoopback()
}

// reaches reports whether a connection to e arrives at the listener l. Names other than localhost are not looked up:
// what they mean may change at any time.
func (e endpoint) reaches(l endpoint, ours func() []netip.Addr) bool {
	if e.port != l.port || l.port == 0 {
		return false
	}
	if e.host == l.host || e.any() && (l.any() || l.loopback()) {
		return true
	}
	if l.any() {
		return e.loopback() || isOurs(e, ours)
	}
	to, err1 := netip.ParseAddr(e.host)
	at, err2 := netip.ParseAddr(l.host)
	if err1 == nil && err2 == nil {
		return to.Unmap() == at.Unmap()
	}
	return e.loopback() && l.loopback()
}

func isOurs(e endpoint, ours func() []netip.Addr) bool {
	a, err := netip.ParseAddr(e.host)
	if err != nil {
		return false
	}
	for _, own := range ours() {
		if own == a.Unmap() {
			return true
		}
	}
	return false
}

// machineAddrs are the addresses of this machine's interfaces, and none where they can't be known.
func machineAddrs() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}
