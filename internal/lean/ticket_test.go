package lean

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// lateTickets is a server that sends a TLS 1.3 session ticket after each answer. crypto/tls sends tickets with the handshake
// only, so that the records after it are made here.
type lateTickets struct {
	conn *tls.Conn
	tcp  net.Conn
	keys keyLog
	sent uint64 // records since the handshake
}

// keyLog keeps the server's traffic secret.
type keyLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *keyLog) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

func (k *keyLog) secret() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	for line := range strings.Lines(k.text.String()) {
		if f := strings.Fields(line); f[0] == "SERVER_TRAFFIC_SECRET_0" {
			b, _ := hex.DecodeString(f[2])
			return b
		}
	}
	return nil
}

// expand is HKDF-Expand-Label of RFC 8446 section 7.1, without context.
func expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(n)), byte(len(label)))
	out, err := hkdf.Expand(sha256.New, secret, string(append(append(info, label...), 0)), n)
	if err != nil {
		panic(err)
	}
	return out
}

// record encrypts what the server says next.
func (s *lateTickets) record(kind byte, text string) []byte {
	secret := s.keys.secret()
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	nonce := expand(secret, "iv", aead.NonceSize())
	number := binary.BigEndian.AppendUint64(nil, s.sent)
	for i := range number {
		nonce[len(nonce)-len(number)+i] ^= number[i]
	}
	s.sent++
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(text)+1+aead.Overhead()))
	return aead.Seal(head, nonce, append([]byte(text), kind), head)
}

const (
	handshake   = 22
	application = 23
	// newSessionTicket is RFC 8446 section 4.6.1: lifetime 256 s, an age, a nonce of one byte, a ticket of four, no extensions.
	newSessionTicket = "\x04\x00\x00\x12" + "\x00\x00\x01\x00" + "\x00\x00\x00\x01" + "\x01\x09" + "\x00\x04tick" + "\x00\x00"
)

// TestLateTickets: a ticket that comes while a connection is idle is TLS's business, and the connection is used again. An
// application's byte after it is not.
func TestLateTickets(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			tcp, err := ln.Accept()
			if err != nil {
				return
			}
			s := &lateTickets{tcp: tcp}
			cfg := serverTLS()
			cfg.SessionTicketsDisabled, cfg.KeyLogWriter, cfg.MinVersion = true, &s.keys, tls.VersionTLS13
			s.conn = tls.Server(tcp, cfg)
			all.Go(func() { s.serve(served) })
		}
	})
	w := &world{ln: ln, secure: true, events: map[string]chan struct{}{}, over: make(chan struct{})}
	rt := New(w.options(), w.url())
	t.Cleanup(func() { rt.CloseIdleConnections(); ln.Close(); all.Wait() })
	for i, tt := range []struct{ target, want string }{{"/", "reused false"}, {"/", "reused true"}, {"/parts", "reused true"}, {"/evil", "reused true"}, {"/", "reused false"}} {
		c := get()
		c.target = tt.target
		out := c.do(w, rt)
		if !strings.HasPrefix(out[0], tt.want) || !strings.Contains(strings.Join(out, "\n"), `body "ok"`) {
			t.Errorf("request %d: %q, want %s", i, out, tt.want)
		}
		<-served
		if i == 0 {
			rt.pool.sweep()
			if n, _, _, _ := rt.pool.count(); n != 1 {
				t.Errorf("%d are idle after a look at them", n)
			}
		}
	}
}

func (s *lateTickets) serve(served chan<- struct{}) {
	defer s.tcp.Close()
	s.tcp.SetDeadline(time.Now().Add(patience))
	for buf := make([]byte, 4096); ; served <- struct{}{} {
		n, err := s.conn.Read(buf)
		if err != nil {
			return
		}
		s.tcp.Write(s.record(application, ok2))
		ticket := s.record(handshake, newSessionTicket)
		switch target := strings.Fields(string(buf[:n]))[1]; target {
		case "/parts":
			s.tcp.Write(ticket[:9])
			s.tcp.Write(ticket[9:])
		case "/evil":
			s.tcp.Write(ticket)
			s.tcp.Write(s.record(application, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))
		default:
			s.tcp.Write(ticket)
		}
	}
}
