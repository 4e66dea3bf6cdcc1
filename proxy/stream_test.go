package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// bothProtocols runs a test over HTTP/1.1 and HTTP/2, with a client of each, against one upstream.
func bothProtocols(t *testing.T, change func(*Options), routes func() []*Route, test func(t *testing.T, s *secured, c *http.Client)) {
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP1", true: "HTTP2"}[h2], func(t *testing.T) {
			t.Parallel()
			s := newSecured(t, change, routes()...)
			test(t, s, s.client(h2))
		})
	}
}

// drip is a body of n bytes, one at a time.
type drip struct {
	n     int
	every time.Duration
}

func (d *drip) Read(p []byte) (int, error) {
	if d.n == 0 {
		return 0, io.EOF
	}
	time.Sleep(d.every)
	d.n--
	p[0] = 'x'
	return 1, nil
}

// TestLongExchanges: an upload, a download, and both at once that last longer than every timeout, since bytes keep moving.
func TestLongExchanges(t *testing.T) {
	t.Parallel()
	const timeout, idle, bytes, every = 400 * time.Millisecond, 400 * time.Millisecond, 25, 50 * time.Millisecond
	routes := func() []*Route {
		up, down, both, talk := public("POST /up"), public("GET /down"), public("POST /both"), public("POST /talk")
		up.Timeout, down.Timeout, both.Timeout, talk.Timeout = timeout, timeout, timeout, timeout
		return []*Route{up, down, both, talk}
	}
	bothProtocols(t, func(o *Options) { o.IdleTimeout = idle }, routes, func(t *testing.T, s *secured, c *http.Client) {
		s.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			rc.EnableFullDuplex()
			switch r.URL.Path {
			case "/both": // answers at once, and reads to the end before it says anything more
				w.WriteHeader(200)
				rc.Flush()
				fallthrough
			case "/up":
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, n, err)
			case "/down", "/talk":
				for range bytes {
					io.WriteString(w, "x")
					rc.Flush()
					time.Sleep(every)
				}
			}
		})
		silent, hang := io.Pipe() // a body that says nothing, while the other side talks
		defer hang.Close()
		for _, tt := range []struct {
			method, path string
			body         io.Reader
			want         string
		}{
			{"POST", "/up", &drip{bytes, every}, fmt.Sprint(bytes, nil)},
			{"GET", "/down", nil, strings.Repeat("x", bytes)},
			{"POST", "/both", &drip{bytes, every}, fmt.Sprint(bytes, nil)},
			{"POST", "/talk", silent, strings.Repeat("x", bytes)},
		} {
			req, _ := http.NewRequest(tt.method, "https://gate.example"+tt.path, tt.body)
			start := time.Now()
			res, err := c.Do(req)
			if err != nil {
				t.Errorf("%s: %v", tt.path, err)
				continue
			}
			got, err := io.ReadAll(res.Body)
			if err != nil || string(got) != tt.want {
				t.Errorf("%s: %d %q %v after %s, want %q", tt.path, res.StatusCode, got, err, time.Since(start), tt.want)
			}
			if took := time.Since(start); took < 2*timeout {
				t.Errorf("%s took %s: too short to show anything", tt.path, took)
			}
		}
	})
}

// TestServerSentEvents: each event is there before the next is made.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	bothProtocols(t, nil, func() []*Route { return []*Route{public("GET /events")} }, func(t *testing.T, s *secured, c *http.Client) {
		next := make(chan struct{})
		s.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 5 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
				select {
				case <-next:
				case <-r.Context().Done():
				}
			}
		})
		res, err := c.Get("https://gate.example/events")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		for i := range 5 {
			line, err := lines.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%q %v", line, err)
			}
			lines.ReadString('\n')
			next <- struct{}{}
		}
	})
}

// TestSemantics: what HTTP has besides a request and a response comes through, over both protocols.
func TestSemantics(t *testing.T) {
	t.Parallel()
	bothProtocols(t, nil, func() []*Route { return []*Route{public("/{path...}")} }, func(t *testing.T, s *secured, c *http.Client) {
		s.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/hints":
				w.Header().Set("Link", "</a.css>; rel=preload")
				w.Header().Set("Connection", "X-Of-This-Hop")
				w.Header().Set("X-Of-This-Hop", "1")
				w.WriteHeader(http.StatusEarlyHints)
				clear(w.Header())
				io.WriteString(w, "hinted")
			case "/trailers":
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("Trailer", "Announced")
				io.WriteString(w, string(body)+r.Trailer.Get("From-Client"))
				w.Header().Set("Announced", "one")
				w.Header().Set(http.TrailerPrefix+"Unannounced", "two")
			case "/range":
				http.ServeContent(w, r, "f", time.Time{}, strings.NewReader("0123456789"))
			}
		})
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, " ", h.Get("Link"), h.Get("Connection"), h.Get("X-Of-This-Hop")))
			return nil
		}}
		req, _ := http.NewRequest("GET", "https://gate.example/hints", nil)
		res, body := send(t, c, req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
		if body != "hinted" || len(hints) != 1 || hints[0] != "103 </a.css>; rel=preload" || res.Header.Get("Link") != "" {
			t.Errorf("early hints: %q %q, Link %q", hints, body, res.Header.Get("Link"))
		}
		req, _ = http.NewRequest("POST", "https://gate.example/trailers", struct{ io.Reader }{strings.NewReader("body ")})
		req.Trailer = http.Header{"From-Client": {"trailer"}}
		res, body = send(t, c, req)
		if body != "body trailer" || res.Trailer.Get("Announced") != "one" || res.Trailer.Get("Unannounced") != "two" {
			t.Errorf("trailers: %q, %v", body, res.Trailer)
		}
		req, _ = http.NewRequest("GET", "https://gate.example/range", nil)
		req.Header.Set("Range", "bytes=2-4")
		if res, body = send(t, c, req); res.StatusCode != 206 || body != "234" || res.Header.Get("Content-Range") != "bytes 2-4/10" {
			t.Errorf("range: %d %q", res.StatusCode, body)
		}
		req, _ = http.NewRequest("HEAD", "https://gate.example/range", nil)
		if res, body = send(t, c, req); res.StatusCode != 200 || body != "" || res.ContentLength != 10 {
			t.Errorf("HEAD: %d %q length %d", res.StatusCode, body, res.ContentLength)
		}
	})
}

