package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framed is an HTTP/2 client that sends what it is told to, right or wrong.
type framed struct {
	t    testing.TB
	conn net.Conn
	fr   *http2.Framer
	next uint32
}

func newFramed(t testing.TB, conn net.Conn) *framed {
	t.Helper()
	f := &framed{t: t, conn: conn, fr: http2.NewFramer(conn, conn), next: 1}
	f.fr.AllowIllegalWrites = true
	f.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.fr.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// framed opens an HTTP/2 connection to the world.
func (s *secured) framed() *framed {
	s.t.Helper()
	conn, err := s.handshake(func(c *tls.Config) { c.NextProtos = []string{"h2"} })
	if err != nil {
		s.t.Fatal(err)
	}
	return newFramed(s.t, conn)
}

// block encodes fields, name and value in turn.
func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// result is what became of a stream: a status, or how it or its connection was ended.
type result struct {
	status int
	body   string
	header map[string]string
	reset  http2.ErrCode
	ended  bool // the stream was reset, or the connection closed
}

// open sends the headers of a new stream.
func (f *framed) open(end bool, fields ...string) uint32 {
	f.t.Helper()
	id := f.next
	f.next += 2
	b := block(fields...)
	first := b[:min(len(b), maxFrame)]
	b = b[len(first):]
	if err := f.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndHeaders: len(b) == 0, EndStream: end}); err != nil {
		f.t.Fatal(err)
	}
	for len(b) > 0 {
		part := b[:min(len(b), maxFrame)]
		b = b[len(part):]
		f.fr.WriteContinuation(id, len(b) == 0, part) // refused before the end where they are too many
	}
	return id
}

// wait reads until the stream is over.
func (f *framed) wait(id uint32) (r result) {
	f.t.Helper()
	for {
		frame, err := f.fr.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "timeout") {
				r.ended = true
				return r
			}
			f.t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.fr.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				r.reset, r.ended = frame.ErrCode, true
				return r
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id && r.status == 0 {
				r.reset, r.ended = frame.ErrCode, true
				return r
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID != id {
				continue
			}
			if v := frame.PseudoValue("status"); v != "" {
				r.status, _ = strconv.Atoi(v)
				r.header = map[string]string{}
			}
			for _, h := range frame.RegularFields() {
				r.header[h.Name] = h.Value
			}
			if frame.StreamEnded() && r.status >= 200 {
				return r
			}
		case *http2.DataFrame:
			if frame.StreamID != id {
				continue
			}
			r.body += string(frame.Data())
			if frame.StreamEnded() {
				return r
			}
		}
	}
}

func (f *framed) get(scheme, authority, path string, more ...string) result {
	f.t.Helper()
	return f.wait(f.open(true, append([]string{":method", "GET", ":scheme", scheme, ":authority", authority, ":path", path}, more...)...))
}

