package app

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// tlsSite is a site whose listener has TLS, with that authority for the certificates of clients.
func tlsSite(t *testing.T, ours *authorityOf) *site {
	t.Helper()
	s := newSite(t, nil)
	cert, key := pair(t, 1)
	s.file("tls.crt", cert)
	s.file("tls.key", key)
	s.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.cert.Raw})))
	s.file("config.yaml", strings.Replace(s.read("config.yaml"), "  drain: 10s\n", "  drain: 10s\n  tls: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.pem}\n", 1))
	return s
}

// show asks for a token with a certificate, on a connection of its own; where it gets none, why is what the trace says.
func (n *node) show(t *testing.T, client string, shown tls.Certificate) (status int, failure, why string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }}}}
	defer c.CloseIdleConnections()
	res, err := c.PostForm("https://"+n.Addr().String()+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {client}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	if res.StatusCode != 200 {
		d := n.denial(res.Header.Get("X-Request-Id"))
		failure, why = d.Trace.Asked.Failure, d.Trace.Detail
	}
	return res.StatusCode, failure, why
}

// altNames is the extension with URIs that net/url would write otherwise.
func altNames(t *testing.T, uris ...string) pkix.Extension {
	t.Helper()
	var names []asn1.RawValue
	for _, u := range uris {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(u)})
	}
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}
}

// TestNamesOfCertificates: names as authorities write them, and those that are nearly another's.
func TestNamesOfCertificates(t *testing.T) {
	t.Parallel()
	ours := newAuthorityOf(t)
	s := tlsSite(t, ours)
	head := "grants: {orders: [orders:read]}\n    auth: tls_client_auth\n    tls_subject: "
	s.clients = map[string]string{
		"inc":  head + `{dn: 'CN=a,O=Example Inc.'}`,
		"dot":  head + `{dn: 'O=Example Inc.'}`,
		"dc":   head + `{dn: 'UID=a,DC=example,DC=com'}`,
		"utf":  head + `{dn: 'CN=M\C3\BCller'}`,
		"set":  head + `{dn: 'OU=x+CN=a'}`,
		"edge": head + `{dn: 'CN=a\ ,O=b'}`,
		"uri":  head + `{san_uri: 'spiffe://a/b'}`,
		"hash": head + `{san_uri: 'spiffe://a/b#'}`,
		"end":  head + `{san_uri: 'spiffe://a/b.'}`,
	}
	s.writeClients()
	n := s.start()
	named := func(parts ...pkix.AttributeTypeAndValue) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			var seq pkix.RDNSequence
			for _, p := range parts {
				seq = append(seq, pkix.RelativeDistinguishedNameSET{p})
			}
			c.RawSubject, _ = asn1.Marshal(seq)
		}
	}
	attribute := func(value string, oid ...int) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	cn := func(v string) pkix.AttributeTypeAndValue { return attribute(v, 2, 5, 4, 3) }
	org := func(v string) pkix.AttributeTypeAndValue { return attribute(v, 2, 5, 4, 10) }
	dc := func(v string) pkix.AttributeTypeAndValue { return attribute(v, 0, 9, 2342, 19200300, 100, 1, 25) }
	uri := func(u string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{altNames(t, u)} }
	}
	for _, tt := range []struct {
		name, client string
		change       func(*x509.Certificate)
		status       int
	}{
		{"a dn with a dot", "inc", named(org("Example Inc."), cn("a")), 200},
		{"a dn that ends in a dot", "dot", named(org("Example Inc.")), 200},
		{"the dn without it", "dot", named(org("Example Inc")), 401},
		{"components of a domain", "dc", named(dc("com"), dc("example"), attribute("a", 0, 9, 2342, 19200300, 100, 1, 1)), 200},
		{"the same in another order", "dc", named(dc("example"), dc("com"), attribute("a", 0, 9, 2342, 19200300, 100, 1, 1)), 401},
		{"a dn that is not ASCII", "utf", named(cn("Müller")), 200},
		{"a set", "set", func(c *x509.Certificate) {
			c.RawSubject, _ = asn1.Marshal(pkix.RDNSequence{{cn("a"), attribute("x", 2, 5, 4, 11)}})
		}, 200},
		{"two parts for a set", "set", named(attribute("x", 2, 5, 4, 11), cn("a")), 401},
		{"a space at the end", "edge", named(org("b"), cn("a ")), 200},
		{"a comma for a space at the end", "edge", named(cn("a,O=b")), 401},
		{"no subject", "dot", named(), 401},
		{"a uri", "uri", uri("spiffe://a/b"), 200},
		{"an empty fragment", "uri", uri("spiffe://a/b#"), 401},
		{"another case", "uri", uri("SPIFFE://a/b"), 401},
		{"a uri with an empty fragment", "hash", uri("spiffe://a/b#"), 200},
		{"a uri with a dot", "end", uri("spiffe://a/b."), 200},
		{"a uri without it", "end", uri("spiffe://a/b"), 401},
	} {
		if status, _, why := n.show(t, tt.client, ours.sign(tt.change)); status != tt.status {
			t.Errorf("%s: %d (%s), want %d", tt.name, status, why, tt.status)
		}
	}
	for page, want := range map[string]string{"/clients": "certificate with dn O=Example Inc.", "/clients/one?id=dot": "--cert &#34;$GATEHOUSE_CLIENT_CERT&#34;"} {
		if _, text := n.adminBody("GET", page); !strings.Contains(text, want) || strings.Contains(text, "✗ none") {
			t.Errorf("%s has no %q, or says that a client has no credential:\n%s", page, want, text)
		}
	}
}

