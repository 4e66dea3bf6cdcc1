package ratelimit

import (
	"context"
	"slices"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

func TestBucketOverTime(t *testing.T) {
	t.Parallel()
	p := &Policy{Name: "p", Requests: 10, Per: time.Hour, Burst: 3, OnError: Closed}
	const interval = 6 * time.Minute
	rows := []struct {
		advance   time.Duration
		cost      int64
		ok        bool
		remaining int64
		retry     time.Duration
	}{
		{0, 1, true, 2, 0},
		{0, 2, true, 0, 0},
		{0, 1, false, 0, interval},
		{0, 0, true, 0, 0},
		{interval - time.Microsecond, 1, false, 0, time.Microsecond},
		{time.Microsecond, 1, true, 0, 0},
		{2 * interval, 3, false, 2, interval},
		{0, 2, true, 0, 0},
		{100 * time.Hour, 4, false, 3, time.Microsecond},
		{0, 3, true, 0, 0},
		{-time.Hour, 1, false, 0, interval}, // set back: nobody is locked out for an hour
		{interval, 1, true, 0, 0},
		{time.Hour, 1, true, 2, 0},
	}
	onEach(t, func(t *testing.T, r *rig) {
		for i, row := range rows {
			r.advance(row.advance)
			d := r.take("a", row.cost, p)
			if d.OK != row.ok || d.Remaining != row.remaining || d.RetryAfter != row.retry || d.Policy != p {
				t.Fatalf("row %d: %+v, wanted %+v", i, d, row)
			}
			if !slices.Contains(r.sources, d.Source) {
				t.Fatalf("row %d: source %q, wanted one of %v", i, d.Source, r.sources)
			}
		}
		if d := r.take("b", 3, p); !d.OK {
			t.Errorf("another subject: %+v, wanted a bucket of its own", d)
		}
	})
}

func TestConcurrentCallersGetTheBurst(t *testing.T) {
	t.Parallel()
	const burst, callers, each = 100, 50, 10
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: burst, OnError: Closed}
	onEach(t, func(t *testing.T, r *rig) {
		admitted, unavailable := storm(callers, each, func(int) Decision { return r.take("a", 1, p) })
		exactly(t, burst, admitted, unavailable)
	})
}

func TestTwoNodesShareOneCount(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	nodes := []*Limiter{New(Options{Redis: dial(t, s)}), New(Options{Redis: dial(t, s)})}
	const burst = 200
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: burst, OnError: Closed}
	charges := []Charge{{Subject: Subject{ByClient, "local", "a"}, Policies: []*Policy{p}}}
	admitted, unavailable := storm(10, 50, func(caller int) Decision {
		return nodes[caller%2].Check(context.Background(), charges, 1)
	})
	exactly(t, burst, admitted, unavailable)
}

func TestAllPoliciesOfASubjectOrNone(t *testing.T) {
	t.Parallel()
	wide := &Policy{Name: "wide", Requests: 10, Per: time.Hour, Burst: 10, OnError: Closed}
	tight := &Policy{Name: "tight", Requests: 1, Per: time.Hour, Burst: 2, OnError: Closed}
	onEach(t, func(t *testing.T, r *rig) {
		for i := range 5 {
			d := r.take("a", 1, wide, tight)
			if d.OK != (i < 2) || d.Policy != tight {
				t.Errorf("request %d: %+v, wanted tight to decide and to let two pass", i, d)
			}
		}
		if d := r.take("a", 0, wide); d.Remaining != 8 {
			t.Errorf("wide has %d left, wanted 8: refusals charge nothing", d.Remaining)
		}
	})
}

func TestChargesInOrderWithoutRefund(t *testing.T) {
	t.Parallel()
	ip := &Policy{Name: "ip", Requests: 10, Per: time.Hour, Burst: 10, OnError: Closed}
	route := &Policy{Name: "route", Requests: 10, Per: time.Hour, Burst: 2, OnError: Closed}
	client := &Policy{Name: "client", Requests: 10, Per: time.Hour, Burst: 5, OnError: Closed}
	onEach(t, func(t *testing.T, r *rig) {
		charges := []Charge{
			{Subject: Subject{ByIP, "", "192.0.2.1"}, Policies: []*Policy{ip}},
			{Subject: Subject{ByRoute, "", "orders GET /orders"}, Policies: []*Policy{route}},
			{Subject: Subject{ByClient, "local", "a"}, Policies: nil},
			{Subject: Subject{ByClient, "local", "a"}, Policies: []*Policy{client}},
		}
		for range 3 {
			r.charge(1, charges...)
		}
		if d := r.charge(1, charges...); d.OK || d.Policy != route {
			t.Errorf("%+v, wanted a refusal by route", d)
		}
		for i, want := range []int64{0: 6, 1: 0, 3: 3} {
			if i == 2 {
				continue
			}
			if d := r.charge(0, charges[i:i+1]...); d.Remaining != want {
				t.Errorf("%s has %d left, wanted %d", d.Policy.Name, d.Remaining, want)
			}
		}
		if d := r.charge(1, charges[0], charges[3]); !d.OK || d.Policy != client {
			t.Errorf("%+v, wanted the tightest of the passes, client with 2 of 5 and not ip with 5 of 10", d)
		}
	})
}

func TestWhatAppliesToNobody(t *testing.T) {
	t.Parallel()
	good := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 1, OnError: Open}
	onEach(t, func(t *testing.T, r *rig) {
		if d := r.charge(1); d != (Decision{OK: true}) {
			t.Errorf("no charges: %+v, wanted a pass that rests on nothing", d)
		}
		if d := r.take("a", 1, &Policy{Name: "empty", OnError: Open}); d.OK {
			t.Errorf("the zero policy: %+v, wanted a refusal", d)
		}
		if d := r.take("a", -1, good); d.OK {
			t.Errorf("a negative cost: %+v, wanted a refusal", d)
		}
	})
}

func TestBucketsOutliveReloads(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		policy := func(burst int64) *Policy {
			return &Policy{Name: "p", Requests: 10, Per: time.Hour, Burst: burst, OnError: Closed}
		}
		if d := r.take("a", 8, policy(10)); d.Remaining != 2 {
			t.Fatalf("%+v, wanted 2 remaining", d)
		}
		if d := r.take("a", 0, policy(10)); d.Remaining != 2 {
			t.Errorf("an equal policy has %d left, wanted 2", d.Remaining)
		}
		if d := r.take("a", 1, policy(4)); d.OK || d.RetryAfter != 6*time.Minute {
			t.Errorf("a lowered burst: %+v, wanted a refusal for one interval", d)
		}
		if d := r.take("a", 0, policy(10)); d.Remaining != 6 {
			t.Errorf("after the burst was lowered and raised, %d left, wanted 6", d.Remaining)
		}
	})
}
