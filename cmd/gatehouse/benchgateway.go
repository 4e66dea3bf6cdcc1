package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/load"
	"gatehouse/internal/logs"
	"gatehouse/internal/secret"
)

// benchConfig is as a first configuration of somebody's would be: one API with scopes and a limit, though one that nobody reaches.
const benchConfig = `version: 1
server: {listen: %q, public_url: "http://%s"}
admin: {listen: %q}
state:
  dir: state
%sclients_file: clients.yaml
apis:
  bench:
    audience: urn:bench
    upstream: %q
    scopes: {bench:read: Call the API, bench:write: "What the client is not granted"}
    rate_limit: {requests: 1000000, per: 1s, by: client}
    routes:
      - {match: GET /read, scopes: [bench:read]}
      - {match: GET /write, scopes: [bench:write]}
`

const benchRedis = `  redis: {addrs: [%q]}
tokens: {ring_key_file: ring.key}
`

// benchGateway is the gateway that bench starts, in a process of its own: what it uses is its own, and not the load's.
type benchGateway struct {
	URL    string // of the public listener
	Admin  string // of the admin listener
	Secret string // of the client "bench"

	cmd      *exec.Cmd
	hold     io.Closer // the child ends when this is closed, or when this process has ended
	dir      string
	upstream *http.Server
}

// startBenchGateway returns once the gateway is ready. Why it is not, it says itself.
func startBenchGateway(ctx context.Context, redis bool) (g *benchGateway, err error) {
	if _, err := exec.LookPath("redis-server"); err != nil && redis {
		return nil, errors.New("--redis: no redis-server on PATH; install one, or leave --redis out to measure with embedded state")
	}
	g = &benchGateway{}
	defer func() {
		if err != nil {
			g.stop()
		}
	}()
	if g.dir, err = os.MkdirTemp("", "gatehouse-bench-"); err != nil {
		return g, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return g, err
	}
	g.upstream = &http.Server{Handler: load.Upstream(), ReadHeaderTimeout: 5 * time.Second}
	go g.upstream.Serve(l)
	program, err := os.Executable()
	if err != nil {
		return g, err
	}
	g.cmd = exec.Command(program, "bench-gateway", "--dir", g.dir, "--upstream", "http://"+l.Addr().String(), fmt.Sprintf("--redis=%t", redis))
	g.cmd.Stderr = os.Stderr // the descriptor itself: a writer would be shared with a goroutine that copies
	if g.hold, err = g.cmd.StdinPipe(); err != nil {
		return g, err
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return g, err
	}
	if err := g.cmd.Start(); err != nil {
		return g, err
	}
	interrupted := context.AfterFunc(ctx, func() { g.hold.Close() })
	defer interrupted()
	if err := json.NewDecoder(out).Decode(g); err != nil {
		return g, errors.Join(ctx.Err(), errors.New("the gateway of this run did not start"))
	}
	return g, nil
}

// stop ends the gateway and removes what it wrote. It may be called after a start that failed.
func (g *benchGateway) stop() {
	if g.hold != nil {
		g.hold.Close()
	}
	if g.cmd != nil && g.cmd.Process != nil {
		g.cmd.Wait()
	}
	if g.upstream != nil {
		g.upstream.Close()
	}
	if g.dir != "" {
		os.RemoveAll(g.dir)
	}
}

func (g *benchGateway) target() load.Target {
	return load.Target{TokenURL: g.URL + "/oauth/token", RevokeURL: g.URL + "/oauth/revoke", CallURL: g.URL + "/read", DeniedURL: g.URL + "/write",
		Client: "bench", Secret: g.Secret}
}

// newBenchGateway is the process that startBenchGateway starts. It prints a benchGateway once it is ready, and serves until standard
// input ends. An interrupt does not end it: bench, which gets the same one, still asks what it has used.
func newBenchGateway() *cobra.Command {
	var dir, upstream string
	var redis bool
	cmd := &cobra.Command{
		Use:    "bench-gateway",
		Short:  "The gateway that bench measures",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
			defer cancel()
			defer os.RemoveAll(dir) // bench itself may have been killed
			go func() {
				defer cancel()
				io.Copy(io.Discard, cmd.InOrStdin())
			}()
			return serveBench(ctx, dir, upstream, redis, cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&dir, "dir", "", "directory for its files")
	fl.StringVar(&upstream, "upstream", "", "URL of the API")
	fl.BoolVar(&redis, "redis", false, "start a redis-server")
	return cmd
}

func serveBench(ctx context.Context, dir, upstream string, redis bool, stdout io.Writer) error {
	state := ""
	if redis {
		address, stop, err := startRedis(ctx, dir)
		if err != nil {
			return err
		}
		defer stop()
		state = fmt.Sprintf(benchRedis, address)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer public.Close()
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer admin.Close()
	at, ready := public.Addr().String(), benchGateway{Secret: secret.New()}
	ready.URL, ready.Admin = "http://"+at, "http://"+admin.Addr().String()
	sum := secret.Sum(ready.Secret)
	key := secret.Sum(secret.New())
	for name, text := range map[string]string{
		"config.yaml":  fmt.Sprintf(benchConfig, at, at, admin.Addr(), state, upstream),
		"clients.yaml": fmt.Sprintf("version: 1\nclients: {bench: {grants: {bench: [bench:read]}, secrets: [{sha256: %s}]}}\n", hex.EncodeToString(sum[:])),
		"ring.key":     base64.StdEncoding.EncodeToString(key[:]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	out := logs.Open(io.Discard, "info", "json") // the access log is written, as it is by run, though nobody reads it
	defer out.Close()
	o := app.Options{Load: loader(filepath.Join(dir, "config.yaml")), Version: version, Mode: "run", Log: out, Public: public, Admin: admin}
	return serve(ctx, o, func(*app.App) { json.NewEncoder(stdout).Encode(ready) })
}

// startRedis runs a redis-server that keeps nothing on disk, until stop is called.
func startRedis(ctx context.Context, dir string) (address string, stop func(), err error) {
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		address = l.Addr().String()
		l.Close() // somebody else may take the port now: the server then ends, and the next one is tried
		_, port, _ := net.SplitHostPort(address)
		cmd := exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
			"--maxmemory-policy", "noeviction", "--dir", dir)
		said, err := cmd.StdoutPipe()
		if err != nil {
			return "", nil, err
		}
		if err := cmd.Start(); err != nil {
			return "", nil, err
		}
		if accepts(said) {
			go io.Copy(io.Discard, said)
			return address, func() { cmd.Process.Kill(); cmd.Wait() }, nil
		}
		cmd.Wait()
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
	}
	return "", nil, errors.New("redis-server did not start; try it by itself: redis-server --port 6379")
}

// accepts reads what a redis-server prints until it accepts connections; false where it ended before.
func accepts(said io.Reader) bool {
	text := ""
	for buf := make([]byte, 4096); ; {
		n, err := said.Read(buf)
		if text += string(buf[:n]); strings.Contains(text, "Ready to accept connections") {
			return true
		}
		if err != nil {
			return false
		}
	}
}
