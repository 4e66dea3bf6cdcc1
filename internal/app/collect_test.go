package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
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

// How long Redis takes is counted, and not the reads that wait for what is to come.
func TestMetricsOfRedis(t *testing.T) {
	s := newSite(t, redistest.Start(t))
	s.limit = "{requests: 100, per: 1h}"
	s.write()
	n := s.start()
	if a := n.call("GET", "/orders/1", s.token(n, "reader")); a.status != 200 {
		t.Fatalf("the call gave %d %s", a.status, a.body)
	}
	_, text := n.adminBody("GET", "/metrics")
	for _, op := range []string{"request", "background"} {
		var count, all int
		var sum float64
		for line := range strings.Lines(text) {
			fmt.Sscanf(line, `gatehouse_redis_command_duration_seconds_count{op="`+op+`"} %d`, &count)
			fmt.Sscanf(line, `gatehouse_redis_command_duration_seconds_sum{op="`+op+`"} %g`, &sum)
			fmt.Sscanf(line, `gatehouse_redis_command_duration_seconds_bucket{op="`+op+`",le="+Inf"} %d`, &all)
		}
		if count < 1 || all != count || sum <= 0 || sum > float64(count)*.5 {
			t.Errorf("%s: %d round trips, %d in all buckets, %g s together", op, count, all, sum)
		}
	}
}

// What in Redis has no effect is counted, by why.
func TestMetricsOfIgnoredRevocations(t *testing.T) {
	redis := redistest.Start(t)
	far := time.Now().Add(time.Hour).Unix()
	err := redis.Client().HSet(t.Context(), "gh:{rev}:rule", "client 5:localreader", fmt.Sprintf("%d %d", far, far+90000), "nonsense", "1 2", "more", "").Err()
	if err != nil {
		t.Fatal(err)
	}
	n := newSite(t, redis).start()
	_, text := n.adminBody("GET", "/metrics")
	for _, want := range []string{`{reason="future"} 1`, `{reason="unreadable"} 2`} {
		if !strings.Contains(text, "gatehouse_revocation_entries_ignored_total"+want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
}
