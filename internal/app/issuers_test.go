package app

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// authority is somebody else's authorization server.
type authority struct {
	*httptest.Server
	key     *token.PrivateKey
	fetches atomic.Int64 // of the keys
	broken  atomic.Pointer[http.HandlerFunc]
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: tokentest.Key(t, token.ES256)}
	keys, err := token.MarshalJWKS([]*token.PublicKey{a.key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, a.URL, a.URL+"/keys")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		a.fetches.Add(1)
		if f := a.broken.Load(); f != nil {
			(*f)(w, r)
			return
		}
		w.Write(keys)
	})
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) breaks(f http.HandlerFunc) { a.broken.Store(&f) }

// token is one of the authority's, changed by header and claims.
func (a *authority) token(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	h := map[string]any{"alg": "ES256", "kid": a.key.Public().ID(), "typ": "JWT"}
	c := map[string]any{"iss": a.URL, "sub": "app", "azp": "reader", "aud": []string{"https://api.example.com/orders"}, "scp": []string{"orders:read"},
		"iat": now, "exp": now + 300, "jti": token.NewID()}
	maps.Copy(h, header)
	maps.Copy(c, claims)
	head, _ := json.Marshal(h)
	body, _ := json.Marshal(c)
	return tokentest.Sign(t, a.key, string(head), string(body))
}

// accept writes the site's configuration with issuers, in YAML by name, which the orders API takes beside local.
func (s *site) accept(issuers map[string]string) {
	s.t.Helper()
	s.write()
	path := filepath.Join(s.dir, "config.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	section, names := "issuers:\n", "local"
	for name, keys := range issuers {
		section += "  " + name + ": " + keys + "\n"
		names += ", " + name
	}
	audience := "    audience: https://api.example.com/orders\n"
	out := strings.Replace(string(text), audience, audience+"    issuers: ["+names+"]\n", 1)
	s.file("config.yaml", section+out)
}

func (a *authority) entry(more string) string {
	return fmt.Sprintf("{issuer: %q, algorithms: [ES256], insecure: true%s}", a.URL, more)
}

// TestForeignIssuer: whose the token is travels with it, into headers, limits, revocations and the cache.
func TestForeignIssuer(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		corp, dead := newAuthority(t), newAuthority(t)
		s.limit = "{requests: 1, per: 1h, burst: 2}"
		s.accept(map[string]string{"corp": corp.entry(""), "dead": dead.entry("")})
		dead.Close()
		n := s.start()
		theirs := corp.token(t, nil, nil)
		if got := n.call("GET", "/orders/1", theirs); got.status != 200 {
			t.Fatalf("a token of corp: %d %s", got.status, got.body)
		}
		h := s.upstream.last.Load().Header
		if h.Get("X-Client-Id") != "reader" || h.Get("X-Token-Issuer") != corp.URL || h.Get("X-Token-Scopes") != "orders:read" || h.Get("X-Token-Subject") != "app" {
			t.Errorf("the upstream saw %v", h)
		}
		ours := s.token(n, "reader")
		for range 2 { // the bucket of our reader is not corp's
			if got := n.call("GET", "/orders/1", ours); got.status != 200 {
				t.Errorf("our own token: %d %s", got.status, got.body)
			}
		}
		for name, tt := range map[string]struct {
			raw    string
			status int
			reason string
		}{
			"another audience":       {corp.token(t, nil, map[string]any{"aud": "https://api.example.com/users"}), 401, "wrong_audience"},
			"no scope":               {corp.token(t, nil, map[string]any{"scp": nil}), 403, "insufficient_scope"},
			"expired":                {corp.token(t, nil, map[string]any{"iat": 1, "exp": 2}), 401, "expired"},
			"a key of nobody":        {corp.token(t, map[string]any{"kid": "x"}, nil), 401, "invalid_token"},
			"our issuer, their key":  {corp.token(t, nil, map[string]any{"iss": s.url()}), 401, "invalid_token"},
			"an issuer that is away": {dead.token(t, nil, nil), 503, "state_unavailable"},
		} {
			if got := n.call("GET", "/orders/1", tt.raw); got.status != tt.status || got.reason() != tt.reason {
				t.Errorf("%s: %d %s, want %d %s", name, got.status, got.reason(), tt.status, tt.reason)
			}
		}
		if got := n.call("GET", "/users", corp.token(t, nil, map[string]any{"aud": "https://api.example.com/users", "scp": "users:read"})); got.status != 401 {
			t.Errorf("an API that does not name corp: %d", got.status)
		}
		s.revokesForeign(n, corp)
		if _, text := n.adminBody("GET", "/metrics"); !strings.Contains(text, `gatehouse_issuer_keys_usable{issuer="corp"} 1`) ||
			!strings.Contains(text, `gatehouse_issuer_keys_usable{issuer="dead"} 0`) || !strings.Contains(text, `gatehouse_issuer_keys_age_seconds{issuer="corp"}`) {
			t.Error("the metrics do not tell how the issuers do")
		}
	})
}

