package app

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"gatehouse/internal/config"
	"gatehouse/internal/logs"
	"gatehouse/internal/redistest"
	"gatehouse/internal/token"
)

// Ensure that what a client asks for arrives, with the identity that the gateway knows and none that the client claims.
func TestCallThrough(t *testing.T) {
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		n := s.start()
		cc := clientcredentials.Config{ClientID: "writer", ClientSecret: s.secrets["writer"], TokenURL: s.url() + "/oauth/token"}
		req, _ := http.NewRequest("POST", s.url()+"/orders?q=a%2Fb", strings.NewReader("hello"))
		req.Header.Set("X-Client-Id", "root")
		req.Header.Set("X-Token-Scopes", "admin")
		req.Header["x_client_id"] = []string{"root"}
		req.Header.Set("Connection", "X-Client-Id")
		res, err := cc.Client(context.Background()).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 200 || res.Header.Get("X-From-Upstream") != "yes" || res.Header.Get("X-Request-Id") == "" {
			t.Errorf("status %d, header %v", res.StatusCode, res.Header)
		}
		got := s.upstream.last.Load()
		if got.URL.RequestURI() != "/orders?q=a%2Fb" {
			t.Errorf("upstream got %q", got.URL.RequestURI())
		}
		for name, want := range map[string]string{"X-Client-Id": "writer", "X-Token-Issuer": s.url(), "X-Token-Scopes": "orders:read orders:write", "Authorization": ""} {
			if values := got.Header.Values(name); strings.Join(values, "|") != want {
				t.Errorf("upstream got %s: %q, want %q", name, values, want)
			}
		}
		for name := range got.Header {
			if strings.Contains(name, "_") {
				t.Errorf("upstream got %q", name)
			}
		}
		if a := n.call("GET", "/open/x", ""); a.status != 200 || s.upstream.last.Load().Header.Get("X-Client-Id") != "" {
			t.Errorf("public route: %d", a.status)
		}
	})
}

// Ensure that every token that must not pass is refused with the right status, challenge and reason, and that the
// upstream sees nothing; and that a revoked token stays refused after a restart.
func TestRefusals(t *testing.T) {
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		n := s.start()
		good := s.token(n, "reader")
		stranger, err := token.Generate(token.ES256)
		if err != nil {
			t.Fatal(err)
		}
		past := time.Now().Unix() - 600
		head, tail, _ := strings.Cut(good, ".")
		tests := []struct {
			name, method, path, bearer string
			status                     int
			reason, challenge          string
		}{
			{"no token", "GET", "/orders/1", "", 401, "missing_token", `Bearer realm="gatehouse"`},
			{"another audience", "GET", "/orders/1", s.token(n, "other"), 401, "wrong_audience", `error="invalid_token"`},
			{"without the scope", "POST", "/orders", good, 403, "insufficient_scope", `scope="orders:write"`},
			{"expired", "GET", "/orders/1", s.forge(func(i *token.Issue) { i.IssuedAt, i.Expires = past, past+60 }, s.key), 401, "expired", `error="invalid_token"`},
			{"tampered", "GET", "/orders/1", head + "." + flip(tail), 401, "invalid_token", `error="invalid_token"`},
			{"another key", "GET", "/orders/1", s.forge(func(*token.Issue) {}, stranger), 401, "invalid_token", `error="invalid_token"`},
			{"another issuer", "GET", "/orders/1", s.forge(func(i *token.Issue) { i.Issuer = "https://evil.example" }, s.key), 401, "invalid_token", `error="invalid_token"`},
			{"an unknown client", "GET", "/orders/1", s.forge(func(i *token.Issue) { i.Client = "gone" }, s.key), 401, "client_disabled", `error="invalid_token"`},
			{"no route", "GET", "/secret", good, 404, "no_route", ""},
			{"another method", "DELETE", "/orders/1", good, 405, "method_not_allowed", ""},
			{"a path that is not canonical", "GET", "/open/%2e%2e/orders/1", good, 400, "malformed_request", ""},
		}
		if a := n.call("GET", "/orders/1", good); a.status != 200 {
			t.Fatalf("the good token gave %d %s", a.status, a.body)
		}
		before := s.upstream.seen.Load()
		for _, tc := range tests {
			a := n.call(tc.method, tc.path, tc.bearer)
			if a.status != tc.status || a.reason() != tc.reason || !strings.Contains(a.header.Get("WWW-Authenticate"), tc.challenge) {
				t.Errorf("%s: %d %q %q, want %d %q %q", tc.name, a.status, a.reason(), a.header.Get("WWW-Authenticate"), tc.status, tc.reason, tc.challenge)
			}
			if tc.name == "no token" && strings.Contains(a.header.Get("WWW-Authenticate"), "error=") {
				t.Error("a request without a token is told of an error (RFC 6750 section 3.1)")
			}
		}

		if status := s.revoke(n, "reader", good); status != 200 {
			t.Fatalf("revoke gave %d", status)
		}
		refused := func(n *node, when string) {
			t.Helper()
			if a := n.call("GET", "/orders/1", good); a.status != 401 || a.reason() != "revoked" {
				t.Errorf("%s: %d %q, want 401 revoked", when, a.status, a.reason())
			}
		}
		refused(n, "revoked")
		eventually(t, 10*time.Second, "the path that was refused in the log", func() bool {
			return strings.Contains(n.log.String(), `"path":"/open/%2e%2e/orders/1"`)
		})
		if got := s.upstream.seen.Load(); got != before {
			t.Errorf("the upstream saw %d refused requests", got-before)
		}
		if err := n.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		s.relisten()
		n = s.start()
		refused(n, "after a restart")
		if a := n.call("GET", "/orders/1", s.token(n, "reader")); a.status != 200 {
			t.Errorf("a new token after the restart gave %d %s", a.status, a.body)
		}
		for _, canary := range []string{good, s.secrets["reader"], s.secrets["other"]} {
			if strings.Contains(n.log.String(), canary) {
				t.Error("a token or a secret is in the log")
			}
		}
	})
}

