package tokenep_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/hashpool"
	"gatehouse/internal/lockout"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/replay"
	"gatehouse/internal/revoke"
	"gatehouse/internal/secret"
	"gatehouse/internal/statedb"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
	"gatehouse/tokenep"
)

const (
	issuerURL = "https://auth.example"
	apiA      = "https://api.a.example/"
	apiB      = "https://api.b.example/"
	apiC      = "urn:c"
	apiD      = "https://api.d.example/"
	apiN      = "https://api.n.example/"
	oddID     = "a:b%c+d e"
	oddSecret = `p+q/r=%:&"z`
	rawSecret = "p+q r" // no client library that leaves the encoding out would send it otherwise
)

// store is a revocation store that tests can break.
type store struct {
	mu        sync.Mutex
	notBefore int64
	notReady  bool
	staleness time.Duration
	err       error
	entries   []revoke.Entry
}

func (s *store) NotBefore(issuer, client, key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notBefore
}

func (s *store) Revoke(_ context.Context, e revoke.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.entries = append(s.entries, e)
	}
	return s.err
}

func (s *store) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.notReady
}

func (s *store) Staleness() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.staleness
}

func (s *store) Revoked(p *authz.Principal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.entries, func(e revoke.Entry) bool { return e.ID == revoke.TokenID(p.Issuer, p.TokenID) })
}

func (s *store) revoked() []revoke.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]revoke.Entry(nil), s.entries...)
}

type keyset map[string]*token.PublicKey

func (k keyset) Key(kid string, _ token.Algorithm) *token.PublicKey { return k[kid] }
func (k keyset) Generation() uint64                                 { return 1 }

