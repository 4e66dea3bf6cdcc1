package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
)

// upstream is an API that remembers what it was asked.
type upstream struct {
	*httptest.Server
	seen atomic.Int64
	last atomic.Pointer[http.Request]
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.seen.Add(1)
		body, _ := io.ReadAll(r.Body)
		u.last.Store(r)
		w.Header().Set("X-From-Upstream", "yes")
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
	}))
	t.Cleanup(u.Close)
	return u
}

// site is a folder with a configuration, and what its text is made of.
type site struct {
	t        *testing.T
	dir      string
	upstream *upstream
	redis    *redistest.Server // nil: embedded
	shared   string            // state.redis in YAML, in place of what redis makes
	listen   net.Listener
	secrets  map[string]string
	key      *token.PrivateKey // signs for the site; kept in its key_dir
	tokens   string            // the tokens section, in YAML; "": the key_dir
	ringKey  string            // the content of ring.key; "": there is none
	limit    string            // of the orders API, in YAML
	extra    string            // further routes
	clients  map[string]string // further clients by id, with their keys but for secrets in YAML
}

// newSite makes one API with two scopes, a second API, and clients: reader and writer (orders), other (the second API).
func newSite(t *testing.T, redis *redistest.Server) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), upstream: newUpstream(t), redis: redis, secrets: map[string]string{}}
	key, err := token.Generate(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	s.useKey(key)
	s.listen = listener(t)
	s.writeClients()
	s.write()
	return s
}