// flip changes the first character of the signature.
func flip(tail string) string {
	payload, sig, _ := strings.Cut(tail, ".")
	c := byte('A')
	if sig[0] == 'A' {
		c = 'B'
	}
	return payload + "." + string(c) + sig[1:]
}

// relisten opens the site's address again after a node that had it stopped.
func (s *site) relisten() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.listen.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	s.listen = l
}

// Two nodes with one key_dir share one Redis. Of 300 calls over both, exactly what GCRA allows passes.
func TestFleetLimit(t *testing.T) {
	const requests, burst = 100, 100
	s := newSite(t, redistest.Start(t))
	s.limit = fmt.Sprintf("{requests: %d, per: 1m, burst: %d, on_error: closed}", requests, burst)
	s.write()
	a, b := s.start(), s.second()
	bearer := s.token(a, "reader")

	var passed, limited atomic.Int64
	var wg sync.WaitGroup
	clock := s.redis.Client()
	start := clock.Time(context.Background()).Val()
	for i := range 300 {
		n := []*node{a, b}[i%2]
		wg.Go(func() {
			switch r, err := n.try("GET", "/orders/1", bearer); {
			case err != nil:
				t.Error(err)
			case r.status == 200:
				passed.Add(1)
			case r.status == 429 && r.header.Get("Retry-After") != "" && r.header.Get("RateLimit-Policy") == `"orders";q=100;w=60`:
				limited.Add(1)
			default:
				t.Errorf("got %d %s with Retry-After %q, RateLimit-Policy %q", r.status, r.body, r.header.Get("Retry-After"), r.header.Get("RateLimit-Policy"))
			}
		})
	}
	wg.Wait()
	elapsed := clock.Time(context.Background()).Val().Sub(start)

	// The bucket starts full, so `burst` pass at once; meanwhile one more becomes free every per/requests = 600 ms. All 300
	// were asked within `elapsed`, the first of them at or after its start. So at least burst pass, and at most
	// burst + floor(elapsed/600ms); since the calls outnumber that, a free place is never left unused for a whole interval.
	interval := time.Minute / requests
	most := int64(burst + elapsed/interval)
	if got := passed.Load(); got < burst || got > most {
		t.Errorf("%d passed in %s, want %d to %d", got, elapsed, burst, most)
	}
	if got := passed.Load() + limited.Load(); got != 300 {
		t.Errorf("%d answers of 300", got)
	}
	if got := s.upstream.seen.Load(); got != passed.Load() {
		t.Errorf("the upstream saw %d, %d passed", got, passed.Load())
	}
}

