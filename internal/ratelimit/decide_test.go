package ratelimit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const second = int64(time.Second / time.Microsecond)

func TestDecide(t *testing.T) {
	t.Parallel()
	const now = 100 * second
	ten := &Policy{Name: "ten", Requests: 10, Per: time.Second, Burst: 3}      // one each 100 ms
	slow := &Policy{Name: "slow", Requests: 1, Per: time.Hour, Burst: 1}       // one an hour
	thirds := &Policy{Name: "thirds", Requests: 3, Per: time.Second, Burst: 3} // 333 333.3 µs
	tests := []struct {
		name string
		p    *Policy
		tat  int64
		cost int64
		want Decision
		next int64
	}{
		{"new", ten, now, 1, Decision{OK: true, Remaining: 2, Reset: 100 * time.Millisecond}, now + 100_000},
		{"long idle", ten, 0, 1, Decision{OK: true, Remaining: 2, Reset: 100 * time.Millisecond}, now + 100_000},
		{"the whole burst", ten, now, 3, Decision{OK: true, Remaining: 0, Reset: 300 * time.Millisecond}, now + 300_000},
		{"more than the burst", ten, now, 4, Decision{Remaining: 3, RetryAfter: time.Microsecond}, now},
		{"empty", ten, now + 300_000, 1, Decision{RetryAfter: 100 * time.Millisecond, Reset: 300 * time.Millisecond}, now + 300_000},
		{"a microsecond early", ten, now + 200_001, 1, Decision{RetryAfter: time.Microsecond, Reset: 200_001 * time.Microsecond}, now + 200_001},
		{"just in time", ten, now + 200_000, 1, Decision{OK: true, Reset: 300 * time.Millisecond}, now + 300_000},
		{"two of cost, room for one", ten, now + 200_000, 2, Decision{Remaining: 1, RetryAfter: 100 * time.Millisecond, Reset: 200 * time.Millisecond}, now + 200_000},
		{"cost nothing, empty", ten, now + 300_000, 0, Decision{OK: true, Reset: 300 * time.Millisecond}, now + 300_000},
		{"cost nothing, full", ten, 0, 0, Decision{OK: true, Remaining: 3}, now},
		{"negative cost", ten, now, -1, Decision{}, now},
		{"clock set back an hour", ten, now + 3600*second, 1, Decision{RetryAfter: 100 * time.Millisecond, Reset: 300 * time.Millisecond}, now + 300_000},
		{"slow, new", slow, now, 1, Decision{OK: true, Reset: time.Hour}, now + 3600*second},
		{"slow, empty", slow, now + 3600*second, 1, Decision{RetryAfter: time.Hour, Reset: time.Hour}, now + 3600*second},
		{"a rate that does not divide gives its burst", thirds, now, 3, Decision{OK: true, Reset: 1_000_002 * time.Microsecond}, now + 1_000_002},
		{"no policy", &Policy{}, now, 1, Decision{}, now},
		{"no burst", &Policy{Requests: 1, Per: time.Second}, now, 1, Decision{}, now},
		{"no period", &Policy{Requests: 1, Burst: 1}, now, 1, Decision{}, now},
		{"no period, cost nothing", &Policy{Requests: 1, Burst: 1}, now, 0, Decision{}, now},
	}
	for _, tt := range tests {
		tt.want.Policy = tt.p
		got, next := decide(now, tt.tat, tt.p, tt.cost)
		if got != tt.want || next != tt.next {
			t.Errorf("%s: decide = %+v, %d, wanted %+v, %d", tt.name, got, next, tt.want, tt.next)
		}
	}
}

// What a policy admits in a window never exceeds burst + rate × window, and a caller who always asks gets all of the rate.
func TestDecideAdmitsTheRate(t *testing.T) {
	t.Parallel()
	for _, p := range []*Policy{
		{Requests: 100, Per: time.Second, Burst: 10},
		{Requests: 7, Per: 3 * time.Second, Burst: 1},
		{Requests: 1, Per: time.Minute, Burst: 5},
	} {
		var tat, admitted int64
		const window, step = 600 * second, 1000
		for now := int64(0); now < window; now += step {
			d, next := decide(now, tat, p, 1)
			if tat = next; d.OK {
				admitted++
			}
		}
		most := p.Burst + int64(p.Rate()*600)
		if admitted > most || admitted < most*98/100 {
			t.Errorf("%+v admitted %d in 600 s, wanted at most and about %d", *p, admitted, most)
		}
	}
}

func TestDecideWaitsNoLongerThanItSays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		p := somePolicy(r)
		now, cost := r.Int64N(1<<46), r.Int64N(p.Burst+1)
		_, tau := p.shape()
		tat := now - tau/2 + r.Int64N(2*tau+2)
		d, next := decide(now, tat, p, cost)
		if d.OK != (d.RetryAfter == 0) {
			t.Fatalf("decide(%d, %d, %+v, %d) = %+v", now, tat, *p, cost, d)
		}
		if d.OK {
			continue
		}
		later := now + d.RetryAfter.Microseconds()
		if d, _ := decide(later, next, p, cost); !d.OK {
			t.Fatalf("refused after RetryAfter: %+v, cost %d, %+v", *p, cost, d)
		}
		if d, _ := decide(later-1, next, p, cost); d.OK {
			t.Fatalf("let pass before RetryAfter: %+v, cost %d, %+v", *p, cost, d)
		}
	}
}

