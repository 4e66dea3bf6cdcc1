package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What print shows loads again to the same configuration: so that every default that is declared is the one that holds.
func TestEffectiveLoadsAgain(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/good/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := readArchive(t, file)
			dir := a.write(t)
			path := filepath.Join(dir, "config.yaml")
			if info, err := os.Stat(filepath.Join(dir, "keys")); err == nil && !info.IsDir() {
				t.Fatal("keys is a file")
			}
			before, err := Load(path, Options{Getenv: a.getenv})
			if err != nil {
				t.Fatal(err)
			}
			for _, origins := range []bool{false, true} {
				text, err := before.Effective(false).YAML(origins)
				if err != nil {
					t.Fatal(err)
				}
				write(t, path, string(text))
				after, err := Load(path, Options{Getenv: a.getenv})
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				if x, y := plainConfig(before), plainConfig(after); !reflect.DeepEqual(x, y) {
					differences(t, "", reflect.ValueOf(*x), reflect.ValueOf(*y))
					t.Fatalf("origins %v: another configuration:\n%s", origins, text)
				}
			}
		})
	}
}

// plainConfig is a Config without places and hashes.
func plainConfig(c *Config) *Config {
	out := *c
	out.Hash, out.Watched, out.Warnings, out.places, out.sources = "", nil, nil, nil, nil
	out.Server.ListenPos, out.Admin.ListenPos, out.Tokens.KeyDirPos = Pos{}, Pos{}, Pos{}
	if out.Server.TLS != nil {
		tls := *out.Server.TLS
		tls.Pos = Pos{}
		out.Server.TLS = &tls
	}
	out.State.Redis = withoutPlace(out.State.Redis)
	out.APIs, out.Issuers, out.Clients = nil, nil, nil
	for _, i := range c.Issuers {
		i.Pos = Pos{}
		out.Issuers = append(out.Issuers, i)
	}
	for _, a := range c.APIs {
		a.Pos, a.OpenAPIPos, a.Hosts = Pos{}, Pos{}, append([]string(nil), a.Hosts...)
		routes := a.Routes
		a.Routes = nil
		for _, r := range routes {
			r.Pos = Pos{}
			r.AllowPath = append([]string(nil), r.AllowPath...)
			a.Routes = append(a.Routes, r)
		}
		out.APIs = append(out.APIs, a)
	}
	return &out
}

func TestEffectiveOrigins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "clients.yaml"), "version: 1\nclients:\n  a:\n    secrets: [{sha256: 9f2c41d0c0b14ee1a5c08be9a9b0e5b6f1e6d2b7a1f6c4cf6b6a9ad51f7a0e31}]\n")
	write(t, filepath.Join(dir, "ring.key"), testRingKey+"\n")
	path := filepath.Join(dir, "config.yaml")
	write(t, path, `version: 1
server: {listen: "${LISTEN}", public_url: http://127.0.0.1:8080}
state: {redis: {password: "${REDIS_PASSWORD}", username: "${REDIS_AUTH_USER}"}}
tokens: {ring_key_file: ring.key}
clients_file: clients.yaml
defaults:
  timeout: 5s
apis:
  orders:
    audience: orders
    upstream: http://127.0.0.1:9001
    ttl: 1m
    routes:
      - {match: GET /orders, auth: token, timeout: 1s}
      - {match: POST /orders, auth: token}
`)
	env := map[string]string{"LISTEN": "127.0.0.1:9999", "REDIS_PASSWORD": "the-password", "REDIS_AUTH_USER": "the-user"}
	c, err := Load(path, Options{Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Leaf{}
	for _, l := range c.Effective(false).Leaves() {
		l.Origin = strings.ReplaceAll(l.Origin, dir+string(filepath.Separator), "")
		got[l.Key] = l
	}
	for _, want := range []Leaf{
		{"server.listen", "127.0.0.1:9999", "env LISTEN"},
		{"server.drain", "30s", "default"},
		{"admin.listen", "127.0.0.1:8081", "default"},
		{"state.redis.password", "${REDIS_PASSWORD}", "env REDIS_PASSWORD"},
		{"state.redis.username", "${REDIS_AUTH_USER}", "env REDIS_AUTH_USER"},
		{"apis.orders.ttl", "1m", "config.yaml:12"},
		{"apis.orders.algorithm", "ES256", "default"},
		{"apis.orders.timeout", "5s", "defaults.timeout at config.yaml:7"},
		{"apis.orders.max_body", "10MiB", "default"},
		{"apis.orders.routes[0].timeout", "1s", "config.yaml:14"},
		{"apis.orders.routes[1].timeout", "5s", "defaults.timeout at config.yaml:7"},
		{"apis.orders.revocation.max_staleness", "10m", "default"},
	} {
		if got[want.Key] != want {
			t.Errorf("got %+v, want %+v", got[want.Key], want)
		}
	}
	for _, clients := range []bool{false, true} {
		text, err := c.Effective(clients).YAML(true)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"the-password", "the-user", "9f2c41d0"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s prints:\n%s", secret, text)
			}
		}
	}
}

// TestEffectiveHidesQueries: the query of a hook's URL may be a secret, wherever it comes from.
func TestEffectiveHidesQueries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "clients.yaml"), "version: 1\nclients: {}\n")
	write(t, filepath.Join(dir, "hook.key"), strings.Repeat("k", 32))
	path := filepath.Join(dir, "config.yaml")
	write(t, path, `version: 1
server: {listen: 127.0.0.1:8080, public_url: http://127.0.0.1:8080}
clients_file: clients.yaml
apis:
  orders:
    audience: orders
    upstream: http://127.0.0.1:9001
    hook: {url: "https://hooks.example.com/token?sig=${SIG}&canary", secret_file: hook.key}
    routes:
      - {match: GET /orders, auth: token}
`)
	c, err := Load(path, Options{Getenv: func(name string) (string, bool) { return "the-canary", name == "SIG" }})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.APIs[0].Hook.URL.RawQuery; got != "sig=the-canary&canary" {
		t.Errorf("the hook is asked with %q", got)
	}
	text, err := c.Effective(false).YAML(true)
	if err != nil || strings.Contains(string(text), "canary") || !strings.Contains(string(text), "https://hooks.example.com/token?"+redacted) {
		t.Errorf("%v\n%s", err, text)
	}
	for _, l := range c.Effective(true).Leaves() {
		if strings.Contains(fmt.Sprint(l.Value), "canary") {
			t.Errorf("%+v", l)
		}
	}
}
