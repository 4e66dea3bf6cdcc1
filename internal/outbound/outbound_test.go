package outbound

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestTargets: an address is judged when it is dialled, whatever the name was, and nothing reaches the ones that are refused.
func TestTargets(t *testing.T) {
	t.Parallel()
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached++; io.WriteString(w, "body") }))
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	own := func(a netip.Addr) func() []netip.AddrPort {
		return func() []netip.AddrPort { return []netip.AddrPort{netip.AddrPortFrom(a, at.Port())} }
	}
	localhost := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct {
		name, url, want string
		o               Options
	}{
		{"loopback", server.URL, "", Options{}},
		{"loopback for what may be read on the way", server.URL, "", Options{Loopback: true}},
		{"a name for it", localhost, "", Options{Loopback: true}},
		{"another listener", server.URL, "", Options{Own: func() []netip.AddrPort { return []netip.AddrPort{netip.AddrPortFrom(at.Addr(), 1)} }}},
		{"our listener", server.URL, "own listener", Options{Own: own(at.Addr())}},
		{"our listener by name", localhost, ":", Options{Own: own(at.Addr()), Loopback: true}}, // which may stand for ::1, too
		{"our listener on all addresses", server.URL, "own listener", Options{Own: own(netip.IPv4Unspecified())}},
		{"our listener on all addresses of IPv6", server.URL, "own listener", Options{Own: own(netip.IPv6Unspecified())}},
		{"beyond loopback", "http://192.0.2.1/", "not loopback", Options{Loopback: true}},
		{"link-local", "http://169.254.169.254/", "link-local", Options{}},
		{"link-local in IPv6", "http://[fe80::1]/", "link-local", Options{}},
		{"link-local, mapped", "http://[::ffff:169.254.169.254]/", "link-local", Options{}},
		{"link-local behind NAT64", "http://[64:ff9b::a9fe:a9fe]/", "link-local", Options{}},
		{"a cloud's metadata", "http://[fd00:ec2::254]/", "metadata", Options{}},
		{"no address", "http://0.0.0.0/", "unspecified", Options{}},
		{"many", "http://224.0.0.1/", "multicast", Options{}},
	} {
		before := reached
		transport := Transport(tt.o)
		res, err := (&http.Client{Transport: transport}).Get(tt.url)
		if err == nil {
			res.Body.Close()
		}
		transport.CloseIdleConnections()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || (reached > before) != (tt.want == "") {
			t.Errorf("%s: %v, reached %v, want %q", tt.name, err, reached > before, tt.want)
		}
	}
}
