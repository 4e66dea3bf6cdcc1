package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// authority makes certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	pair := a.sign(template)
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) sign(template *x509.Certificate) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// server is a certificate for names and 127.0.0.1; client one for a client.
func (a *authority) server(names ...string) *tls.Certificate {
	return a.sign(&x509.Certificate{DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func (a *authority) client(name string) *tls.Certificate {
	return a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// startTLS serves h with cert, changed by change.
func startTLS(t testing.TB, cert *tls.Certificate, h http.HandlerFunc, change ...func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, f := range change {
		f(s)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestUpstreamTLS: what is verified, and what is shown.
func TestUpstreamTLS(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t), newAuthority(t)
	expired := ours.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(-time.Minute)})
	old := func(s *httptest.Server) { s.TLS.MinVersion, s.TLS.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }
	asks := func(s *httptest.Server) {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, ours.pool()
	}
	for _, tt := range []struct {
		name   string
		server *tls.Certificate
		change func(*httptest.Server)
		tls    *UpstreamTLS
		ok     bool
		says   string // of the log's words
	}{
		{name: "known CA", server: ours.server(), tls: &UpstreamTLS{Roots: ours.pool()}, ok: true},
		{name: "the system's roots", server: ours.server(), says: "unknown authority"},
		{name: "another CA", server: other.server(), tls: &UpstreamTLS{Roots: ours.pool()}, says: "unknown authority"},
		{name: "no roots", server: ours.server(), tls: &UpstreamTLS{Roots: x509.NewCertPool()}, says: "unknown authority"},
		{name: "the server name", server: ours.server("orders.internal"), tls: &UpstreamTLS{Roots: ours.pool(), ServerName: "orders.internal"}, ok: true},
		{name: "another name", server: ours.server("users.internal"), tls: &UpstreamTLS{Roots: ours.pool(), ServerName: "orders.internal"}, says: "users.internal"},
		{name: "expired", server: expired, tls: &UpstreamTLS{Roots: ours.pool()}, says: "expired"},
		{name: "TLS 1.1", server: ours.server(), change: old, tls: &UpstreamTLS{Roots: ours.pool()}, says: "version"},
		{name: "our certificate", server: ours.server(), change: asks, tls: &UpstreamTLS{Roots: ours.pool(), Certificate: ours.client("gate")}, ok: true},
		{name: "no certificate of ours", server: ours.server(), change: asks, tls: &UpstreamTLS{Roots: ours.pool()}, says: "certificate required"},
		{name: "one of another CA", server: ours.server(), change: asks, tls: &UpstreamTLS{Roots: ours.pool(), Certificate: other.client("gate")}, says: "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.change == nil {
				tt.change = func(*httptest.Server) {}
			}
			var seen atomic.Int64
			s := startTLS(t, tt.server, func(w http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				if tt.tls.Certificate != nil && r.TLS.PeerCertificates[0].Subject.CommonName != "gate" {
					t.Errorf("shown %v", r.TLS.PeerCertificates)
				}
			}, tt.change)
			sink := newSink()
			gw := gatewayFor(t, &API{Name: "x", Upstream: mustURL(t, s.URL), TLS: tt.tls}, func(o *Options) { o.Sinks = append(o.Sinks, sink) })
			status := do(gw, "GET", "/", "")
			rec := sink.nth(1)
			if tt.ok && (status != 200 || seen.Load() != 1) {
				t.Errorf("%d: %s", status, rec.UpstreamDetail)
			}
			if !tt.ok && (status != 502 || seen.Load() != 0 || rec.UpstreamError != "tls" || !strings.Contains(rec.UpstreamDetail, tt.says)) {
				t.Errorf("%d, %d requests, %s: %s; want 502 and %q", status, seen.Load(), rec.UpstreamError, rec.UpstreamDetail, tt.says)
			}
		})
	}
}

// TestUpstreamTLSReload: another certificate or CA makes new connections, and the same ones, read anew, do not.
func TestUpstreamTLSReload(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var conns atomic.Int64
	var shown atomic.Value
	s := startTLS(t, ca.server(), func(_ http.ResponseWriter, r *http.Request) {
		shown.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
	}, func(s *httptest.Server) {
		s.TLS.ClientAuth = tls.RequireAnyClientCert
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
	})
	first, second := ca.client("first"), ca.client("second")
	var prev *Gateway
	for i, tt := range []struct {
		tls   *UpstreamTLS
		conns int64
		shown string
	}{
		{&UpstreamTLS{Roots: ca.pool(), Certificate: first}, 1, "first"},
		{&UpstreamTLS{Roots: ca.pool(), Certificate: &tls.Certificate{Certificate: first.Certificate, PrivateKey: first.PrivateKey}}, 1, "first"},
		{&UpstreamTLS{Roots: ca.pool(), Certificate: second}, 2, "second"},
		{&UpstreamTLS{Roots: func() *x509.CertPool { p := ca.pool(); p.AddCert(newAuthority(t).cert); return p }(), Certificate: second}, 3, "second"},
		{&UpstreamTLS{Roots: newAuthority(t).pool(), Certificate: second}, 4, ""}, // a CA that is gone: no session is resumed
	} {
		shown.Store("")
		gw := gatewayFor(t, &API{Name: "x", Upstream: mustURL(t, s.URL), TLS: tt.tls}, func(o *Options) { o.Previous = prev })
		status := do(gw, "GET", "/", "")
		if conns.Load() != tt.conns || shown.Load() != tt.shown || (status == 200) != (tt.shown != "") {
			t.Errorf("%d: %d, %d connections, %q was shown; want %d, %q", i, status, conns.Load(), shown.Load(), tt.conns, tt.shown)
		}
		prev = gw
	}
}

// protocols starts an upstream for each protocol, and returns the API in front of it.
func protocols(t testing.TB, h http.HandlerFunc) map[string]*API {
	t.Helper()
	ca := newAuthority(t)
	secure := startTLS(t, ca.server(), h, func(s *httptest.Server) { s.EnableHTTP2 = true })
	plain := httptest.NewUnstartedServer(h)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	t.Cleanup(plain.Close)
	return map[string]*API{
		"http2": {Name: "http2", Upstream: mustURL(t, secure.URL), Protocol: HTTP2, TLS: &UpstreamTLS{Roots: ca.pool()}},
		"h2c":   {Name: "h2c", Upstream: mustURL(t, plain.URL), Protocol: H2C},
		"http1": {Name: "http1", Upstream: mustURL(t, secure.URL), TLS: &UpstreamTLS{Roots: ca.pool()}},
	}
}

// TestUpstreamProtocols: what is configured is spoken, and the target is on the wire as it came.
func TestUpstreamProtocols(t *testing.T) {
	t.Parallel()
	for name, api := range protocols(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Method, r.RequestURI, r.Host)
	}) {
		rt := public("/{path...}")
		rt.API, rt.Allow = api, AllowDoubleSlash|AllowSlash
		gw := gatewayFor(t, api, func(o *Options) { o.Routes = []*Route{rt} })
		proto := "HTTP/2.0"
		if name == "http1" {
			proto = "HTTP/1.1"
		}
		for _, target := range []string{"/a/%62?q=%zz&x", "/a%2fb", "//a", "/a?", "/"} {
			res := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "http://gate.example/", nil)
			r.RequestURI = target
			gw.ServeHTTP(res, r)
			if want := proto + " GET " + target + " " + api.Upstream.Host; res.Body.String() != want {
				t.Errorf("%s: %d %q, want %q", name, res.Code, res.Body, want)
			}
		}
	}
}

