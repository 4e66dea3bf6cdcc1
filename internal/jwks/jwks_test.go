package jwks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// publisher serves a key set that tests change.
type publisher struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	serve   http.HandlerFunc
}

func publish(t *testing.T) *publisher {
	p := &publisher{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		serve := p.serve
		p.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) set(serve http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = serve
}

func (p *publisher) keys(t *testing.T, keys ...*token.PrivateKey) {
	t.Helper()
	doc := string(document(t, keys...))
	p.set(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, doc) })
}

func document(t *testing.T, keys ...*token.PrivateKey) []byte {
	t.Helper()
	var public []*token.PublicKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	doc, err := token.MarshalJWKS(public)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// cache returns a Cache on a clock that tests move.
func cache(t *testing.T) (*Cache, *atomic.Int64) {
	c, ahead := NewCache(Options{}), new(atomic.Int64)
	c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return c, ahead
}

func hold(t *testing.T, c *Cache, url string) *Set {
	s := c.Hold(url)
	t.Cleanup(func() { c.Release(s) })
	return s
}

// found is whether the set has k, by its kid.
func found(t *testing.T, s *Set, k *token.PrivateKey) bool {
	t.Helper()
	keys, err := s.Lookup(context.Background(), k.Public().ID(), k.Public().Algorithm())
	if err != nil {
		t.Fatal(err)
	}
	return len(keys) == 1 && keys[0].ID() == k.Public().ID()
}

func TestFile(t *testing.T) {
	t.Parallel()
	a, b := tokentest.Key(t, token.ES256), tokentest.Key(t, token.EdDSA)
	s, err := File(document(t, a, b))
	if err != nil {
		t.Fatal(err)
	}
	if !found(t, s, a) || !found(t, s, b) || found(t, s, tokentest.Key(t, token.ES256)) {
		t.Error("the wrong keys were found")
	}
	if keys, _ := s.Lookup(context.Background(), "", token.ES256); len(keys) != 1 || keys[0].ID() != a.Public().ID() {
		t.Errorf("without kid: %v", keys)
	}
	if keys, _ := s.Lookup(context.Background(), a.Public().ID(), token.EdDSA); len(keys) != 0 {
		t.Error("a key was found for another algorithm")
	}
	good := strings.TrimSuffix(string(document(t, a)), "]}")
	for doc, want := range map[string]string{
		"x":                               "not a JSON object",
		`{"keys":[]}`:                     "no key that can be used",
		good + `,{"kty":"oct","k":"x"}]}`: "symmetric",
		good + `,{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`:         "keys[1]",
		good + `,` + good[len(`{"keys":[`):] + `]}`:             "kid and alg",
		`{"keys":[{"kty":"EC","crv":"P-384","x":"x","y":"y"}]}`: "1 keys passed over",
	} {
		if _, err := File([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("File(%.80s): %v, want %q", doc, err, want)
		}
	}
	if _, err := File([]byte(good + `,{"kty":"EC","crv":"P-384","x":"x","y":"y"}]}`)); err != nil {
		t.Errorf("a key of a kind that we do not use, beside one that we do: %v", err)
	}
}

// Ensure that a new kid is fetched for, and that made-up ones are not, however many there are (JCA-022, K2).
func TestUnknownKid(t *testing.T) {
	t.Parallel()
	p := publish(t)
	first, second, third := tokentest.Key(t, token.ES256), tokentest.Key(t, token.ES256), tokentest.Key(t, token.ES256)
	p.keys(t, first)
	c, ahead := cache(t)
	s := hold(t, c, p.URL)
	if !found(t, s, first) || found(t, s, second) {
		t.Error("the wrong keys were found")
	}
	p.keys(t, first, second)
	before := p.fetches.Load()
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			if keys, err := s.Lookup(context.Background(), fmt.Sprint("made-up-", i), token.ES256); err != nil || len(keys) != 0 {
				t.Errorf("%v, %v", keys, err)
			}
		})
	}
	all.Wait()
	if got := p.fetches.Load() - before; got > 1 {
		t.Errorf("1000 made-up kids caused %d fetches", got)
	}
	ahead.Store(int64(31 * time.Second))
	if !found(t, s, second) {
		t.Error("a rotated key is not found after the cooldown")
	}
	p.keys(t, third)
	if !found(t, s, first) || found(t, s, third) {
		t.Error("the cooldown does not hold")
	}
	ahead.Store(int64(62 * time.Second))
	if !found(t, s, third) || found(t, s, first) {
		t.Error("a key that was taken out is still trusted, or a new one is not")
	}
	if st := c.Stats(); st.Sets != 1 || st.Empty != 0 || st.Failing != 0 || st.Fetched < 3 || st.Failed != 0 {
		t.Errorf("stats %+v", st)
	}
}