// below is an authority that another signed.
func (a *authorityOf) below(name string) *authorityOf {
	pair := a.sign(func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage, c.Subject = true, true, x509.KeyUsageCertSign, nil, pkix.Name{CommonName: name}
	})
	return &authorityOf{t: a.t, cert: pair.Leaf, key: pair.PrivateKey.(*ecdsa.PrivateKey)}
}

// TestWaysToAnAuthority: authorities between are found in whatever order they are shown; a stranger that shows many with one
// name and one key, in whose every order there is a way to try, costs no more than one that shows few.
func TestWaysToAnAuthority(t *testing.T) {
	t.Parallel()
	ours := newAuthorityOf(t)
	s := tlsSite(t, ours)
	s.clients = map[string]string{"a": "grants: {orders: [orders:read]}\n    auth: tls_client_auth\n    tls_subject: {san_dns: a.internal}"}
	s.writeClients()
	n := s.start()
	named := func(c *x509.Certificate) { c.DNSNames = []string{"a.internal"} }

	path := []*authorityOf{ours}
	for i := range 5 {
		path = append(path, path[i].below(fmt.Sprint("between ", i)))
	}
	good := path[5].sign(named)
	for _, i := range []int{3, 1, 5, 2, 4} {
		good.Certificate = append(good.Certificate, path[i].cert.Raw)
	}
	if status, _, why := n.show(t, "a", good); status != 200 {
		t.Errorf("five authorities between, in disorder: %d %s", status, why)
	}
	good.Certificate = good.Certificate[:5]
	if status, _, _ := n.show(t, "a", good); status != 401 {
		t.Errorf("one of them left out: %d", status)
	}
	old := path[2].below("renewed")
	renewed := path[2].below("renewed")
	good = renewed.sign(named)
	good.Certificate = append(good.Certificate, old.cert.Raw, path[1].cert.Raw, path[2].cert.Raw, renewed.cert.Raw)
	if status, _, why := n.show(t, "a", good); status != 200 {
		t.Errorf("beside an older authority of that name: %d %s", status, why)
	}

	stranger := newAuthorityOf(t)
	hostile := stranger.sign(named)
	for i := range 100 {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i)), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, DNSNames: []string{fmt.Sprint(i, ".example")}}
		der, err := x509.CreateCertificate(rand.Reader, template, stranger.cert, stranger.key.Public(), stranger.key)
		if err != nil {
			t.Fatal(err)
		}
		hostile.Certificate = append(hostile.Certificate, der)
	}
	status, failure, why := n.show(t, "a", hostile)
	if status != 401 || failure != "invalid_certificate" || strings.Contains(why, "attempts limit") {
		t.Errorf("a hundred authorities of a stranger: %d %s (%s)", status, failure, why)
	}
}

// TestCertificateOfProxy: a proxy that is a client of ours shows its certificate for whatever it passes on, too. Who calls through it
// is not the proxy.
func TestCertificateOfProxy(t *testing.T) {
	t.Parallel()
	ours := newAuthorityOf(t)
	s := tlsSite(t, ours)
	s.clients = map[string]string{"edge": "grants: {orders: [orders:read]}\n    auth: tls_client_auth\n    tls_subject: {san_dns: edge.internal}"}
	s.writeClients()
	n := s.start()
	shown := ours.sign(func(c *x509.Certificate) { c.DNSNames = []string{"edge.internal"} })
	edge := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{shown}}}
	t.Cleanup(edge.CloseIdleConnections)
	target, err := url.Parse("https://" + n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: edge, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() }})
	t.Cleanup(proxy.Close)
	for _, tt := range []struct {
		name, at, client string
		rt               http.RoundTripper
		secret           string
		status           int
		failure          string
	}{
		{"the proxy itself", target.String(), "edge", edge, "", 200, ""},
		{"a stranger through it", proxy.URL, "edge", http.DefaultTransport, "", 401, "invalid_certificate"},
		{"a client with a secret through it", proxy.URL, "reader", http.DefaultTransport, s.secrets["reader"], 200, ""},
	} {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {tt.client}}
		if tt.secret != "" {
			form.Set("client_secret", tt.secret)
		}
		res, err := (&http.Client{Transport: tt.rt}).PostForm(tt.at+"/oauth/token", form)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		failure := ""
		if res.StatusCode != 200 {
			failure = n.denial(res.Header.Get("X-Request-Id")).Trace.Asked.Failure
		}
		if res.StatusCode != tt.status || failure != tt.failure {
			t.Errorf("%s: %d %s, want %d %s", tt.name, res.StatusCode, failure, tt.status, tt.failure)
		}
	}
}

// TestManyKeysOfOneClient: each replica of a client may have a key of its own.
func TestManyKeysOfOneClient(t *testing.T) {
	t.Parallel()
	s := tlsSite(t, newAuthorityOf(t))
	lone := &authorityOf{t: t}
	var replicas []tls.Certificate
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for i := range 12 {
		c := lone.sign(nil)
		var one struct {
			Keys []map[string]string `json:"keys"`
		}
		decode(t, ownKeySet(t, c), &one)
		one.Keys[0]["kid"] = fmt.Sprint(i)
		set.Keys, replicas = append(set.Keys, one.Keys...), append(replicas, c)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	s.file("own.json", string(text))
	s.clients = map[string]string{"own": "grants: {orders: [orders:read]}\n    auth: self_signed_tls_client_auth\n    jwks_file: own.json"}
	s.writeClients()
	n := s.start()
	for i, c := range replicas {
		if status, _, why := n.show(t, "own", c); status != 200 {
			t.Errorf("replica %d: %d %s", i, status, why)
		}
	}
	if status, failure, _ := n.show(t, "own", lone.sign(nil)); status != 401 || failure != "invalid_certificate" {
		t.Errorf("a stranger: %d %s", status, failure)
	}
}
