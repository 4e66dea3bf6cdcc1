// Package outbound makes the HTTP transports for requests of the gateway's own, to URLs that the configuration names: key
// sets, metadata of issuers, hooks. A name may lead anywhere, so that where a connection goes is judged by its address, at the
// time at which it is made. Private addresses are fine; no proxy is used.
package outbound

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Options say what a transport is for. The zero value is good.
type Options struct {
	// Own are the gateway's own listeners, which no request goes to. Nil: none are known. Called for every connection.
	Own func() []netip.AddrPort
	// Loopback allows connections to loopback addresses alone: for plain HTTP, which others could read and change.
	Loopback bool
	// Timeout bounds the dialling, and the TLS handshake. Zero means 5 seconds.
	Timeout time.Duration
	// TLS is nil for the system's roots.
	TLS *tls.Config
}

// Transport returns a new transport, which is the caller's to adapt before its first use. Its errors do not hold the URL.
func Transport(o Options) *http.Transport {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	d := &net.Dialer{Timeout: o.Timeout, Control: func(_, address string, _ syscall.RawConn) error { return o.check(address) }}
	return &http.Transport{
		DialContext: d.DialContext, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Timeout,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
}

// check refuses an address that no request may go to.
func (o *Options) check(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q: %w", address, err)
	}
	to := netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	if o.Loopback && !to.Addr().IsLoopback() {
		return fmt.Errorf("%s is not loopback: want https", to.Addr())
	}
	var own []netip.AddrPort
	if o.Own != nil {
		own = o.Own()
	}
	return checkTarget(to, own)
}

// metadataServers are where clouds hand out credentials, beside the link-local addresses.
var metadataServers = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254")}

// nat64 is the prefix behind which an IPv6 address stands for an IPv4 one (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func checkTarget(to netip.AddrPort, own []netip.AddrPort) error {
	a := to.Addr()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return fmt.Errorf("%s is link-local, multicast or unspecified: nothing is sent there", a)
	}
	for _, m := range metadataServers {
		if a == m {
			return fmt.Errorf("%s is a cloud's metadata server: nothing is sent there", a)
		}
	}
	for _, l := range own {
		at := l.Addr().Unmap()
		if l.Port() == to.Port() && (at == a || at.IsUnspecified() && onThisMachine(a)) {
			return fmt.Errorf("%s is this gateway's own listener: nothing is sent there", to)
		}
	}
	return nil
}

func onThisMachine(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	list, _ := net.InterfaceAddrs() // none where they can't be known
	for _, i := range list {
		if p, err := netip.ParsePrefix(i.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
