package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// server is a proxy that runs and serves.
type server struct {
	*process
	addr  string // where it listens
	admin string // Gatehouse's second listener; "" for others
}

// starter starts a proxy, whose files are in dir, and returns when it serves.
type starter func(ctx context.Context, r *rig, dir string) (*server, error)

// withConfig starts a peer that takes a configuration file. config writes that for where it shall listen, argv is the
// command once {file} and {dir} are replaced in it.
func withConfig(file string, config func(r *rig, dir, listen string) string, env []string, argv ...string) starter {
	return func(ctx context.Context, r *rig, dir string) (*server, error) {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		listen, path := loopback(port), filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(config(r, dir, listen)), 0o600); err != nil {
			return nil, err
		}
		args := make([]string, len(argv))
		for i, a := range argv {
			args[i] = strings.NewReplacer("{file}", path, "{dir}", dir, "{bin}", r.binDir(), "{listen}", listen, "{upstream}", "http://"+r.upstream).Replace(a)
		}
		p, err := launch(dir, proxyCore, env, args...)
		if err != nil {
			return nil, err
		}
		if err := p.await(ctx, speaks(listen)); err != nil {
			p.stop()
			return nil, err
		}
		return &server{process: p, addr: listen}, nil
	}
}

var oneProc = []string{"GOMAXPROCS=1"}

func revproxy(flags ...string) starter {
	none := func(*rig, string, string) string { return "" }
	return withConfig("none", none, oneProc, append([]string{"{bin}/revproxy", "-listen", "{listen}", "-upstream", "{upstream}"}, flags...)...)
}

func nginx() starter {
	return withConfig("nginx.conf", nginxConfig, nil, "nginx", "-p", "{dir}", "-c", "{file}", "-e", "stderr")
}

func nginxConfig(r *rig, dir, listen string) string {
	return fmt.Sprintf(`daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream api { server %s; keepalive 1024; keepalive_requests 1000000000; }
  server {
    listen %s;
    location / { proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`, r.upstream, listen)
}

// verifying is how much of a token a proxy looks at.
type verifying int

const (
	nothing   verifying = iota
	signature           // that alone
	claims              // audience and expiry too
	scopes              // and the scope
)

func haproxy(v verifying, alg, audience string) starter {
	config := func(r *rig, dir, listen string) string {
		return haproxyConfig(r.upstream, listen, v, alg, audience, r.publicKey(alg))
	}
	return withConfig("haproxy.cfg", config, nil, "haproxy", "-db", "-f", "{file}")
}

func haproxyConfig(upstream, listen string, v verifying, alg, audience, key string) string {
	var b strings.Builder
	b.WriteString(`global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind ` + listen + "\n")
	switch v {
	case signature:
		b.WriteString(`  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request deny deny_status 401 unless { http_auth_bearer,jwt_verify(txn.alg,"` + key + `") -m int 1 }
`)
	case scopes:
		b.WriteString(`  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request deny deny_status 401 unless { var(txn.alg) -m str ` + alg + ` }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"` + key + `") -m int 1 }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.aud') -m str ` + audience + ` }
  http-request set-var(txn.now) date()
  http-request set-var(txn.left) var(txn.bearer),jwt_payload_query('$.exp','int'),sub(txn.now)
  http-request deny deny_status 401 unless { var(txn.left) -m int gt 0 }
  http-request deny deny_status 403 unless { var(txn.bearer),jwt_payload_query('$.scope') -m reg (^|\ )` + scopeRead(audience) + `(\ |$) }
`)
	}
	b.WriteString("  default_backend api\nbackend api\n  server one " + upstream + "\n")
	return b.String()
}

// scopeRead is the scope that the routes for an audience need.
func scopeRead(audience string) string { return strings.TrimPrefix(audience, "urn:bench:") + ":read" }

// caddy is Caddy, with the token checks of ./caddy where alg is not "".
func caddy(alg, audience string) starter {
	config := func(r *rig, dir, listen string) string {
		check := ""
		if alg != "" {
			check = fmt.Sprintf(`{"handler": "bench_jwt", "algorithm": %q, "key_file": %q, "issuer": %q, "audience": %q},`, alg, r.publicKey(alg), issuer, audience)
		}
		return `{"admin": {"disabled": true}, "logging": {"logs": {"default": {"level": "ERROR"}}}, "apps": {"http": {"servers": {"s": {
  "listen": [` + strconv.Quote(listen) + `], "automatic_https": {"disable": true}, "protocols": ["h1"],
  "routes": [{"handle": [` + check + `
    {"handler": "reverse_proxy", "upstreams": [{"dial": ` + strconv.Quote(r.upstream) + `}],
     "transport": {"protocol": "http", "keep_alive": {"max_idle_conns": 1024, "max_idle_conns_per_host": 1024}}}]}]}}}}}
`
	}
	return func(ctx context.Context, r *rig, dir string) (*server, error) {
		env := append([]string{"XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir}, oneProc...)
		return withConfig("caddy.json", config, env, "{bin}/caddy", "run", "--config", "{file}")(ctx, r, dir)
	}
}
