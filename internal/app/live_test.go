package app

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// pair makes a self-signed certificate for 127.0.0.1 with its key, in PEM.
func pair(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// serial is that of the certificate that a new connection is shown.
func (n *node) serial() int64 {
	n.t.Helper()
	conn, err := tls.Dial("tcp", n.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestCertificateReload: a renewed certificate is shown to new connections, a pair that does not belong together to none.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	cert, key := pair(t, 1)
	s.file("tls.crt", cert)
	s.file("tls.key", key)
	config := strings.Replace(s.read("config.yaml"), "  drain: 10s\n", "  drain: 10s\n  tls: {cert_file: tls.crt, key_file: tls.key}\n", 1)
	s.file("config.yaml", config)
	n := s.start()
	if got := n.serial(); got != 1 {
		t.Fatalf("certificate %d is shown, want 1", got)
	}
	old, err := tls.Dial("tcp", n.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	ask := func() error {
		fmt.Fprintf(old, "GET /open/a HTTP/1.1\r\nHost: %s\r\n\r\n", n.Addr())
		res, err := http.ReadResponse(bufio.NewReader(old), nil)
		if err == nil && res.StatusCode != 200 {
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	cert, key = pair(t, 2)
	s.file("tls.crt", cert) // the key is still the old one
	if _, err := n.Reload("watch"); err == nil || !strings.Contains(err.Error(), "is not the key of the certificate") {
		t.Errorf("half a renewal: %v", err)
	}
	if got := n.serial(); got != 1 {
		t.Errorf("after half a renewal certificate %d is shown, want 1", got)
	}
	s.file("tls.key", key)
	if _, err := n.Reload("watch"); err != nil {
		t.Fatal(err)
	}
	if got := n.serial(); got != 2 {
		t.Errorf("after the renewal certificate %d is shown, want 2", got)
	}
	if err := ask(); err != nil {
		t.Errorf("the connection from before: %v", err)
	}
	if _, text := n.adminBody("GET", "/metrics"); !strings.Contains(text, `gatehouse_tls_certificate_expiry_timestamp_seconds{name="server"} 1.`) {
		t.Error("the certificate's expiry is not in the metrics")
	}
	s.write() // without tls
	if _, err := n.Reload("watch"); err == nil || !strings.Contains(err.Error(), "server.tls: changed, and takes a restart") {
		t.Errorf("TLS off: %v", err)
	}
}

// echo is an API with a WebSocket at /orders/live.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		io.WriteString(w, "ok")
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, data, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

func (n *node) socket(bearer string) *websocket.Conn {
	n.t.Helper()
	conn, _, err := websocket.Dial(n.t.Context(), "ws://"+n.Addr().String()+"/orders/live/x",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + bearer}}})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

func echoed(ctx context.Context, conn *websocket.Conn, text string) error {
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err
	}
	_, got, err := conn.Read(ctx)
	if err == nil && string(got) != text {
		err = fmt.Errorf("%q came back for %q", got, text)
	}
	return err
}

const live = "      - match: GET /orders/live/{id}\n        scopes: [orders:read]\n        upgrade: [websocket]\n"

// load calls the node from several clients, until stop; it returns how many calls there were and what went wrong.
func (n *node) load(bearer string, workers int) (stop func() (calls int64, failed []string)) {
	var calls atomic.Int64
	var mu sync.Mutex
	var failed []string
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-done:
					return
				default:
				}
				req, _ := http.NewRequest("GET", "http://"+n.Addr().String()+"/orders/1", nil)
				req.Header.Set("Authorization", "Bearer "+bearer)
				res, err := client.Do(req)
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				if err == nil && res.StatusCode != 200 {
					err = fmt.Errorf("status %d", res.StatusCode)
				}
				calls.Add(1)
				if err != nil {
					mu.Lock()
					failed = append(failed, err.Error())
					mu.Unlock()
				}
			}
		})
	}
	return func() (int64, []string) {
		close(done)
		wg.Wait()
		return calls.Load(), failed
	}
}

// TestReloadsUnderLoad: reloads under load, each of which changes a route, with WebSockets open on another. No request fails,
// and no socket whose route did not change is closed. `make big` has 500 reloads and 200 sockets.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	reloads, sockets := 50, 50
	if os.Getenv("GATEHOUSE_BIG") != "" {
		reloads, sockets = 500, 200
	}
	s := newSite(t, nil)
	s.upstream.Config.Handler = http.HandlerFunc(echo)
	s.extra = live
	s.write()
	n := s.start()
	bearer := s.token(n, "reader")
	var conns []*websocket.Conn
	for range sockets {
		conns = append(conns, n.socket(bearer))
	}
	stop := n.load(bearer, 2)
	for i := range reloads {
		s.extra = live + fmt.Sprintf("      - match: GET /orders/extra/{id}\n        scopes: [orders:read]\n        timeout: %dms\n", i+1)
		s.write()
		if _, err := n.Reload("api"); err != nil {
			t.Fatal(err)
		}
		if err := echoed(t.Context(), conns[i%sockets], "on"); err != nil {
			t.Fatalf("socket %d after reload %d: %v", i%sockets, i, err)
		}
	}
	calls, failed := stop()
	if len(failed) > 0 || calls == 0 {
		t.Errorf("%d of %d requests failed: %.300q", len(failed), calls, failed)
	}
	for i, c := range conns {
		if err := echoed(t.Context(), c, "on"); err != nil {
			t.Fatalf("socket %d: %v", i, err)
		}
	}
	t.Logf("%d reloads, %d requests, %d sockets", reloads, calls, n.current.Load().gateway.Tunnels())
	// With its own route changed, every one is closed.
	s.extra = strings.Replace(live, "orders:read", "orders:write", 1)
	s.write()
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	for i, c := range conns {
		if _, _, err := c.Read(t.Context()); err == nil {
			t.Fatalf("socket %d outlives its route", i)
		}
	}
	eventually(t, 5*time.Second, "no tunnel is counted", func() bool {
		_, text := n.adminBody("GET", "/metrics")
		return strings.Contains(text, "gatehouse_tunnels_open 0\n") && strings.Contains(text, fmt.Sprintf("gatehouse_tunnels_closed_total{cause=\"reload\"} %d\n", sockets))
	})
}