// revokesForeign ends tokens of corp in each way that there is. Ours of the same client go on. The limit is used up, so
// that 429 is a token that was good.
func (s *site) revokesForeign(n *node, corp *authority) {
	t := s.t
	t.Helper()
	revoke := func(body string) int {
		req, _ := http.NewRequest("POST", "http://"+n.AdminAddr().String()+"/api/v1/revocations", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		res, err := send(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.status
	}
	status := func(raw string) string {
		got := n.call("GET", "/orders/1", raw)
		return fmt.Sprint(got.status, " ", got.reason())
	}
	old := time.Now().Unix() - 100
	id := func(jti string) string {
		return corp.token(t, nil, map[string]any{"jti": jti, "azp": "a" + jti, "iat": old})
	}
	one, two, three, four := id("1"), id("2"), id("3"), id("4")
	for _, raw := range []string{one, two, three, four} {
		if got := status(raw); got != "200 " {
			t.Errorf("before: %s", got)
		}
	}
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"token":             {fmt.Sprintf(`{"token":%q}`, one), 200},
		"jti, by name":      {fmt.Sprintf(`{"jti":"2","expires":%d,"issuer":"corp"}`, time.Now().Unix()+300), 200},
		"client, by URL":    {fmt.Sprintf(`{"client":"a3","issuer":%q}`, corp.URL), 200},
		"nobody's":          {`{"client":"a4","issuer":"nobody"}`, 422},
		"our jti":           {fmt.Sprintf(`{"jti":"4","expires":%d}`, time.Now().Unix()+300), 200},
		"no jti":            {fmt.Sprintf(`{"token":%q}`, corp.token(t, nil, map[string]any{"jti": ""})), 422},
		"our reader is not": {`{"client":"nobody"}`, 422},
	} {
		if got := revoke(tt.body); got != tt.want {
			t.Errorf("revocation of %s: %d, want %d", name, got, tt.want)
		}
	}
	for name, tt := range map[string][2]string{"one": {one, "401 revoked"}, "two": {two, "401 revoked"}, "three": {three, "401 revoked"}, "four": {four, "200 "},
		"no iat": {corp.token(t, nil, map[string]any{"azp": "a3", "iat": old, "jti": "5"}), "401 revoked"}} {
		if got := status(tt[0]); got != tt[1] {
			t.Errorf("%s: %s, want %s", name, got, tt[1])
		}
	}
	if got := revoke(fmt.Sprintf(`{"kid":%q,"issuer":"corp"}`, corp.key.Public().ID())); got != 200 {
		t.Errorf("revocation of corp's key: %d", got)
	}
	if got := status(corp.token(t, nil, map[string]any{"azp": "b", "iat": old})); got != "401 revoked" {
		t.Errorf("a token by a revoked key: %s", got)
	}
	if got := n.call("GET", "/orders/1", s.token(n, "writer")); got.status != 200 {
		t.Errorf("ours, after all of that: %d %s", got.status, got.body)
	}
}

// TestFloodOfKids: 10 000 tokens with kids that nobody has cause one fetch; tokens with a known kid pass meanwhile, and
// nothing is kept of the rest (K2).
func TestFloodOfKids(t *testing.T) { // not parallel: others would grow the heap, too
	s, corp := newSite(t, nil), newAuthority(t)
	s.accept(map[string]string{"corp": corp.entry("")})
	n := s.start()
	good := corp.token(t, nil, nil)
	if got := n.call("GET", "/orders/1", good); got.status != 200 {
		t.Fatalf("a token of corp: %d %s", got.status, got.body)
	}
	before := corp.fetches.Load()
	// The gateway refuses a token by its kid before it looks at the signature.
	_, tail, _ := strings.Cut(good, ".")
	verify := n.current.Load().verifier
	flood := func(from, to int) {
		var all sync.WaitGroup
		for part := range 8 {
			all.Go(func() {
				for i := from + part; i < to; i += 8 {
					raw := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256","typ":"JWT","kid":"made-up-%d"}`, i)) + "." + tail
					if p, _, f := verify.Verify(raw, time.Now().Unix()); p != nil || f.Reason != "unknown_key" {
						t.Errorf("a made-up kid: %+v", f)
					}
				}
			})
		}
		all.Wait()
	}
	flood(0, 1000)
	heap := heapInUse()
	flood(1000, 10_000)
	if got := n.call("GET", "/orders/1", good); got.status != 200 {
		t.Errorf("a good token among them: %d %s", got.status, got.body)
	}
	if got := n.call("GET", "/orders/1", corp.token(t, nil, nil)); got.status != 200 {
		t.Errorf("a new token among them: %d %s", got.status, got.body)
	}
	if got := corp.fetches.Load() - before; got > 1 {
		t.Errorf("10 000 kids caused %d fetches", got)
	}
	if grown := int64(heapInUse()) - int64(heap); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestBrokenIssuer: whatever stands in place of the keys, the last good ones serve, through reloads too, and then the tokens
// are answered 503. Our own and those of other issuers pass all the time.
func TestBrokenIssuer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	authorities, entries := map[string]*authority{}, map[string]string{}
	bad := map[string]http.HandlerFunc{
		"stale":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"garbage":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"empty":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"huge":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[`+strings.Repeat(" ", 1<<21)) },
		"slow":     func(_ http.ResponseWriter, r *http.Request) { wait(r, end) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	}
	for name := range bad {
		a := newAuthority(t)
		authorities[name], entries[name] = a, a.entry("")
	}
	entries["stale"] = authorities["stale"].entry(", max_stale: 1s")
	s.accept(entries)
	n := s.start()
	status := func(name string) int {
		return n.call("GET", "/orders/1", authorities[name].token(t, nil, nil)).status
	}
	for name := range bad {
		if got := status(name); got != 200 {
			t.Errorf("%s, while it is good: %d", name, got)
		}
	}
	var all sync.WaitGroup
	for name, serve := range bad {
		all.Go(func() {
			a := authorities[name]
			a.breaks(serve)
			before := a.fetches.Load()
			got := n.call("GET", "/orders/1", a.token(t, map[string]any{"kid": "made-up"}, nil))
			if name != "stale" && (got.status != 401 || a.fetches.Load() == before) {
				t.Errorf("%s: a made-up kid gives %d, after %d fetches", name, got.status, a.fetches.Load()-before)
			}
		})
	}
	all.Wait()
	if _, err := n.Reload("api"); err != nil {
		t.Errorf("a reload: %v", err)
	}
	for name := range bad {
		if got := status(name); name != "stale" && got != 200 {
			t.Errorf("%s, once it is broken: %d", name, got)
		}
	}
	eventually(t, 10*time.Second, "503 for the one that is stale", func() bool { return status("stale") == 503 })
	if got := n.call("GET", "/orders/1", s.token(n, "reader")); got.status != 200 {
		t.Errorf("our own token: %d", got.status)
	}
	if ok, why := n.Ready(); !ok {
		t.Errorf("the node is not ready: %s", why)
	}
	authorities["stale"].broken.Store(nil)
	eventually(t, 10*time.Second, "200 for the one that is back", func() bool { return status("stale") == 200 })
}

// wait holds a request until the test or the caller has gone.
func wait(r *http.Request, end chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-end:
	}
}
