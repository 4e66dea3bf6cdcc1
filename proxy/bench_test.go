package proxy

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/ratelimit"
)

// BenchmarkServeHTTP is one warm request through everything but the client's socket: token known, limit in memory.
func BenchmarkServeHTTP(b *testing.B) {
	w := newWorld(b, nil, limited(scoped("GET /orders/{id}", "read"), Limit{By: ratelimit.ByClient,
		Policy: ratelimit.Policy{Name: "orders", Requests: 1e6, Per: time.Second, Burst: 1e9}}))
	w.options.Routes[0].API = &API{Name: "orders", Upstream: mustURL(b, "http://"+frugalUpstream(b))}
	w.options.Sinks = nil
	gw, err := New(w.options)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(gw.Retire)
	q := newQuestioner("GET", "/orders/5?x=1", w.token("read"))
	b.ReportAllocs()
	for b.Loop() {
		if status := q.ask(gw); status != 200 {
			b.Fatal(status)
		}
	}
}

// questioner asks a handler the same again and again, and allocates nothing: what is counted is the handler's.
type questioner struct {
	r              *http.Request
	sent, received http.Header
	header         http.Header // to be sent
	status         int
}

func newQuestioner(method, target, token string) *questioner {
	q := &questioner{r: httptest.NewRequest(method, "http://gate.example"+target, nil), sent: http.Header{}, received: http.Header{}}
	q.r.RequestURI = target
	q.header = http.Header{"Accept": {"*/*"}, "Authorization": {"Bearer " + token}, "User-Agent": {"bench"}}
	return q
}

func (q *questioner) ask(h http.Handler) (status int) {
	clear(q.sent)
	clear(q.received)
	for name, values := range q.header {
		q.sent[name] = values
	}
	q.r.Header, q.status = q.sent, 0
	h.ServeHTTP(q, q.r)
	return q.status
}

func (q *questioner) Header() http.Header              { return q.received }
func (q *questioner) WriteHeader(status int)           { q.status = status }
func (q *questioner) Write(p []byte) (int, error)      { return len(p), nil }
func (q *questioner) SetReadDeadline(time.Time) error  { return nil }
func (q *questioner) SetWriteDeadline(time.Time) error { return nil }

// frugalUpstream answers every request of no body alike, and allocates nothing while it does.
func frugalUpstream(t testing.TB) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"id\": \"o5\"}")
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var buf [4096]byte
				for n := 0; ; {
					m, err := conn.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						n = 0
						conn.Write(answer)
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// BenchmarkDecide is what the gateway itself adds: all steps but the forwarding.
func BenchmarkDecide(b *testing.B) {
	w := newWorld(b, nil, limited(scoped("GET /orders/{id}", "read"), Limit{By: ratelimit.ByClient,
		Policy: ratelimit.Policy{Name: "orders", Requests: 1e6, Per: time.Second, Burst: 1e9}}))
	r := httptest.NewRequest("GET", "http://gate.example/orders/5", nil)
	r.RequestURI = "/orders/5"
	r.Header.Set("Authorization", "Bearer "+w.token("read"))
	res := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		c := w.gw.begin(res, r)
		for _, step := range []func() *denial{c.gate, c.match, c.authorize, c.mayUpgrade, c.limit, c.body} {
			if d := step(); d != nil {
				b.Fatalf("%s: %s", d.reason, d.detail)
			}
		}
	}
}

// BenchmarkDeny is a flood of requests without a token.
func BenchmarkDeny(b *testing.B) {
	w := newWorld(b, func(o *Options) { o.Sinks = nil }, scoped("GET /a", "read"))
	q := newQuestioner("GET", "/a", "")
	delete(q.header, "Authorization")
	b.ReportAllocs()
	for b.Loop() {
		if status := q.ask(w.gw); status != authz.MissingToken.Status() {
			b.Fatal(status)
		}
	}
}

func BenchmarkParseTarget(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, why := parseTarget("/orders/2026/items/17?fields=name"); why != "" {
			b.Fatal(why)
		}
	}
}