// TestHTTP2Requests are requests that HTTP/2 can carry and HTTP/1.1 can't, or that would be two requests once translated.
// They are refused, by Go's server or by the gate, and nothing reaches the upstream.
func TestHTTP2Requests(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("/a"), public("/files/{path...}"))
	good := func(more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "/a"}, more...)
	}
	for _, tt := range []struct {
		name   string
		status int // 0: the stream or the connection is ended
		fields []string
	}{
		{"plain", 200, good()},
		{"Host agrees", 200, good("host", "Gate.Example:443")},
		{"Host alone", 200, []string{":method", "GET", ":scheme", "https", ":path", "/a", "host", "gate.example"}},
		{"te: trailers", 200, good("te", "trailers")},
		{"Host differs", 400, good("host", "other.example")},
		{"two Hosts", 400, good("host", "gate.example", "host", "gate.example")},
		{"no host", 400, []string{":method", "GET", ":scheme", "https", ":path", "/a"}},
		{"scheme http", 200, []string{":method", "GET", ":scheme", "http", ":authority", "gate.example", ":path", "/a"}},
		{"scheme ftp", 0, []string{":method", "GET", ":scheme", "ftp", ":authority", "gate.example", ":path", "/a"}},
		{"userinfo", 0, []string{":method", "GET", ":scheme", "https", ":authority", "u@gate.example", ":path", "/a"}},
		{"S1 CONNECT", 405, []string{":method", "CONNECT", ":authority", "gate.example:443"}},
		{"S1 CONNECT with a path", 0, []string{":method", "CONNECT", ":scheme", "https", ":authority", "gate.example", ":path", "/a"}},
		{"S1 extended CONNECT", 0, []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "gate.example", ":path", "/a"}},
		{"TRACE", 400, []string{":method", "TRACE", ":scheme", "https", ":authority", "gate.example", ":path", "/a"}},
		{"method with a space", 400, []string{":method", "GET /b HTTP/1.1", ":scheme", "https", ":authority", "gate.example", ":path", "/a"}},
		{"R20 no slash", 0, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "a"}},
		{"absolute path", 400, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "https://gate.example/a"}},
		{"asterisk", 400, []string{":method", "OPTIONS", ":scheme", "https", ":authority", "gate.example", ":path", "*"}},
		{"empty path", 0, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", ""}},
		{"path with a line break", 0, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "/a HTTP/1.1\r\nx: y"}},
		{"path with a space", 400, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "/files/a b"}},
		{"fragment", 400, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "/a#/b"}},
		{"dots", 400, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "/files/%2e%2e/a"}},
		{"authority with a line break", 0, []string{":method", "GET", ":scheme", "https", ":authority", "gate.example\r\nx: y", ":path", "/a"}},
		{"value with a line break", 0, good("x", "a\r\nAuthorization: b")},
		{"value with NUL", 0, good("x", "a\x00b")},
		{"name with a colon", 0, good("x: y", "z")},
		{"upper-case name", 0, good("X-Upper", "y")},
		{"pseudo-header last", 0, []string{"x", "y", ":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "/a"}},
		{"pseudo-header twice", 0, good(":path", "/files/b")},
		{"unknown pseudo-header", 0, good(":x", "y")},
		{"connection", 400, good("connection", "x-client-id")},
		{"keep-alive", 400, good("keep-alive", "timeout=5")},
		{"proxy-connection", 400, good("proxy-connection", "close")},
		{"transfer-encoding", 400, good("transfer-encoding", "chunked")},
		{"upgrade", 400, good("upgrade", "websocket")},
		{"te: gzip", 400, good("te", "gzip")},
		{"H8 two tokens", 400, good("authorization", "Bearer a", "authorization", "Bearer b")},
	} {
		f := s.framed()
		got := f.wait(f.open(true, tt.fields...))
		seen := s.up.take()
		if got.status != tt.status || tt.status == 0 && !got.ended {
			t.Errorf("%s: %+v, want %d", tt.name, got, tt.status)
		}
		if (len(seen) == 1) != (tt.status == 200) || len(seen) == 1 && (seen[0].target != "/a" || seen[0].header.Get("X-Forwarded-Proto") != "https") {
			t.Errorf("%s: the upstream saw %+v", tt.name, seen)
		}
	}
}

// TestHTTP2Lengths is S5: a body that is not as long as its Content-Length never looks whole to the upstream.
func TestHTTP2Lengths(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("POST /p"))
	for _, tt := range []struct{ length, body string }{{"2", "hi"}, {"5", "hi"}, {"1", "hi"}, {"0", "hi"}, {"x", "hi"}, {"-1", "hi"}, {"+2", "hi"}} {
		f := s.framed()
		id := f.open(false, ":method", "POST", ":scheme", "https", ":authority", "gate.example", ":path", "/p", "content-length", tt.length)
		f.fr.WriteData(id, true, []byte(tt.body))
		got := f.wait(id)
		seen := s.up.take()
		if tt.length == "2" {
			if got.status != 200 || len(seen) != 1 || seen[0].body != "hi" {
				t.Errorf("right length: %+v, %+v", got, seen)
			}
			continue
		}
		// With length 0 the request is whole before its data come, and may be answered by then.
		if got.status == 200 && tt.length != "0" && tt.length != "x" && tt.length != "-1" && tt.length != "+2" {
			t.Errorf("length %s: %+v", tt.length, got)
		}
		for _, r := range seen {
			if tt.length == "0" && r.body != "" || r.body != tt.body && r.body != "" || r.length > int64(len(tt.body)) {
				t.Errorf("length %s: the upstream saw %+v", tt.length, r)
			}
		}
	}
}

