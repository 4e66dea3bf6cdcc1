package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/redistest"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// keySet is a JWK Set of the public halves.
func keySet(t *testing.T, keys ...*token.PrivateKey) string {
	t.Helper()
	var public []*token.PublicKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	doc, err := token.MarshalJWKS(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// assertion is a good one of the client, signed by k.
func (s *site) assertion(client string, k *token.PrivateKey) string {
	s.t.Helper()
	now := time.Now().Unix()
	claims, _ := json.Marshal(map[string]any{"iss": client, "sub": client, "aud": s.url(), "jti": token.NewID(), "iat": now, "exp": now + 60})
	return tokentest.Sign(s.t, k, fmt.Sprintf(`{"alg":%q,"kid":%q}`, k.Public().Algorithm(), k.Public().ID()), string(claims))
}

// ask asks the node for a token, and returns the status.
func (n *node) ask(form url.Values, header ...string) (status int, body string) {
	n.t.Helper()
	form.Set("grant_type", "client_credentials")
	req, err := http.NewRequest("POST", "http://"+n.Addr().String()+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Error string }
	json.NewDecoder(res.Body).Decode(&answer)
	return res.StatusCode, answer.Error
}

func (n *node) askJWT(assertion string) int {
	n.t.Helper()
	status, _ := n.ask(url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}})
	return status
}

func (n *node) askSecret(id, secret string, header ...string) int {
	n.t.Helper()
	status, _ := n.ask(url.Values{"client_id": {id}, "client_secret": {secret}}, header...)
	return status
}

// Ensure that an assertion counts once: across nodes, and across a restart.
func TestAssertionsCountOnce(t *testing.T) {
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		k := tokentest.Key(t, token.ES256)
		s.file("worker.jwks.json", keySet(t, k))
		s.file("clients.yaml", "version: 1\nclients:\n  worker: {grants: {orders: [orders:read]}, auth: private_key_jwt, jwks_file: worker.jwks.json}\n")
		n := s.start()
		first := s.assertion("worker", k)
		if got := n.askJWT(first); got != 200 {
			t.Fatalf("a good assertion gave %d: %s", got, n.log)
		}
		if got := n.askJWT(first); got != 401 {
			t.Errorf("a replay gave %d", got)
		}
		if redis != nil {
			other := *s
			other.dir = filepath.Join(t.TempDir(), "other")
			if err := os.CopyFS(other.dir, os.DirFS(s.dir)); err != nil {
				t.Fatal(err)
			}
			os.RemoveAll(filepath.Join(other.dir, "state"))
			m := other.startOn(listener(t))
			if got := m.askJWT(first); got != 401 {
				t.Errorf("a replay on another node gave %d", got)
			}
			if got := m.askJWT(s.assertion("worker", k)); got != 200 {
				t.Errorf("another assertion on another node gave %d", got)
			}
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		n = s.startOn(listener(t)) // the issuer stays
		if got := n.askJWT(first); got != 401 {
			t.Errorf("a replay after a restart gave %d", got)
		}
		eventually(t, 10*time.Second, "the log's word for a replay", func() bool { return strings.Contains(n.log.String(), "assertion_replayed") })
		if got := n.askJWT(s.assertion("worker", k)); got != 200 {
			t.Errorf("after a restart a good assertion gave %d", got)
		}
		if status, body := n.adminBody("GET", "/metrics"); status != 200 || !strings.Contains(body, `gatehouse_client_auth_failures_total{endpoint="token",reason="assertion_replayed"} 1`) ||
			!strings.Contains(body, "gatehouse_client_assertions_remembered ") {
			t.Error("the metrics miss the failures or the assertions")
		}
		if redis == nil {
			return
		}
		redis.Kill()
		if got := n.askJWT(s.assertion("worker", k)); got != 503 {
			t.Errorf("without Redis an assertion gave %d, want 503", got)
		}
	})
}

