package pulse

import (
	"sync"
	"testing"
	"time"

	"gatehouse/internal/exchange"
)

var noon = time.Unix(1_800_000_000, 0)

func ended(at time.Time, r exchange.Record) *exchange.Record {
	r.Start = at.Add(-r.Duration)
	return &r
}

func TestView(t *testing.T) {
	p := New([]string{"expired", "rate_limited", "invalid_client", "expired"})
	p.SetRoutes([]Key{{"orders", "GET /orders"}})
	for i := range 50 {
		p.Finish(ended(noon.Add(time.Second), exchange.Record{API: "orders", Route: "GET /orders", Verdict: exchange.Allow, Status: 200, Duration: time.Duration(i+1) * time.Millisecond}))
	}
	p.Finish(ended(noon.Add(2*time.Second), exchange.Record{API: "orders", Route: "GET /orders", Reason: "expired", Status: 401, Duration: time.Millisecond}))
	p.Finish(ended(noon.Add(2*time.Second), exchange.Record{API: "orders", Route: "GET /orders", Verdict: exchange.WouldDeny, Reason: "expired", Status: 500, Duration: time.Millisecond}))
	p.Finish(ended(noon.Add(2*time.Second), exchange.Record{Endpoint: "token", OAuthError: "invalid_client", Status: 401}))
	p.Finish(ended(noon.Add(2*time.Second), exchange.Record{Endpoint: "token", OAuthError: "invalid_client", Status: 401}))
	p.Finish(ended(noon.Add(2*time.Second), exchange.Record{Endpoint: "token", OAuthError: "ok", Issued: true, Verdict: exchange.Allow, Status: 200}))
	p.Finish(ended(noon.Add(2*time.Second), exchange.Record{Reason: "news", Status: 404}))
	p.Finish(ended(noon.Add(2*time.Second), exchange.Record{API: "orders", Route: "GET /orders", Verdict: exchange.Allow, Status: 101, Duration: time.Hour}))

	v := p.View(noon.Add(7 * time.Second))
	if len(v.Points) != 180 || v.Points[179].At != noon {
		t.Fatalf("%d points, the last at %v", len(v.Points), v.Points[len(v.Points)-1].At)
	}
	last := v.Points[179]
	if last.Requests != 54./5 || last.Tokens != .2 || last.Denied != .8 {
		t.Errorf("the step: %+v", last)
	}
	if len(v.Reasons) != 3 || v.Reasons[0] != (Reason{"invalid_client", 2}) || v.Reasons[1] != (Reason{"expired", 1}) || v.Reasons[2] != (Reason{"other", 1}) ||
		last.ByReason[0] != .4 {
		t.Errorf("reasons: %+v %v", v.Reasons, last.ByReason)
	}
	if near := func(got, want time.Duration) bool { return got > want*7/8 && got < want*9/8 }; !near(last.P50, 24*time.Millisecond) || !near(last.P99, 50*time.Millisecond) {
		t.Errorf("p50 %v, p99 %v", last.P50, last.P99)
	}
	if c := v.Current; c.Requests != 54./7 {
		t.Errorf("now: %+v", c)
	}
	r := p.Route(Key{"orders", "GET /orders"}, noon.Add(7*time.Second))
	if r.Requests != 53 || r.Denied != 1 || r.Failed != 1 || !r.Last.Equal(noon.Add(2*time.Second)) {
		t.Errorf("the route: %+v", r)
	}

	p.SetRoutes([]Key{{"orders", "GET /orders"}, {"orders", "POST /orders"}})
	if r := p.Route(Key{"orders", "GET /orders"}, noon.Add(7*time.Second)); r.Requests != 53 {
		t.Errorf("after a reload: %+v", r)
	}
	later := noon.Add(16 * time.Minute)
	if r := p.Route(Key{"orders", "GET /orders"}, later.Add(time.Minute)); r.Requests != 0 || r.Last.IsZero() {
		t.Errorf("after the window: %+v", r)
	}
	v = p.View(later)
	if len(v.Reasons) != 0 || v.Points[0].Requests != 0 || v.Current.P50 != 0 {
		t.Errorf("after the window: %+v", v)
	}
	p.SetRoutes(nil)
	if r := p.Route(Key{"orders", "GET /orders"}, noon); r != (Route{}) {
		t.Errorf("a route that is gone: %+v", r)
	}
}

func TestBuckets(t *testing.T) {
	for _, d := range []time.Duration{0, 1, time.Microsecond, 3 * time.Microsecond, 5 * time.Microsecond, 99 * time.Microsecond, time.Millisecond, time.Second, 130 * time.Second} {
		b := bucket(d)
		if d >= 4*time.Microsecond && (from(b) > d || from(b+1) <= d) {
			t.Errorf("%v is in the bucket from %v to %v", d, from(b), from(b+1))
		}
	}
	if b := bucket(time.Hour * 1000); b != buckets-1 {
		t.Errorf("a very long time is in bucket %d", b)
	}
}

// What many goroutines finish while the ring turns is counted to the last one.
func TestConcurrent(t *testing.T) {
	p := New([]string{"expired"})
	p.SetRoutes([]Key{{"a", "GET /"}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 10_000 {
				p.Finish(ended(noon.Add(time.Duration(i)*10*time.Millisecond), exchange.Record{API: "a", Route: "GET /", Reason: "expired"}))
			}
		})
		wg.Go(func() {
			for range 50 {
				p.View(noon.Add(time.Minute))
			}
		})
	}
	wg.Wait()
	v := p.View(noon.Add(2 * time.Minute))
	if len(v.Reasons) != 1 || v.Reasons[0].Count != 40_000 {
		t.Errorf("%+v", v.Reasons)
	}
	if r := p.Route(Key{"a", "GET /"}, noon.Add(2*time.Minute)); r.Requests != 40_000 || r.Denied != 40_000 {
		t.Errorf("%+v", r)
	}
}

func BenchmarkFinish(b *testing.B) {
	p := New([]string{"expired"})
	p.SetRoutes([]Key{{"orders", "GET /orders"}})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := &exchange.Record{Start: noon, API: "orders", Route: "GET /orders", Verdict: exchange.Allow, Duration: time.Millisecond}
		for pb.Next() {
			p.Finish(r)
		}
	})
}

func BenchmarkView(b *testing.B) {
	p := New([]string{"expired"})
	for i := range 180 {
		p.Finish(ended(noon.Add(time.Duration(i)*Every), exchange.Record{Reason: "expired"}))
	}
	b.ReportAllocs()
	for b.Loop() {
		p.View(noon.Add(15 * time.Minute))
	}
}
