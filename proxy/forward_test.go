package proxy

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/exchange"
)

// dial opens a connection to the gateway that the test ends with.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	rt := public("POST /p")
	rt.MaxBody = 10
	observed := public("POST /observed")
	observed.MaxBody, observed.Observe = 10, true
	w := newWorld(t, nil, rt, observed)
	for _, tt := range []struct {
		name, path, framing, body string
		status                    int
	}{
		{"at the limit", "/p", "Content-Length: 10", "0123456789", 200},
		{"chunked at the limit", "/p", "Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n", 200},
		{"over", "/p", "Content-Length: 11", "0123456789a", 413},
		{"over, chunked", "/p", "Transfer-Encoding: chunked", "8\r\n01234567\r\n3\r\n89a\r\n0\r\n\r\n", 413},
		{"over under observe", "/observed", "Content-Length: 11", "0123456789a", 413},
	} {
		list := w.raw("POST "+tt.path+" HTTP/1.1\r\nHost: gate.example\r\n"+tt.framing+"\r\n\r\n"+tt.body, "POST")
		if len(list) != 1 || list[0].StatusCode != tt.status {
			t.Errorf("%s: %v, want %d", tt.name, list, tt.status)
		}
		for _, s := range w.up.take() {
			if tt.status != 200 || s.body != "0123456789" {
				t.Errorf("%s: the upstream got all of %q", tt.name, s.body)
			}
		}
	}
	if rec := w.sink.nth(4); rec.Reason != "body_too_large" || rec.Verdict != exchange.Deny {
		t.Errorf("the record of a streamed body says %v %q", rec.Verdict, rec.Reason)
	}
	if rec := w.sink.nth(1); rec.BytesIn != 10 || rec.BytesOut != 2 || rec.Status != 200 {
		t.Errorf("the record counts %d in, %d out, status %d; want 10, 2, 200", rec.BytesIn, rec.BytesOut, rec.Status)
	}
}

