package faults

import (
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// Rows in which no node hears from Redis: too slow, hung, down. They differ in how a node finds out, and in nothing after.

func TestTooSlow(t *testing.T) {
	t.Parallel()
	f := newFleet(t, redistest.Start(t), budget)
	h := f.hold(0)
	for _, n := range f.nodes {
		n.proxy.Set(redistest.Slow(600 * time.Millisecond)) // 1.2 s there and back
	}
	f.away(h)
	for _, n := range f.nodes {
		n.proxy.Heal()
	}
	f.back(h)
}

// TestSlow: a Redis that takes 200 ms is away to limits, since requests wait for those. Revocations come later by what it takes,
// and no API answers 503 for it.
func TestSlow(t *testing.T) {
	t.Parallel()
	f := newFleet(t, redistest.Start(t), budget)
	h := f.hold(0)
	for _, n := range f.nodes {
		n.proxy.Set(redistest.Slow(100 * time.Millisecond))
	}
	f.waitsAtMostBudget(f.nodes[2], 1)
	f.fellBack(2)
	for i, n := range f.nodes {
		raw := f.token(n, 5, "lax")
		f.revokes(n, raw, true, nodes)
		t.Logf("a revocation at %s reached the others %s after the answer", n.name, f.refusedByAll(raw, f.nodes...))
		f.eventually(n.name+" has a round trip's staleness, with limits that do without Redis", func() bool {
			m := n.metrics()
			status, _ := n.call("strict", h.strict)
			return status == 200 && m["gatehouse_revocation_staleness_seconds"] < stale.Seconds() && m["gatehouse_redis_breaker_open"] == 1
		})
		f.refuses(f.nodes[(i+1)%nodes], h.revoked)
	}
	f.issues(6)
	for _, n := range f.nodes {
		n.proxy.Heal()
	}
	f.back(h)
}

func TestHung(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newFleet(t, server, budget)
	h := f.hold(0)
	server.Pause()
	hung := time.Now()
	f.away(h)
	time.Sleep(time.Until(hung.Add(10 * time.Second))) // the row's own length
	server.Resume()
	late := f.token(f.nodes[1], 10, "lax")
	resumed := time.Now()
	var limits, stream time.Duration
	behind := lateness(func() {
		for _, n := range f.nodes {
			f.eventually(n.name+" decides by Redis again", func() bool { return n.metric("gatehouse_redis_breaker_open") == 0 })
		}
		limits = time.Since(resumed)
		for _, n := range f.nodes {
			f.eventually(n.name+" hears of revocations again", func() bool { return n.staleness() < time.Second })
		}
		stream = time.Since(resumed)
	})
	f.withinASecond("after SIGCONT Redis decides again", limits, behind)
	f.withinASecond("after SIGCONT revocations are heard of again", stream, behind)
	f.revokes(f.nodes[0], late, true, nodes)
	t.Logf("a revocation after SIGCONT reached the others in %s", f.refusedByAll(late, f.nodes...))
	f.back(h)
}

func TestDown(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	f := newFleet(t, server, budget)
	h := f.hold(0)
	server.Kill()
	f.away(h)

	// Durable here: a node that restarts while Redis is away still refuses, and is ready, as it was in sync not long ago.
	while := f.token(f.nodes[1], 10, "lax")
	f.revokes(f.nodes[1], while, false, nodes)
	f.nodes[1].restart()
	f.refuses(f.nodes[1], while)
	f.refuses(f.nodes[1], h.revoked)
	f.passes(f.nodes[2], while)
	f.issues(11)

	server.Restart(true)
	f.back(h)
	t.Logf("what was revoked while Redis was down was shared %s after the fleet was well", f.refusedByAll(while, f.nodes...))
}

// away is what holds in all three rows while Redis is away.
func (f *fleet) away(h held) {
	f.t.Helper()
	f.waitsAtMostBudget(f.nodes[2], 1)
	f.fellBack(2)
	queued := f.token(f.nodes[0], 5, "lax")
	f.revokes(f.nodes[0], queued, false, nodes)
	f.passes(f.nodes[1], queued)
	for _, n := range f.nodes {
		f.goesStale(n, h.strict, h.lax, h.revoked)
	}
	f.issues(6)
	f.queued = queued
}

// back is what holds in all three rows once Redis is there again.
func (f *fleet) back(h held) {
	f.t.Helper()
	f.t.Logf("the fleet was well after %s", f.settle())
	f.shared(7)
	if f.queued != "" {
		f.t.Logf("what was revoked meanwhile was refused by all %s after", f.refusedByAll(f.queued, f.nodes...))
	}
	for _, n := range f.nodes {
		if status, reason := n.call("strict", h.strict); status != 200 {
			f.t.Errorf("%s: no longer stale, but %d %q", n.name, status, reason)
		}
		f.refuses(n, h.revoked)
	}
	f.issues(8)
	fresh := f.token(f.nodes[2], 9, "lax")
	f.revokes(f.nodes[2], fresh, true, nodes)
	f.refusedByAll(fresh, f.nodes...)
}
