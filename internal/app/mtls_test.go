package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// authorityOf signs certificates of clients.
type authorityOf struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthorityOf(t *testing.T) *authorityOf {
	t.Helper()
	a := &authorityOf{t: t}
	pair := a.sign(func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// sign issues a certificate for a client; one that has no authority yet signs itself.
func (a *authorityOf) sign(change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// ownKeySet is the JWK Set of a certificate's key.
func ownKeySet(t *testing.T, c tls.Certificate) string {
	t.Helper()
	point, err := c.PrivateKey.(*ecdsa.PrivateKey).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:]), "kid": "own"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(set)
}

// TestCertificatesOfClients: RFC 8705 with real handshakes: by an authority and a name, and by a registered key.
func TestCertificatesOfClients(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		cert, key := pair(t, 1)
		s.file("tls.crt", cert)
		s.file("tls.key", key)
		ours, theirs := newAuthorityOf(t), newAuthorityOf(t)
		s.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.cert.Raw})))
		s.file("config.yaml", strings.Replace(s.read("config.yaml"), "  drain: 10s\n", "  drain: 10s\n  tls: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.pem}\n", 1))
		lone := &authorityOf{t: t}
		own, stranger := lone.sign(nil), lone.sign(nil)
		s.file("own.json", ownKeySet(t, own))
		grant := "grants: {orders: [orders:read]}\n    auth: "
		s.clients = map[string]string{
			"dns":  grant + "tls_client_auth\n    tls_subject: {san_dns: Dns.internal}",
			"dn":   grant + `tls_client_auth` + "\n    tls_subject: {dn: 'cn=by \\, name, O=Example'}",
			"uri":  grant + "tls_client_auth\n    tls_subject: {san_uri: 'spiffe://example.com/billing'}",
			"ip":   grant + "tls_client_auth\n    tls_subject: {san_ip: '::ffff:192.0.2.7'}",
			"mail": grant + "tls_client_auth\n    tls_subject: {san_email: billing@example.com}",
			"off":  grant + "tls_client_auth\n    disabled: true\n    tls_subject: {san_dns: dns.internal}",
			"own":  grant + "self_signed_tls_client_auth\n    jwks_file: own.json",
		}
		s.writeClients()
		n := s.start()

		named := func(c *x509.Certificate) {
			c.DNSNames = []string{"other.internal", "dns.internal"}
			c.Subject = pkix.Name{CommonName: "by , name", Organization: []string{"Example"}}
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/billing"}}
			c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 7)}
			c.EmailAddresses = []string{"billing@example.com"}
		}
		good := ours.sign(named)
		with := func(change func(*x509.Certificate)) tls.Certificate {
			return ours.sign(func(c *x509.Certificate) { named(c); change(c) })
		}
		for _, tt := range []struct {
			name, client string
			shown        tls.Certificate
			form         url.Values
			status       int
			failure      string
		}{
			{"by dns", "dns", good, nil, 200, ""},
			{"by dn", "dn", good, nil, 200, ""},
			{"by uri", "uri", good, nil, 200, ""},
			{"by ip", "ip", good, nil, 200, ""},
			{"by email", "mail", good, nil, 200, ""},
			{"by its own key", "own", own, nil, 200, ""},
			{"a secret beside a certificate", "reader", stranger, url.Values{"client_secret": {s.secrets["reader"]}}, 200, ""},
			{"another name", "dns", with(func(c *x509.Certificate) { c.DNSNames = []string{"dns.internal.evil.example", "*.internal"} }), nil, 401, "invalid_certificate"},
			{"the name as common name", "dns", with(func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "dns.internal" }), nil, 401, "invalid_certificate"},
			{"another dn", "dn", with(func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"X"} }), nil, 401, "invalid_certificate"},
			{"the dn in one attribute", "dn", with(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "by , name,O=Example"} }), nil, 401, "invalid_certificate"},
			{"another uri", "uri", with(func(c *x509.Certificate) { c.URIs[0].Path = "/billing/x" }), nil, 401, "invalid_certificate"},
			{"another address", "ip", with(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 8)} }), nil, 401, "invalid_certificate"},
			{"another authority", "dns", theirs.sign(named), nil, 401, "invalid_certificate"},
			{"no authority", "dns", lone.sign(named), nil, 401, "invalid_certificate"},
			{"expired", "dns", with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), nil, 401, "invalid_certificate"},
			{"not for clients", "dns", with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), nil, 401, "invalid_certificate"},
			{"another's key", "own", stranger, nil, 401, "invalid_certificate"},
			{"an authority's certificate for a client with a key", "own", good, nil, 401, "invalid_certificate"},
			{"its own key for a client of the authority", "dns", own, nil, 401, "invalid_certificate"},
			{"none", "dns", tls.Certificate{}, nil, 401, "no_credentials"},
			{"a client that is off", "off", good, nil, 401, "client_disabled"},
			{"a client with secrets", "reader", good, nil, 401, "wrong_method"},
			{"nobody", "nobody", good, nil, 401, "unknown_client"},
			{"its secret, which it has no use for", "dns", good, url.Values{"client_secret": {s.secrets["dns"]}}, 401, "wrong_method"},
			{"no client_id", "", good, nil, 401, "no_credentials"},
		} {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.shown, nil }}}}
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {tt.client}}
			for name, values := range tt.form {
				form[name] = values
			}
			res, err := client.PostForm("https://"+n.Addr().String()+"/oauth/token", form)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			client.CloseIdleConnections()
			failure := ""
			if res.StatusCode != 200 {
				failure = n.denial(res.Header.Get("X-Request-Id")).Trace.Asked.Failure
			}
			if res.StatusCode != tt.status || failure != tt.failure {
				t.Errorf("%s: %d %s (%s), want %d (%s)", tt.name, res.StatusCode, body, failure, tt.status, tt.failure)
			}
		}
	})
}

// TestCertificateOfItsOwn: without client_ca_file, a certificate is asked for while a client has use for one, and clients that heed
// what authorities the server names show theirs.
func TestCertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	cert, key := pair(t, 1)
	s.file("tls.crt", cert)
	s.file("tls.key", key)
	s.file("config.yaml", strings.Replace(s.read("config.yaml"), "  drain: 10s\n", "  drain: 10s\n  tls: {cert_file: tls.crt, key_file: tls.key}\n", 1))
	own := (&authorityOf{t: t}).sign(nil)
	s.file("own.json", ownKeySet(t, own))
	n := s.start()
	ask := func() int {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}}}}
		defer client.CloseIdleConnections()
		res, err := client.PostForm("https://"+n.Addr().String()+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"own"}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := ask(); got != 401 {
		t.Errorf("before there is such a client: %d", got)
	}
	s.clients = map[string]string{"own": "grants: {orders: [orders:read]}\n    auth: self_signed_tls_client_auth\n    jwks_file: own.json"}
	s.writeClients()
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != 200 {
		t.Errorf("once there is one: %d", got)
	}
}
