package redisx

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"testing"

	"gatehouse/internal/redistest"
)

// secured is a TLS listener before a server, and the pool that trusts its certificate.
func secured(t *testing.T, s *redistest.Server) (addr string, roots *x509.CertPool) {
	t.Helper()
	lent := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1 and example.com
	t.Cleanup(lent.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: lent.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go relay(in, s.Addr())
		}
	}()
	roots = x509.NewCertPool()
	roots.AddCert(lent.Certificate())
	return l.Addr().String(), roots
}

func relay(in net.Conn, addr string) {
	defer in.Close()
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		io.Copy(out, in)
		out.Close()
	}()
	io.Copy(in, out)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	addr, roots := secured(t, s)
	tests := []struct {
		name   string
		config *tls.Config
		ok     bool
	}{
		{"host of the address", &tls.Config{RootCAs: roots}, true},
		{"another name of the certificate", &tls.Config{RootCAs: roots, ServerName: "example.com"}, true},
		{"a name the certificate lacks", &tls.Config{RootCAs: roots, ServerName: "redis.example.net"}, false},
		{"an authority unknown to us", &tls.Config{}, false},
		{"no TLS", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := open(t, Options{Addrs: []string{addr}, TLS: tt.config})
			err := c.Cmd("k").Set(within(t, patience), "k", 1, 0).Err()
			if !tt.ok {
				if err == nil {
					t.Fatal("a command went through")
				}
				return
			}
			eventually(t, "a command goes through", func() bool {
				return c.Cmd("k").Set(within(t, patience), "k", 1, 0).Err() == nil
			})
			eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
		})
	}
}