// Ensure that what was fetched serves on while the publisher is broken, for as long as it may, and no kid hurries it.
func TestBrokenPublisher(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]http.HandlerFunc{
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"empty":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) },
		"html":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) },
		"symmetric": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[{"kty":"oct","k":"x"}]}`) },
		"large": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[`+strings.Repeat(" ", 1<<20)+`]}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"cut": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, k := publish(t), tokentest.Key(t, token.ES256)
			p.keys(t, k)
			c, ahead := cache(t)
			s := hold(t, c, p.URL)
			if !found(t, s, k) {
				t.Fatal("not found")
			}
			p.set(serve)
			if found(t, s, tokentest.Key(t, token.ES256)) || !found(t, s, k) {
				t.Error("the keys changed")
			}
			before := p.fetches.Load()
			for range 100 {
				found(t, s, tokentest.Key(t, token.EdDSA))
			}
			if got := p.fetches.Load() - before; got != 0 {
				t.Errorf("%d fetches within the cooldown", got)
			}
			if st := c.Stats(); st.Failing != 1 || st.Failed != 1 || st.Empty != 0 {
				t.Errorf("stats %+v", st)
			}
			ahead.Store(int64(23 * time.Hour))
			if !found(t, s, k) {
				t.Error("not found within MaxStale")
			}
			ahead.Store(int64(25 * time.Hour))
			if keys, err := s.Lookup(context.Background(), k.Public().ID(), token.ES256); !errors.Is(err, ErrUnavailable) || keys != nil {
				t.Errorf("after MaxStale: %v, %v", keys, err)
			}
			p.keys(t, k)
			ahead.Store(int64(26 * time.Hour))
			if !found(t, s, k) {
				t.Error("not found when the publisher is back")
			}
		})
	}
}

// Ensure that a publisher that hangs holds up nobody but those who need its keys, and those not for ever.
func TestHangingPublisher(t *testing.T) {
	t.Parallel()
	p, other, k := publish(t), publish(t), tokentest.Key(t, token.ES256)
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	p.set(func(w http.ResponseWriter, _ *http.Request) {
		for {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			select {
			case <-end:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	other.keys(t, k)
	c, _ := cache(t)
	s := hold(t, c, p.URL)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Lookup(ctx, "k", token.ES256); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while it hangs: %v", err)
	}
	if !found(t, hold(t, c, other.URL), k) {
		t.Error("another set is not found")
	}
	if _, err := s.Lookup(context.Background(), "k", token.ES256); !errors.Is(err, ErrUnavailable) {
		t.Errorf("when the fetch was given up: %v", err)
	}
	if st := c.Stats(); st.Sets != 2 || st.Empty != 1 || st.Failing != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestHoldAndRelease(t *testing.T) {
	t.Parallel()
	p, k := publish(t), tokentest.Key(t, token.ES256)
	p.keys(t, k)
	c, _ := cache(t)
	one, two := c.Hold(p.URL), c.Hold(p.URL)
	if one != two || !found(t, one, k) {
		t.Error("two holders of one URL have two sets")
	}
	c.Release(one)
	if st := c.Stats(); st.Sets != 1 {
		t.Errorf("after one of two releases: %+v", st)
	}
	c.Release(two)
	c.Release(two)
	c.Release(nil)
	if st := c.Stats(); st.Sets != 0 || st.Fetched != 1 {
		t.Errorf("after the last release: %+v", st)
	}
	if again := c.Hold(p.URL); again == one || !found(t, again, k) {
		t.Error("a new set is the old one")
	} else {
		c.Release(again)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	p := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") }))
	defer p.Close()
	p.Config.ErrorLog = nil
	if _, err := newFetcher(nil, nil).get(context.Background(), p.URL, Source{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.Certificate())
	if body, err := newFetcher(nil, &tls.Config{RootCAs: roots}).get(context.Background(), p.URL, Source{}); err != nil || string(body) != "body" {
		t.Errorf("%q, %v", body, err)
	}
}

// Ensure that an address is judged when it is dialled, whatever the name was, and that errors hold no query.
func TestTargets(t *testing.T) {
	t.Parallel()
	p := publish(t)
	p.set(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") })
	at := netip.MustParseAddrPort(p.Listener.Addr().String())
	for _, own := range []netip.AddrPort{at, netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()), netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())} {
		f := newFetcher(func() []netip.AddrPort { return []netip.AddrPort{own} }, nil)
		for _, host := range []string{"127.0.0.1", "localhost"} {
			_, err := f.get(context.Background(), fmt.Sprintf("http://%s:%d/?secret=hunter2", host, at.Port()), Source{})
			if err == nil || host == "127.0.0.1" && !strings.Contains(err.Error(), "own listener") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s with our own listener at %s: %v", host, own, err)
			}
		}
	}
	f := newFetcher(nil, nil)
	for url, want := range map[string]string{
		"http://192.0.2.1/":                 "not loopback",
		"https://169.254.169.254/":          "link-local",
		"https://[fe80::1]/":                "link-local",
		"https://[::ffff:169.254.169.254]/": "link-local",
		"https://[64:ff9b::a9fe:a9fe]/":     "link-local",
		"https://[fd00:ec2::254]/":          "metadata",
		"https://0.0.0.0/":                  "unspecified",
		"https://224.0.0.1/":                "multicast",
	} {
		if _, err := f.get(context.Background(), url+"?secret=hunter2", Source{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	if got := p.fetches.Load(); got != 0 {
		t.Errorf("%d connections reached the listener", got)
	}
}
