package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the built gatehouse.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gatehouse-e2e-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "gatehouse")
	build := exec.Command("go", "build", "-o", program, "./cmd/gatehouse")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// secretText is a client's; it is imported, so it need not be of our form.
const secretText = "a-secret-of-the-browser-tests"

// gateway is one running process with its files.
type gateway struct {
	t             *testing.T
	dir           string
	public, admin string // host:port
	upstream      string
	extra         string // of the configuration: sections
	routes        string // more routes
	clients       string // more clients
	adminExtra    string // more keys of the section admin
	process       *exec.Cmd
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// newGateway makes the files; start runs it.
func newGateway(t *testing.T) *gateway {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(api.Close)
	return &gateway{t: t, dir: t.TempDir(), public: free(t), admin: free(t), upstream: api.URL}
}

func (g *gateway) config() string {
	return fmt.Sprintf(`version: 1
server: {listen: %q, public_url: "http://%s"}
admin: {listen: %q%s}
clients_file: clients.yaml
%sapis:
  orders:
    audience: https://api.example.com/orders
    upstream: %s
    scopes: {orders:read: Read orders, orders:write: Write orders}
    rate_limit: {requests: 6000, per: 1m}
    routes:
      - {match: "GET /orders/{id}", scopes: [orders:read]}
      - {match: POST /orders, scopes: [orders:write]}
      - {match: "DELETE /orders/{id}", scopes: [orders:write]}
      - {match: GET /health, auth: public}
%s`, g.public, g.public, g.admin, g.adminExtra, g.extra, g.upstream, g.routes)
}

func (g *gateway) write(name, text string) {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		g.t.Fatal(err)
	}
}

type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *tail) Write(p []byte) (int, error) { o.mu.Lock(); defer o.mu.Unlock(); return o.b.Write(p) }
func (o *tail) String() string              { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }

func (g *gateway) start() *gateway {
	g.t.Helper()
	g.write("clients.yaml", fmt.Sprintf("version: 1\nclients:\n  billing-worker:\n    grants: {orders: [orders:read]}\n    secrets: [{sha256: %x, created: 2026-09-01, note: in the vault}]\n%s", sha256.Sum256([]byte(secretText)), g.clients))
	g.write("config.yaml", g.config())
	return g.run()
}

// run starts the process on the files that are there, also after a stop.
func (g *gateway) run() *gateway {
	g.t.Helper()
	cmd := exec.Command(program, "run", "-c", filepath.Join(g.dir, "config.yaml"))
	log := &tail{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.process = cmd
	g.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	g.t.Cleanup(func() {
		if g.t.Failed() {
			g.t.Logf("the log:\n%s", log)
		}
	})
	eventually(g.t, "readiness", func() bool {
		res, err := http.Get("http://" + g.admin + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == 200
	})
	return g
}

// stop ends the process as the system would, and waits until it is gone.
func (g *gateway) stop() {
	g.t.Helper()
	g.process.Process.Signal(syscall.SIGTERM)
	if err := g.process.Wait(); err != nil {
		g.t.Errorf("the end: %v", err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("no %s", what)
}

func (g *gateway) token() string {
	g.t.Helper()
	req, _ := http.NewRequest("POST", "http://"+g.public+"/oauth/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("billing-worker", secretText)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || body.Token == "" {
		g.t.Fatalf("no token: %d %v", res.StatusCode, err)
	}
	return body.Token
}

// call sends a request to the gateway, and returns its status and id.
func (g *gateway) call(method, path, token string) (int, string) {
	g.t.Helper()
	req, err := http.NewRequest(method, "http://"+g.public+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("X-Request-Id")
}

// memory is what the process has in use, in bytes.
func (g *gateway) memory() int {
	g.t.Helper()
	res, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	_, after, _ := strings.Cut(string(text), "\nprocess_resident_memory_bytes ")
	line, _, _ := strings.Cut(after, "\n")
	bytes, err := strconv.ParseFloat(line, 64)
	if err != nil {
		g.t.Fatalf("no memory in the metrics: %v", err)
	}
	return int(bytes)
}