// TestNoHTTP2There: a server that does not choose h2 is not spoken to in something else, whether it knows other protocols
// or says nothing of protocols at all.
func TestNoHTTP2There(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var seen atomic.Int64
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	named := startTLS(t, ca.server(), h)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*ca.server()}})
	if err != nil {
		t.Fatal(err)
	}
	silent := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go silent.Serve(ln)
	t.Cleanup(func() { silent.Close() })
	for u, says := range map[string]string{named.URL: "no application protocol", "https://" + ln.Addr().String(): errNoH2.Error()} {
		sink := newSink()
		gw := gatewayFor(t, &API{Name: "x", Upstream: mustURL(t, u), Protocol: HTTP2, TLS: &UpstreamTLS{Roots: ca.pool()}},
			func(o *Options) { o.Sinks = append(o.Sinks, sink) })
		if status := do(gw, "GET", "/", ""); status != 502 || seen.Load() != 0 {
			t.Errorf("%d, %d requests; want 502 and none", status, seen.Load())
		}
		if rec := sink.nth(1); rec.UpstreamError != "tls" || !strings.Contains(rec.UpstreamDetail, says) {
			t.Errorf("the record says %q %q, want %q", rec.UpstreamError, rec.UpstreamDetail, says)
		}
	}
}

// TestTrailersBothWays is what gRPC needs: bodies that go both ways at once, message by message, with trailers after each.
func TestTrailersBothWays(t *testing.T) {
	t.Parallel()
	apis := protocols(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		rc := http.NewResponseController(w)
		rc.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			rc.Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", r.Header.Get("Te")+" "+r.Trailer.Get("Sum"))
	})
	delete(apis, "http1")
	for name, api := range apis {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			front := httptest.NewUnstartedServer(gatewayFor(t, api))
			front.Config.Protocols = new(http.Protocols)
			front.Config.Protocols.SetUnencryptedHTTP2(true)
			front.Start()
			t.Cleanup(front.Close)
			client := &http.Transport{Protocols: front.Config.Protocols}
			t.Cleanup(client.CloseIdleConnections)
			body, send := io.Pipe()
			r, err := http.NewRequest("POST", front.URL+"/svc/Method", body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Te", "trailers")
			r.Header.Set("Content-Type", "application/grpc")
			r.Trailer = http.Header{"Sum": nil, "X-Client-Id": nil}
			res, err := client.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			for i := range 3 {
				want := fmt.Sprintf("msg %d", i)
				io.WriteString(send, want)
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
					t.Fatalf("%q, %v; want %q", got, err, want)
				}
			}
			r.Trailer.Set("Sum", "42")
			send.Close()
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
			if res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "trailers 42" {
				t.Errorf("trailers %v", res.Trailer)
			}
		})
	}
}

