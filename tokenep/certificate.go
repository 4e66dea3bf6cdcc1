package tokenep

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// relayed reports whether a proxy passes the request on, for somebody who is not who showed the certificate. That is said by the
// headers of whoever it is: a proxy that is a client, too, would lend its name to all that call through it, be it trusted or not.
// X-Forwarded-Proto is not among them, since the proxy of a service mesh that stands beside a client and speaks TLS for it sets it.
func relayed(r *http.Request) bool {
	return slices.ContainsFunc([]string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Via"}, func(name string) bool { return len(r.Header[name]) > 0 })
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
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between(chain), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

// maxBetween is how many authorities may stand between a certificate and one of client_ca_file.
const maxBetween = 5

// between are the authorities that lead, by their names, from the caller's own certificate to one of ours. Whoever comes may show
// hundreds with one name and one key, in every order of which x509 would seek a way, on each request; so each name counts once.
func between(chain []*x509.Certificate) *x509.CertPool {
	pool, at := x509.NewCertPool(), chain[0]
	names := [][]byte{at.RawSubject}
	for range maxBetween {
		next := issuerOf(at, chain[1:])
		if next == nil || slices.ContainsFunc(names, func(n []byte) bool { return bytes.Equal(n, next.RawSubject) }) {
			break
		}
		pool.AddCert(next)
		names, at = append(names, next.RawSubject), next
	}
	return pool
}

// issuerOf is who signed c by what it says: of several with one name the first with the key that c names, else the first.
func issuerOf(c *x509.Certificate, list []*x509.Certificate) (found *x509.Certificate) {
	for _, i := range list {
		switch {
		case !bytes.Equal(i.RawSubject, c.RawIssuer):
		case len(c.AuthorityKeyId) > 0 && bytes.Equal(i.SubjectKeyId, c.AuthorityKeyId):
			return i
		case found == nil:
			found = i
		}
	}
	return found
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
	switch known, err := client.Keys.Has(ctx, c.PublicKey); {
	case err != nil:
		ref := unavailable(fmt.Sprintf("client %q: %v", client.ID, err))
		ref.failure = failKeys
		return ref
	case !known:
		return wrong(client, failCertificate, "its certificate's key is none of its keys")
	}
	return nil
}
