package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	fetchTimeout = 5 * time.Second // from the dialling to the last byte
	maxBody      = 1 << 20         // bytes
)

// fetcher gets documents from where the configuration says. Names may lead anywhere, so that where a connection goes is
// judged by its address, at the time at which it is made. Private addresses are fine; no proxy is used.
type fetcher struct {
	secure, local, plain *http.Client // for https, for http on loopback, and for http to wherever
}

func newFetcher(own func() []netip.AddrPort, config *tls.Config) *fetcher {
	if own == nil {
		own = func() []netip.AddrPort { return nil }
	}
	client := func(allowed func(netip.AddrPort) error) *http.Client {
		d := &net.Dialer{Timeout: fetchTimeout, Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("the address %q: %w", address, err)
			}
			return allowed(netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port()))
		}}
		return &http.Client{
			Transport: &http.Transport{
				DialContext: d.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: fetchTimeout,
				MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, DisableCompression: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	anywhere := func(to netip.AddrPort) error { return checkTarget(to, own()) }
	return &fetcher{
		secure: client(anywhere),
		plain:  client(anywhere),
		local: client(func(to netip.AddrPort) error {
			if !to.Addr().IsLoopback() {
				return fmt.Errorf("%s is not loopback: want https", to.Addr())
			}
			return checkTarget(to, own())
		}),
	}
}

// metadataServers are where clouds hand out credentials, beside the link-local addresses.
var metadataServers = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254")}

// nat64 is the prefix behind which an IPv6 address stands for an IPv4 one (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// checkTarget refuses the addresses that keys never come from.
func checkTarget(to netip.AddrPort, own []netip.AddrPort) error {
	a := to.Addr()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return fmt.Errorf("%s is link-local, multicast or unspecified: keys are not fetched from there", a)
	}
	for _, m := range metadataServers {
		if a == m {
			return fmt.Errorf("%s is a cloud's metadata server: keys are not fetched from there", a)
		}
	}
	for _, l := range own {
		at := l.Addr().Unmap()
		if l.Port() == to.Port() && (at == a || at.IsUnspecified() && onThisMachine(a)) {
			return fmt.Errorf("%s is this gateway's own listener: keys are not fetched from there", to)
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

// load returns the bytes of a key set.
func (f *fetcher) load(ctx context.Context, from Source) ([]byte, error) {
	at := from.URL
	if at == "" {
		var err error
		if at, err = f.discover(ctx, from); err != nil {
			return nil, err
		}
	}
	return f.get(ctx, at, from)
}

// client is the one for a URL that is fetched on behalf of a source.
func (f *fetcher) client(at string, from Source) (*http.Client, error) {
	switch {
	case !strings.HasPrefix(at, "http:"):
		return f.secure, nil
	case from.Insecure:
		return f.plain, nil
	case from.Issuer == "":
		return f.local, nil
	}
	return nil, errors.New("the URL is http, and the issuer is not insecure: want https")
}

// get returns the body of a 200 of at most 1 MiB. Redirects are not followed.
func (f *fetcher) get(ctx context.Context, at string, from Source) ([]byte, error) {
	client, err := f.client(at, from)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, errors.New("the URL can't be used")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("User-Agent", "gatehouse")
	res, err := client.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return nil, fmt.Errorf("the answer was %d: redirects are not followed, name the last URL", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the answer was %d, want 200", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(body) > maxBody {
		return nil, errors.New("the answer is larger than 1 MiB")
	}
	return body, nil
}

// plain is an error of the client without the URL, which may have a query.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no complete answer within %s", fetchTimeout)
	}
	return err
}

func withoutQuery(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}
