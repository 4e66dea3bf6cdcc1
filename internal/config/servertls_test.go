package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key string }

// testCert makes a self-signed certificate for names or addresses that is good for so long, counted from now.
func testCert(t testing.TB, good time.Duration, names ...string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: time.Now().Add(good), IsCA: true, BasicConstraintsValid: true}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))}
}

func writePair(t testing.TB, dir, cert, key string, p pair) {
	t.Helper()
	write(t, filepath.Join(dir, cert), p.cert)
	write(t, filepath.Join(dir, key), p.key)
}

// loadTLS loads a configuration whose server.tls is as given, in a folder with the pair tls.crt and tls.key and what else
// files says.
func loadTLS(t *testing.T, tls string, p pair, files map[string]string) (*Config, string) {
	t.Helper()
	a := archive{names: []string{"config.yaml", "tls.crt", "tls.key"}, sections: map[string]string{"tls.crt": p.cert, "tls.key": p.key,
		"config.yaml": "version: 1\nserver:\n  listen: 127.0.0.1:8443\n  public_url: https://gate.example\n  tls: " + tls +
			"\nclients_file: clients.yaml\napis:\n  a: {audience: a, upstream: 'http://127.0.0.1:1', routes: [{match: /, auth: token}]}\n"}}
	for name, content := range files {
		a.names = append(a.names, name)
		a.sections[name] = content
	}
	return a.load(t)
}

func TestServerTLS(t *testing.T) {
	t.Parallel()
	p := testCert(t, 365*24*time.Hour, "gate.example")
	c, failed := loadTLS(t, "{cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.pem}", p, map[string]string{"ca.pem": p.cert})
	if failed != "" || len(c.Warnings) != 0 {
		t.Fatalf("%s%v", failed, c.Warnings)
	}
	got := c.Server.TLS
	if got.Certificate.Leaf == nil || got.Certificate.Leaf.DNSNames[0] != "gate.example" || got.ClientCAs == nil || len(got.Sum) != 64 {
		t.Errorf("got %v %+v", got, got.Certificate.Leaf)
	}
	watched := strings.Join(c.Watched, " ")
	for _, name := range []string{"tls.crt", "tls.key", "ca.pem"} {
		if !strings.Contains(watched, name) {
			t.Errorf("%s is not watched: %s", name, watched)
		}
	}
	other, _ := loadTLS(t, "{cert_file: tls.crt, key_file: tls.key}", p, nil)
	if other.Server.TLS.Sum == got.Sum {
		t.Error("the sum does not cover the client CA")
	}
	if other.Server.TLS.ClientCAs != nil {
		t.Error("clients are asked for certificates without client_ca_file")
	}
	text, err := json.Marshal(c.Server)
	if err != nil {
		t.Fatal(err)
	}
	for _, dump := range []string{fmt.Sprintf("%+v", c.Server), fmt.Sprintf("%#v", c.Server), string(text)} {
		if strings.Contains(dump, "PrivateKey") {
			t.Errorf("a dump shows the key: %.200s", dump)
		}
	}
}

func TestServerTLSRefusals(t *testing.T) {
	t.Parallel()
	good, other := testCert(t, time.Hour*9999, "gate.example"), testCert(t, time.Hour*9999, "gate.example")
	const both = "{cert_file: tls.crt, key_file: tls.key}"
	for _, tt := range []struct {
		name, tls string
		pair      pair
		want      string
	}{
		{"other key", both, pair{good.cert, other.key}, "tls.key is not the key of the certificate in tls.crt"},
		{"swapped", both, pair{good.key, good.cert}, "tls.crt holds no PEM certificate"},
		{"no certificate", both, pair{"hello", good.key}, "tls.crt holds no PEM certificate"},
		{"broken certificate", both, pair{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good.key}, "tls.crt holds no PEM certificate"},
		{"no key", both, pair{good.cert, "hello"}, "tls.key holds no PEM private key"},
		{"broken key", both, pair{good.cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "tls.key holds no PEM private key"},
		{"missing file", "{cert_file: gone.crt, key_file: tls.key}", good, "gone.crt does not exist"},
		{"missing CA", "{cert_file: tls.crt, key_file: tls.key, client_ca_file: gone.pem}", good, "gone.pem does not exist"},
		{"empty CA", "{cert_file: tls.crt, key_file: tls.key, client_ca_file: tls.key}", good, "tls.key holds no PEM certificate"},
	} {
		c, got := loadTLS(t, tt.tls, tt.pair, nil)
		if !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "config.yaml:5:") || !strings.HasSuffix(got, "1 error in config.yaml\n") {
			t.Errorf("%s: got %s", tt.name, got)
		}
		if strings.Contains(got, "AAAA") || len(c.Watched) < 3 {
			t.Errorf("%s: %s, watched %v", tt.name, got, c.Watched)
		}
	}
}

func TestServerTLSWarnings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		pair pair
		want string
	}{
		{"expired", testCert(t, -time.Hour, "gate.example"), "the certificate expired on"},
		{"expires soon", testCert(t, 13*24*time.Hour, "gate.example"), "the certificate expires on"},
		{"not yet", testCert(t, 15*24*time.Hour, "gate.example"), ""},
		{"other name", testCert(t, 9999*time.Hour, "other.example"), "does not name gate.example"},
	} {
		c, failed := loadTLS(t, "{cert_file: tls.crt, key_file: tls.key}", tt.pair, nil)
		if failed != "" {
			t.Fatal(failed)
		}
		var got string
		for _, w := range c.Warnings {
			got += w.Text("warning")
		}
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestServerTLSReload: that there is TLS takes a restart, what is in the files does not.
func TestServerTLSReload(t *testing.T) {
	t.Parallel()
	old, _ := loadTLS(t, "{cert_file: tls.crt, key_file: tls.key}", testCert(t, 9999*time.Hour, "gate.example"), nil)
	renewed, _ := loadTLS(t, "{cert_file: tls.crt, key_file: tls.key}", testCert(t, 9999*time.Hour, "gate.example"), nil)
	old.State.Dir, renewed.State.Dir = "", "" // they live in different folders
	if list := RestartNeeded(old, renewed); len(list) != 0 {
		t.Errorf("a new certificate takes a restart: %v", list)
	}
	off := *renewed
	off.Server.TLS, off.Server.H2C = nil, true
	if list := RestartNeeded(old, &off); len(list) != 2 || !strings.HasPrefix(list[0].Message, "server.h2c: changed") || list[1].Line != 5 {
		t.Errorf("TLS off and h2c on: %+v", list)
	}
}
