package deploytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// everything is a configuration that has each kind of series: TLS, an issuer, a breaker, a limit, observe mode, an upstream
// that is away.
const everything = `version: 1
server: {listen: "127.0.0.1:%[1]d", public_url: https://gateway.example.com, tls: {cert_file: tls.crt, key_file: tls.key}}
admin: {listen: "127.0.0.1:%[2]d"}
state: {dir: state%[3]s}
tokens: {%[4]s}
clients_file: clients.yaml
issuers: {corp: {issuer: "http://127.0.0.1:9", jwks_uri: "http://127.0.0.1:9/jwks", algorithms: [ES256], insecure: true}}
apis:
  orders:
    audience: https://api.example.com/orders
    upstream: %[5]s
    breaker: {failures: 5}
    issuers: [local, corp]
    scopes: {orders:read: Read, orders:write: Write}
    rate_limit: {requests: 100, per: 1s}
    routes: [{match: GET /orders, scopes: [orders:read]}, {match: POST /orders, scopes: [orders:write]}]
  users:
    audience: https://api.example.com/users
    mode: observe
    upstream: http://127.0.0.1:9
    scopes: {users:read: Read}
    routes: [{match: GET /users, scopes: [users:read]}]
`

const everybody = `version: 1
clients:
  worker:
    grants: {orders: [orders:read]}
    quota: {tokens: 1000, per: 1h}
    secrets: [{sha256: %x}]
`

// node is a running gatehouse.
type node struct {
	url, admin string
	client     *http.Client
}

const nodeSecret = "a secret of tests"

// startNode runs a gatehouse with everything, embedded or with Redis, until the test ends.
func startNode(t *testing.T, redis *redistest.Server) *node {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "an order") }))
	t.Cleanup(api.Close)
	dir, public, admin := t.TempDir(), freePort(t), freePort(t)
	state, tokens := "", ""
	if redis != nil {
		state, tokens = fmt.Sprintf(", redis: {addrs: [%q], budget: 2s}", redis.Addr()), "ring_key_file: ring.key"
	}
	write(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(everything, public, admin, state, tokens, api.URL))
	write(t, filepath.Join(dir, "clients.yaml"), fmt.Sprintf(everybody, sha256.Sum256([]byte(nodeSecret))))
	write(t, filepath.Join(dir, "ring.key"), base64.StdEncoding.EncodeToString(make([]byte, 32)))
	certificate(t, dir)
	cmd := exec.Command(program(t), "run", "-c", filepath.Join(dir, "config.yaml"))
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { cmd.Process.Kill(); cmd.Wait() })
	t.Cleanup(stop)
	n := &node{url: fmt.Sprintf("https://127.0.0.1:%d", public), admin: fmt.Sprintf("http://127.0.0.1:%d", admin)}
	n.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 30 * time.Second}
	if !eventually(func() bool {
		res, err := http.Get(n.admin + "/-/ready")
		return err == nil && res.Body.Close() == nil && res.StatusCode == 200
	}) {
		stop()
		t.Fatalf("the node never became ready\n%s", log.String())
	}
	return n
}

// eventually waits for a condition, with the patience that a busy machine needs.
func eventually(ok func() bool) bool {
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// certificate writes tls.crt and tls.key for loopback.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// do sends a request with a bearer token, which may be empty, and returns the status.
func (n *node) do(t *testing.T, method, path, token string) int {
	t.Helper()
	req, err := http.NewRequest(method, n.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := n.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// traffic makes the series that only come with it: a token, a call, a refusal, an upstream that fails.
func (n *node) traffic(t *testing.T) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"worker"}, "client_secret": {nodeSecret}}
	res, err := n.client.PostForm(n.url+"/oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Token == "" {
		t.Fatalf("no token: %d %v", res.StatusCode, err)
	}
	for _, call := range []struct {
		method, path, token string
		want                int
	}{{"GET", "/orders", got.Token, 200}, {"POST", "/orders", got.Token, 403}, {"GET", "/users", "", 502}, {"GET", "/orders", "", 401}} {
		if status := n.do(t, call.method, call.path, call.token); status != call.want {
			t.Errorf("%s %s gave %d, want %d", call.method, call.path, status, call.want)
		}
	}
}

// scrape returns the series of /metrics.
func (n *node) scrape(t *testing.T) string {
	t.Helper()
	res, err := http.Get(n.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "gatehouse_build_info") {
		t.Fatalf("no metrics:\n%s", b)
	}
	return string(b)
}