// read returns a file of the site.
func (s *site) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// second starts another node of the site: the same files but for its own journal.
func (s *site) second() *node {
	s.t.Helper()
	other := *s
	other.dir = s.t.TempDir()
	other.useKey(s.key)
	if s.ringKey != "" {
		other.file("ring.key", s.ringKey)
	}
	other.writeClients()
	other.write()
	l := listener(s.t)
	return other.startOn(l)
}

func TestFleetRevocation(t *testing.T) {
	s := newSite(t, redistest.Start(t))
	a, b := s.start(), s.second()
	bearer := s.token(a, "reader")
	if r := b.call("GET", "/orders/1", bearer); r.status != 200 {
		t.Fatalf("the other node gave %d %s", r.status, r.body)
	}
	if status := s.revoke(a, "reader", bearer); status != 200 {
		t.Fatalf("revoke gave %d", status)
	}
	eventually(t, time.Second, "the other node refuses", func() bool {
		r := b.call("GET", "/orders/1", bearer)
		return r.status == 401 && r.reason() == "revoked"
	})
	if r := b.call("GET", "/orders/1", s.token(b, "reader")); r.status != 200 {
		t.Errorf("a new token gave %d %s", r.status, r.body)
	}
}

// A broken reload leaves the old configuration serving and says where it is wrong; a good one takes effect with no failed
// request under load.
func TestReload(t *testing.T) {
	s := newSite(t, nil)
	n := s.start()
	bearer := s.token(n, "reader")

	stop := make(chan struct{})
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := n.try("GET", "/orders/1", bearer); err != nil || r.status != 200 {
					t.Errorf("under reload: %v %d %s", err, r.status, r.body)
					return
				}
				calls.Add(1)
			}
		})
	}

	s.extra = "      - match: GET /new\n        scopes: [orders:raed]\n"
	s.write()
	status, body := n.adminBody("POST", "/api/v1/reload")
	if status != 422 || !strings.Contains(body, `"line":26`) || !strings.Contains(body, `did you mean \"orders:read\"`) {
		t.Errorf("broken reload: %d %s", status, body)
	}
	if _, metrics := n.adminBody("GET", "/metrics"); !strings.Contains(metrics, "gatehouse_config_last_reload_successful 0") {
		t.Error("the metric does not say that the reload was refused")
	}
	eventually(t, 5*time.Second, "the log tells of the refusal with its position", func() bool {
		return strings.Contains(n.log.String(), "reload refused") && strings.Contains(n.log.String(), "config.yaml:26:")
	})
	if r := n.call("GET", "/new", bearer); r.status != 404 {
		t.Errorf("/new gave %d after a refused reload", r.status)
	}

	for i := range 20 {
		s.extra = fmt.Sprintf("      - match: GET /new%d\n        scopes: [orders:read]\n", i)
		s.write()
		if status, body := n.adminBody("POST", "/api/v1/reload"); status != 200 || !strings.Contains(body, "+1 route") {
			t.Fatalf("good reload: %d %s", status, body)
		}
		if r := n.call("GET", fmt.Sprintf("/new%d", i), bearer); r.status != 200 {
			t.Errorf("the new route gave %d", r.status)
		}
	}
	close(stop)
	wg.Wait()
	if calls.Load() == 0 {
		t.Error("there was no load")
	}
	if _, metrics := n.adminBody("GET", "/metrics"); !strings.Contains(metrics, "gatehouse_config_last_reload_successful 1") {
		t.Error("the metric does not say that the reload succeeded")
	}

	s.file("config.yaml", strings.Replace(s.read("config.yaml"), "dir: state", "dir: elsewhere", 1))
	if status, body := n.adminBody("POST", "/api/v1/reload"); status != 422 || !strings.Contains(body, "restart") {
		t.Errorf("a key that needs a restart: %d %s", status, body)
	}
}

