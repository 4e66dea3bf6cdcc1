package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/outbound"
)

const (
	fetchTimeout = 5 * time.Second // from the dialling to the last byte
	maxBody      = 1 << 20         // bytes
)

// fetcher gets documents from where the configuration says.
type fetcher struct {
	secure, local, plain *http.Client // for https, for http on loopback, and for http to wherever
}

func newFetcher(own func() []netip.AddrPort, config *tls.Config) *fetcher {
	client := func(loopback bool) *http.Client {
		t := outbound.Transport(outbound.Options{Own: own, Loopback: loopback, Timeout: fetchTimeout, TLS: config})
		t.DisableKeepAlives = true
		return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &fetcher{secure: client(false), plain: client(false), local: client(true)}
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
