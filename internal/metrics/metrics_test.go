package metrics

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"gatehouse/internal/exchange"
)

var testReasons = []string{"no_route", "missing_token", "insufficient_scope", "rate_limited", "internal_error"}

func newTestMetrics() *Metrics {
	m := New(Options{Version: "v0", Mode: "run", Reasons: testReasons, Errors: []string{"invalid_client"}, Faults: []string{"dial", "reset"}})
	m.SetRoutes([]Route{
		{API: "orders", Match: "GET /orders", Methods: []string{"GET", "HEAD"}},
		{API: "orders", Match: "POST /orders", Methods: []string{"POST"}, Observe: true},
		Endpoint("token"),
	})
	m.Loaded("start", "abc", time.Unix(1, 0))
	return m
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// lines counts our own series; the Go runtime's may come and go.
func lines(text string) int {
	n := 0
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "gatehouse_") {
			n++
		}
	}
	return n
}

func TestFinish(t *testing.T) {
	m := newTestMetrics()
	m.Finish(&exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 200, Verdict: exchange.Allow, Client: "c", Issuer: "local",
		Hit: exchange.CacheHit, LimitSource: "memory", Decided: 70 * time.Microsecond, Upstream: time.Millisecond, BytesIn: 3, BytesOut: 5})
	m.Finish(&exchange.Record{API: "orders", Route: "POST /orders", Method: "POST", Status: 403, Reason: "insufficient_scope", Client: "c"})
	m.Finish(&exchange.Record{API: "orders", Route: "POST /orders", Method: "POST", Status: 299, Verdict: exchange.WouldDeny, Reason: "insufficient_scope"})
	m.Finish(&exchange.Record{Method: "BREW", Status: 404, Reason: "no_route"})
	m.Finish(&exchange.Record{Endpoint: "token", Method: "POST", Status: 200, OAuthError: "ok", Issued: true, Client: "c"})
	m.Finish(&exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 500, Reason: "internal_error"})
	m.Finish(&exchange.Record{Endpoint: "token", Method: "POST", Status: 500, Reason: "internal_error"})
	m.Finish(&exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 502, Reason: "upstream_error", UpstreamError: "dial"})

	text := scrape(t, m)
	for _, want := range []string{
		`gatehouse_requests_total{api="orders",code="200",method="GET",route="GET /orders"} 1`,
		`gatehouse_requests_total{api="orders",code="2xx",method="POST",route="POST /orders"} 1`,
		`gatehouse_requests_total{api="unmatched",code="404",method="other",route="unmatched"} 1`,
		`gatehouse_requests_total{api="gatehouse",code="200",method="POST",route="token"} 1`,
		`gatehouse_decisions_total{api="orders",decision="allow",reason="ok"} 1`,
		`gatehouse_decisions_total{api="orders",decision="deny",reason="insufficient_scope"} 1`,
		`gatehouse_decisions_total{api="orders",decision="would_deny",reason="insufficient_scope"} 1`,
		`gatehouse_client_denials_total{client="c",reason="insufficient_scope"} 1`,
		`gatehouse_tokens_issued_total{client="c"} 1`,
		`gatehouse_token_requests_total{result="ok"} 1`,
		`gatehouse_token_requests_total{result="invalid_client"} 0`,
		`gatehouse_token_cache_total{result="hit"} 1`,
		`gatehouse_rate_limit_decisions_total{api="orders",result="allow",source="memory"} 1`,
		`gatehouse_response_body_bytes_total{api="orders"} 5`,
		`gatehouse_decision_duration_seconds_bucket{api="orders",le="5e-05"} 0`,
		`gatehouse_decision_duration_seconds_bucket{api="orders",le="0.0001"} 1`,
		`gatehouse_decision_duration_seconds_count{api="orders"} 1`,
		`gatehouse_panics_total 2`,
		`gatehouse_upstream_errors_total{api="orders",kind="dial"} 1`,
		`gatehouse_upstream_errors_total{api="orders",kind="reset"} 0`,
		`gatehouse_config_info{hash="abc"} 1`,
		`gatehouse_build_info{goversion=`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if strings.Contains(text, `code="299"`) || strings.Contains(text, "BREW") {
		t.Error("a value that others choose became a label")
	}
}

