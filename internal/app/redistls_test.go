package app

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/redistest"
)

// TestRedisWantsACertificate has Redis as it is by default with TLS: whoever connects shows a certificate of its authority.
func TestRedisWantsACertificate(t *testing.T) {
	t.Parallel()
	secure, ca := redistest.TLSArgs(t)
	server := redistest.Start(t, append(secure, "--tls-auth-clients", "yes")...)
	cert, key := redistest.PairFiles(secure)
	look := func(more string) map[string]string {
		t.Helper()
		return probed(t, map[string]string{
			"config.yaml": probeHead + fmt.Sprintf("state: {redis: {addrs: [%q], budget: 1s, tls: {ca_file: ca%s}}}\ntokens: {ring_key_file: ring.key}\n", server.Addr(), more) +
				"apis: {a: {audience: a, upstream: \"http://" + server.Addr() + "\", routes: [{match: /a, auth: token}]}}\n",
			"clients.yaml": "version: 1\n", "ring.key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
			"ca": read(t, ca), "crt": read(t, cert), "key": read(t, key),
		})
	}
	for _, tc := range []struct{ name, more, want string }{
		{"shown", ", cert_file: crt, key_file: key", ""},
		{"none", "", "it asks for a certificate: set cert_file and key_file"},
		{"under another of its names", ", cert_file: crt, key_file: key, server_name: localhost", ""},
		{"a name that it lacks", ", cert_file: crt, key_file: key, server_name: redis.internal", "not redis.internal"},
	} {
		if got := look(tc.more)["state.redis"]; (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if got, looked := look(", cert_file: crt, key_file: key")["state.redis.tls.cert_file"]; !looked || got != "" {
		t.Errorf("the certificate's dates: %q, looked at: %t", got, looked)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestShownCertificate: one that was renewed is shown to whoever connects next, and half of a new one is not.
func TestShownCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shown := &shownCertificate{certFile: filepath.Join(dir, "crt"), keyFile: filepath.Join(dir, "key")}
	if _, err := shown.get(nil); err == nil {
		t.Error("no files, and no error")
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(what string, want tls.Certificate) {
		t.Helper()
		got, err := shown.get(nil)
		if err != nil || string(got.Certificate[0]) != string(want.Certificate[0]) {
			t.Errorf("%s: another certificate is shown, or %v", what, err)
		}
	}
	first, _ := redistest.TLSArgs(t)
	second, _ := redistest.TLSArgs(t)
	cert, key := redistest.PairFiles(first)
	put("crt", read(t, cert))
	put("key", read(t, key))
	shows("at first", redistest.Pair(t, first))
	cert, key = redistest.PairFiles(second)
	put("crt", read(t, cert))
	shows("with a key that is not the certificate's yet", redistest.Pair(t, first))
	put("key", read(t, key))
	shows("renewed", redistest.Pair(t, second))
}