func somePolicy(r *rand.Rand) *Policy {
	return &Policy{
		Name:     string(rune('a' + r.IntN(3))),
		Requests: 1 + r.Int64N(1<<r.IntN(20)),
		Per:      time.Second + time.Duration(r.Int64N(int64(time.Hour))),
		Burst:    1 + r.Int64N(1<<r.IntN(12)),
	}
}

func TestHugeNumbersAreSafe(t *testing.T) {
	t.Parallel()
	huge := []int64{1, 2, 1e6, 1 << 31, 1 << 53, math.MaxInt64 - 1, math.MaxInt64}
	const now = int64(90e12) // late 2026
	for _, requests := range huge {
		for _, per := range huge {
			for _, burst := range huge {
				for _, cost := range huge {
					p := &Policy{Requests: requests, Per: time.Duration(per), Burst: burst}
					checkBounds(t, now, p, cost)
					share := p.share(3, cost)
					checkBounds(t, now, &share, cost)
				}
			}
		}
	}
}

func checkBounds(t *testing.T, now int64, p *Policy, cost int64) {
	t.Helper()
	for _, tat := range []int64{math.MinInt64, 0, now, now + maxTau, math.MaxInt64} {
		d, next := decide(now, tat, p, cost)
		if !p.valid() {
			if d.OK {
				t.Errorf("%+v admitted", *p)
			}
			continue
		}
		if next < now || next > now+maxTau || next+maxTau > 1<<53 {
			t.Errorf("decide(%d, %d, %+v, %d) leaves %d", now, tat, *p, cost, next)
		}
		if d.Remaining < 0 || d.RetryAfter < 0 || d.Reset < 0 || d.OK && cost > p.Burst {
			t.Errorf("decide(%d, %d, %+v, %d) = %+v", now, tat, *p, cost, d)
		}
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	p := Policy{Name: "p", Requests: 100, Per: time.Second, Burst: 10, OnError: Local}
	for _, tt := range []struct {
		n, cost int64
		per     time.Duration
		burst   int64
	}{
		{1, 1, time.Second, 10},
		{3, 1, 3 * time.Second, 3},
		{3, 5, 3 * time.Second, 5},
		{100, 1, 100 * time.Second, 1},
		{100, 0, 100 * time.Second, 1},
		{3, 11, 3 * time.Second, 10}, // a cost that never passes does not begin to
	} {
		got := p.share(tt.n, tt.cost)
		want := p
		want.Per, want.Burst, want.debt = tt.per, tt.burst, p.Burst
		if got != want {
			t.Errorf("share(%d, %d) = %+v, wanted %+v", tt.n, tt.cost, got, want)
		}
	}
}

func TestSettleIsAllOrNothing(t *testing.T) {
	t.Parallel()
	wide := &Policy{Name: "wide", Requests: 10, Per: time.Second, Burst: 10}
	tight := &Policy{Name: "tight", Requests: 1, Per: time.Second, Burst: 2}
	tats := []int64{0, 0}
	if d := settle(0, tats, []*Policy{wide, tight}, 1); !d.OK || d.Policy != tight || d.Remaining != 1 {
		t.Errorf("first: %+v, wanted tight with 1 remaining", d)
	}
	settle(0, tats, []*Policy{wide, tight}, 1)
	before := [2]int64(tats)
	if d := settle(0, tats, []*Policy{wide, tight}, 1); d.OK || d.Policy != tight {
		t.Errorf("third: %+v, wanted a refusal by tight", d)
	}
	if [2]int64(tats) != before {
		t.Errorf("a refusal changed the buckets from %v to %v", before, tats)
	}
	slow := &Policy{Name: "slow", Requests: 1, Per: time.Hour, Burst: 1}
	if d := settle(0, []int64{2 * second, 3600 * second}, []*Policy{tight, slow}, 1); d.OK || d.Policy != slow {
		t.Errorf("two refuse: %+v, wanted the one that lasts longer, slow", d)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(int64(0), int64(0), int64(1), int64(time.Second), int64(1), int64(1))
	f.Add(int64(90e12), int64(91e12), int64(100), int64(time.Minute), int64(1000), int64(5))
	f.Fuzz(func(t *testing.T, now, tat, requests, per, burst, cost int64) {
		now &= 1<<51 - 1 // until the year 2094
		p := &Policy{Requests: requests, Per: time.Duration(per), Burst: burst}
		d, next := decide(now, tat, p, cost)
		if !p.valid() || cost < 0 {
			if d.OK {
				t.Fatalf("decide(%d, %d, %+v, %d) let pass", now, tat, *p, cost)
			}
			return
		}
		_, tau := p.shape()
		if next < now || next > now+tau || d.Remaining < 0 || d.Remaining > burst || d.Reset < 0 || d.OK == (d.RetryAfter > 0) {
			t.Fatalf("decide(%d, %d, %+v, %d) = %+v, %d", now, tat, *p, cost, d, next)
		}
	})
}