// A change of content is noticed without being told, and one that was refused is not tried again and again.
func TestWatch(t *testing.T) {
	s := newSite(t, nil)
	log := &syncBuffer{}
	out := logs.Open(log, "info", "json")
	a, err := New(context.Background(), Options{Load: s.load, Mode: "run", Log: out, Public: s.listen, Admin: listener(t), Watch: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() { cancel(); <-done; a.Close(); out.Close() }()
	n := &node{App: a, t: t, log: log}
	bearer := s.token(n, "reader")

	s.extra = "      - match: GET /new\n        scopes: [orders:read]\n"
	s.write()
	eventually(t, 5*time.Second, "the new route", func() bool { return n.call("GET", "/new", bearer).status == 200 })
	s.extra = "      - match: GET /new\n        scops: [orders:read]\n"
	s.write()
	eventually(t, 5*time.Second, "the refusal", func() bool { return strings.Contains(log.String(), "reload refused") })
	s.extra = "      - match: GET /newer\n        scopes: [orders:read]\n"
	s.write()
	eventually(t, 5*time.Second, "the mended route", func() bool { return n.call("GET", "/newer", bearer).status == 200 })
	if n := strings.Count(log.String(), "reload refused"); n != 1 {
		t.Errorf("the broken content was tried %d times", n)
	}
	delete(s.secrets, "reader")
	before := a.Config().Hash
	s.writeClients()
	// Not by trying the secret again and again: that would be locked out.
	eventually(t, 5*time.Second, "the client's new secret", func() bool { return a.Config().Hash != before })
	s.token(n, "reader")

	// A file that is missed by the reload that names it is waited for.
	text, err := os.ReadFile(filepath.Join(s.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.file("config.yaml", strings.Replace(string(text), "clients_file: clients.yaml", "clients_file: later.yaml", 1))
	eventually(t, 5*time.Second, "the second refusal", func() bool { return strings.Count(log.String(), "reload refused") == 2 })
	s.file("later.yaml", "version: 1\nclients: {}\n")
	eventually(t, 5*time.Second, "the new clients file", func() bool { return n.call("GET", "/newer", bearer).reason() == "client_disabled" })
}

// Strangers can't make series: 10 000 random paths, methods and client ids leave their number as it is.
func TestMetricsAreBounded(t *testing.T) {
	s := newSite(t, nil)
	n := s.start()
	s.token(n, "reader") // a client that authenticates makes its one series
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	stranger := func(i int) {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		method := []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", fmt.Sprintf("M%d", i)}[random.IntN(9)]
		path := []string{fmt.Sprintf("/%x", random.Uint64()), fmt.Sprintf("/orders/%d", i), "/users", fmt.Sprintf("/a/%%2e%%2e/%d", i)}[random.IntN(4)]
		req, err := http.NewRequest(method, s.url()+path, nil)
		if i%4 == 0 {
			req, err = http.NewRequest("POST", s.url()+"/oauth/token", strings.NewReader("grant_type=client_credentials"))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.SetBasicAuth(fmt.Sprintf("client-%d", i), "wrong")
		}
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("10.0.%d.%d", i/256%256, i%256))
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
		if res.StatusCode < 400 {
			t.Errorf("%s %s gave %d", method, path, res.StatusCode)
		}
	}
	before := n.series()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < 10_000; i += 8 {
				stranger(i)
			}
		})
	}
	wg.Wait()
	if after := n.series(); after != before {
		t.Errorf("series grew from %d to %d", before, after)
	}
}

// series counts our own series; those of the Go runtime may come and go.
func (n *node) series() (count int) {
	_, text := n.adminBody("GET", "/metrics")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "gatehouse_") {
			count++
		}
	}
	return count
}