func send(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res, string(body)
}

// TestNoHintsForHTTP10: a client of HTTP/1.0 knows no informational responses (RFC 9110 §15.2).
func TestNoHintsForHTTP10(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /a"))
	w.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "ok")
	})
	list := w.raw("GET /a HTTP/1.0\r\nHost: gate.example\r\n\r\n", "GET")
	if len(list) != 1 || list[0].StatusCode != 200 || list[0].body != "ok" {
		t.Errorf("%+v", list)
	}
}

// TestEarlyAnswer: a response that begins as soon as the upstream has the body is not cut, whoever sees the body's end first.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("POST /a"))
	w.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 100)
		io.WriteString(w, "begun ")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Millisecond)
		io.WriteString(w, "and ended")
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				res, err := w.post("/a", strings.Repeat("x", 100))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(body) != "begun and ended" {
					t.Errorf("%q %v", body, err)
				}
			}
		})
	}
	wg.Wait()
}

// post sends a body over a connection that is kept.
func (w *world) post(path, body string) (*http.Response, error) {
	req, err := http.NewRequest("POST", "http://"+w.addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Host = "gate.example"
	return http.DefaultClient.Do(req)
}

// volume is how many bytes the tests of long bodies move: a gigabyte with GATEHOUSE_BIG set.
func volume() int64 {
	if os.Getenv("GATEHOUSE_BIG") != "" {
		return 1 << 30
	}
	return 24 << 20
}

// zeros is a body of n zero bytes.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n)
	clear(p[:n])
	z.n -= n
	return int(n), nil
}

// peak runs f and returns how far the heap in use rose above where it began.
func peak(f func()) int64 {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	top := make(chan uint64)
	go func() {
		var most uint64
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				top <- most
				return
			case <-tick.C:
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapInuse)
			}
		}
	}()
	f()
	close(done)
	return int64(<-top) - int64(before.HeapInuse)
}

// TestBigBodies: a long upload and a long download take no more memory than their buffers. It has the process to itself.
func TestBigBodies(t *testing.T) {
	route := public("/{path...}")
	route.MaxBody = volume()
	s := newSecured(t, nil, route)
	s.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
			return
		}
		io.Copy(w, &zeros{volume()})
	})
	for _, h2 := range []bool{false, true} {
		c := s.client(h2)
		for _, length := range []int64{volume(), -1} {
			rose := peak(func() {
				req, _ := http.NewRequest("POST", "https://gate.example/up", &zeros{volume()})
				req.ContentLength = length
				if res, body := send(t, c, req); body != fmt.Sprint(volume(), nil) {
					t.Errorf("upload: %d %s", res.StatusCode, body)
				}
			})
			if rose > 48<<20 {
				t.Errorf("an upload of %d MiB took %d MiB", volume()>>20, rose>>20)
			}
		}
		rose := peak(func() {
			res, err := c.Get("https://gate.example/down")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if n, err := io.Copy(io.Discard, res.Body); n != volume() || err != nil {
				t.Errorf("download: %d bytes, %v", n, err)
			}
		})
		if rose > 48<<20 {
			t.Errorf("a download of %d MiB took %d MiB", volume()>>20, rose>>20)
		}
	}
}

// TestSlowReaders: clients that hardly read take no more than buffers each, and do not hold up the others.
func TestSlowReaders(t *testing.T) {
	readers := 40
	if os.Getenv("GATEHOUSE_BIG") != "" {
		readers = 1000
	}
	w := newWorld(t, nil, public("GET /big"), public("GET /a"))
	w.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			io.Copy(w, &zeros{1 << 30})
		}
	})
	rose := peak(func() {
		for range readers {
			conn := w.dial()
			io.WriteString(conn, "GET /big HTTP/1.1\r\nHost: gate.example\r\n\r\n")
			if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			if got := w.get("/a"); got.StatusCode != 200 {
				t.Errorf("beside slow readers: %d", got.StatusCode)
			}
		}
	})
	if each := rose / int64(readers); each > 200<<10 {
		t.Errorf("%d slow readers took %d KiB each", readers, each>>10)
	}
}

// Ensure that an event stream comes through event by event also where its length is known.
func TestEventStreamOfKnownLength(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	seen := make(chan struct{})
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nContent-Length: 18\r\n\r\ndata: a\n\n")
			<-seen
			io.WriteString(conn, "data: b\n\n")
		}
	}()
	rt := public("/{rest...}")
	rt.API = &API{Name: "events", Upstream: mustURL(t, "http://"+ln.Addr().String())}
	w := newWorld(t, nil, rt)
	res, err := http.Get("http://" + w.addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, len("data: a\n\n"))
	if _, err := io.ReadFull(res.Body, first); err != nil || res.ContentLength != 18 {
		t.Fatalf("%q, %v, length %d", first, err, res.ContentLength)
	}
	close(seen)
	if rest, err := io.ReadAll(res.Body); string(rest) != "data: b\n\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}