func TestStrangersAddNoSeries(t *testing.T) {
	m := newTestMetrics()
	before := lines(scrape(t, m))
	for i := range 10_000 {
		method := fmt.Sprintf("M%d", i)
		if i%3 == 0 {
			method = allMethods[i%9]
		}
		m.Finish(&exchange.Record{Method: method, Path: fmt.Sprintf("/p%d", i), Status: []int{400, 404, 405, 414}[i%4], Reason: "no_route"})
		m.Finish(&exchange.Record{Endpoint: "token", Method: "POST", Status: 401, OAuthError: "invalid_client"})
	}
	if after := lines(scrape(t, m)); after != before {
		t.Errorf("series grew from %d to %d", before, after)
	}
}

func TestClientLabelIsCapped(t *testing.T) {
	m := newTestMetrics()
	for i := range maxClients + 50 {
		m.Finish(&exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 200, Verdict: exchange.Allow, Client: fmt.Sprintf("c%d", i)})
	}
	text := scrape(t, m)
	if n := strings.Count(text, "gatehouse_client_requests_total{"); n != maxClients+1 {
		t.Errorf("%d client series, want %d", n, maxClients+1)
	}
	if !strings.Contains(text, `gatehouse_client_requests_total{api="orders",client="other"} 50`) {
		t.Error("clients over the cap are not counted as other")
	}
}

func TestSetRoutesForgetsWhatIsGone(t *testing.T) {
	m := newTestMetrics()
	m.Finish(&exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 200, Verdict: exchange.Allow})
	m.SetRoutes([]Route{{API: "orders", Match: "GET /orders", Methods: []string{"GET"}}, {API: "users", Match: "GET /users", Methods: []string{"GET"}}})
	text := scrape(t, m)
	if strings.Contains(text, "POST /orders") {
		t.Error("series of a removed route remain")
	}
	if !strings.Contains(text, `gatehouse_requests_total{api="orders",code="200",method="GET",route="GET /orders"} 1`) {
		t.Error("a kept route lost its count")
	}
	m.SetRoutes([]Route{{API: "users", Match: "GET /users", Methods: []string{"GET"}}})
	if text := scrape(t, m); strings.Contains(text, `"orders"`) {
		t.Error("series of a removed API remain")
	}
}

// Ensure that a request that ends after its route has gone brings no series back.
func TestLateRequestCountsAsUnmatched(t *testing.T) {
	m := newTestMetrics()
	m.SetRoutes([]Route{{API: "users", Match: "GET /users", Methods: []string{"GET"}}})
	before := strings.Count(scrape(t, m), "\n")
	m.Finish(&exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 404, Verdict: exchange.Allow, LimitSource: "memory", Upstream: 1, UpstreamError: "reset"})
	text := scrape(t, m)
	if strings.Contains(text, `"orders"`) || strings.Count(text, "\n") != before {
		t.Error("a request whose route has gone made series")
	}
	if !strings.Contains(text, `gatehouse_requests_total{api="unmatched",code="404",method="GET",route="unmatched"} 1`) {
		t.Error("a request whose route has gone was not counted")
	}
}

// Ensure that an API may be called what the label of our own endpoints is.
func TestAPINamedLikeOurOwn(t *testing.T) {
	m := newTestMetrics()
	m.SetRoutes([]Route{{API: own, Match: "GET /orders", Methods: []string{"GET", "HEAD"}}, Endpoint("token")})
	m.Finish(&exchange.Record{API: own, Route: "GET /orders", Method: "GET", Status: 200, Verdict: exchange.Allow, LimitSource: "memory"})
	if want := `gatehouse_decisions_total{api="gatehouse",decision="allow",reason="ok"} 1`; !strings.Contains(scrape(t, m), want) {
		t.Errorf("want %s", want)
	}
}

// The linter is the one that `promtool check metrics` runs.
func TestLint(t *testing.T) {
	m := newTestMetrics()
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func BenchmarkFinish(b *testing.B) {
	m := newTestMetrics()
	r := &exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 200, Verdict: exchange.Allow, Client: "c", Issuer: "local",
		Hit: exchange.CacheHit, LimitSource: "memory", Upstream: time.Millisecond, Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Finish(r)
	}
}
