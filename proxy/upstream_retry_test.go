package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hangup is a server that reads a whole request and hangs up without an answer. It counts the requests.
func hangup(t testing.TB) (u string, count *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	count = new(atomic.Int64)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.Copy(io.Discard, r.Body)
					count.Add(1)
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String(), count
}

// TestRetry is which requests are sent again, and that nothing is sent twice that may not be.
func TestRetry(t *testing.T) {
	t.Parallel()
	all := OnConnect | OnReset | OnBadGateway | OnUnavailable | OnGatewayTimeout
	for _, tt := range []struct {
		name, method, body string
		first              string // how the first endpoint fails
		on                 RetryOn
		status             int
		sent               int64 // to the first one
	}{
		{"no connection", "GET", "", "dead", OnConnect, 200, 0},
		{"no connection, a body", "POST", "hello", "dead", OnConnect, 200, 0},
		{"no connection, not asked for", "GET", "", "dead", all &^ OnConnect, 502, 0},
		{"reset", "GET", "", "hangup", all, 200, 1},
		{"reset", "DELETE", "", "hangup", OnReset, 200, 1},
		{"reset, not idempotent", "POST", "", "hangup", all, 502, 1},
		{"reset, PATCH", "PATCH", "", "hangup", all, 502, 1},
		{"reset, a method of its own", "BREW", "", "hangup", all, 502, 1},
		{"reset, a body", "PUT", "hello", "hangup", all, 502, 1},
		{"reset, not asked for", "GET", "", "hangup", all &^ OnReset, 502, 1},
		{"502", "GET", "", "502", OnBadGateway, 200, 1},
		{"503", "HEAD", "", "503", OnUnavailable, 200, 1},
		{"504", "OPTIONS", "", "504", OnGatewayTimeout, 200, 1},
		{"503, not idempotent", "POST", "", "503", all, 503, 1},
		{"503, a body", "GET", "hello", "503", all, 503, 1},
		{"503, not asked for", "GET", "", "503", all &^ OnUnavailable, 503, 1},
		{"500 is an answer", "GET", "", "500", all, 500, 1},
	} {
		good := newBackends(t, 1, func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != tt.body || r.ContentLength != int64(len(tt.body)) {
				t.Errorf("%s %s: the second endpoint got %q of length %d, %v", tt.name, tt.method, body, r.ContentLength, err)
			}
		})
		first, sent := dead(t).String(), new(atomic.Int64)
		switch tt.first {
		case "dead":
		case "hangup":
			first, sent = hangup(t)
		default:
			bad := newBackends(t, 1, func(w http.ResponseWriter, _ *http.Request) {
				sent.Add(1)
				w.WriteHeader(map[string]int{"500": 500, "502": 502, "503": 503, "504": 504}[tt.first])
			})
			first = bad.list[0].URL
		}
		api := good.api(t)
		api.Upstreams = []Endpoint{{URL: mustURL(t, first)}, api.Upstreams[0]}
		api.Retry = &Retry{Attempts: 2, On: tt.on}
		sink := newSink()
		brew := public("BREW /other")
		brew.API = api
		gw := gatewayFor(t, api, func(o *Options) { o.Sinks, o.Routes = append(o.Sinks, sink), append(o.Routes, brew) })
		if status := do(gw, tt.method, "/", tt.body); status != tt.status || sent.Load() != tt.sent {
			t.Errorf("%s, %s: %d, sent %d times; want %d, %d", tt.method, tt.name, status, sent.Load(), tt.status, tt.sent)
		}
		again := tt.status == 200
		rec, e := sink.nth(1), endpointOf(gw, first)
		if (rec.Attempts == 2) != again || (rec.Server == good.list[0].URL) != again || (e.Retried == 1) != again || e.InFlight != 0 {
			t.Errorf("%s, %s: the record says %d attempts, the last at %s; %+v", tt.method, tt.name, rec.Attempts, rec.Server, e)
		}
	}
}

// TestRetryOnTheOnlyOne: where there is no other endpoint the same one is asked again, and Attempts bounds it.
func TestRetryOnTheOnlyOne(t *testing.T) {
	t.Parallel()
	u, sent := hangup(t)
	api := &API{Name: "x", Upstream: mustURL(t, u), Retry: &Retry{Attempts: 3, On: OnReset}}
	if status := do(gatewayFor(t, api), "GET", "/", ""); status != 502 || sent.Load() != 3 {
		t.Errorf("%d after %d attempts, want 502 after 3", status, sent.Load())
	}
}