// fixture is a running token endpoint.
type fixture struct {
	t       testing.TB
	url     string
	secrets map[string]string // by client
	signers map[token.Algorithm]*token.PrivateKey
	options tokenep.Options
	store   *store
	clock   *clock
	records chan exchange.Record
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func apis() []tokenep.API {
	return []tokenep.API{
		{Name: "a", Audience: apiA, Scopes: token.NewScopes("read:a", "write:a", "admin:a"), Algorithm: token.RS256, TTL: 10 * time.Minute, Dialect: token.RFC9068},
		{Name: "b", Audience: apiB, Scopes: token.NewScopes("read:b"), Algorithm: token.ES256, TTL: time.Minute, Dialect: token.RFC9068},
		{Name: "c", Audience: apiC, Scopes: token.NewScopes("x"), Algorithm: token.RS256, TTL: 5 * time.Minute, Dialect: token.Auth0},
		{Name: "d", Audience: apiD, Scopes: token.NewScopes("read:b", "read:d"), Algorithm: token.EdDSA, TTL: time.Minute, Dialect: token.RFC9068},
		{Name: "n", Audience: apiN, Scopes: token.NewScopes("n1", "n2", "n3"), Algorithm: token.ES256, TTL: time.Minute, Dialect: token.RFC9068, Narrow: true},
	}
}

func clients(now time.Time, secrets map[string]string) []tokenep.Client {
	keep := func(id, text string) tokenep.Secret {
		secrets[id] = text
		return tokenep.Secret{SHA256: secret.Sum(text)}
	}
	until := func(s tokenep.Secret, t time.Time) tokenep.Secret { s.NotAfter = t; return s }
	from := func(s tokenep.Secret, t time.Time) tokenep.Secret { s.NotBefore = t; return s }
	a := map[string]token.Scopes{"a": token.NewScopes("read:a", "write:a")}
	one := func(id string, grants map[string]token.Scopes) tokenep.Client {
		return tokenep.Client{ID: id, Grants: grants, GrantTypes: []string{"client_credentials"}, Secrets: []tokenep.Secret{keep(id, secret.New())}}
	}
	with := func(c tokenep.Client, change func(c *tokenep.Client)) tokenep.Client { change(&c); return c }
	return []tokenep.Client{
		one("c-basic", a),
		with(one("c-only-basic", a), func(c *tokenep.Client) { c.Auth = "client_secret_basic" }),
		with(one("c-post", map[string]token.Scopes{"a": token.NewScopes("read:a")}), func(c *tokenep.Client) { c.Auth = "client_secret_post" }),
		one("c-multi", map[string]token.Scopes{"a": token.NewScopes("read:a"), "b": token.NewScopes("read:b")}),
		one("c-shared", map[string]token.Scopes{"b": token.NewScopes("read:b"), "d": token.NewScopes("read:b", "read:d")}),
		one("c-c", map[string]token.Scopes{"c": token.NewScopes("x")}),
		one("c-narrow", map[string]token.Scopes{"n": token.NewScopes("n1", "n2")}),
		one("c-noscope", map[string]token.Scopes{"a": {}}),
		one("c-noapi", nil),
		with(one("c-nogrant", a), func(c *tokenep.Client) { c.GrantTypes = nil }),
		with(one("c-q", a), func(c *tokenep.Client) { c.Quotas = []tokenep.Quota{quota(3)} }),
		with(one("c-qo", a), func(c *tokenep.Client) { c.Quotas = []tokenep.Quota{observed(quota(5))} }),
		with(one("c-q2", a), func(c *tokenep.Client) { c.Quotas = []tokenep.Quota{quota(2), observed(named("quota#2", quota(1)))} }),
		with(one("rs-a", nil), func(c *tokenep.Client) { c.Introspect = []string{"a", "c"} }),
		with(one("rs-b", nil), func(c *tokenep.Client) { c.Introspect = []string{"b"} }),
		with(one("c-off", a), func(c *tokenep.Client) { c.Disabled = true }),
		with(one("c-ttl", a), func(c *tokenep.Client) { c.TTL = 30 * time.Second }),
		with(one("c-long", a), func(c *tokenep.Client) { c.TTL = time.Hour }),
		with(one("c-pub", a), func(c *tokenep.Client) { c.Secrets = nil }),
		with(one(oddID, a), func(c *tokenep.Client) { c.Secrets = []tokenep.Secret{keep(oddID, oddSecret)} }),
		with(one("c-raw", a), func(c *tokenep.Client) { c.Secrets = []tokenep.Secret{keep("c-raw", rawSecret)} }),
		with(one("c-rot", a), func(c *tokenep.Client) { c.Secrets = append(c.Secrets, keep("c-rot2", secret.New())) }),
		with(one("c-exp", a), func(c *tokenep.Client) { c.Secrets[0] = until(c.Secrets[0], now) }),
		with(one("c-soon", a), func(c *tokenep.Client) { c.Secrets[0] = until(c.Secrets[0], now.Add(3*time.Second)) }),
		with(one("c-later", a), func(c *tokenep.Client) { c.Secrets[0] = from(c.Secrets[0], now.Add(3*time.Second)) }),
	}
}

// quota is so many tokens an hour.
func quota(n int64) tokenep.Quota {
	return tokenep.Quota{Policy: ratelimit.Policy{Name: "quota", Requests: n, Per: time.Hour, Burst: n}}
}

func observed(q tokenep.Quota) tokenep.Quota           { q.Observe = true; return q }
func named(name string, q tokenep.Quota) tokenep.Quota { q.Policy.Name = name; return q }

// signing is a key of ours; making one for RSA takes long, so that all fixtures share them.
func signing(t testing.TB, alg token.Algorithm) *token.PrivateKey {
	t.Helper()
	signingKeys.Lock()
	defer signingKeys.Unlock()
	if signingKeys.made == nil {
		signingKeys.made = map[token.Algorithm]*token.PrivateKey{}
	}
	if signingKeys.made[alg] == nil {
		signingKeys.made[alg] = tokentest.Key(t, alg)
	}
	return signingKeys.made[alg]
}

var signingKeys struct {
	sync.Mutex
	made map[token.Algorithm]*token.PrivateKey
}

// start runs the endpoints on a real listener, with a change to the options before.
func start(t testing.TB, change func(o *tokenep.Options)) *fixture {
	t.Helper()
	now := time.Unix(1_800_000_000, 700_000_000)
	f := &fixture{t: t, secrets: map[string]string{}, signers: map[token.Algorithm]*token.PrivateKey{}, store: &store{},
		clock: &clock{now: now}, records: make(chan exchange.Record, 1000)}
	public, keys := keyset{}, []*token.PublicKey{}
	for _, alg := range []token.Algorithm{token.ES256, token.RS256, token.EdDSA} {
		k := signing(t, alg)
		f.signers[alg], public[k.Public().ID()] = k, k.Public()
		keys = append(keys, k.Public())
	}
	jwks, err := token.MarshalJWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := authz.NewVerifier(authz.Options{CacheEntries: 100, CacheBytes: 1 << 20, Issuers: []authz.Issuer{{
		Name: authz.Local, URL: issuerURL, Algorithms: []token.Algorithm{token.ES256, token.RS256, token.EdDSA}, Keys: public,
		MaxLifetime: 24 * time.Hour, Dialect: dialect,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	f.options = tokenep.Options{Issuer: issuerURL, APIs: apis(), Clients: tokenep.NewRegistry(clients(now, f.secrets)),
		Signer: func(a token.Algorithm) *token.PrivateKey { return f.signers[a] }, JWKS: func() []byte { return jwks },
		Verifier: verifier, Revocations: f.store, Quotas: ratelimit.New(ratelimit.Options{Now: f.clock.Now}), Now: f.clock.Now,
		Lockout: lockout.New(lockout.NewStore(nil), 1_000_000, time.Minute), SlowHashes: hashpool.New(hashpool.Options{}), Replays: f.replays()}
	if change != nil {
		change(&f.options)
	}
	f.options.PublicURL, err = url.Parse(f.options.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	f.url = f.listen()
	return f
}

// replays remembers assertions in a journal, on the fixture's clock.
func (f *fixture) replays() *replay.Store {
	db, err := statedb.Open(f.t.TempDir())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { db.Close() })
	r, err := replay.Open(replay.Options{DB: db, Now: f.clock.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func dialect(audience string) (token.Dialect, bool) {
	for _, api := range apis() {
		if api.Audience == audience {
			return api.Dialect, true
		}
	}
	return "", false
}

func (f *fixture) listen() string {
	f.t.Helper()
	s, err := tokenep.New(f.options)
	if err != nil {
		f.t.Fatal(err)
	}
	endpoints := s.Endpoints()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := endpoints[r.URL.Path]
		if h == nil {
			http.NotFound(w, r)
			return
		}
		rec := &exchange.Record{Remote: r.Header.Get("X-Test-Remote")} // as the gateway has found it out
		h.ServeHTTP(w, r.WithContext(exchange.NewContext(r.Context(), rec)))
		select {
		case f.records <- *rec:
		default:
		}
	}))
	f.t.Cleanup(server.Close)
	return server.URL
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) text(t testing.TB, name string) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		t.Fatalf("%d %q is not JSON: %v", a.status, a.body, err)
	}
	s, _ := members[name].(string)
	return s
}

func (f *fixture) do(req *http.Request) answer {
	f.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// post sends a form body as it stands, with header pairs.
func (f *fixture) post(path, body string, header ...string) answer {
	f.t.Helper()
	req, err := http.NewRequest(http.MethodPost, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Del(header[i])
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	return f.do(req)
}

// ask sends a token request of the client, by Basic or, where it may use that alone, in the body.
func (f *fixture) ask(id string, params ...string) answer {
	f.t.Helper()
	body := form(append([]string{"grant_type", "client_credentials"}, params...)...)
	if id == "c-post" {
		return f.post("/oauth/token", body+"&"+form("client_id", id, "client_secret", f.secrets[id]))
	}
	return f.post("/oauth/token", body, "Authorization", basic(id, f.secrets[id]))
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func basic(id, secret string) string {
	return rawBasic(url.QueryEscape(id) + ":" + url.QueryEscape(secret))
}

func rawBasic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

// issued fails unless a is a token, and returns its header and claims.
func (f *fixture) issued(t *testing.T, a answer) (header, claims map[string]any) {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("status %d, body %s, want a token", a.status, a.body)
	}
	parts := strings.Split(a.text(t, "access_token"), ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", a.body)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// refused fails unless a is that error in the form of RFC 6749 §5.2.
func refused(t *testing.T, a answer, status int, word string) {
	t.Helper()
	if a.status != status || a.text(t, "error") != word {
		t.Fatalf("answer %d %s, want %d %s", a.status, a.body, status, word)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		t.Errorf("headers %v", a.header)
	}
	for _, text := range []string{word, a.text(t, "error_description")} {
		for _, r := range text {
			if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
				t.Errorf("%q holds %q (RFC 6749 §5.2)", text, r)
			}
		}
		if text == "" {
			t.Error("error or error_description is empty")
		}
	}
	if challenge := a.header.Get("WWW-Authenticate"); (status == 401) != strings.HasPrefix(challenge, "Basic realm=") {
		t.Errorf("status %d with challenge %q", status, challenge)
	}
	if retry := a.header.Get("Retry-After"); (status == 503 || status == 429) != (retry != "") {
		t.Errorf("status %d with Retry-After %q", status, retry)
	}
}
