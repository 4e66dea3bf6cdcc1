package proxy

import (
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
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) }))
	b.Cleanup(up.Close)
	w.options.Routes[0].API = &API{Name: "orders", Upstream: mustURL(b, up.URL)}
	w.options.Sinks = nil
	gw, err := New(w.options)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://gate.example/orders/5?x=1", nil)
	r.RequestURI = "/orders/5?x=1"
	r.Header.Set("Authorization", "Bearer "+w.token("read"))
	b.ReportAllocs()
	for b.Loop() {
		res := httptest.NewRecorder()
		if gw.ServeHTTP(res, r); res.Code != 200 {
			b.Fatalf("%d %s", res.Code, res.Body)
		}
	}
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
	r := httptest.NewRequest("GET", "http://gate.example/a", nil)
	r.RequestURI = "/a"
	b.ReportAllocs()
	for b.Loop() {
		res := httptest.NewRecorder()
		if w.gw.ServeHTTP(res, r); res.Code != authz.MissingToken.Status() {
			b.Fatal(res.Code)
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