// TestReadBodyIsNotResent: a body of which something was read is gone, also where the connection could not be made.
func TestReadBodyIsNotResent(t *testing.T) {
	t.Parallel()
	up := &upstream{api: &API{Retry: &Retry{Attempts: 2, On: OnConnect}}}
	up.budget.open()
	c := &call{r: httptest.NewRequest("POST", "/", nil), inbound: &inbound{}}
	if !up.mayRetry(c, OnConnect, 1) {
		t.Error("an unread body may be sent")
	}
	c.inbound.asked = true
	if up.mayRetry(c, OnConnect, 1) {
		t.Error("a body that was begun was to be sent again")
	}
}

// TestRetryBudget: retries are a fifth of the requests and ten a second, and never more.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	var b budget
	now := int64(time.Hour)
	b.filled.Store(now)
	take := func() (n int) {
		for b.withdraw(now) {
			n++
		}
		return n
	}
	for range 100 {
		b.deposit()
	}
	if n := take(); n != 20 {
		t.Errorf("after 100 requests: %d, want 20", n)
	}
	now += int64(time.Second / 2)
	if n := take(); n != 5 {
		t.Errorf("after half a second: %d, want 5", n)
	}
	now += int64(time.Hour)
	if n := take(); n != 10 {
		t.Errorf("after an hour: %d, want 10", n)
	}
	for range 1_000_000 {
		b.deposit()
	}
	if n := take(); n != 100 {
		t.Errorf("after a million requests: %d, want 100", n)
	}
}

// TestRetryBudgetHolds: where every endpoint fails, retries do not double the load.
func TestRetryBudgetHolds(t *testing.T) {
	t.Parallel()
	b := newBackends(t, 2, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	api := b.api(t)
	api.Retry = &Retry{Attempts: 10, On: OnUnavailable}
	gw := gatewayFor(t, api)
	started := time.Now()
	for range 300 {
		do(gw, "GET", "/", "")
	}
	got := b.counts()
	seconds := int64(time.Since(started)/time.Second) + 1
	if extra := got[0] + got[1] - 300; extra < 60 || extra > 10+60+10*seconds {
		t.Errorf("%d retries for 300 requests in under %d s, want from 60 to %d", extra, seconds, 10+60+10*seconds)
	}
}

// TestNothingIsSentTwiceUnasked: net/http by itself sends a request again on a connection that had been used before, where
// the client names an Idempotency-Key. Here it does so for idempotent methods alone.
func TestNothingIsSentTwiceUnasked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method string
		sent   int64
	}{{"POST", 1}, {"PATCH", 1}, {"GET", 2}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		var sent atomic.Int64
		var key atomic.Value
		go func() { // one answer for each connection, and then it hangs up on the next request
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					r := bufio.NewReader(conn)
					for first := true; ; first = false {
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						io.Copy(io.Discard, req.Body)
						if req.URL.Path == "/warm" && first {
							io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
							continue
						}
						key.Store(req.Header.Get("Idempotency-Key"))
						sent.Add(1)
						return
					}
				}()
			}
		}()
		gw := gatewayFor(t, &API{Name: "x", Upstream: mustURL(t, "http://"+ln.Addr().String())})
		if status := do(gw, "GET", "/warm", ""); status != 200 {
			t.Fatal(status)
		}
		r := httptest.NewRequest(tt.method, "/", nil)
		r.Header.Set("Idempotency-Key", "k")
		gw.ServeHTTP(httptest.NewRecorder(), r)
		if sent.Load() != tt.sent || key.Load() != "k" {
			t.Errorf("%s: sent %d times, want %d; Idempotency-Key %q", tt.method, sent.Load(), tt.sent, key.Load())
		}
	}
}

// TestRetryEndsWithTheTimeout: all attempts share the route's timeout.
func TestRetryEndsWithTheTimeout(t *testing.T) {
	t.Parallel()
	b := newBackends(t, 2, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(60 * time.Millisecond):
			w.WriteHeader(503)
		}
	})
	api := b.api(t)
	api.Retry = &Retry{Attempts: 10, On: OnUnavailable}
	gw := gatewayFor(t, api, func(o *Options) { o.Routes[0].Timeout = 100 * time.Millisecond })
	res := httptest.NewRecorder()
	gw.ServeHTTP(res, httptest.NewRequest("GET", "/", nil))
	if res.Code != 504 || !strings.Contains(res.Body.String(), "upstream_timeout") {
		t.Errorf("%d %s, want 504", res.Code, res.Body)
	}
}

func TestParseRetryOn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]RetryOn{"connect": OnConnect, "reset": OnReset, "502": OnBadGateway, "503": OnUnavailable, "504": OnGatewayTimeout, "": 0, "500": 0} {
		if got := ParseRetryOn(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
