package app

import (
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
)

// What alerts compare is there from the first scrape, and counts what was forwarded.
func TestMetricsForAlerts(t *testing.T) {
	s := newSite(t, nil)
	n := s.start()
	if a := n.call("GET", "/orders/1", s.token(n, "reader")); a.status != 200 {
		t.Fatalf("the call gave %d %s", a.status, a.body)
	}
	n.call("GET", "/orders/1", "not a token")
	if status := n.adminCall("POST", "/api/v1/revocations", adminapi.RevokeRequest{Client: "reader"}, nil); status != 200 {
		t.Fatalf("the revocation gave %d", status)
	}
	_, text := n.adminBody("GET", "/metrics")
	for _, want := range []string{
		`gatehouse_decision_duration_seconds_count{api="orders"} 1`,
		`gatehouse_revocation_max_staleness_seconds{api="orders",on_stale="deny"} 600`,
		`gatehouse_revocation_staleness_seconds 0`,
		`gatehouse_revocations_total{kind="client"} 1`,
		`gatehouse_revocations_total{kind="token"} 0`,
		`gatehouse_upstream_errors_total{api="orders",kind="dial"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
}