// TestLeavingCancelsHTTP2: a client that leaves ends the stream, and not the connection that others use.
func TestLeavingCancelsHTTP2(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan struct{}), make(chan struct{})
	for name, api := range protocols(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			arrived <- struct{}{}
			<-r.Context().Done()
			left <- struct{}{}
		}
		io.WriteString(w, r.RemoteAddr)
	}) {
		gw := gatewayFor(t, api)
		get := func() string {
			res := httptest.NewRecorder()
			gw.ServeHTTP(res, httptest.NewRequest("GET", "/", nil))
			return res.Body.String()
		}
		before := get()
		ctx, leave := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { recover() }()
			gw.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/wait", nil).WithContext(ctx))
		}()
		<-arrived
		leave()
		<-left
		<-done
		if after := get(); after == "" || name != "http1" && after != before {
			t.Errorf("%s: another connection was made: %s, before %s", name, after, before)
		}
	}
}

// TestBrokenHTTP2Body: a stream that is reset in its body ends in a response that is cut.
func TestBrokenHTTP2Body(t *testing.T) {
	t.Parallel()
	for name, api := range protocols(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}) {
		sink := newSink()
		gw := gatewayFor(t, api, func(o *Options) { o.Sinks = append(o.Sinks, sink) })
		front := listen(t, gw, time.Minute)
		res, err := http.Get("http://" + front + "/")
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: %q looks whole", name, body)
		}
		if rec := sink.nth(1); rec.UpstreamError == "" {
			t.Errorf("%s: the record says %+v", name, rec)
		}
	}
}

// TestHostileSettings is S15: an HTTP/2 upstream whose frames may hold nothing, or that sends garbage, is no more than one
// that is broken.
func TestHostileSettings(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"MAX_FRAME_SIZE 0": "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x05\x00\x00\x00\x00",
		"window too large": "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\xff\xff\xff\xff",
		"a frame too long": "\xff\xff\xff\x04\x00\x00\x00\x00\x00",
		"HTTP/1.1":         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					io.WriteString(conn, text)
					io.Copy(io.Discard, conn)
				}()
			}
		}()
		gw := gatewayFor(t, &API{Name: "x", Upstream: mustURL(t, "http://"+ln.Addr().String()), Protocol: H2C})
		if status := do(gw, "POST", "/", "body"); status != 502 {
			t.Errorf("%s: %d, want 502", name, status)
		}
	}
}

// TestResetStream: a stream that is reset before an answer is a broken connection, and a request like those sent again.
func TestResetStream(t *testing.T) {
	t.Parallel()
	for name, api := range protocols(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) {
		api.Retry = &Retry{Attempts: 2, On: OnReset}
		sink := newSink()
		gw := gatewayFor(t, api, func(o *Options) { o.Sinks = append(o.Sinks, sink) })
		if status := do(gw, "GET", "/", ""); status != 502 {
			t.Errorf("%s: %d", name, status)
		}
		if rec := sink.nth(1); rec.UpstreamError != "reset" || rec.Attempts != 2 {
			t.Errorf("%s: %q %q after %d attempts", name, rec.UpstreamError, rec.UpstreamDetail, rec.Attempts)
		}
	}
}
