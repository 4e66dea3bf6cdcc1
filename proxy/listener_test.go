package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// certificate makes a self-signed one for names and for 127.0.0.1.
func certificate(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func roots(certs ...tls.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c.Leaf)
	}
	return p
}

// secured is a world whose listener does TLS.
type secured struct {
	*world
	cert   tls.Certificate
	config atomic.Pointer[tls.Config]
}

func newSecured(t testing.TB, change func(*Options), routes ...*Route) *secured {
	t.Helper()
	s := &secured{world: newWorld(t, change, routes...), cert: certificate(t, "gate.example", "other.example")}
	s.config.Store(TLSConfig(s.cert, nil, false))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Server(s.gw, ServerOptions{IdleTimeout: s.options.IdleTimeout})
	go srv.Serve(TLS(ln, s.config.Load))
	t.Cleanup(func() { srv.Close() })
	s.addr = ln.Addr().String()
	return s
}

// handshake opens a connection; an error is the handshake's.
func (s *secured) handshake(change func(*tls.Config)) (*tls.Conn, error) {
	s.t.Helper()
	c := &tls.Config{RootCAs: roots(s.cert), ServerName: "gate.example"}
	if change != nil {
		change(c)
	}
	raw, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(30 * time.Second))
	conn := tls.Client(raw, c)
	return conn, conn.Handshake()
}

// client is an HTTP client of one protocol.
func (s *secured) client(h2 bool) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots(s.cert)}, ForceAttemptHTTP2: h2, Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.addr)
		}}
	tr.Protocols.SetHTTP1(!h2)
	tr.Protocols.SetHTTP2(h2)
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// TestTLSVersions is T7: TLS 1.2 with AEAD suites alone, and 1.3 with a key exchange that quantum computers don't break.
func TestTLSVersions(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("GET /a"))
	for _, tt := range []struct {
		name     string
		min, max uint16
		suites   []uint16
		alpn     []string
		protocol string
		ok       bool
	}{
		{"1.0", tls.VersionTLS10, tls.VersionTLS10, nil, nil, "", false},
		{"1.1", tls.VersionTLS11, tls.VersionTLS11, nil, nil, "", false},
		{"1.2 AEAD", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, []string{"h2"}, "h2", true},
		{"1.2 CBC", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}, nil, "", false},
		{"1.2 RSA key exchange", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, nil, "", false},
		{"1.3", tls.VersionTLS13, tls.VersionTLS13, nil, []string{"http/1.1"}, "http/1.1", true},
		{"1.3, h2 before http/1.1", tls.VersionTLS13, tls.VersionTLS13, nil, []string{"http/1.1", "h2"}, "h2", true},
		{"unknown protocol", tls.VersionTLS12, tls.VersionTLS13, nil, []string{"spdy/3"}, "", false},
	} {
		conn, err := s.handshake(func(c *tls.Config) {
			c.MinVersion, c.MaxVersion, c.CipherSuites, c.NextProtos = tt.min, tt.max, tt.suites, tt.alpn
		})
		state := conn.ConnectionState()
		if (err == nil) != tt.ok || tt.ok && state.NegotiatedProtocol != tt.protocol {
			t.Errorf("%s: %v, protocol %q", tt.name, err, state.NegotiatedProtocol)
		}
		if tt.max == tls.VersionTLS13 && tt.ok && state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("%s: key exchange %v", tt.name, state.CurveID)
		}
	}
}

// TestMisdirected is T2: a request belongs to the host that the handshake named, in whatever spelling.
func TestMisdirected(t *testing.T) {
	t.Parallel()
	gate, other := public("GET /a"), public("GET /a")
	gate.API, other.API = &API{Name: "gate", Hosts: []string{"gate.example"}}, &API{Name: "other", Hosts: []string{"other.example"}}
	rest := public("GET /a")
	rest.API = &API{Name: "rest"}
	s := newSecured(t, nil, gate, other, rest)
	// To claim another scheme changes nothing.
	conn, err := s.handshake(func(c *tls.Config) { c.NextProtos = []string{"h2"} })
	if err != nil {
		t.Fatal(err)
	}
	if got := newFramed(t, conn).get("http", "other.example", "/a"); got.status != 421 {
		t.Errorf("scheme http: %+v, want 421", got)
	}
	for _, tt := range []struct {
		sni, host string
		status    int
	}{
		{"gate.example", "gate.example", 200},
		{"gate.example", "Gate.Example.:443", 200},
		{"GATE.example", "gate.example", 200},
		{"gate.example", "other.example", 421},
		{"gate.example", "nobody.example", 421},
		{"other.example", "gate.example", 421},
		{"", "other.example", 200},
		{"gate.example", "127.0.0.1:8443", 200},
		{"gate.example", "[::1]", 200},
	} {
		for _, proto := range []string{"http/1.1", "h2"} {
			conn, err := s.handshake(func(c *tls.Config) {
				c.ServerName, c.NextProtos, c.InsecureSkipVerify = tt.sni, []string{proto}, true
			})
			if err != nil {
				t.Fatal(err)
			}
			before := len(s.up.take())
			var status int
			if proto == "h2" {
				status = newFramed(t, conn).get("https", tt.host, "/a").status
			} else {
				fmt.Fprintf(conn, "GET /a HTTP/1.1\r\nHost: %s\r\n\r\n", tt.host)
				status = readAnswers(bufio.NewReader(conn), "GET")[0].StatusCode
			}
			if seen := len(s.up.take()) - before; status != tt.status || (seen == 1) != (status == 200) {
				t.Errorf("SNI %q, Host %q over %s: %d, upstream saw %d; want %d", tt.sni, tt.host, proto, status, seen, tt.status)
			}
		}
	}
}

