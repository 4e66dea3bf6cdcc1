package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/redistest"
)

// probed loads a configuration and looks; the result is by key, "" where all is well.
func probed(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "config.yaml"), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range Probe(context.Background(), cfg) {
		out[p.Key] = ""
		if p.Err != nil {
			out[p.Key] = p.Err.Error()
		}
		if p.Pos.File == "" || p.What == "" {
			t.Errorf("%+v lacks something", p)
		}
		if strings.Contains(p.What+out[p.Key], "canary") {
			t.Errorf("%+v tells a query", p)
		}
	}
	return out
}

const probeHead = "version: 1\nserver: {listen: \"127.0.0.1:8080\", public_url: \"http://127.0.0.1:8080\"}\nclients_file: clients.yaml\n"

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestProbe(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	unknown := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is no one's
	defer unknown.Close()
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) }))
	defer keys.Close()
	got := probed(t, map[string]string{
		"config.yaml": probeHead + fmt.Sprintf(`issuers:
  corp: {issuer: "%s/", algorithms: [RS256], insecure: true}
  shut: {issuer: "https://nowhere.invalid/", jwks_uri: "https://nowhere.invalid/keys?sig=canary", algorithms: [RS256]}
apis:
  good: {audience: a, upstream: "%s", routes: [{match: /a, auth: token}]}
  many: {audience: b, upstreams: [{url: "%s"}, {url: "http://%s"}], routes: [{match: /b, auth: token}]}
  tls: {audience: c, upstream: "%s", routes: [{match: /c, auth: token}]}
  hooked: {audience: h, upstream: "%s", routes: [{match: /h, auth: token}], hook: {url: "http://%s/?sig=canary", secret_file: hook.key}}
  name: {audience: d, upstream: "http://nowhere.invalid:80", routes: [{match: /d, auth: token}]}
`, plain.URL, plain.URL, plain.URL, closed(t), unknown.URL, plain.URL, closed(t)),
		"hook.key":     "what a hook is asked with",
		"clients.yaml": fmt.Sprintf("version: 1\nclients: {signs: {auth: private_key_jwt, jwks_uri: %q}}\n", keys.URL),
	})
	for key, want := range map[string]string{
		"apis.good.upstream": "", "apis.many.upstreams.0.url": "", "apis.many.upstreams.1.url": "connection refused",
		"apis.tls.upstream": "TLS: ", "apis.name.upstream": "nowhere.invalid is not resolved", "issuers.corp.issuer": "404", "apis.hooked.hook.url": "connection refused", "apis.hooked.upstream": "",
		"clients.signs.jwks_uri": "no key that can be used", "state.dir": "",
	} {
		text, looked := got[key]
		if !looked || (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s: %q (looked: %v), want %q", key, text, looked, want)
		}
	}
	if len(got) != 11 {
		t.Errorf("%d looks: %v", len(got), got)
	}
}

func TestProbeRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "the-password")
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", "1")
	args, ca := redistest.TLSArgs(t)
	secure := redistest.Start(t, append(args, "--tls-auth-clients", "no")...)
	look := func(redis string) string {
		t.Helper()
		return probed(t, map[string]string{
			"config.yaml": probeHead + "state: {redis: " + redis + "}\ntokens: {ring_key_file: ring.key}\n" +
				"apis: {a: {audience: a, upstream: \"http://" + server.Addr() + "\", routes: [{match: /a, auth: token}]}}\n",
			"clients.yaml": "version: 1\n", "good": "the-password\n", "bad": "another\n", "ring.key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		})["state.redis"]
	}
	at := func(addr, more string) string { return fmt.Sprintf("{addrs: [%q], budget: 1s%s}", addr, more) }
	for _, tc := range []struct{ name, redis, want string }{
		{"well", at(server.Addr(), ", password_file: good"), ""},
		{"wrong password", at(server.Addr(), ", password_file: bad"), "does not know this user"},
		{"no password", at(server.Addr(), ""), "asks for a password"},
		{"a replica", at(replica.Addr(), ""), "it is a replica"},
		{"nobody", at(closed(t), ""), "connection refused"},
		{"over TLS", at(secure.Addr(), fmt.Sprintf(", tls: {ca_file: %q}", ca)), ""},
		{"TLS unasked", at(secure.Addr(), ""), "if it speaks TLS, set tls"},
		{"TLS unknown to it", at(server.Addr(), fmt.Sprintf(", password_file: good, tls: {ca_file: %q}", ca)), "does it speak TLS?"},
		{"another name", at(secure.Addr(), fmt.Sprintf(", tls: {ca_file: %q, server_name: redis.internal}", ca)), "set tls.server_name"},
		{"another authority", at(secure.Addr(), ", tls: {}"), "set tls.ca_file"},
	} {
		if got := look(tc.redis); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) || strings.Contains(got, "the-password") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestKeyDirRights(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pem")
	if err := os.WriteFile(path, []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		dir, file os.FileMode
		want      string
	}{{0o700, 0o600, ""}, {0o700, 0o644, "chmod 600"}, {0o777, 0o600, "chmod 700"}} {
		if err := os.Chmod(dir, tc.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tc.file); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := keyDir(dir); err != nil {
			got = err.Error()
		}
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%o %o: %q, want %q", tc.dir, tc.file, got, tc.want)
		}
	}
}
