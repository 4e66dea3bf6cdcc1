package app

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"
)

// TestAuthoritiesWithLimits: what an authority of ours allows another, holds for the certificates that the other signs.
func TestAuthoritiesWithLimits(t *testing.T) {
	t.Parallel()
	ours := newAuthorityOf(t)
	s := tlsSite(t, ours)
	head := "grants: {orders: [orders:read]}\n    auth: tls_client_auth\n    tls_subject: "
	s.clients = map[string]string{"dns": head + "{san_dns: a.internal}", "uri": head + "{san_uri: 'spiffe://a.internal/x'}", "mail": head + "{san_email: a@a.internal}", "dn": head + "{dn: CN=a}"}
	s.writeClients()
	n := s.start()
	named := func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses, c.Subject = []string{"a.internal"}, []string{"a@a.internal"}, pkix.Name{CommonName: "a"}
	}
	byURI := func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{altNames(t, "spiffe://a.internal/x")} }
	// A name constraint on directoryName, which crypto/x509 does not know: O=Other.
	subtree, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Other"}}})
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(tag int, class int, in []byte) []byte {
		der, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: in})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	context, universal, sequence := asn1.ClassContextSpecific, asn1.ClassUniversal, asn1.TagSequence
	directory := wrap(sequence, universal, wrap(0, context, wrap(sequence, universal, wrap(4, context, subtree))))

	for _, tt := range []struct {
		name, client string
		limit        func(*x509.Certificate)
		leaf         func(*x509.Certificate)
		status       int
	}{
		{"none", "dns", nil, named, 200},
		{"other hosts", "dns", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"b.internal"} }, named, 401},
		{"this host", "dns", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"a.internal"} }, named, 200},
		{"not this host", "dns", func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"internal"} }, named, 401},
		{"other URIs", "uri", func(c *x509.Certificate) { c.PermittedURIDomains = []string{"b.internal"} }, byURI, 401},
		{"these URIs", "uri", func(c *x509.Certificate) { c.PermittedURIDomains = []string{"a.internal"} }, byURI, 200},
		{"other addresses", "mail", func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"b.internal"} }, named, 401},
		{"other subjects", "dn", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: directory}}
		}, named, 401},
		{"for servers", "dns", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, named, 401},
		{"expired", "dns", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, named, 401},
		{"no authority", "dns", func(c *x509.Certificate) { c.IsCA = false }, named, 401},
		{"may not sign certificates", "dns", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, named, 401},
	} {
		pair := ours.sign(func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage, c.Subject = true, true, x509.KeyUsageCertSign, nil, pkix.Name{CommonName: "limited"}
			if tt.limit != nil {
				tt.limit(c)
			}
		})
		limited := &authorityOf{t: t, cert: pair.Leaf, key: pair.PrivateKey.(*ecdsa.PrivateKey)}
		shown := limited.sign(tt.leaf)
		shown.Certificate = append(shown.Certificate, pair.Certificate[0])
		if status, _, why := n.show(t, tt.client, shown); status != tt.status {
			t.Errorf("%s: %d (%s), want %d", tt.name, status, why, tt.status)
		}
	}
}