// TestSocketsFollowTheirToken: revoked by its client's word, or the client gone from the file, and the socket is closed.
func TestSocketsFollowTheirToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.upstream.Config.Handler = http.HandlerFunc(echo)
	s.extra = live
	s.write()
	n := s.start()
	reader, writer := s.token(n, "reader"), s.token(n, "writer")
	one, two := n.socket(reader), n.socket(writer)
	if s.revoke(n, "reader", reader) != 200 {
		t.Fatal("not revoked")
	}
	revoked := time.Now()
	if _, _, err := one.Read(t.Context()); err == nil {
		t.Error("the socket of a revoked token is open")
	}
	if took := time.Since(revoked); took > 5*time.Second {
		t.Errorf("it was closed after %s", took)
	}
	if err := echoed(t.Context(), two, "on"); err != nil {
		t.Errorf("the other one: %v", err)
	}
	text := s.read("clients.yaml")
	s.file("clients.yaml", strings.Replace(text, "  writer:\n", "  writer:\n    disabled: true\n", 1))
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.Read(t.Context()); err == nil {
		t.Error("the socket of a disabled client is open")
	}
	eventually(t, 5*time.Second, "both causes are counted", func() bool {
		_, text := n.adminBody("GET", "/metrics")
		return strings.Contains(text, `gatehouse_tunnels_closed_total{cause="revoked"} 1`) && strings.Contains(text, `gatehouse_tunnels_closed_total{cause="client_disabled"} 1`)
	})
}

// TestDrainDelay: while it lasts, readiness fails and everything is served; then nothing is accepted.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.file("config.yaml", strings.Replace(s.read("config.yaml"), "  drain: 10s\n", "  drain: 10s\n  drain_delay: 1s\n", 1))
	n := s.start()
	bearer := s.token(n, "reader")
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	eventually(t, 5*time.Second, "readiness fails", func() bool { return n.adminGet("/-/ready") == 503 })
	if a := n.call("GET", "/orders/1", bearer); a.status != 200 {
		t.Errorf("while the delay lasts: %d %s", a.status, a.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
	if _, err := n.try("GET", "/orders/1", bearer); err == nil {
		t.Error("served after the end")
	}
}

// TestDrainCuts: what does not end within the drain is closed, and that is no failure.
func TestDrainCuts(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.extra = live
	s.write()
	s.file("config.yaml", strings.Replace(s.read("config.yaml"), "  drain: 10s\n", "  drain: 1s\n", 1))
	entered := make(chan struct{})
	s.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		close(entered)
		<-r.Context().Done()
	})
	n := s.start()
	bearer := s.token(n, "reader")
	conn := n.socket(bearer)
	stream := make(chan error, 1)
	go func() {
		_, err := n.try("GET", "/orders/1", bearer)
		stream <- err
	}()
	<-entered
	if err := n.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if err := <-stream; err == nil {
		t.Error("a stream that was cut looks whole")
	}
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("a socket outlives the process")
	}
	if text := n.log.String(); !strings.Contains(text, `"connections":1,"tunnels":1`) {
		t.Errorf("the log does not tell what was closed: %s", text[max(0, len(text)-600):])
	}
}

// TestKeptConnections: a connection that is kept alive is told that the node ends, over HTTP/1.1 and HTTP/2, and not cut while
// a request is on its way.
func TestKeptConnections(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.file("config.yaml", strings.Replace(s.read("config.yaml"), "  drain: 10s\n", "  drain: 10s\n  h2c: true\n", 1))
	n := s.start()
	bearer := s.token(n, "reader")
	clients := map[string]*http.Client{}
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		tr := &http.Transport{Protocols: new(http.Protocols), MaxConnsPerHost: 1}
		tr.Protocols.SetHTTP1(proto == "HTTP/1.1")
		tr.Protocols.SetUnencryptedHTTP2(proto == "HTTP/2.0")
		clients[proto] = &http.Client{Transport: tr}
		t.Cleanup(tr.CloseIdleConnections)
	}
	ask := func(proto string) (*http.Response, error) {
		req, _ := http.NewRequest("GET", "http://"+n.Addr().String()+"/orders/1", nil)
		req.Header.Set("Authorization", "Bearer "+bearer)
		res, err := clients[proto].Do(req)
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		return res, err
	}
	for proto := range clients {
		if res, err := ask(proto); err != nil || res.StatusCode != 200 || res.Proto != proto || res.Close {
			t.Fatalf("%s: %v %v", proto, res, err)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	eventually(t, 5*time.Second, "nothing is accepted", func() bool {
		conn, err := net.Dial("tcp", n.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	for proto := range clients {
		res, err := ask(proto)
		if err != nil || res.StatusCode != 200 || proto == "HTTP/1.1" && !res.Close {
			t.Errorf("%s, on the connection that it has: %v %v", proto, res, err)
		}
	}
	for proto := range clients {
		if _, err := ask(proto); err == nil {
			t.Errorf("%s: a second request is served", proto)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
}
