package proxy

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gatehouse/internal/alloctest"
	"gatehouse/internal/ratelimit"
)

func BenchmarkStages(b *testing.B) { alloctest.Bench(b, stages(b)) }

// stages are what is done for a request, one by one and as a whole, but for what net/http does on the client's socket. The
// token is warm: what a cold one costs is authz's to say.
func stages(t testing.TB) []alloctest.Stage {
	w := newWorld(t, func(o *Options) { o.Sinks = nil },
		limited(scoped("GET /orders/{id}", "read"), Limit{By: ratelimit.ByClient,
			Policy: ratelimit.Policy{Name: "orders", Requests: 1e6, Per: time.Second, Burst: 1e9}}),
		public("GET /public/{id}"), public("POST /public/{id}"))
	gw := w.gw
	// One more, whose upstream allocates nothing.
	for _, rt := range w.options.Routes {
		rt.API = &API{Name: rt.API.Name, Upstream: mustURL(t, "http://"+frugalUpstream(t))}
	}
	frugal, err := New(w.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(frugal.Retire)

	warm, open := newQuestioner("GET", "/orders/5?x=1", w.token("read")), newQuestioner("GET", "/public/5", w.token("read"))
	mute, weak, forged := newQuestioner("GET", "/orders/5", ""), newQuestioner("GET", "/orders/5", w.token("write")), newQuestioner("GET", "/orders/5", w.token("read")+"x")
	delete(mute.header, "Authorization")
	asks := func(q *questioner, h http.Handler, want int) func() {
		return func() {
			if got := q.ask(h); got != want {
				t.Fatalf("answered %d, wanted %d", got, want)
			}
		}
	}
	warm.ask(gw)
	warm.fill()
	c := gw.begin(warm, warm.r)
	step := func(name string, allocs float64, do func() *denial) alloctest.Stage {
		return alloctest.Stage{Name: name, Allocs: allocs, Run: func() {
			if d := do(); d != nil {
				t.Fatalf("%s: %s: %s", name, d.reason, d.detail)
			}
		}}
	}
	return []alloctest.Stage{
		{Name: "begin", Allocs: 3, Run: func() { gw.begin(warm, warm.r) }},
		step("gate", 0, c.gate),
		step("match", 2, c.match),
		step("authorize", 1, c.authorize),
		step("limit", 1, c.limit),
		{Name: "end", Allocs: 0, Run: c.end},
		{Name: "forwarded", Allocs: 44, Run: asks(warm, frugal, 200)},
		{Name: "forwarded, public", Allocs: 41, Run: asks(open, frugal, 200)},
		{Name: "refused: no token", Allocs: 16, Run: asks(mute, gw, 401)},
		{Name: "refused: forged", Allocs: 21, Run: asks(forged, gw, 401)},
		{Name: "refused: scope", Allocs: 21, Run: asks(weak, gw, 403)},
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

// fill gives the request its header anew: a handler may have changed it.
func (q *questioner) fill() {
	clear(q.sent)
	for name, values := range q.header {
		q.sent[name] = values
	}
	q.r.Header, q.status = q.sent, 0
}

func (q *questioner) ask(h http.Handler) (status int) {
	clear(q.received)
	q.fill()
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

func BenchmarkParseTarget(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, why := parseTarget("/orders/2026/items/17?fields=name"); why != "" {
			b.Fatal(why)
		}
	}
}
