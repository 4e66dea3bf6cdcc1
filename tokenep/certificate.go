package tokenep

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/token"
)

// Subject is what the certificate of a client must name (RFC 8705 §2.1.2). The zero value is named by none.
type Subject struct {
	Kind  string // dn, san_dns, san_uri, san_ip or san_email
	Value string // a dn as pkix.RDNSequence writes it, a name of DNS in lower case, an address as netip writes it
}

// namedBy reports whether the certificate names s. Wildcards in it stand for nothing.
func (s Subject) namedBy(c *x509.Certificate) bool {
	if s.Value == "" {
		return false
	}
	switch s.Kind {
	case "dn":
		var name pkix.RDNSequence
		rest, err := asn1.Unmarshal(c.RawSubject, &name)
		return err == nil && len(rest) == 0 && name.String() == s.Value
	case "san_dns":
		return slices.ContainsFunc(c.DNSNames, func(n string) bool { return strings.EqualFold(strings.TrimSuffix(n, "."), s.Value) })
	case "san_email":
		return slices.Contains(c.EmailAddresses, s.Value)
	}
	for _, u := range c.URIs {
		if s.Kind == "san_uri" && u.String() == s.Value {
			return true
		}
	}
	for _, ip := range c.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok && s.Kind == "san_ip" && a.Unmap().String() == s.Value {
			return true
		}
	}
	return false
}

// tryCertificate is mutual TLS (RFC 8705 §2): the handshake proved that the caller has the certificate's key. Its chain is verified
// whoever is said to call, so that this takes as long for a client that is not there.
func (s *Server) tryCertificate(ctx context.Context, p presented) (*Client, *refusal) {
	client := s.o.Clients.named(p.id)
	now := s.o.Now()
	chain := verifyChain(p.chain, s.o.ClientCAs, now)
	switch {
	case client == &s.o.Clients.dummy:
		return nil, badClient(failUnknown, "no client has this id")
	case client.Auth == methodTLS && chain != nil:
		return nil, wrong(client, failCertificate, "its certificate is not good: "+chain.Error())
	case client.Auth == methodTLS && !client.Subject.namedBy(p.chain[0]):
		return nil, wrong(client, failCertificate, "its certificate does not name "+client.Subject.Kind+" "+client.Subject.Value)
	case client.Auth == methodSelfSigned:
		if ref := ownCertificate(ctx, client, p.chain[0], now); ref != nil {
			return nil, ref
		}
	case client.Auth != methodTLS:
		return nil, wrong(client, failMethod, "it may not use a certificate")
	}
	if client.Disabled {
		return nil, wrong(client, failDisabled, "it is disabled")
	}
	return client, nil
}

// verifyChain says what is wrong with a certificate of an authority's.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if roots == nil {
		return errors.New("there is no server.tls.client_ca_file")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

// ownCertificate is nil where the certificate's key is one that the client has registered. Nobody signs for it, so that all it says
// besides is when it is good.
func ownCertificate(ctx context.Context, client *Client, c *x509.Certificate, now time.Time) *refusal {
	if client.Keys == nil {
		return wrong(client, failMethod, "it has no keys for "+methodSelfSigned)
	}
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return wrong(client, failCertificate, "its certificate is not good yet, or no longer")
	}
	for _, alg := range algorithmsOf(c.PublicKey) {
		keys, err := client.Keys.Lookup(ctx, "", alg)
		if err != nil {
			ref := unavailable(fmt.Sprintf("client %q: %v", client.ID, err))
			ref.failure = failKeys
			return ref
		}
		if slices.ContainsFunc(keys, func(k *token.PublicKey) bool { return k.Is(c.PublicKey) }) {
			return nil
		}
	}
	return wrong(client, failCertificate, "its certificate's key is none of its keys")
}

// algorithmsOf are those that a key of this kind may be listed under in a set.
func algorithmsOf(k crypto.PublicKey) []token.Algorithm {
	switch k.(type) {
	case *ecdsa.PublicKey:
		return []token.Algorithm{token.ES256}
	case *rsa.PublicKey:
		return []token.Algorithm{token.RS256, token.PS256}
	case ed25519.PublicKey:
		return []token.Algorithm{token.EdDSA}
	}
	return nil
}