// TestUpstreamFaults: what fails behind the gateway is 502 or 504, in a closed set of words, and tells the client nothing.
func TestUpstreamFaults(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(silent.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	selfSigned := httptest.NewUnstartedServer(http.NotFoundHandler())
	selfSigned.Config.ErrorLog = log.New(io.Discard, "", 0) // it would complain of us
	selfSigned.StartTLS()
	t.Cleanup(selfSigned.Close)
	for _, tt := range []struct {
		name, upstream string
		status         int
		reason, kind   string
	}{
		{"refused", closed.URL, 502, "upstream_unavailable", "dial"},
		{"no such name", "http://nothing.invalid", 502, "upstream_unavailable", "dial"},
		{"silent", silent.URL, 504, "upstream_timeout", "timeout"},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), 502, "upstream_unavailable", "tls"},
		{"unknown authority", selfSigned.URL, 502, "upstream_unavailable", "tls"},
		{"hangs up", "http://" + rawUpstream(t, ""), 502, "upstream_unavailable", "reset"},
		{"garbage", "http://" + rawUpstream(t, "SSH-2.0-OpenSSH\r\n"), 502, "upstream_unavailable", "other"},
		{"two lengths", "http://" + rawUpstream(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502, "upstream_unavailable", "other"},
		{"huge headers", "http://" + rawUpstream(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", 1<<20)+"\r\n\r\n"), 502, "upstream_unavailable", "other"},
		{"no such status", "http://" + rawUpstream(t, "HTTP/1.1 099 Secret\r\nContent-Length: 0\r\n\r\n"), 502, "upstream_unavailable", "other"},
		{"switches protocols", "http://" + rawUpstream(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nsecret"), 502, "upstream_unavailable", "other"},
		{"switches, unsaid", "http://" + rawUpstream(t, "HTTP/1.1 101 Switching Protocols\r\n\r\nsecret"), 502, "upstream_unavailable", "other"},
	} {
		rt := public("GET /a")
		rt.API = &API{Name: "x", Upstream: mustURL(t, tt.upstream)}
		if tt.kind == "timeout" {
			rt.Timeout = 50 * time.Millisecond
		}
		w := newWorld(t, nil, rt)
		got := w.get("/a")
		rec := w.sink.nth(1)
		if got.StatusCode != tt.status || rec.Reason != tt.reason || rec.UpstreamError != tt.kind {
			t.Errorf("%s: %d %s %s (%s), want %d %s %s", tt.name, got.StatusCode, rec.Reason, rec.UpstreamError, rec.UpstreamDetail, tt.status, tt.reason, tt.kind)
		}
		if !slices.Contains(Faults(), rec.UpstreamError) {
			t.Errorf("%s: Faults does not name %q", tt.name, rec.UpstreamError)
		}
		if strings.Contains(got.body, "127.0.0.1") || strings.Contains(got.body, "dial") || strings.Contains(got.body, "secret") {
			t.Errorf("%s: the client is told %s", tt.name, got.body)
		}
	}
}

// rawUpstream reads a request, writes the bytes and hangs up.
func rawUpstream(t testing.TB, text string) string {
	t.Helper()
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
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.WriteString(conn, text)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// TestBrokenBody: a body that breaks off upstream never looks whole to the client.
func TestBrokenBody(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		rt := public("GET /a")
		rt.API = &API{Name: "x", Upstream: mustURL(t, "http://"+rawUpstream(t, text))}
		w := newWorld(t, nil, rt)
		conn := w.dial()
		io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			_, err = io.ReadAll(res.Body)
		}
		if err == nil {
			t.Errorf("%s: the client read a whole body", name)
		}
		if rec := w.sink.nth(1); rec.UpstreamError != "reset" || rec.Verdict != exchange.Allow {
			t.Errorf("%s: the record says %q %v", name, rec.UpstreamError, rec.Verdict)
		}
	}
}

// TestIdleUpstream: a body that stops is cut after the idle timeout, but not on a streaming route.
func TestIdleUpstream(t *testing.T) {
	t.Parallel()
	streaming := public("GET /streaming")
	streaming.Streaming = true
	w := newWorld(t, func(o *Options) { o.IdleTimeout = 100 * time.Millisecond }, public("GET /a"), streaming)
	proceed := make(chan struct{})
	w.up.answerWith(func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, "first ")
		http.NewResponseController(rw).Flush()
		select {
		case <-proceed:
			io.WriteString(rw, "last")
		case <-r.Context().Done():
		}
	})
	if got := w.get("/a"); got.body != "first " {
		t.Errorf("body %q", got.body)
	}
	if rec := w.sink.nth(1); rec.UpstreamError != "timeout" {
		t.Errorf("the record says %q %q", rec.UpstreamError, rec.UpstreamDetail)
	}
	conn := w.dial()
	io.WriteString(conn, "GET /streaming HTTP/1.1\r\nHost: gate.example\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len("first "))
	if _, err := io.ReadFull(res.Body, first); err != nil {
		t.Fatal(err)
	}
	w.get("/a") // takes longer than the idle timeout
	close(proceed)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "last" {
		t.Errorf("streaming: %q, %v", rest, err)
	}
}

// TestIdleClient: a body that the client stops sending ends the request, upstream too.
func TestIdleClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.IdleTimeout = 500 * time.Millisecond }, public("POST /p"), scoped("POST /s", "read"))
	for target, status := range map[string]int{"/p": 400, "/s": 401} {
		if list := w.raw("POST "+target+" HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 1000\r\n\r\nonly this", "POST"); len(list) != 1 || list[0].StatusCode != status {
			t.Errorf("%s: %v, want %d", target, list, status)
		}
	}
	if seen := w.up.take(); len(seen) != 0 {
		t.Errorf("the upstream took a broken body: %+v", seen)
	}
}

