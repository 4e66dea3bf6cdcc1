package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// behind writes the site's configuration with these lines in place of the upstream of orders.
func (s *site) behind(lines string) {
	s.t.Helper()
	s.write()
	s.file("config.yaml", strings.Replace(s.read("config.yaml"), "    upstream: "+s.upstream.URL+"\n", lines, 1))
}

// TestUpstreams: one of three upstreams is killed under load. From a second later on fewer than one request in a thousand
// fails, and metrics and log say what happened.
func TestUpstreams(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var list []*upstream
	text := "    upstreams:\n"
	for range 3 {
		u := newUpstream(t)
		list = append(list, u)
		text += "      - {url: \"" + u.URL + "\"}\n"
	}
	s.behind(text + "    health: {path: /healthz, interval: 100ms}\n    breaker: {failures: 5, open_for: 1s}\n    retry: {attempts: 2, on: [connect, reset]}\n")
	n := s.start()
	token := s.token(n, "reader")
	eventually(t, 5*time.Second, "health checks", func() bool { r := list[0].last.Load(); return r != nil && r.URL.Path == "/healthz" })

	var total, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := n.try("GET", "/orders/1", token)
				if total.Add(1); err != nil || a.status != 200 {
					failed.Add(1)
				}
			}
		})
	}
	eventually(t, 10*time.Second, "load", func() bool { return total.Load() > 300 })
	list[1].CloseClientConnections()
	list[1].Close()
	killed := time.Now()
	eventually(t, 5*time.Second, "a second", func() bool { return time.Since(killed) > time.Second })
	total.Store(0)
	failed.Store(0)
	eventually(t, 30*time.Second, "1200 requests more", func() bool { return total.Load() > 1200 })
	close(stop)
	load.Wait()
	if 1000*failed.Load() >= total.Load() {
		t.Errorf("%d of %d requests failed", failed.Load(), total.Load())
	}
	_, metrics := n.adminBody("GET", "/metrics")
	for _, want := range []string{
		`gatehouse_upstream_up{api="orders",endpoint="` + list[0].URL + `"} 1`,
		`gatehouse_upstream_up{api="orders",endpoint="` + list[1].URL + `"} 0`,
		`gatehouse_upstream_up{api="users",endpoint="` + s.upstream.URL + `"} 1`,
		`gatehouse_upstream_breaker_state{api="orders",endpoint="` + list[0].URL + `"} 0`,
		`gatehouse_upstream_in_flight{api="orders",endpoint="` + list[2].URL + `"} 0`,
		`gatehouse_upstream_requests_total{api="orders",endpoint="`,
		`gatehouse_upstream_failures_total{api="orders",endpoint="`,
		`gatehouse_upstream_retries_total{api="orders",endpoint="`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(metrics, `gatehouse_upstream_breaker_state{api="users"`) {
		t.Error("an API without a breaker has one in the metrics")
	}
	if log := n.log.String(); !strings.Contains(log, `"upstream endpoint ejected`) || !strings.Contains(log, `"endpoint":"`+list[1].URL+`"`) {
		t.Error("the log does not say that the upstream was ejected")
	}
}

// TestCheckAsksNobody: to build a configuration sends no health check.
func TestCheckAsksNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	conns := make(chan struct{}, 1)
	up := httptest.NewUnstartedServer(http.NotFoundHandler())
	up.Config.ConnState = func(net.Conn, http.ConnState) { conns <- struct{}{} }
	up.Start()
	t.Cleanup(up.Close)
	s.behind("    upstream: " + up.URL + "\n    health: {interval: 100ms}\n")
	cfg, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(cfg); err != nil {
		t.Fatal(err)
	}
	select {
	case <-conns:
		t.Error("the upstream was connected to")
	default:
	}
}

// selfSigned is a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (pair tls.Certificate, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	if pair, err = tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		t.Fatal(err)
	}
	return pair, cert, key
}

// TestUpstreamCertificates: the CA and the certificate of upstream_tls are read anew by a reload; a broken file is refused
// with its place, and what was in force serves on.
func TestUpstreamCertificates(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	pair, ca, _ := selfSigned(t)
	var shown atomic.Value
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		shown.Store(string(r.TLS.PeerCertificates[0].Raw))
	}))
	up.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	up.Config.ErrorLog = log.New(io.Discard, "", 0)
	up.StartTLS()
	t.Cleanup(up.Close)

	_, otherCA, _ := selfSigned(t)
	first, cert, key := selfSigned(t)
	s.file("ca.pem", ca)
	s.file("up.crt", cert)
	s.file("up.key", key)
	s.behind("    upstream: " + up.URL + "\n    upstream_tls: {ca_file: ca.pem, cert_file: up.crt, key_file: up.key}\n")
	n := s.start()
	token := s.token(n, "reader")
	call := func(what string, status int, want tls.Certificate) {
		t.Helper()
		shown.Store("")
		if a := n.call("GET", "/orders/1", token); a.status != status || status == 200 && shown.Load() != string(want.Certificate[0]) {
			t.Errorf("%s: %d, want %d; the certificate is the right one: %v", what, a.status, status, shown.Load() == string(want.Certificate[0]))
		}
	}
	call("at start", 200, first)
	second, cert, key := selfSigned(t)
	s.file("up.crt", cert)
	if _, err := n.Reload("api"); err == nil || !strings.Contains(err.Error(), "apis.orders.upstream_tls.cert_file") || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("a certificate without its key: %v", err)
	}
	call("after a refused reload", 200, first)
	s.file("up.key", key)
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	call("with another certificate", 200, second)
	s.file("ca.pem", otherCA)
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	call("with another CA", 502, second)
	if text := n.log.String(); strings.Contains(text, "PRIVATE") {
		t.Error("a key is in the log")
	}
}
