package lean

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

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
		at := strings.Index(s, loopback+":")
		if at < 0 {
			return s
		}
		end := at + len(loopback+":")
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
