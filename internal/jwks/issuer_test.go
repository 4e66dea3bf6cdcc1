package jwks

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

func holdIssuer(t *testing.T, c *Cache, from Source) *Keys {
	k := c.HoldIssuer(from)
	t.Cleanup(func() { c.Release(k.Set()) })
	return k
}

func TestMetadataURLs(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string][]string{
		"https://a.example":          {"https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"},
		"https://a.example/":         {"https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"},
		"https://a.example:8/t/one/": {"https://a.example:8/t/one/.well-known/openid-configuration", "https://a.example:8/.well-known/oauth-authorization-server/t/one"},
	} {
		if got := metadataURLs(issuer); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", issuer, got, want)
		}
	}
}

// Ensure that keys are found by an issuer's metadata, and by nobody else's (RFC 8414 §3.3).
func TestDiscovery(t *testing.T) {
	t.Parallel()
	good := func(base string) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, base, base+"/keys") }
	for name, tt := range map[string]struct {
		oidc, oauth func(base string) string // documents; nil: 404
		want        string                   // what the error says; "": the key is found
	}{
		"oidc":            {good, nil, ""},
		"oauth":           {nil, good, ""},
		"oidc is garbage": {func(string) string { return "<html>" }, good, ""},
		"none":            {nil, nil, "404"},
		"another issuer":  {func(b string) string { return good(b + "/") }, nil, "issuer is not"},
		"in another case": {func(b string) string { return strings.Replace(good(b), `"issuer"`, `"Issuer"`, 1) }, nil, "issuer is not"},
		"no issuer":       {func(b string) string { return `{"jwks_uri":"` + b + `/keys"}` }, nil, "issuer is not"},
		"no jwks_uri":     {func(b string) string { return `{"issuer":"` + b + `"}` }, nil, "no jwks_uri"},
		"a file":          {func(b string) string { return `{"issuer":"` + b + `","jwks_uri":"file:///etc/passwd"}` }, nil, "absolute https"},
		"a list":          {func(string) string { return `[]` }, nil, "not a JSON object"},
		"large":           {func(b string) string { return strings.Repeat(" ", 1<<20) + good(b) }, nil, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, k := publish(t), tokentest.Key(t, token.ES256)
			keys := string(document(t, k))
			p.set(func(w http.ResponseWriter, r *http.Request) {
				doc := map[string]func(string) string{"/.well-known/openid-configuration": tt.oidc, "/.well-known/oauth-authorization-server": tt.oauth,
					"/keys": func(string) string { return keys }}[r.URL.Path]
				if doc == nil {
					http.NotFound(w, r)
					return
				}
				fmt.Fprint(w, doc(p.URL))
			})
			body, err := newFetcher(nil, nil).load(context.Background(), Source{Issuer: p.URL, Insecure: true})
			if tt.want == "" && (err != nil || string(body) != keys) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// Ensure that an issuer's keys come by https alone, unless it is insecure, also where metadata names the URL.
func TestIssuerByHTTP(t *testing.T) {
	t.Parallel()
	p := publish(t)
	p.set(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body") })
	f := newFetcher(nil, nil)
	for _, from := range []Source{{Issuer: p.URL}, {Issuer: "https://a.example", URL: p.URL}} {
		if _, err := f.load(context.Background(), from); err == nil || !strings.Contains(err.Error(), "want https") {
			t.Errorf("%+v: %v", from, err)
		}
	}
	if got := p.fetches.Load(); got != 0 {
		t.Errorf("%d requests by http", got)
	}
	if body, err := f.load(context.Background(), Source{Issuer: "https://a.example", URL: p.URL, Insecure: true}); err != nil || string(body) != "body" {
		t.Errorf("insecure: %q, %v", body, err)
	}
	if _, err := f.load(context.Background(), Source{Issuer: "x", URL: "http://169.254.169.254/", Insecure: true}); err == nil || !strings.Contains(err.Error(), "link-local") {
		t.Errorf("insecure and link-local: %v", err)
	}
}

// Ensure that what was verified counts only while the same keys do: the generation changes with the keys, when they get too
// old, and when they come back.
func TestKeysOfIssuer(t *testing.T) {
	t.Parallel()
	p := publish(t)
	first, second := tokentest.Key(t, token.ES256), tokentest.Key(t, token.EdDSA)
	p.keys(t, first)
	ahead := new(atomic.Int64)
	c := NewCache(Options{})
	c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	k := holdIssuer(t, c, Source{Issuer: "https://a.example", URL: p.URL, Insecure: true, MaxStale: time.Hour})
	one, two := first.Public().ID(), second.Public().ID()
	if k.Fetch(one, token.ES256) == nil || !k.Ready() {
		t.Fatal("the first key is not found")
	}
	seen := map[uint64]bool{}
	changed := func(when string) {
		t.Helper()
		g := k.Generation()
		if seen[g] || g != k.Generation() {
			t.Errorf("%s the generation is %d, which was there before", when, g)
		}
		seen[g] = true
	}
	changed("at first")
	if k.Key("", token.ES256) == nil || k.Key("", token.EdDSA) != nil || k.Key(two, token.EdDSA) != nil {
		t.Error("without kid, the only key for alg counts")
	}
	if other := k.Key(one, token.EdDSA); other == nil || other.Algorithm() != token.ES256 {
		t.Error("a kid with another alg is a key that can't have made the signature")
	}
	g := k.Generation()
	ahead.Store(int64(31 * time.Second))
	k.Fetch("made-up", token.ES256)
	if st := k.Stats(); st.Fetched < 2 || k.Generation() != g {
		t.Errorf("the same keys again: %+v, generation %d after %d", st, k.Generation(), g)
	}
	p.keys(t, first, second, tokentest.Key(t, token.ES256))
	ahead.Store(int64(62 * time.Second))
	if k.Fetch(two, token.EdDSA) == nil {
		t.Error("a new key is not found")
	}
	changed("with new keys")
	if k.Key("", token.ES256) != nil {
		t.Error("without kid, one of several keys counts")
	}
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	ahead.Store(int64(2 * time.Hour))
	changed("when it is too old")
	if k.Ready() || k.Key(one, token.ES256) != nil || k.Fetch(one, token.ES256) != nil {
		t.Error("keys that are too old count")
	}
	p.keys(t, first)
	ahead.Store(int64(3 * time.Hour))
	if k.Fetch(one, token.ES256) == nil || !k.Ready() {
		t.Error("a key is not found when the issuer is back")
	}
	changed("when it is back")
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	longer := holdIssuer(t, c, Source{Issuer: "https://a.example", URL: p.URL, Insecure: true, MaxStale: 2 * time.Hour})
	if longer.Key(one, token.ES256) == nil || longer.Generation() == 0 {
		t.Error("another max_stale loses the keys")
	}
}
