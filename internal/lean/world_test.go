package lean

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// roundTripper is what the scripts are run against: ours, or http.Transport.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// patience is how long anything may take that should not take long.
const patience = 4 * time.Second

// world is one server and one transport, for one run of one scenario.
type world struct {
	ln      net.Listener
	secure  bool
	ours    bool
	scripts []script // one for each connection, the last for all that follow
	served  sync.WaitGroup

	mu     sync.Mutex
	peers  []*peer
	events map[string]chan struct{}
	over   chan struct{}
}

// script is what the server does with one connection.
type script []step

type step func(*peer)

// peer is the server's side of one connection.
type peer struct {
	net.Conn
	w   *world
	tcp *net.TCPConn
	br  *bufio.Reader
	got []string // what was received, in words
	end bool     // the script has closed it
}

func newWorld(t testing.TB, secure bool, scripts []script) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{ln: ln, secure: secure, scripts: scripts, events: map[string]chan struct{}{}, over: make(chan struct{})}
	w.served.Go(w.accept)
	return w
}

func (w *world) accept() {
	for n := 0; ; n++ {
		conn, err := w.ln.Accept()
		if err != nil {
			return
		}
		p := &peer{Conn: conn, w: w, tcp: conn.(*net.TCPConn)}
		w.mu.Lock()
		w.peers = append(w.peers, p)
		w.mu.Unlock()
		s := w.scripts[min(n, len(w.scripts)-1)]
		w.served.Go(func() { p.run(s) })
	}
}

func (p *peer) run(s script) {
	defer p.tcp.Close()
	if p.w.secure {
		secure := tls.Server(p.tcp, serverTLS())
		if secure.Handshake() != nil {
			p.note("no handshake")
			return
		}
		p.Conn = secure
	}
	p.br = bufio.NewReader(p.Conn)
	p.SetDeadline(time.Now().Add(patience))
	for _, do := range s {
		do(p)
	}
	if !p.end {
		gone(p)
	}
}

func (p *peer) note(format string, args ...any) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.got = append(p.got, fmt.Sprintf(format, args...))
}

// event returns the channel that is closed when something has happened.
func (w *world) event(name string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := w.events[name]
	if ch == nil {
		ch = make(chan struct{})
		w.events[name] = ch
	}
	return ch
}

func (w *world) tell(name string) {
	ch := w.event(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-ch:
	default:
		close(ch)
	}
}

func (w *world) wait(name string) {
	if name == "" {
		return
	}
	select {
	case <-w.event(name):
	case <-w.over:
	case <-time.After(patience):
	}
}

// finish ends the run and returns what the server has seen.
func (w *world) finish(rt roundTripper) []string {
	rt.CloseIdleConnections()
	close(w.over)
	w.ln.Close()
	w.served.Wait()
	rt.CloseIdleConnections()
	lines := []string{fmt.Sprintf("connections: %d", len(w.peers))}
	for i, p := range w.peers {
		for _, line := range p.got {
			lines = append(lines, fmt.Sprintf("connection %d: %s", i, line))
		}
	}
	return lines
}

// The steps.

// head reads a request's head, and notes it with its fields in order.
func head1(p *peer) {
	if text, ok := p.readHead(); ok {
		p.note("%s", text)
	}
}

// request reads a whole request.
func request(p *peer) {
	text, ok := p.readHead()
	if !ok {
		return
	}
	body := ""
	if _, after, ok := strings.Cut(text, "Content-Length: "); ok {
		n, _ := strconv.Atoi(strings.Fields(after)[0])
		buf := make([]byte, n)
		got, err := io.ReadFull(p.br, buf)
		if body = string(buf[:got]); err != nil {
			body += "<cut>"
		}
	}
	if len(body) > 100 {
		body = fmt.Sprintf("%d bytes", len(body))
	}
	p.note("%s %q", text, body)
}

// readHead reads up to an empty line; false where the connection ends before.
func (p *peer) readHead() (string, bool) {
	var lines []string
	for {
		line, err := p.br.ReadString('\n')
		if err != nil {
			if line != "" || len(lines) > 0 {
				p.note("a head was cut")
			}
			return "", false
		}
		if line = strings.TrimSuffix(line, "\r\n"); line == "" {
			return strings.Join(lines, "|"), true
		}
		lines = append(lines, p.w.anonymous(line))
	}
}

// anonymous takes out of a text what is different in each run.
func (w *world) anonymous(s string) string {
	s = strings.ReplaceAll(s, w.ln.Addr().String(), "SERVER")
	for {
		at := strings.Index(s, "127.0.0.1:")
		if at < 0 {
			return s
		}
		end := at + len("127.0.0.1:")
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		s = s[:at] + "CLIENT" + s[end:]
	}
}

// send writes each piece by itself.
func send(pieces ...string) step {
	return func(p *peer) {
		for _, piece := range pieces {
			io.WriteString(p, piece)
		}
	}
}

func read(n int) step {
	return func(p *peer) {
		got, err := io.ReadFull(p.br, make([]byte, n))
		p.note("%d bytes read, error %t", got, err != nil)
	}
}

func wait(event string) step { return func(p *peer) { p.w.wait(event) } }
func tell(event string) step { return func(p *peer) { p.w.tell(event) } }

// drop closes the connection, halfClose the server's half, reset without a word.
func drop(p *peer) {
	p.end = true
	if secure, ok := p.Conn.(*tls.Conn); ok {
		secure.CloseWrite()
	}
	p.tcp.Close()
}

// hangUp closes TCP below TLS, without the alert that ends it.
func hangUp(p *peer) { p.end = true; p.tcp.Close() }

func halfClose(p *peer) {
	if secure, ok := p.Conn.(*tls.Conn); ok {
		secure.CloseWrite()
	}
	p.tcp.CloseWrite()
}

func reset(p *peer) { p.end = true; p.tcp.SetLinger(0); p.tcp.Close() }

// gone waits for the client to close, and notes what else it sends.
func gone(p *peer) {
	p.end = true
	n, err := io.Copy(io.Discard, p.br)
	if n > 0 {
		p.note("%d more bytes", n)
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		p.note("LEFT OPEN")
	}
	p.w.tell("gone")
}

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
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
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
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
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
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}}
}