// TestHTTP2Floods are S11, S12, S14 and S15: what one connection can make us do is bounded, and others do not feel it.
func TestHTTP2Floods(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	hold := make(chan struct{})
	s := newSecured(t, nil, public("GET /a"), public("GET /slow"))
	s.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			return
		}
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	slow := []string{":method", "GET", ":scheme", "https", ":authority", "gate.example", ":path", "/slow"}
	for _, tt := range []struct {
		name  string
		flood func(f *framed) error
		ends  bool // the server ends the connection
	}{
		{"S11 rapid reset", func(f *framed) error {
			for range 5000 {
				id := f.next
				f.next += 2
				if err := f.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(slow...), EndHeaders: true, EndStream: true}); err != nil {
					return err
				}
				if err := f.fr.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
					return err
				}
			}
			return nil
		}, false},
		{"S12 continuation", func(f *framed) error {
			f.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(slow...)})
			for i := range 10_000 {
				if err := f.fr.WriteContinuation(1, false, block("x-"+strconv.Itoa(i), strings.Repeat("a", 1000))); err != nil {
					return err
				}
			}
			return nil
		}, true},
		{"S14 pings", func(f *framed) error {
			for range 20_000 {
				if err := f.fr.WritePing(false, [8]byte{}); err != nil {
					return err
				}
			}
			return nil
		}, false},
		{"S14 settings", func(f *framed) error {
			for range 20_000 {
				if err := f.fr.WriteSettings(); err != nil {
					return err
				}
			}
			return nil
		}, false},
		{"S13 window updates of 0", func(f *framed) error {
			for range 2000 {
				id := f.next
				f.next += 2
				if err := f.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(slow...), EndHeaders: true, EndStream: true}); err != nil {
					return err
				}
				if err := f.fr.WriteWindowUpdate(id, 0); err != nil {
					return err
				}
			}
			return nil
		}, false},
	} {
		f := s.framed()
		done := make(chan error, 1)
		go func() { done <- tt.flood(f) }()
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, f.conn)
			ended <- err
		}()
		for range 20 {
			if got := s.framed().get("https", "gate.example", "/a"); got.status != 200 {
				t.Errorf("%s: another connection got %+v", tt.name, got)
			}
		}
		<-done // written, or refused
		if tt.ends {
			<-ended
		}
		f.conn.Close()
	}
	if m := most.Load(); m > maxStreams*int64(5) {
		t.Errorf("%d requests at once upstream, by connections of %d streams", m, maxStreams)
	}
	close(hold)
}

// TestHTTP2Limits: what the settings promise is held.
func TestHTTP2Limits(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil, public("GET /a"))
	f := s.framed()
	for typ := http2.FrameType(0x0a); typ <= 0x0f; typ++ { // S15: frames that nobody knows
		f.fr.WriteRawFrame(typ, 0, 0, []byte("unknown"))
	}
	if got := f.get("https", "gate.example", "/a"); got.status != 200 {
		t.Errorf("after unknown frames: %+v", got)
	}
	if got := s.framed().get("https", "gate.example", "/a", "cookie", strings.Repeat("c", 40<<10), "x", strings.Repeat("a", 40<<10)); got.status != 431 {
		t.Errorf("80 KiB of headers: %+v, want 431", got)
	}
	var crumbs []string
	for i := range 3000 { // S16: they are one header to us, and many to whoever counts
		crumbs = append(crumbs, "cookie", fmt.Sprint("a", i, "=", strings.Repeat("b", 20)))
	}
	if got := s.framed().get("https", "gate.example", "/a", crumbs...); got.status != 431 && !got.ended {
		t.Errorf("3000 cookies: %d, want 431", got.status)
	}
}
