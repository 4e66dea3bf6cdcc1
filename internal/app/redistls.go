package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"

	"gatehouse/internal/config"
)

// redisTLS is how Redis is reached by TLS.
func redisTLS(r *config.Redis) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.ServerName}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, err
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("state.redis.tls.ca_file: %s holds no PEM certificate", r.CAFile)
		}
	}
	if r.CertFile != "" {
		shown := &shownCertificate{certFile: r.CertFile, keyFile: r.KeyFile}
		if _, err := shown.get(nil); err != nil {
			return nil, fmt.Errorf("state.redis.tls.cert_file: %w", err)
		}
		out.GetClientCertificate = shown.get
	}
	return out, nil
}

// shownCertificate is the certificate in two files, which are read for each handshake: what renews it renews it without a restart,
// which anything else in state.redis takes. It is safe for concurrent use.
type shownCertificate struct {
	certFile, keyFile string
	last              atomic.Pointer[tls.Certificate]
}

// get implements tls.Config.GetClientCertificate. Files that do not go together, as while they are replaced, leave the last that did.
func (s *shownCertificate) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err == nil {
		s.last.Store(&pair)
		return &pair, nil
	}
	if last := s.last.Load(); last != nil {
		return last, nil
	}
	return nil, err
}
