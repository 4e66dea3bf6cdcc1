package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const perAPI = 100 // routes of an API that is there only to be many

// shape is how a Gatehouse is set up. The zero value is one node on its own: no limits, no revocations, as few routes and
// clients as the loads need, on one core.
type shape struct {
	redis   bool // limits and revocations are shared through Redis
	limit   bool // APIs have a rate limit that is never reached
	revoked bool // a million tokens are revoked
	routes  int  // of them in all, where that is more than what is asked for
	clients int
	procs   int  // GOMAXPROCS; 0 is 1
	takes   bool // it takes its revocations over from Redis by itself, which takes long; otherwise it is lent them
	logged  bool // each exchange is logged, as it is by default; otherwise what is above level info only, as peers log nothing
}

// The audiences, of which the harness signs tokens. What each is for is in config.
const (
	audRSA   = "urn:bench:rsa"
	audEC    = "urn:bench:ec"
	audTight = "urn:bench:tight"
)

// config is the configuration of a Gatehouse of this shape: an API for each algorithm, one with a limit that all are over,
// and one that is public, of eight routes together, then others that nobody asks for.
func (s shape) config(r *rig, listen, admin string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nserver: {listen: %q, public_url: %q, drain: 1s}\nadmin: {listen: %q, pprof: true}\nclients_file: clients.yaml\n", listen, issuer, admin)
	fmt.Fprintf(&b, "tokens: {key_dir: %q}\nstate:\n  dir: ./state\n", r.keyDir())
	if s.redis {
		prefix := "empty"
		if s.revoked {
			prefix = "million"
		}
		fmt.Fprintf(&b, "  redis: {mode: standalone, addrs: [%q], prefix: %s}\n", r.redisAddr, prefix)
	}
	if !s.logged {
		b.WriteString("log: {level: error}\n")
	}
	limit := ""
	if s.limit {
		limit = "\n    rate_limit: {requests: 1000000, per: 1s}"
	}
	b.WriteString("apis:\n")
	api := func(name, alg, limit string) {
		fmt.Fprintf(&b, "  %s:\n    audience: urn:bench:%[1]s\n    algorithm: %s\n    upstream: http://%s\n    scopes: {%s: Read, %s: Write}%s\n    routes:\n",
			name, alg, r.upstream, scopeOf(name, "read"), scopeOf(name, "write"), limit)
	}
	route := func(api, what, needs string) {
		fmt.Fprintf(&b, "      - {match: \"GET /%s/%s/{id}\", %s}\n", api, what, needs)
	}
	for _, a := range [][2]string{{"rsa", "RS256"}, {"ec", "ES256"}} {
		api(a[0], a[1], limit)
		route(a[0], "things", "scopes: ["+scopeOf(a[0], "read")+"]")
		route(a[0], "big", "scopes: ["+scopeOf(a[0], "read")+"]")
		route(a[0], "admin", "scopes: ["+scopeOf(a[0], "write")+"]")
	}
	api("tight", "RS256", "\n    rate_limit: {requests: 1, per: 1h}")
	route("tight", "things", "scopes: ["+scopeOf("tight", "read")+"]")
	api("open", "ES256", "")
	route("open", "things", "auth: public")
	for i := range max(0, s.routes-8) {
		if i%perAPI == 0 {
			api(fmt.Sprintf("filler%d", i/perAPI), "ES256", limit)
		}
		name := fmt.Sprintf("filler%d", i/perAPI)
		route(name, fmt.Sprintf("things%d", i), "scopes: ["+scopeOf(name, "read")+"]")
	}
	return b.String()
}

func scopeOf(api, what string) string { return api + ":" + what }

// clientsFile holds the clients that tokens are of, which share a secret, and others that nobody is, with one of their own each.
func (s shape) clientsFile(secret string) string {
	var b strings.Builder
	b.WriteString("version: 1\nclients:\n")
	for c := range max(rigClients, s.clients) {
		sum := sha256.Sum256([]byte(secret))
		if c >= rigClients {
			sum = sha256.Sum256([]byte(strconv.Itoa(c)))
		}
		fmt.Fprintf(&b, "  client-%d: {grants: {rsa: [rsa:read], ec: [ec:read], tight: [tight:read]}, secrets: [{sha256: %x}]}\n", c, sum)
	}
	return b.String()
}

// gatehouse starts one of this shape from a binary, in a directory that outlives it: its state is the same in every round.
func (s shape) gatehouse(ctx context.Context, r *rig, binary, dir string) (*server, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	listen, admin := loopback(ports[0]), loopback(ports[1])
	for name, text := range map[string]string{"config.yaml": s.config(r, listen, admin), "clients.yaml": s.clientsFile(r.secret)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if s.revoked && !s.takes {
		if err := r.lendJournal(ctx, binary, dir); err != nil {
			return nil, fmt.Errorf("a journal of a million revocations: %w", err)
		}
	}
	procs, cores := 1, proxyCore
	if s.procs > 1 {
		procs, cores = s.procs, bothCores
	}
	p, err := launch(dir, cores, []string{"GOMAXPROCS=" + strconv.Itoa(procs)}, binary, "run", "-c", filepath.Join(dir, "config.yaml"))
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, answers("http://"+admin+"/-/ready")); err != nil {
		p.stop()
		return nil, err
	}
	if s.revoked {
		err := holdsMillion(admin)
		if err == nil && s.redis {
			err = p.quiet(ctx)
		}
		if err != nil {
			p.stop()
			return nil, err
		}
	}
	return &server{process: p, addr: listen, admin: admin}, nil
}

// holdsMillion is an error unless a node checks requests against a million revoked tokens.
func holdsMillion(admin string) error {
	text, err := metrics(admin)
	if err != nil {
		return err
	}
	if n, err := parseMetric(text, `gatehouse_revoked_entries{kind="token"}`); err != nil || n != million {
		return errors.Join(err, fmt.Errorf("%.0f tokens are revoked, want a million", n))
	}
	return nil
}

// parseMetric is the value of a series in the text format of Prometheus.
func parseMetric(text, series string) (float64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", series)
}
