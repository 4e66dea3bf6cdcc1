package faults

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/config"
	"gatehouse/internal/exchange"
	"gatehouse/internal/logs"
	"gatehouse/internal/redistest"
	"gatehouse/internal/secret"
)

const (
	rate    = 60 // requests a second of each limit
	burst   = 30 // under 1000, so that no node leases any; 3 nodes divide it, and rate
	slowly  = 10 // the burst of the limit that refills once an hour
	stale   = 2 * time.Second
	budget  = 25 * time.Millisecond
	clients = 40 // each phase of a test has one, and so buckets, of its own
	nodes   = 3

	// slowHeal is what is worth a line about what was missing.
	slowHeal = 5 * time.Second
	// patience is for what must come true; how long it took is logged. It is not the claim.
	patience = 2 * time.Minute
)

// fleet is some gateways of one configuration.
type fleet struct {
	t        *testing.T
	budget   time.Duration
	redis    func(n *node) string // the rest of state.redis, in YAML
	upstream *httptest.Server
	served   atomic.Int64 // requests that reached the API
	http     *http.Client
	issuer   string
	ringKey  string
	secrets  []string
	bearers  map[int]string // tokens for limited routes, by client, where a test has taken them before
	queued   string         // a token that was revoked while Redis was away
	nodes    []*node
}

// node is one gateway: its files, its way to Redis, and the App that runs now.
type node struct {
	f     *fleet
	name  string
	dir   string
	proxy *redistest.Proxy // nil where there is none of its own
	log   *lines
	seen  *records
	base  atomic.Pointer[string] // the public URL, which a restart changes
	admin atomic.Pointer[string]
	app   *app.App
	stop  func()
}

// newFleet starts three gateways, each with a proxy of its own to the server.
func newFleet(t *testing.T, server *redistest.Server, budget time.Duration) *fleet {
	t.Helper()
	f := prepare(t, budget)
	f.redis = func(n *node) string {
		if n.proxy == nil {
			n.proxy = redistest.StartProxy(t, server.Addr())
		}
		return `addrs: ["` + n.proxy.Addr() + `"]`
	}
	f.grow(nodes)
	return f
}

// prepare makes a fleet without nodes.
func prepare(t *testing.T, budget time.Duration) *fleet {
	t.Helper()
	f := &fleet{t: t, budget: budget, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	t.Cleanup(f.http.CloseIdleConnections)
	f.upstream = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.served.Add(1) }))
	t.Cleanup(f.upstream.Close)
	f.issuer = "http://" + listen(t).Addr().String()
	key := make([]byte, 32)
	rand.Read(key)
	f.ringKey = base64.StdEncoding.EncodeToString(key) + "\n"
	for range clients {
		f.secrets = append(f.secrets, secret.New())
	}
	return f
}

// grow adds gateways, and waits until all know how many they are.
func (f *fleet) grow(n int) {
	f.t.Helper()
	for range n {
		f.add().start()
	}
	f.settle()
}

// add makes a node that does not run yet.
func (f *fleet) add() *node {
	f.t.Helper()
	n := &node{f: f, name: fmt.Sprintf("node %d", len(f.nodes)), dir: f.t.TempDir(), log: &lines{}, seen: &records{}}
	n.file("ring.key", f.ringKey)
	n.file("clients.yaml", f.clientsFile())
	n.file("config.yaml", f.configFile(f.redis(n)))
	f.nodes = append(f.nodes, n)
	return n
}

func (f *fleet) clientsFile() string {
	var b strings.Builder
	b.WriteString("version: 1\nclients:\n")
	for i, s := range f.secrets {
		fmt.Fprintf(&b, "  c%d:\n    grants: {strict: [read], lax: [read], limits: [read]}\n    secrets: [{sha256: %x}]\n", i, secret.Sum(s))
	}
	return b.String()
}

// configFile has three APIs: strict answers 503 once its revocations are stale, lax goes on, and limits, which nobody hears
// of revocations for, has one route for each of what a limit may do without Redis.
func (f *fleet) configFile(redis string) string {
	limited := func(name, onError string) string {
		return fmt.Sprintf("      - match: GET /%s/{id}\n        scopes: [read]\n        rate_limit: {requests: %d, per: 1s, burst: %d, by: client, on_error: %s}\n",
			name, rate, burst, onError)
	}
	api := func(name, revocation, routes string) string {
		return fmt.Sprintf("  %[1]s:\n    audience: https://api.example.com/%[1]s\n    upstream: %[2]s\n    scopes: {read: Read}\n    revocation: %[3]s\n    routes:\n%[4]s",
			name, f.upstream.URL, revocation, routes)
	}
	plain := func(name string) string { return "      - match: GET /" + name + "/{id}\n        scopes: [read]\n" }
	return "version: 1\nserver:\n  listen: 127.0.0.1:1\n  public_url: " + f.issuer + "\n  drain: 5s\nadmin:\n  listen: 127.0.0.1:2\n" +
		"state:\n  dir: state\n  redis: {" + redis + ", budget: " + f.budget.String() + "}\n" +
		"tokens:\n  ring_key_file: ring.key\nclients_file: clients.yaml\napis:\n" +
		api("strict", "{max_staleness: "+stale.String()+", on_stale: deny}", plain("strict")+"      - match: GET /free/{id}\n        auth: public\n") +
		api("lax", "{max_staleness: "+stale.String()+", on_stale: allow}", plain("lax")) +
		api("limits", "{max_staleness: 10m, on_stale: allow}", limited("local", "local")+limited("open", "open")+limited("closed", "closed")+
			fmt.Sprintf("      - match: GET /slow/{id}\n        scopes: [read]\n        rate_limit: {requests: 1, per: 1h, burst: %d, by: client}\n", slowly))
}

func (n *node) file(name, text string) {
	n.f.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.f.t.Fatal(err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// run starts the node's App on new listeners.
func (n *node) run() {
	t := n.f.t
	t.Helper()
	out := logs.Open(n.log, "info", "json")
	load := func() (*config.Config, error) {
		return config.Load(filepath.Join(n.dir, "config.yaml"), config.Options{})
	}
	a, err := app.New(context.Background(), app.Options{Load: load, Version: "test", Mode: "run", Log: out, Public: listen(t), Admin: listen(t),
		Sinks: []exchange.Sink{n.seen}, Watch: -1})
	if err != nil {
		t.Fatalf("%s: %v", n.name, err)
	}
	public, admin := "http://"+a.Addr().String(), "http://"+a.AdminAddr().String()
	n.base.Store(&public)
	n.admin.Store(&admin)
	n.app = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
		a.Close()
		out.Close()
	})
	t.Cleanup(n.stop)
}

// start runs the node and waits until it is ready.
func (n *node) start() {
	n.f.t.Helper()
	n.run()
	n.f.eventually(n.name+" is ready", func() bool { return n.ready() })
}

// restart ends the node and starts it again with what lies in its state.dir.
func (n *node) restart() {
	n.f.t.Helper()
	n.stop()
	n.seen.life.Add(1)
	n.start()
}

// eventually waits for a condition, as long as it takes on a machine that is busy, and returns how long that was.
func (f *fleet) eventually(what string, holds func() bool) time.Duration {
	f.t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > patience {
			f.t.Fatalf("never: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// lines is a log that tests read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
