package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"time"
)

// expiresSoon is when a certificate that is still good is warned of.
const expiresSoon = 14 * 24 * time.Hour

// buildServerTLS reads the certificate and its key. A pair that does not serve keeps the configuration from loading, so
// that a reload with one leaves the old pair in place.
func (r *reader) buildServerTLS(c *Config, s *rawServer) {
	t := s.tls.v
	if t == nil {
		return
	}
	if s.h2c.v {
		r.fail(s.h2c.at, "is HTTP/2 without TLS, and this listener has tls, where HTTP/2 is always there — remove it")
	}
	out := &ServerTLS{Pos: s.tls.at.pos()}
	cert, key := r.pemFile(t.certFile), r.pemFile(t.keyFile)
	if t.keyFile.set {
		r.warnOpenFile(t.keyFile.at, near(t.keyFile.at, t.keyFile.v))
	}
	sum := sha256.New()
	sum.Write(cert)
	sum.Write(key)
	if t.clientCAFile.set {
		ca := r.pemFile(t.clientCAFile)
		sum.Write(ca)
		out.ClientCAs = x509.NewCertPool()
		if ca != nil && !out.ClientCAs.AppendCertsFromPEM(ca) {
			r.fail(t.clientCAFile.at, "%s holds no PEM certificate", near(t.clientCAFile.at, t.clientCAFile.v))
		}
	}
	out.Sum = hex.EncodeToString(sum.Sum(nil))
	if cert == nil || key == nil {
		return
	}
	var err error
	if out.Certificate, err = tls.X509KeyPair(cert, key); err != nil {
		r.badPair(t, err)
		return
	}
	r.judgeCertificate(t.certFile, out.Certificate.Leaf, s)
	c.Server.TLS = out
}

// pemFile reads a file that the listener needs; nil where it can't be read, which is reported.
func (r *reader) pemFile(x val[string]) []byte {
	if !x.set {
		return nil
	}
	content, err := r.files.file(near(x.at, x.v), maxSmall)
	if err != nil {
		r.fail(x.at, "%v", err)
		return nil
	}
	return content
}

// badPair says which of the two files is at fault, and nothing of what the key's file holds.
func (r *reader) badPair(t *rawServerTLS, err error) {
	cert, key := near(t.certFile.at, t.certFile.v), near(t.keyFile.at, t.keyFile.v)
	switch text := err.Error(); {
	case strings.Contains(text, "does not match"):
		r.fail(t.keyFile.at, "%s is not the key of the certificate in %s — name the pair that belongs together", key, cert)
	case strings.Contains(text, "in certificate input"), strings.Contains(text, "x509: "):
		r.fail(t.certFile.at, "%s holds no PEM certificate that can be read — the server's own goes first, then its chain", cert)
	default:
		r.fail(t.keyFile.at, "%s holds no PEM private key that can be read — write it unencrypted, as PKCS #8, PKCS #1 or SEC 1", key)
	}
}

// judgeCertificate warns of a certificate that clients refuse, or will soon.
func (r *reader) judgeCertificate(x val[string], leaf *x509.Certificate, s *rawServer) {
	now := time.Now()
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		r.warn(x.at, "the certificate expired on %s — renew it", leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		r.warn(x.at, "the certificate is not valid before %s — check the clock", leaf.NotBefore.UTC().Format(time.RFC3339))
	case left < expiresSoon:
		r.warn(x.at, "the certificate expires on %s — renew it", leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	if u := s.publicURL.v.url; s.publicURL.set && u.Scheme == "https" && leaf.VerifyHostname(u.Hostname()) != nil {
		r.warn(x.at, "the certificate does not name %s, the host of server.public_url — callers will refuse it", u.Hostname())
	}
}
