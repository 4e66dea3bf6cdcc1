//go:build !race

package metrics

import (
	"testing"
	"time"

	"gatehouse/internal/alloctest"
	"gatehouse/internal/exchange"
)

func TestAllocations(t *testing.T) {
	m := newTestMetrics()
	allowed := &exchange.Record{API: "orders", Route: "GET /orders", Method: "GET", Status: 200, Verdict: exchange.Allow, Client: "c", Issuer: "local",
		Hit: exchange.CacheHit, LimitSource: "memory", Upstream: time.Millisecond, Duration: time.Millisecond}
	denied := *allowed
	denied.Status, denied.Verdict, denied.Reason = 403, exchange.Deny, "insufficient_scope"
	alloctest.Exactly(t, []alloctest.Stage{
		{Name: "allowed", Allocs: 0, Run: func() { m.Finish(allowed) }},
		{Name: "denied", Allocs: 0, Run: func() { m.Finish(&denied) }},
	})
}
