package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestUpstreamTLS: the files are read whole and watched, a key of another certificate is refused, and nothing of a key is
// in what is said.
func TestUpstreamTLS(t *testing.T) {
	t.Parallel()
	good, past := testCert(t, time.Hour, "client"), testCert(t, -time.Hour, "client")
	cert, key, old, oldKey := good.cert, good.key, past.cert, past.key
	for _, tt := range []struct{ name, cert, key, err, warning string }{
		{name: "good", cert: cert, key: key},
		{name: "of another", cert: cert, key: oldKey, err: "private key does not match public key"},
		{name: "turned round", cert: key, key: cert, err: "are no certificate and its key"},
		{name: "expired", cert: old, key: oldKey, warning: "has expired on "},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "clients.yaml"), "version: 1\n")
		write(t, filepath.Join(dir, "up.crt"), tt.cert)
		write(t, filepath.Join(dir, "up.key"), tt.key)
		write(t, filepath.Join(dir, "config.yaml"), `version: 1
server: {listen: 127.0.0.1:8080, public_url: "http://127.0.0.1:8080"}
clients_file: clients.yaml
apis:
  orders:
    audience: orders
    upstream: https://127.0.0.1:9001
    upstream_tls: {cert_file: up.crt, key_file: up.key}
    routes: [{match: /orders, auth: token}]
`)
		c, err := Load(filepath.Join(dir, "config.yaml"), Options{})
		for _, name := range []string{"up.crt", "up.key"} {
			if !slices.Contains(c.Watched, filepath.Join(dir, name)) {
				t.Errorf("%s: %s is not watched", tt.name, name)
			}
		}
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "config.yaml:8:31: error: apis.orders.upstream_tls.cert_file") {
				t.Errorf("%s: %v, want %q and the place", tt.name, err, tt.err)
			} else if strings.Contains(err.Error(), strings.Split(tt.key, "\n")[1]) {
				t.Errorf("%s: the error shows the key", tt.name)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := c.APIs[0].UpstreamTLS; string(got.Certificate) != tt.cert || got.Key.Reveal() != tt.key {
			t.Errorf("%s: got %+v", tt.name, got)
		}
		if warned := len(c.Warnings) > 0 && strings.Contains(c.Warnings[0].Message, tt.warning); warned != (tt.warning != "") {
			t.Errorf("%s: warnings %v, want %q", tt.name, c.Warnings, tt.warning)
		}
	}
}
