package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestUnreadBody: a client whose request was answered before all of its body was there, and that sends no more of it, does not
// keep the connection for longer than the idle timeouts of body and connection.
func TestUnreadBody(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			io.Copy(io.Discard, conn)
		}
	}()
	const idle = 500 * time.Millisecond
	rt := public("/{rest...}")
	rt.API = &API{Name: "other", Upstream: mustURL(t, "http://"+ln.Addr().String())}
	w := newWorld(t, func(o *Options) { o.IdleTimeout = idle }, rt)
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /a HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 10\r\n\r\nhello")
	conn.SetDeadline(time.Now().Add(10 * idle))
	if text, err := io.ReadAll(conn); err != nil {
		t.Errorf("%d bytes came, and then for ten times the idle timeout neither the end nor anything else: %v", len(text), err)
	}
}