// Ensure that keys from a file change with it, and that a file that is no good leaves the old keys in force.
func TestKeyFileReloads(t *testing.T) {
	s := newSite(t, nil)
	k, next := tokentest.Key(t, token.ES256), tokentest.Key(t, token.EdDSA)
	s.file("worker.jwks.json", keySet(t, k))
	s.file("clients.yaml", "version: 1\nclients:\n  worker: {grants: {orders: [orders:read]}, auth: private_key_jwt, jwks_file: worker.jwks.json}\n")
	n := s.start()
	if n.askJWT(s.assertion("worker", k)) != 200 || n.askJWT(s.assertion("worker", next)) != 401 {
		t.Error("the wrong key authenticates")
	}
	s.file("worker.jwks.json", `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)
	_, err := n.Reload("api")
	var problems config.Errors
	if !errors.As(err, &problems) || problems[0].Line != 3 || problems[0].Col == 0 || !strings.Contains(problems[0].Message, "symmetric") {
		t.Errorf("a file with a symmetric key: %v", err)
	}
	if got := n.askJWT(s.assertion("worker", k)); got != 200 {
		t.Errorf("after a refused reload the old key gave %d", got)
	}
	s.file("worker.jwks.json", keySet(t, next))
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	if n.askJWT(s.assertion("worker", k)) != 401 || n.askJWT(s.assertion("worker", next)) != 200 {
		t.Error("the old key still authenticates, or the new one does not")
	}
}

// Ensure that keys behind a URL are fetched, rotate without a restart, and are fetched from nowhere where nothing can be
// fetched; that our own listener is none of those places; and that reloads leave them be.
func TestKeysByURL(t *testing.T) {
	s := newSite(t, nil)
	k, next := tokentest.Key(t, token.ES256), tokentest.Key(t, token.ES256)
	var doc atomic.Pointer[string]
	var fetches atomic.Int64
	first := keySet(t, k)
	doc.Store(&first)
	publisher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		fmt.Fprint(w, *doc.Load())
	}))
	defer publisher.Close()
	nowhere := listener(t)
	nowhere.Close()
	s.file("clients.yaml", fmt.Sprintf(`version: 1
clients:
  worker: {grants: {orders: [orders:read]}, auth: private_key_jwt, jwks_uri: "%s/jwks"}
  lost: {grants: {orders: [orders:read]}, auth: private_key_jwt, jwks_uri: "http://%s/jwks"}
  reader: {grants: {orders: [orders:read]}, secrets: [{sha256: %x}]}
`, publisher.URL, nowhere.Addr(), secret.Sum(s.secrets["reader"])))
	n := s.start()
	if got := n.askJWT(s.assertion("worker", k)); got != 200 {
		t.Fatalf("the first assertion gave %d: %s", got, n.log)
	}
	if got := n.askJWT(s.assertion("lost", k)); got != 503 {
		t.Errorf("an assertion of a client whose keys were never fetched gave %d, want 503", got)
	}
	if got := n.askSecret("reader", s.secrets["reader"]); got != 200 {
		t.Errorf("another client got %d", got)
	}
	rotated := keySet(t, next)
	doc.Store(&rotated)
	if got := n.askJWT(s.assertion("worker", next)); got != 200 {
		t.Errorf("a rotated key gave %d", got)
	}
	before := fetches.Load()
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		n.askJWT(s.assertion("worker", tokentest.Key(t, token.ES256)))
	}
	if got := fetches.Load() - before; got != 0 {
		t.Errorf("%d fetches by a reload and by kids that are not known", got)
	}
	if _, body := n.adminBody("GET", "/metrics"); !strings.Contains(body, `gatehouse_client_key_sets{state="all"} 2`) || !strings.Contains(body, `gatehouse_client_key_sets{state="never_fetched"} 1`) {
		t.Error("the metrics miss the key sets")
	}
}

// TestLockoutBySource is AUT-018 to 020: the lock goes by the address that a trusted proxy names, and by no other.
func TestLockoutBySource(t *testing.T) {
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		text, err := os.ReadFile(filepath.Join(s.dir, "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		n := s.start()
		for i := range 11 { // no proxy is trusted: what stands in the header changes nothing
			want := 401
			if i == 10 {
				want = 429
			}
			if got := n.askSecret("writer", "wrong", "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i)); got != want {
				t.Fatalf("wrong secret %d gave %d, want %d", i+1, got, want)
			}
		}
		if got := n.askSecret("writer", s.secrets["writer"]); got != 429 {
			t.Errorf("the right secret gave %d while locked out", got)
		}
		s.file("config.yaml", strings.Replace(string(text), "  drain: 10s\n", "  drain: 10s\n  trusted_proxies: [127.0.0.1]\n", 1))
		if _, err := n.Reload("api"); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			n.askSecret("reader", "wrong", "X-Forwarded-For", "192.0.2.1")
		}
		if got := n.askSecret("reader", s.secrets["reader"], "X-Forwarded-For", "192.0.2.1"); got != 429 {
			t.Errorf("from the attacker's address: %d, want 429", got)
		}
		if got := n.askSecret("reader", s.secrets["reader"], "X-Forwarded-For", "192.0.2.2"); got != 200 {
			t.Errorf("from another address: %d, want 200", got)
		}
		if redis == nil {
			return
		}
		redis.Kill()
		for range 10 {
			n.askSecret("other", "wrong", "X-Forwarded-For", "192.0.2.3")
		}
		if got := n.askSecret("other", s.secrets["other"], "X-Forwarded-For", "192.0.2.3"); got != 429 {
			t.Errorf("without Redis: %d, want 429", got)
		}
		if got := n.askSecret("other", s.secrets["other"], "X-Forwarded-For", "192.0.2.4"); got != 200 {
			t.Errorf("without Redis, from another address: %d, want 200", got)
		}
	})
}
