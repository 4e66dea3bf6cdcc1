package ratelimit

import (
	"math"
	"testing"
	"time"
)

func TestFields(t *testing.T) {
	t.Parallel()
	orders := &Policy{Name: "orders", Requests: 100, Per: time.Minute, Burst: 200}
	route := &Policy{Name: `orders GET /a"b\c/é`, Requests: 20, Per: 1500 * time.Millisecond, Burst: 20}
	huge := &Policy{Name: "huge", Requests: math.MaxInt64, Per: time.Second, Burst: 1}
	tests := []struct {
		name          string
		policies      []*Policy
		d             Decision
		policy, limit string
	}{
		{"none", nil, Decision{OK: true}, "", ""},
		{"refused", []*Policy{orders}, Decision{Policy: orders, Reset: 11001 * time.Millisecond, Source: Redis},
			`"orders";q=100;w=60`, `"orders";r=0;t=12`},
		{"whole seconds stay", []*Policy{orders}, Decision{OK: true, Policy: orders, Remaining: 150, Reset: 12 * time.Second, Source: Memory},
			`"orders";q=100;w=60`, `"orders";r=150;t=12`},
		{"two, one escaped", []*Policy{orders, route}, Decision{OK: true, Policy: route, Remaining: 3, Source: FellLocal},
			`"orders";q=100;w=60, "orders GET /a\"b\\c/%C3%A9";q=20;w=2`, `"orders GET /a\"b\\c/%C3%A9";r=3;t=0`},
		{"let pass uncounted", []*Policy{orders}, Decision{OK: true, Policy: orders, Source: FellOpen}, `"orders";q=100;w=60`, ""},
		{"unavailable", []*Policy{orders}, Decision{Unavailable: true, Policy: orders, Source: FellShut}, `"orders";q=100;w=60`, ""},
		{"larger than the format allows", []*Policy{huge}, Decision{OK: true, Policy: huge, Remaining: 1, Source: Memory},
			`"huge";q=999999999999999;w=1`, `"huge";r=1;t=0`},
	}
	for _, tt := range tests {
		policy, limit := Fields(tt.policies, tt.d)
		if policy != tt.policy || limit != tt.limit {
			t.Errorf("%s: Fields = %s and %s, wanted %s and %s", tt.name, policy, limit, tt.policy, tt.limit)
		}
	}
}

func TestRetryAfterSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int64{
		0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, 90 * time.Second: 90, math.MaxInt64: 9223372037,
	} {
		if got := (Decision{RetryAfter: d}).RetryAfterSeconds(); got != want {
			t.Errorf("RetryAfter %v is %d s, wanted %d", d, got, want)
		}
	}
}

func BenchmarkFields(b *testing.B) {
	p := &Policy{Name: "orders", Requests: 100, Per: time.Minute, Burst: 200}
	policies, d := []*Policy{p}, Decision{OK: true, Policy: p, Remaining: 7, Reset: time.Second, Source: Memory}
	b.ReportAllocs()
	for b.Loop() {
		Fields(policies, d)
	}
}
