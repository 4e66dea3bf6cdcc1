package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net"
)

// aeadSuites are those of TLS 1.2 that are neither CBC nor without forward secrecy. TLS 1.3 has no others.
var aeadSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// TLSConfig is how the public listener does TLS: 1.2 and 1.3, with Go's key exchanges. Where clientCAs is not nil, clients are
// asked for a certificate and told which authorities count. With selfSigned they are asked and not told, since many clients show
// no certificate of another authority, not even their own (RFC 8705 §2.2). None is required, and none is judged here: whoever
// relies on a certificate verifies it, on every request.
//
// The configuration has ticket keys of its own, which it renews by itself. So make another one whenever the certificate or
// the authorities change, and no session is resumed that was begun under others.
func TLSConfig(cert tls.Certificate, clientCAs *x509.CertPool, selfSigned bool) *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		CipherSuites: aeadSuites,
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if clientCAs != nil || selfSigned {
		c.ClientAuth = tls.RequestClientCert
	}
	if !selfSigned {
		c.ClientCAs = clientCAs
	}
	return c
}

// TLS returns a listener whose connections are TLS, each by what config returns when it is accepted. The config is not
// switched within a handshake (GetConfigForClient), since ticket keys would then pass from one to the next.
func TLS(l net.Listener, config func() *tls.Config) net.Listener { return tlsListener{l, config} }

type tlsListener struct {
	net.Listener
	config func() *tls.Config
}

// Accept implements net.Listener. The handshake is done by net/http, in the connection's own goroutine and within the time
// that headers may take.
func (l tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(conn, l.config()), nil
}