// TestPlainOnTLS: whoever speaks plain HTTP to a TLS listener is told so, and led nowhere.
func TestPlainOnTLS(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("GET /a"))
	list := s.raw("GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n", "GET")
	if len(list) != 1 || list[0].StatusCode != 400 || list[0].Header.Get("Location") != "" {
		t.Errorf("%+v", list)
	}
	if seen := s.up.take(); len(seen) != 0 {
		t.Errorf("the upstream saw %v", seen)
	}
}

// TestSessionsEnd is T1: a session is resumed while the configuration is the same, and not under another one.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSecured(t, nil, public("GET /a"))
		client := certificate(t, "client.example")
		s.config.Store(TLSConfig(s.cert, roots(client), false))
		sessions := tls.NewLRUClientSessionCache(4)
		connect := func() tls.ConnectionState {
			t.Helper()
			conn, err := s.handshake(func(c *tls.Config) {
				c.ClientSessionCache, c.MinVersion, c.MaxVersion, c.Certificates = sessions, version, version, []tls.Certificate{client}
			})
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n") // tickets of TLS 1.3 come with the answer
			if list := readAnswers(bufio.NewReader(conn), "GET"); len(list) != 1 || list[0].StatusCode != 200 {
				t.Fatalf("%+v", list)
			}
			return conn.ConnectionState()
		}
		connect()
		if !connect().DidResume {
			t.Fatalf("%x: a session is not resumed", version)
		}
		s.config.Store(TLSConfig(s.cert, roots(certificate(t, "another.example")), false))
		if connect().DidResume {
			t.Errorf("%x: a session survives its client's authority", version)
		}
	}
}

// TestClientCertificates: they are asked for and never required, and a self-signed one is one.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("GET /a"))
	own := certificate(t, "client.example")
	var asked atomic.Bool
	give := func(cert *tls.Certificate) func(c *tls.Config) {
		return func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { asked.Store(true); return cert, nil }
		}
	}
	if _, err := s.handshake(give(&own)); err != nil || asked.Load() {
		t.Errorf("without client_ca_file: %v, asked %v", err, asked.Load())
	}
	s.config.Store(TLSConfig(s.cert, roots(certificate(t, "authority.example")), false))
	for name, cert := range map[string]*tls.Certificate{"none": {}, "self-signed": &own} {
		conn, err := s.handshake(give(cert))
		if err != nil || !asked.Load() {
			t.Fatalf("%s: %v, asked %v", name, err, asked.Load())
		}
		io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n")
		if list := readAnswers(bufio.NewReader(conn), "GET"); len(list) != 1 || list[0].StatusCode != 200 {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

// TestSlowStart is D1 and S17: who does not get to the end of a handshake, a preface or the headers is cut off.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("GET /a"))
	plain := newWorld(t, nil, public("GET /a"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h2c := Server(plain.gw, ServerOptions{H2C: true})
	go h2c.Serve(ln)
	t.Cleanup(func() { h2c.Close() })
	for name, tt := range map[string]struct {
		addr, begin string
		tls         bool
	}{
		"TLS":                {addr: s.addr, begin: "\x16\x03\x01"},
		"headers":            {addr: plain.addr, begin: "GET /a HTTP/1.1\r\nHost: gate"},
		"headers over TLS":   {addr: s.addr, begin: "GET /a HTTP/1.1\r\nHost: gate", tls: true},
		"preface of h2c":     {addr: ln.Addr().String(), begin: "PRI * HTTP/2.0\r\n\r\nS"},
		"h2c, nothing after": {addr: ln.Addr().String(), begin: "PRI * HT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", tt.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			if tt.tls {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			}
			if _, err := io.WriteString(conn, tt.begin); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("still open after 20 s")
			}
		})
	}
}

// TestH2C: HTTP/2 without TLS only where it is switched on, by prior knowledge, and never by Upgrade.
func TestH2C(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /a"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Server(w.gw, ServerOptions{H2C: true})
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	ask := func(addr string) (*http.Response, error) {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequest("GET", "http://"+addr+"/a", nil)
		req.Host = "gate.example"
		res, err := tr.RoundTrip(req)
		if err == nil {
			res.Body.Close()
		}
		return res, err
	}
	if res, err := ask(ln.Addr().String()); err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 {
		t.Errorf("with h2c: %v %v", res, err)
	}
	if seen := w.up.take(); len(seen) != 1 || seen[0].header.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("the upstream saw %+v", seen)
	}
	if res, err := ask(w.addr); err == nil {
		t.Errorf("without h2c: %v", res)
	}
	for _, addr := range []string{ln.Addr().String(), w.addr} {
		plain := *w
		plain.addr = addr
		got := plain.get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
		seen := w.up.take()
		if got.StatusCode != 200 || got.ProtoMajor != 1 || len(seen) != 1 || seen[0].header.Get("Upgrade")+seen[0].header.Get("Http2-Settings") != "" {
			t.Errorf("Upgrade: h2c got %d %s, the upstream saw %+v", got.StatusCode, got.Proto, seen)
		}
	}
}