// TestStreaming: each flush of the upstream reaches the client before the next is made.
func TestStreaming(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /events"))
	more := make(chan struct{})
	w.up.answerWith(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(rw, "data: %d\n\n", i)
			http.NewResponseController(rw).Flush()
			select {
			case <-more:
			case <-r.Context().Done():
			}
		}
	})
	conn := w.dial()
	io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: gate.example\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(res.Body)
	for i := range 3 {
		line, err := body.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		body.ReadString('\n')
		more <- struct{}{}
	}
}

// TestClientLeaves: the upstream's request ends when the client's does.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /a"))
	arrived, left := make(chan struct{}), make(chan struct{})
	w.up.answerWith(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	})
	conn := w.dial()
	io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n")
	<-arrived
	conn.(*net.TCPConn).CloseWrite() // as good as gone to net/http, and yet it may read: nothing that looks like an answer
	<-left
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("the client that left was answered %q", got)
	}
	if rec := w.sink.nth(1); rec.UpstreamError != "canceled" || rec.Status != statusClientGone {
		t.Errorf("the record says %q, %d", rec.UpstreamError, rec.Status)
	}
}

// TestResponses passes through what upstreams may send.
func TestResponses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /a"), public("POST /a"))
	w.up.answerWith(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("X-Request-Id", "upstream's")
		h.Set("Link", "</x>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
		h.Set("Trailer", "Grpc-Status")
		h.Set("Content-Encoding", "gzip")
		rw.WriteHeader(http.StatusCreated)
		io.WriteString(rw, "not really gzip")
		h.Set("Grpc-Status", "0")
	})
	conn := w.dial()
	io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\nHEAD /a HTTP/1.1\r\nHost: gate.example\r\n\r\n")
	list := readAnswers(bufio.NewReader(conn), "GET", "GET", "HEAD", "HEAD")
	if len(list) != 4 || list[0].StatusCode != 103 || list[0].Header.Get("Link") == "" {
		t.Fatalf("%d answers: %+v", len(list), list)
	}
	got := list[1]
	if got.StatusCode != 201 || got.body != "not really gzip" || got.Header.Get("Content-Encoding") != "gzip" || got.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("%d %q %v %v", got.StatusCode, got.body, got.Header, got.Trailer)
	}
	if ids := got.Header["X-Request-Id"]; len(ids) != 1 || ids[0] != w.sink.nth(1).ID {
		t.Errorf("X-Request-Id %q, want %q", ids, w.sink.nth(1).ID)
	}
	if list[3].StatusCode != 201 || list[3].body != "" {
		t.Errorf("HEAD: %d %q", list[3].StatusCode, list[3].body)
	}
}

// TestExpectContinue is S8: an upstream that answers early leaves nothing behind for the next request.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("POST /p"))
	conn := w.dial()
	io.WriteString(conn, "POST /p HTTP/1.1\r\nHost: gate.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	r := bufio.NewReader(conn)
	if list := readAnswers(r, "POST"); len(list) != 1 || list[0].StatusCode != 100 {
		t.Fatalf("want 100 first: %+v", list)
	}
	io.WriteString(conn, "hello")
	if list := readAnswers(r, "POST"); len(list) != 1 || list[0].StatusCode != 200 {
		t.Fatalf("then 200: %+v", list)
	}
	if seen := w.up.take(); len(seen) != 1 || seen[0].body != "hello" {
		t.Errorf("the upstream saw %+v", seen)
	}
	w.up.answerWith(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) })
	for range 20 {
		if list := w.raw("POST /p HTTP/1.1\r\nHost: gate.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "POST"); len(list) != 1 || list[0].StatusCode != 401 {
			t.Fatalf("early answer: %+v", list)
		}
	}
	w.up.answerWith(nil)
	if got := w.send("POST", "/p", "Content-Length: 0"); got.StatusCode != 200 {
		t.Errorf("afterwards: %d", got.StatusCode)
	}
}

