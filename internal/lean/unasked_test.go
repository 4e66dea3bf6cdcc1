package lean

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestUnaskedUnderTLS: what a server sends with the handshake, on a connection that was dialed and not needed, is no answer to
// a later request. TLS has read it by then, so that the socket below is silent.
func TestUnaskedUnderTLS(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for n := 0; ; n++ {
			tcp, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				held := &corked{Conn: tcp}
				cfg := serverTLS()
				cfg.MaxVersion = tls.VersionTLS12
				c := tls.Server(held, cfg)
				defer tcp.Close()
				held.hold = n == 0 // the first: its last flight leaves with what was said unasked
				if c.Handshake() != nil {
					return
				}
				if n == 0 {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
					held.flush()
				}
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					io.WriteString(c, ok2)
				}
			}()
		}
	}()
	w := &world{ln: ln, secure: true, events: map[string]chan struct{}{}, over: make(chan struct{})}
	rt := New(w.options(), w.url())
	defer rt.CloseIdleConnections()
	ctx, cancel := context.WithCancel(context.Background())
	dial, dialed := rt.dial, make(chan struct{})
	rt.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		cancel() // the request leaves its dial to the next one
		c, err := dial(ctx, network, addr)
		if s, ok := c.(*tls.Conn); ok {
			err = s.HandshakeContext(ctx)
		}
		rt.dial = dial
		close(dialed)
		return c, err
	}
	r, _ := http.NewRequestWithContext(ctx, "GET", w.url().String(), nil)
	if _, err := rt.RoundTrip(r); err == nil {
		t.Fatal("the first request was to be given up")
	}
	<-dialed
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if n, _, _, _ := rt.pool.count(); n == 1 {
			break
		}
	}
	r, _ = http.NewRequest("POST", w.url().String(), nil)
	res, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); strings.Contains(string(b), "evil") {
		t.Errorf("the body is %q, which the server sent before there was a request", b)
	}
}

// corked holds back what is written after the first flight, until flush.
type corked struct {
	net.Conn
	hold   bool
	writes int
	kept   []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.writes++; c.hold && c.writes > 1 {
		c.kept = append(c.kept, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *corked) flush() {
	c.hold = false
	c.Conn.Write(c.kept)
}
