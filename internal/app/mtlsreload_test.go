package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"testing"
)

// TestCertificatesAfterReload: an authority or a key that a reload takes away ends with it, on connections that were made before
// and for sessions that are resumed; and one connection is as many clients as its certificate names, and no more.
func TestCertificatesAfterReload(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthorityOf(t), newAuthorityOf(t)
	s := tlsSite(t, ours)
	lone := &authorityOf{t: t}
	own, later := lone.sign(nil), lone.sign(nil)
	s.file("own.json", ownKeySet(t, own))
	head := "grants: {orders: [orders:read]}\n    auth: tls_client_auth\n    tls_subject: "
	s.clients = map[string]string{
		"a": head + "{san_dns: a.internal}", "b": head + "{san_dns: b.internal}", "c": head + "{san_dns: c.internal}",
		"own": "grants: {orders: [orders:read]}\n    auth: self_signed_tls_client_auth\n    jwks_file: own.json",
	}
	s.writeClients()
	n := s.start()
	shown := ours.sign(func(c *x509.Certificate) { c.DNSNames = []string{"a.internal", "b.internal"} })

	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		sessions := tls.NewLRUClientSessionCache(4)
		transport := func(c tls.Certificate) *http.Transport {
			return &http.Transport{ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ClientSessionCache: sessions,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }}}
		}
		ask := func(tr *http.Transport, client string) (int, bool) {
			t.Helper()
			res, err := (&http.Client{Transport: tr}).PostForm("https://"+n.Addr().String()+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {client}})
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			io.Copy(io.Discard, res.Body)
			return res.StatusCode, res.TLS.DidResume
		}
		kept := transport(shown)
		for client, want := range map[string]int{"a": 200, "b": 200, "c": 401, "own": 401, "reader": 401} {
			if got, _ := ask(kept, client); got != want {
				t.Errorf("%s: %s on one connection: %d, want %d", name, client, got, want)
			}
		}
		resumed := transport(shown)
		if got, did := ask(resumed, "a"); got != 200 || !did {
			t.Errorf("%s: resumed: %d, %v", name, got, did)
		}
		ofOwn := transport(own)
		ofOwn.TLSClientConfig.ClientSessionCache = nil
		if got, _ := ask(ofOwn, "own"); got != 200 {
			t.Errorf("%s: its own key: %d", name, got)
		}
		reload := func(authority *authorityOf, key tls.Certificate) {
			t.Helper()
			s.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.cert.Raw})))
			s.file("own.json", ownKeySet(t, key))
			if _, err := n.Reload("api"); err != nil {
				t.Fatal(err)
			}
		}
		reload(theirs, later)
		for what, tr := range map[string]*http.Transport{"kept": kept, "resumed before": resumed} {
			if got, _ := ask(tr, "a"); got != 401 {
				t.Errorf("%s: %s, without its authority: %d", name, what, got)
			}
		}
		if got, _ := ask(ofOwn, "own"); got != 401 {
			t.Errorf("%s: kept, without its key: %d", name, got)
		}
		again := transport(shown)
		if got, did := ask(again, "a"); got != 401 || did {
			t.Errorf("%s: a session of before: %d, resumed %v", name, got, did)
		}
		for _, tr := range []*http.Transport{kept, resumed, ofOwn, again} {
			tr.CloseIdleConnections()
		}
		reload(ours, own)
	}
}
