package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/secret"
)

// loadGood loads testdata/good/NAME.txt, and returns the directory that it was written to.
func loadGood(t *testing.T, name string) (*Config, string) {
	t.Helper()
	a := readArchive(t, "testdata/good/"+name+".txt")
	dir := a.write(t)
	c, err := Load(filepath.Join(dir, "config.yaml"), Options{Getenv: a.getenv})
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// TestFull sets every key to something other than its default, and compares the whole Config.
func TestFull(t *testing.T) {
	t.Parallel()
	got, dir := loadGood(t, "full")
	in := func(name string) string { return filepath.Join(dir, name) }
	pos := func(file string, line, col int) Pos { return Pos{in(file), line, col} }
	mustURL := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	argon2id, err := secret.ParseArgon2id("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: in("config.yaml"),
		Server: Server{
			Listen: ":9080", ListenPos: pos("config.yaml", 3, 11),
			PublicURL: mustURL("http://gate.example/auth/"), Issuer: "http://gate.example/auth/",
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("fd00::/8")},
			IdleTimeout:    90 * time.Second, MaxHeaderBytes: 32 << 10, Drain: 5 * time.Second,
		},
		Admin: Admin{
			Listen: "0.0.0.0:9081", ListenPos: pos("config.yaml", 11, 11), Token: secret.Hide("0123456789abcdef"),
			Hosts: []string{"admin.internal"}, Pprof: true,
		},
		State: State{Dir: in("data/state"), Redis: &Redis{
			Mode: Standalone, Addrs: []string{"redis.internal:6380"}, Username: "gate", Password: secret.Hide("from-env"), TLS: true, CAFile: in("ca.pem"),
			Prefix: "gate", Budget: 50 * time.Millisecond, Pos: pos("config.yaml", 18, 5),
		}},
		Tokens: Tokens{
			Every: 720 * time.Hour, PublishBefore: 15 * time.Minute,
			TTL: 5 * time.Minute, Algorithm: "EdDSA", KeyDir: in("keys"), KeyDirPos: pos("config.yaml", 29, 12),
			Signing: map[string]string{"EdDSA": "a.pem"}, Lockout: Lockout{Failures: 5, Per: 2 * time.Minute},
		},
		Revocation: Revocation{MaxStaleness: time.Minute, AllowStale: true},
		Audit:      Audit{Enabled: true, File: in("trail/audit.log"), MaxSize: 1 << 20, Keep: 3},
		Log:        Log{Level: "debug", Format: "text"},
		APIs: []API{
			{
				Name: "orders", Pos: pos("config.yaml", 42, 3), Audience: "https://api.example/orders",
				Upstreams: []Upstream{{mustURL("https://orders.internal:8443/v1"), 3}, {mustURL("https://orders2.internal"), 1}}, Balance: "least_requests",
				UpstreamTLS: &UpstreamTLS{CA: []byte(readArchive(t, "testdata/good/full.txt").sections["ca.pem"]), ServerName: "orders.internal"}, UpstreamProtocol: "http1",
				Health:  &Health{Path: "/healthz?full=1", Interval: time.Second, Timeout: 500 * time.Millisecond, HealthyAfter: 1, UnhealthyAfter: 4},
				Breaker: &Breaker{Failures: 3, OpenFor: 2 * time.Second}, Retry: &Retry{Attempts: 3, On: []string{"connect", "502"}},
				Scopes: map[string]string{"orders:read": "Read", "orders:write": ""}, Algorithm: "PS256", TTL: time.Minute,
				Dialect: "auth0", NarrowScopes: true, Issuers: []string{"local"}, Observe: true,
				Claims:     []Claim{{"https://example.com/team", []string{"", " of orders, {not} https://api.example/orders", ""}}, {"urn:example:plain", []string{"text"}}},
				Hook:       &Hook{URL: mustURL("https://hooks.example/token"), Secret: secret.Hide("0123456789abcdef0123456789abcdef"), Timeout: 500 * time.Millisecond},
				Revocation: Revocation{MaxStaleness: 30 * time.Second, AllowStale: false},
				Hosts:      []string{"api.example", "192.0.2.7", "[2001:db8::7]"}, StripPrefix: "/o",
				RateLimits: []RateLimit{
					{Name: "orders", Requests: 10, Per: time.Minute, Burst: 20, By: "ip", OnError: "closed"},
					{Name: "orders#2", Requests: 5, Per: time.Second, Burst: 5, By: "client", OnError: "local"},
				},
				Timeout: 3 * time.Second, MaxBody: 2 << 20, KeepAuthorization: false, KeepHost: true,
				Routes: []Route{
					{
						Pos: pos("config.yaml", 78, 16), Match: "GET /o/{id}", Method: "GET", Pattern: "/o/{id}", Auth: "scopes",
						All: []string{"orders:read"}, Any: [][]string{{"orders:write"}, {"orders:read", "orders:write"}},
						Timeout: 4 * time.Second, MaxBody: 1024, Cost: 2, Streaming: true, WebSocket: true, CloseOnExpiry: true, AllowPath: []string{"slash", "double_slash"},
						RateLimits: []RateLimit{
							{Name: "orders GET /o/{id}", Requests: 9, Per: time.Second, Burst: 9, By: "route", OnError: "open"},
							{Name: "orders GET /o/{id}#2", Requests: 8, Per: time.Second, Burst: 8, By: "claim:https://example.com/org", OnError: "local"},
						},
					},
					{
						Pos: pos("config.yaml", 91, 16), Match: "/o", Pattern: "/o", Auth: "public", Observe: true, Cost: 0,
						Timeout: 3 * time.Second, MaxBody: 2 << 20, KeepAuthorization: true,
						RateLimits: []RateLimit{{Name: "orders /o", Requests: 1, Per: time.Second, Burst: 1, By: "ip", OnError: "local"}},
					},
				},
			},
			{
				Name: "users", Pos: pos("apis.d/users.yml", 2, 3), Audience: "users", Upstreams: []Upstream{{mustURL("http://127.0.0.1:9002"), 1}}, Balance: "round_robin",
				UpstreamProtocol: "http1", Health: &Health{Path: "/up", Interval: 5 * time.Second, Timeout: 2 * time.Second, HealthyAfter: 2, UnhealthyAfter: 3},
				Retry: &Retry{Attempts: 2, On: []string{"reset", "503", "504"}}, Scopes: map[string]string{},
				Algorithm: "EdDSA", TTL: 5 * time.Minute, Dialect: "rfc9068", Issuers: []string{"local"},
				Revocation: Revocation{MaxStaleness: time.Minute, AllowStale: false},
				OpenAPI:    in("apis.d/users.json"), OpenAPIPos: pos("apis.d/users.yml", 9, 14),
				RateLimits: []RateLimit{{Name: "users", Requests: 7, Per: time.Second, Burst: 7, By: "client", OnError: "local"}},
				Timeout:    2 * time.Second, MaxBody: 3 << 20, KeepAuthorization: true, KeepHost: true,
				Routes: []Route{{
					Pos: pos("apis.d/users.yml", 7, 16), Match: "/users/", Pattern: "/users/", Auth: "token", Cost: 1,
					Timeout: 2 * time.Second, MaxBody: 3 << 20, KeepAuthorization: true,
				}},
			},
		},
		Clients: []Client{
			{ID: "12", Pos: pos("clients.yaml", 17, 3), Grants: map[string][]string{}, GrantTypes: []string{"client_credentials"}, Disabled: true, RateLimits: []RateLimit{
				{Name: "client", Requests: 3, Per: time.Minute, Burst: 3, By: "client", OnError: "local"},
				{Name: "client#2", Requests: 2, Per: time.Second, Burst: 4, By: "client", OnError: "open"}}},
			{
				ID: "billing", Pos: pos("clients.yaml", 3, 3), Grants: map[string][]string{"orders": {"orders:read"}, "users": nil},
				Auth: "client_secret_post", TTL: 30 * time.Second, Introspect: []string{"users", "orders"},
				Quotas: []Quota{{Name: "quota", Tokens: 10, Per: time.Hour}, {Name: "quota#2", Tokens: 100, Per: 24 * time.Hour, Observe: true}},
				Secrets: []ClientSecret{{
					SHA256:    [32]byte{0: 0x12, 31: 0xef},
					NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
					Created: "2026-01-01", Note: "1",
				}},
			},
			{
				ID: "imported", Pos: pos("clients.yaml", 19, 3), Grants: map[string][]string{}, GrantTypes: []string{"client_credentials"},
				Secrets: []ClientSecret{{Argon2id: argon2id}},
			},
			{
				ID: "signs", Pos: pos("clients.yaml", 21, 3), Grants: map[string][]string{}, GrantTypes: []string{"client_credentials"}, Auth: "private_key_jwt",
				Keys: ClientKeys{Pos: pos("clients.yaml", 23, 16), JWKS: []byte("{\"keys\":[]}\n"), Algorithms: []string{"ES256", "PS256"}},
			},
			{
				ID: "signs-elsewhere", Pos: pos("clients.yaml", 25, 3), Grants: map[string][]string{}, GrantTypes: []string{"client_credentials"}, Auth: "private_key_jwt",
				Keys: ClientKeys{Pos: pos("clients.yaml", 27, 15), URI: "https://keys.example/jwks?tenant=a", Algorithms: []string{"ES256", "RS256", "PS256", "EdDSA"}},
			},
		},
	}
	got2 := *got
	got2.Hash, got2.Watched, got2.Warnings, got2.places, got2.sources = "", nil, nil, nil, nil
	if !reflect.DeepEqual(&got2, want) {
		differences(t, "", reflect.ValueOf(got2), reflect.ValueOf(*want))
		t.Fatal("the configuration differs")
	}
}