// TestUpgradeIsStripped: a protocol that is not WebSocket is not switched to; the request goes on without it.
func TestUpgradeIsStripped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /a"))
	got := w.get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
	seen := w.up.take()
	if got.StatusCode != 200 || len(seen) != 1 {
		t.Fatalf("%d, %d requests upstream", got.StatusCode, len(seen))
	}
	for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
		if v := seen[0].header[name]; v != nil {
			t.Errorf("%s %q reached the upstream", name, v)
		}
	}
	// A caller can't make it look as if the upstream were down.
	got = w.get("/a", "Connection: Upgrade", "Upgrade: \x80")
	if rec := w.sink.nth(2); got.StatusCode != 200 || rec.UpstreamError != "" {
		t.Errorf("junk in Upgrade: %d, upstream error %q", got.StatusCode, rec.UpstreamError)
	}
}

// TestPipelining: two requests on one connection are two requests.
func TestPipelining(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /a"), public("POST /b"), scoped("GET /c", "read"))
	text := "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n" + "POST /b HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 2\r\n\r\nhi" +
		"GET /c HTTP/1.1\r\nHost: gate.example\r\n\r\n" + "GET /nowhere HTTP/1.1\r\nHost: gate.example\r\n\r\n" + "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n"
	var got []int
	for _, a := range w.raw(text, "GET", "POST", "GET", "GET", "GET") {
		got = append(got, a.StatusCode)
	}
	if fmt.Sprint(got) != "[200 200 401 404 200]" {
		t.Errorf("statuses %v", got)
	}
	if n := len(w.up.take()); n != 3 {
		t.Errorf("%d requests upstream, want 3", n)
	}
}

// TestContinueIsSentOnce: net/http sends 100 itself, so the upstream's is not passed on.
func TestContinueIsSentOnce(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	w := &response{ResponseWriter: rec}
	w.WriteHeader(http.StatusContinue)
	if rec.Code == http.StatusContinue || w.status != 0 {
		t.Errorf("code %d, status %d", rec.Code, w.status)
	}
}

func TestUpstreamPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		base, strip, raw, want string
		ok                     bool
	}{
		{"", "", "/a", "/a", true},
		{"/base/", "", "/a/", "/base/a/", true},
		{"/b%20c", "/api", "/api/x", "/b%20c/x", true},
		{"/base", "/api", "/api//x", "/base//x", true},
		{"", "/api/", "/api", "/", true},
		{"", "/api/v1", "/%61pi/v%31/x%2fy", "/x%2fy", true},
		{"", "/api", "/apix", "", false},
		{"", "/api", "/API/x", "", false},
		{"", "/api/v1", "/api", "", false},
		{"", "/api", "/other/api/x", "", false},
		{"", "/a/b", "/a%2fb/c", "", false},
	} {
		rt := &Route{API: &API{StripPrefix: tt.strip, Upstream: mustURL(t, "http://up"+tt.base)}}
		got, ok := newServed(rt, nil, 0).upstreamPath(tt.raw)
		if c := (&call{upstreamPath: got}); ok {
			var u url.URL
			c.setURL(&u, &member{endpoint: newEndpoint(endpointKey{}, rt.API.Upstream, nil, slog.New(slog.DiscardHandler))})
			got = u.RequestURI()
		}
		if got != tt.want || ok != tt.ok {
			t.Errorf("strip %q, base %q: %s becomes %q %v, want %q %v", tt.strip, tt.base, tt.raw, got, ok, tt.want, tt.ok)
		}
	}
}

type brokenSink struct{}

func (brokenSink) Finish(*exchange.Record) { panic("broken") }

// Ensure that a sink that panics costs neither the other sinks their record nor the client its response.
func TestBrokenSink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Sinks = append([]exchange.Sink{brokenSink{}}, o.Sinks...) }, public("/{path...}"))
	res, err := http.Get("http://" + w.addr + "/a")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if rec := w.sink.nth(1); res.StatusCode != 200 || rec.Status != 200 {
		t.Errorf("answered %d, recorded %d", res.StatusCode, rec.Status)
	}
}