// SIGTERM under load: readiness fails, what is in flight finishes, and Run returns nil.
func TestDrain(t *testing.T) {
	s := newSite(t, nil)
	entered, release := make(chan struct{}, 16), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		fmt.Fprint(w, "done")
	})
	s.upstream.Config.Handler = slow
	n := s.start()
	bearer := s.token(n, "reader")
	answers := make(chan answer, 4)
	for range 4 {
		go func() {
			a, err := n.try("GET", "/orders/1", bearer)
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	for range 4 {
		<-entered
	}
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	eventually(t, 5*time.Second, "readiness fails", func() bool { return n.adminGet("/-/ready") == 503 })
	close(release)
	for range 4 {
		if a := <-answers; a.status != 200 || a.body != "done" {
			t.Errorf("in flight: %d %q", a.status, a.body)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	s := newSite(t, nil)
	taken := s.listen.Addr().String()
	out := logs.Open(&syncBuffer{}, "info", "json")
	defer out.Close()
	_, err := New(context.Background(), Options{Load: s.load, Log: out})
	if err == nil {
		t.Fatal("New took an address that is in use")
	}
	if want := "listen " + taken + ": address already in use (server.listen, "; !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "config.yaml:3:11)") {
		t.Errorf("New: %v, want %s…config.yaml:3:11)", err, want)
	}
	// Nothing stayed open: the state folder is free for the next process.
	n := s.start()
	n.stop()
}

// With Redis gone, limits fall back to this node's share and what was revoked stays refused.
func TestRedisAway(t *testing.T) {
	s := newSite(t, redistest.Start(t))
	s.limit = "{requests: 1000, per: 1s}"
	s.write()
	n := s.start()
	revoked, good := s.token(n, "reader"), s.token(n, "reader")
	if status := s.revoke(n, "reader", revoked); status != 200 {
		t.Fatalf("revoke gave %d", status)
	}
	s.redis.Kill()
	eventually(t, 5*time.Second, "the metric tells that Redis is away", func() bool {
		_, text := n.adminBody("GET", "/metrics")
		return strings.Contains(text, "gatehouse_redis_up 0")
	})
	if a := n.call("GET", "/orders/1", good); a.status != 200 || a.header.Get("RateLimit") == "" {
		t.Errorf("good token: %d %s", a.status, a.body)
	}
	if a := n.call("GET", "/orders/1", revoked); a.reason() != "revoked" {
		t.Errorf("revoked token: %d %s", a.status, a.body)
	}
	later := s.token(n, "reader")
	if status := s.revoke(n, "reader", later); status != 200 {
		t.Errorf("revoking without Redis gave %d, want 200: it is journalled", status)
	}
	if a := n.call("GET", "/orders/1", later); a.reason() != "revoked" {
		t.Errorf("revoked without Redis: %d %s", a.status, a.body)
	}
	if n.adminGet("/-/ready") != 200 {
		t.Error("a node that was ready is not ready any more")
	}
}

// A node that starts while Redis is away is ready for as long as max_staleness lasts: the longest of the APIs', since a
// shorter one is what its own API answers 503 by.
func TestReadyAtStartWithoutRedis(t *testing.T) {
	s := newSite(t, redistest.Start(t))
	s.start().stop()
	s.redis.Kill()
	cfg, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		orders, users time.Duration
		want          bool
	}{{time.Nanosecond, time.Nanosecond, false}, {time.Nanosecond, time.Hour, true}, {time.Hour, time.Nanosecond, true}} {
		cfg.APIs[0].Revocation.MaxStaleness, cfg.APIs[1].Revocation.MaxStaleness = tt.orders, tt.users
		out := logs.Open(io.Discard, "info", "json")
		a, err := New(t.Context(), Options{Load: func() (*config.Config, error) { return cfg, nil }, Log: out, Public: listener(t), Admin: listener(t), Watch: -1})
		if err != nil {
			t.Fatal(err)
		}
		if ready, why := a.Ready(); ready != tt.want {
			t.Errorf("max_staleness %s and %s: ready %t (%s), wanted %t", tt.orders, tt.users, ready, why, tt.want)
		}
		a.Close()
		out.Close()
	}
}