// differences names the fields that differ, so that a failure can be read.
func differences(t *testing.T, path string, got, want reflect.Value) {
	t.Helper()
	switch {
	case got.Kind() == reflect.Struct && got.Type().PkgPath() == want.Type().PkgPath() && strings.HasSuffix(got.Type().PkgPath(), "config"):
		for i := range got.NumField() {
			differences(t, path+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
	case got.Kind() == reflect.Slice && got.Len() == want.Len() && got.Len() > 0:
		for i := range got.Len() {
			differences(t, path, got.Index(i), want.Index(i))
		}
	case got.CanInterface() && !reflect.DeepEqual(got.Interface(), want.Interface()):
		t.Errorf("%s = %+v, want %+v", path, got, want)
	}
}

// TestMinimal holds every default.
func TestMinimal(t *testing.T) {
	t.Parallel()
	c, dir := loadGood(t, "minimal")
	if got, want := c.Server, (Server{
		Listen: "127.0.0.1:8080", ListenPos: c.Server.ListenPos, PublicURL: c.Server.PublicURL, Issuer: "http://127.0.0.1:8080",
		IdleTimeout: time.Minute, MaxHeaderBytes: 65536, Drain: 30 * time.Second,
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("server %+v, want %+v", got, want)
	}
	if got, want := c.Admin, (Admin{Listen: "127.0.0.1:8081"}); !reflect.DeepEqual(got, want) {
		t.Errorf("admin %+v, want %+v", got, want)
	}
	if got, want := c.State, (State{Dir: filepath.Join(dir, "state")}); !reflect.DeepEqual(got, want) {
		t.Errorf("state %+v, want %+v", got, want)
	}
	if got, want := c.Tokens, (Tokens{TTL: 10 * time.Minute, Algorithm: "ES256", Every: 720 * time.Hour, PublishBefore: 15 * time.Minute,
		Lockout: Lockout{Failures: 10, Per: time.Minute}}); !reflect.DeepEqual(got, want) {
		t.Errorf("tokens %+v, want %+v", got, want)
	}
	if got, want := c.Revocation, (Revocation{MaxStaleness: 10 * time.Minute}); got != want {
		t.Errorf("revocation %+v, want %+v", got, want)
	}
	if got, want := c.Audit, (Audit{Enabled: true, MaxSize: 64 << 20, Keep: 8}); got != want || c.AuditFile() != filepath.Join(dir, "state", "audit.log") {
		t.Errorf("audit %+v in %s, want %+v", got, c.AuditFile(), want)
	}
	if got, want := c.Log, (Log{Level: "info", Format: "json"}); got != want {
		t.Errorf("log %+v, want %+v", got, want)
	}
	a := c.APIs[0]
	if a.Algorithm != "ES256" || a.TTL != 10*time.Minute || a.Dialect != "rfc9068" || a.NarrowScopes || a.Observe || a.KeepAuthorization || a.KeepHost ||
		!slices.Equal(a.Issuers, []string{"local"}) || a.Revocation != c.Revocation || a.Hosts != nil || a.RateLimits != nil ||
		a.Timeout != 30*time.Second || a.MaxBody != 10<<20 || len(a.Upstreams) != 1 || a.Balance != "round_robin" || a.UpstreamProtocol != "http1" ||
		a.UpstreamTLS != nil || a.Health != nil || a.Breaker != nil || a.Retry != nil {
		t.Errorf("API %+v", a)
	}
	if r := a.Routes[0]; r.Cost != 1 || r.Timeout != 30*time.Second || r.MaxBody != 10<<20 || r.KeepAuthorization || r.Observe || r.Streaming {
		t.Errorf("route %+v", r)
	}
	if len(c.Clients) != 0 || len(c.Warnings) != 0 {
		t.Errorf("clients %v, warnings %v, want none", c.Clients, c.Warnings)
	}
}

func TestRedisDefaults(t *testing.T) {
	t.Parallel()
	c, dir := loadGood(t, "redis")
	want := &Redis{Mode: Standalone, Addrs: []string{"127.0.0.1:6379"}, Password: secret.Hide("line one\nline two"), Prefix: "gh", Budget: 25 * time.Millisecond, Pos: c.State.Redis.Pos}
	if got := c.State.Redis; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v with password %q, want %+v", got, got.Password.Reveal(), want)
	}
	for _, name := range []string{"config.yaml", "clients.yaml", "redis.password", "keys"} {
		if !slices.Contains(c.Watched, filepath.Join(dir, name)) {
			t.Errorf("%s is not watched: %v", name, c.Watched)
		}
	}
}

func TestRedisModes(t *testing.T) {
	t.Parallel()
	c, dir := loadGood(t, "redis-sentinel")
	want := &Redis{
		Mode: Sentinel, Addrs: []string{"10.0.0.1:26379", "10.0.0.2:26379", "[fd00::3]:26379"}, MasterName: "orders",
		Username: "gatehouse", Password: secret.Hide("for the servers"), SentinelUsername: "watcher", SentinelPassword: secret.Hide("for the Sentinels"),
		TLS: true, Prefix: "gh", Budget: 25 * time.Millisecond, Pos: c.State.Redis.Pos,
	}
	if got := c.State.Redis; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !slices.Contains(c.Watched, filepath.Join(dir, "sentinel.password")) || len(c.Warnings) != 0 {
		t.Errorf("watched %v, warnings %v", c.Watched, c.Warnings)
	}
	c, _ = loadGood(t, "redis-cluster")
	want = &Redis{Mode: Cluster, Addrs: []string{"redis-0.internal:6379", "redis-1.internal:6379"}, Prefix: "gh", Budget: 25 * time.Millisecond, Pos: c.State.Redis.Pos}
	if got := c.State.Redis; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Message, "without TLS") {
		t.Errorf("warnings %v, want one about TLS", c.Warnings)
	}
}

// testRingKey is 32 bytes, 0 to 31.
const testRingKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestRing(t *testing.T) {
	t.Parallel()
	c, dir := loadGood(t, "ring")
	want := Tokens{TTL: 10 * time.Minute, Algorithm: "ES256", Every: 2 * time.Second, PublishBefore: time.Second,
		RingKeyFile: filepath.Join(dir, "ring.key"), Lockout: Lockout{Failures: 10, Per: time.Minute}}
	key := ""
	for i := range 32 {
		key += string(rune(i))
	}
	want.RingKey = secret.Hide(key)
	if got := c.Tokens; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v with key %x, want %+v", got, got.RingKey.Reveal(), want)
	}
	if !slices.Contains(c.Watched, want.RingKeyFile) {
		t.Errorf("the key file is not watched: %v", c.Watched)
	}
	if text := fmt.Sprintf("%v %+v %s", c.Tokens, c, c.Tokens.RingKey); strings.Contains(text, "ECAwQ") || strings.Contains(text, key) {
		t.Error("the key prints")
	}
	moved, rekeyed := *c, *c
	moved.Tokens.RingKeyFile = "other"
	rekeyed.Tokens.RingKey = secret.Hide(strings.Repeat("x", 32))
	for _, changed := range []*Config{&moved, &rekeyed} {
		if list := RestartNeeded(c, changed); len(list) != 1 || !strings.HasPrefix(list[0].Message, "tokens.ring_key_file: changed") || list[0].Line == 0 {
			t.Errorf("another key: %+v", list)
		}
	}
}