func (s *site) useKey(key *token.PrivateKey) {
	s.t.Helper()
	pem, err := key.PEM()
	if err != nil {
		s.t.Fatal(err)
	}
	s.key = key
	os.Mkdir(filepath.Join(s.dir, "keys"), 0o700)
	s.file("keys/a.pem", string(pem))
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func (s *site) file(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) url() string { return "http://" + s.listen.Addr().String() }

// write writes config.yaml from the site's fields.
func (s *site) write() {
	state := "state:\n  dir: state\n"
	if s.redis != nil {
		state += "  redis: {addrs: [\"" + s.redis.Addr() + "\"], budget: 10s}\n"
	}
	if s.shared != "" {
		state = "state:\n  dir: state\n  redis: " + s.shared + "\n"
	}
	tokens := s.tokens
	if tokens == "" {
		tokens = "  key_dir: keys\n"
	}
	limit := ""
	if s.limit != "" {
		limit = "    rate_limit: " + s.limit + "\n"
	}
	s.file("config.yaml", `version: 1
server:
  listen: `+s.listen.Addr().String()+`
  public_url: `+s.url()+`
  drain: 10s
admin:
  listen: 127.0.0.1:1
`+state+`tokens:
`+tokens+`clients_file: clients.yaml
apis:
  orders:
    audience: https://api.example.com/orders
    upstream: `+s.upstream.URL+`
    scopes: {orders:read: Read, orders:write: Write}
`+limit+`    routes:
      - match: GET /orders/{id}
        scopes: [orders:read]
      - match: POST /orders
        scopes: [orders:write]
      - match: GET /open/{path...}
        auth: public
`+s.extra+`  users:
    audience: https://api.example.com/users
    upstream: `+s.upstream.URL+`
    scopes: {users:read: Read}
    routes:
      - match: GET /users
        scopes: [users:read]
`)
}

func (s *site) writeClients() {
	all := map[string]string{"reader": "grants: {orders: [orders:read]}", "writer": "grants: {orders: [orders:read, orders:write]}", "other": "grants: {users: [users:read]}"}
	maps.Copy(all, s.clients)
	text := "version: 1\nclients:\n"
	for id, keys := range all {
		if s.secrets[id] == "" {
			s.secrets[id] = secret.New()
		}
		text += fmt.Sprintf("  %s:\n    %s\n    secrets: [{sha256: %x}]\n", id, keys, secret.Sum(s.secrets[id]))
	}
	s.file("clients.yaml", text)
}

func (s *site) load() (*config.Config, error) {
	return config.Load(filepath.Join(s.dir, "config.yaml"), config.Options{})
}

// node is one running App.
type node struct {
	*App
	t    *testing.T
	log  *syncBuffer
	stop func() error
}

// syncBuffer is a log that tests read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs the site on its listener. Another start of the same site is a restart: a new listener on the same address.
func (s *site) start() *node {
	s.t.Helper()
	return s.startOn(s.listen)
}

func (s *site) startOn(public net.Listener) *node {
	s.t.Helper()
	n := s.run(public)
	eventually(s.t, 5*time.Second, "readiness", func() bool { return n.adminGet("/-/ready") == 200 })
	return n
}

// startNotReady is start for a node that can't be ready yet.
func (s *site) startNotReady() *node {
	s.t.Helper()
	n := s.run(s.listen)
	eventually(s.t, 5*time.Second, "unreadiness", func() bool { return n.adminGet("/-/ready") == 503 })
	return n
}

// get reads a document of the public listener.
func (n *node) get(path string) (int, string) {
	n.t.Helper()
	r := n.call("GET", path, "")
	return r.status, r.body
}

// newKeyPEM is a new private key.
func newKeyPEM(t *testing.T) []byte {
	t.Helper()
	key, err := token.Generate(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

func (s *site) run(public net.Listener) *node {
	s.t.Helper()
	n := &node{t: s.t, log: &syncBuffer{}}
	out := logs.Open(n.log, "debug", "json")
	a, err := New(context.Background(), Options{Load: s.load, Version: "test", Mode: "run", Log: out, Public: public, Admin: listener(s.t), Watch: -1})
	if err != nil {
		s.t.Fatalf("New: %v", err)
	}
	n.App = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	n.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		a.Close()
		out.Close()
		return err
	})
	s.t.Cleanup(func() { n.stop() })
	return n
}

func (n *node) adminGet(path string) int {
	status, _ := n.adminBody("GET", path)
	return status
}

func (n *node) adminBody(method, path string) (int, string) {
	n.t.Helper()
	req, err := http.NewRequest(method, "http://"+n.AdminAddr().String()+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// token fetches a token as a real client does.
func (s *site) token(n *node, client string) string {
	s.t.Helper()
	cc := clientcredentials.Config{ClientID: client, ClientSecret: s.secrets[client], TokenURL: "http://" + n.Addr().String() + "/oauth/token"}
	tok, err := cc.Token(context.Background())
	if err != nil {
		s.t.Fatalf("token for %s: %v", client, err)
	}
	return tok.AccessToken
}

// forge signs a token of our own form by the site's key, for claims that the endpoint would not issue.
func (s *site) forge(change func(*token.Issue), key *token.PrivateKey) string {
	s.t.Helper()
	now := time.Now().Unix()
	i := token.Issue{Issuer: s.url(), Client: "reader", Audience: "https://api.example.com/orders", ID: token.NewID(),
		Scopes: token.NewScopes("orders:read"), IssuedAt: now, Expires: now + 300, Dialect: token.RFC9068}
	change(&i)
	raw, err := key.Issue(i)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// answer is what a call gave.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) reason() string {
	var p struct{ Reason string }
	json.Unmarshal([]byte(a.body), &p)
	return p.Reason
}

func (n *node) call(method, path, bearer string, header ...string) answer {
	n.t.Helper()
	a, err := n.try(method, path, bearer, header...)
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

func (n *node) try(method, path, bearer string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, "http://"+n.Addr().String()+path, nil)
	if err != nil {
		return answer{}, err
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return send(req)
}

func send(req *http.Request) (answer, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

// revoke revokes a token as its client, by RFC 7009.
func (s *site) revoke(n *node, client, raw string) int {
	s.t.Helper()
	req, _ := http.NewRequest("POST", "http://"+n.Addr().String()+"/oauth/revoke", strings.NewReader(url.Values{"token": {raw}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, s.secrets[client])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// eventually waits for a condition, and fails where it does not hold within the limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// engines runs a test on both engines.
func engines(t *testing.T, test func(t *testing.T, redis *redistest.Server)) {
	t.Run("embedded", func(t *testing.T) { test(t, nil) })
	t.Run("redis", func(t *testing.T) { test(t, redistest.Start(t)) })
}
