package lean

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// The transports.

// options are what http.Transport is made with, as the proxy does.
func (w *world) options() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext: w.dial,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := w.dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			secure := tls.Client(conn, clientTLS())
			if err := secure.HandshakeContext(ctx); err != nil {
				conn.Close()
				return nil, err
			}
			return secure, nil
		},
		IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 1024, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		Protocols: protocols,
	}
}

// dial makes a connection whose closing is an event.
func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &observed{conn.(*net.TCPConn), w}, nil
}

type observed struct {
	*net.TCPConn
	w *world
}

// Close implements io.Closer.
func (o *observed) Close() error { o.w.tell("closed"); return o.TCPConn.Close() }

func (w *world) url() *url.URL {
	u := &url.URL{Scheme: "http", Host: w.ln.Addr().String()}
	if w.secure {
		u.Scheme = "https"
	}
	return u
}

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(loopback)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }

func clientTLS() *tls.Config {
	roots := x509.NewCertPool()
	cert, err := x509.ParseCertificate(certificate().Certificate[0])
	if err != nil {
		panic(err)
	}
	roots.AddCert(cert)
	return &tls.Config{RootCAs: roots, ServerName: loopback, NextProtos: []string{"http/1.1"}}
}