// TestDefaultsSwitchedOff holds that an API's value replaces that of defaults whole, and that null and [] drop it.
func TestDefaultsSwitchedOff(t *testing.T) {
	t.Parallel()
	c, _ := loadGood(t, "defaults")
	byName := make(map[string]API)
	for _, a := range c.APIs {
		byName[a.Name] = a
	}
	if a := byName["takes"]; len(a.RateLimits) != 1 || a.RateLimits[0].Name != "takes" || a.Timeout != 5*time.Second || a.MaxBody != 1024 || !a.KeepHost || !a.KeepAuthorization ||
		a.Health == nil || a.Health.Path != "/up" || a.Retry == nil || a.Retry.Attempts != 3 {
		t.Errorf("takes: %+v", a)
	}
	for _, name := range []string{"null", "empty"} {
		if a := byName[name]; len(a.RateLimits) != 0 || a.Timeout != 30*time.Second || a.MaxBody != 10<<20 || a.KeepHost || a.KeepAuthorization ||
			(a.Health != nil) != (name == "empty") || (a.Retry != nil) != (name == "empty") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := byName["own"]; a.RateLimits[0].Requests != 2 || a.RateLimits[0].Burst != 2 || a.KeepHost || !a.KeepAuthorization ||
		*a.Health != (Health{"/healthz", time.Second, 2 * time.Second, 2, 3}) || a.Retry.Attempts != 2 || !slices.Equal(a.Retry.On, []string{"connect"}) ||
		*a.Breaker != (Breaker{5, 10 * time.Second}) {
		t.Errorf("own: %+v", a)
	}
}

// TestKeepAuthorization is what the upstream gets of Authorization, by mode, auth and forward.
func TestKeepAuthorization(t *testing.T) {
	t.Parallel()
	c, _ := loadGood(t, "authorization")
	got := make(map[string]bool)
	for _, a := range c.APIs {
		for _, r := range a.Routes {
			got[a.Name+" "+r.Match] = r.KeepAuthorization
		}
	}
	want := map[string]bool{
		"enforce /enforce": false, "enforce /enforce/public": true, "enforce /enforce/observe": true,
		"observe /observe": true, "observe /observe/enforce": false,
		"keep /keep": true, "strip /strip": false, "strip /strip/public": true, "strip /strip/observe": false,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestRoutesThatPass are routes side by side that are no overlap, and wildcards over our own endpoints.
func TestRoutesThatPass(t *testing.T) {
	t.Parallel()
	c, _ := loadGood(t, "routes")
	if n := len(c.APIs[0].Routes); n != 14 {
		t.Errorf("%d routes, want 14", n)
	}
}

// TestExpansion is what variables become, typed and not.
func TestExpansion(t *testing.T) {
	t.Parallel()
	c, _ := loadGood(t, "expansion")
	a := c.APIs[0]
	if a.Upstreams[0].URL.String() != "http://127.0.0.1:9009" || a.RateLimits[0].Requests != 12 || a.Scopes["a"] != "costs $5, ${NO} $x and ${PRICE}" ||
		c.Log.Level != "warn" || !c.Admin.Pprof || a.Timeout != 7*time.Second {
		t.Errorf("got %+v %+v %+v", c.Admin, c.Log, a)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	a := readArchive(t, "testdata/good/warnings.txt")
	dir := a.write(t)
	for _, name := range []string{"token", "keys/a.pem", "keys/public.pem"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "config.yaml"), Options{Getenv: a.getenv})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, w := range c.Warnings {
		b.WriteString(w.Text("warning"))
	}
	got := strings.ReplaceAll(b.String(), dir+string(filepath.Separator), "")
	if *update {
		rewrite(t, "testdata/good/warnings.txt", a, got)
	}
	if want := a.sections["want"]; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestExample loads config.example.yaml as it stands, beside the clients file that its own comments show.
func TestExample(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, comment, found := strings.Cut(string(content), "#\n# version: 1\n")
	if !found {
		t.Fatal("the example shows no clients file")
	}
	clients := comment
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), string(content))
	clients = regexp.MustCompile(`(?m)^# `).ReplaceAllString(clients, "")
	write(t, filepath.Join(dir, "clients.yaml"), "version: 1\n"+clients)
	c, err := Load(filepath.Join(dir, "config.yaml"), Options{Getenv: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.APIs) != 1 || len(c.APIs[0].Routes) != 7 || len(c.Clients) != 1 || len(c.Clients[0].Secrets) != 1 || len(c.Warnings) != 0 {
		t.Errorf("got %+v", c)
	}
	for _, s := range []shape{configForm.shape, clientsForm.shape} {
		for _, k := range keysOf(s) {
			mention := regexp.MustCompile(`(?m)(^|[\s{,#])` + k.name + `:`)
			if found := mention.Match(content); !found {
				t.Errorf("key %q is not mentioned", k.name)
			}
		}
	}
}

func keysOf(s shape) []keyShape {
	var out []keyShape
	for _, k := range s.keys {
		out = append(append(out, k), keysOf(k.shape)...)
	}
	if s.elem != nil {
		out = append(out, keysOf(*s.elem)...)
	}
	return out
}

// TestExampleComments turns the example's commented keys on one by one: each must be read.
func TestExampleComments(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(content), "\n# The clients file is")
	commented := regexp.MustCompile(`(?m)^( *)# ([a-z_]+: .*)$`)
	places := commented.FindAllStringIndex(text, -1)
	if len(places) < 20 {
		t.Fatalf("%d commented keys, want at least 20", len(places))
	}
	ca := readArchive(t, "testdata/good/full.txt").sections["ca.pem"]
	pair := testCert(t, time.Hour*24*365, "127.0.0.1")
	for _, p := range places {
		line := text[p[0]:p[1]]
		on := text[:p[0]] + commented.ReplaceAllString(line, "$1$2") + text[p[1]:]
		if strings.HasPrefix(line, "  # redis:") {
			on = strings.NewReplacer("\n  #   ", "\n    ", "# ring_key_file:", "ring_key_file:").Replace(on)
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "config.yaml"), on)
		write(t, filepath.Join(dir, "clients.yaml"), "version: 1\n")
		write(t, filepath.Join(dir, "keys/orders-2026.pem"), "a key\n")
		write(t, filepath.Join(dir, "ring.key"), testRingKey+"\n")
		write(t, filepath.Join(dir, "admin.token"), "0123456789abcdef\n")
		write(t, filepath.Join(dir, "apis.d/.keep"), "")
		write(t, filepath.Join(dir, "redis.password"), "secret\n")
		write(t, filepath.Join(dir, "hook.key"), testRingKey+"\n")
		write(t, filepath.Join(dir, "redis-ca.pem"), ca)
		write(t, filepath.Join(dir, "up-ca.pem"), ca)
		write(t, filepath.Join(dir, "openapi.yaml"), "openapi: 3.1.0\n")
		writePair(t, dir, "up.crt", "up.key", pair)
		writePair(t, dir, "tls.crt", "tls.key", pair)
		write(t, filepath.Join(dir, "clients-ca.pem"), ca)
		_, err := Load(filepath.Join(dir, "config.yaml"), Options{Getenv: func(string) (string, bool) { return "", false }})
		for _, allowed := range []string{"signing chooses among", "there is no state.redis", "strip_prefix /orders,",
			"upstream and upstreams exclude each other", "is for https, and http://"} { // need a key that is off here
			if err != nil && strings.Contains(err.Error(), allowed) {
				err = nil
			}
		}
		if err != nil {
			t.Errorf("%s\n%v", line, err)
		}
	}
}
