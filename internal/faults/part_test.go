package faults

import (
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// Rows in which one node of three has lost its way to Redis.

func TestNodeCutOff(t *testing.T) {
	t.Parallel()
	for name, trim := range map[string]bool{"catches up from its last entry": false, "catches up from all there is": true} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			f := newFleet(t, server, budget)
			h := f.hold(0)
			off := f.nodes[2]
			off.proxy.Refuse()
			off.proxy.Cut()
			f.eventually("the node does without Redis", func() bool {
				off.call("open", f.token(off, 1, "limits"))
				return off.metric("gatehouse_redis_breaker_open") == 1
			})

			alone := f.load(2, "local", time.Second, off)
			f.within("the node that is cut off", alone, 1./nodes)
			f.only("the node that is cut off", alone, "local")
			rest := f.load(3, "local", time.Second, f.nodes[:2]...)
			f.within("the others", rest, 1)
			if rest.decided["redis"] < rest.decided["local"] {
				t.Errorf("the others: decided by %v, wanted Redis", rest.decided)
			}

			missed := f.token(f.nodes[0], 4, "lax")
			f.revokes(f.nodes[0], missed, true, nodes) // the node that is cut off counts for five seconds
			f.passes(off, missed)
			own := f.token(off, 4, "lax")
			f.revokes(off, own, false, nodes)
			f.passes(f.nodes[0], own)
			f.goesStale(off, h.strict, h.lax, h.revoked)
			if status, _ := f.nodes[0].call("strict", h.strict); status != 200 {
				t.Errorf("a node that is not cut off answered %d", status)
			}
			f.issues(5)

			if trim { // what it missed is no longer in the log
				if err := server.Client().XTrimMaxLen(t.Context(), "gh:{rev}:log", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			off.proxy.Heal()
			f.settle()
			f.refusedByAll(missed, f.nodes...)
			f.refusedByAll(own, f.nodes...)
			f.shared(6)
			f.issues(7)
		})
	}
}

func TestHalfOpen(t *testing.T) {
	t.Parallel()
	f := newFleet(t, redistest.Start(t), budget)
	h := f.hold(0)
	n := f.nodes[2]
	raw := f.token(f.nodes[0], 1, "lax")
	n.proxy.SetExisting(redistest.Swallowed) // its connections lead nowhere, new ones are in order
	start := time.Now()
	late := lateness(func() {
		f.revokes(f.nodes[0], raw, true, nodes)
		f.refusedByAll(raw, n)
	})
	f.withinASecond("a revocation reached the node with half-open connections", time.Since(start), late)
	f.settle()
	t.Logf("and it was well in %s", time.Since(start))
	f.shared(2)
	f.issues(3)
	f.refuses(n, h.revoked)

	// The limits' own connections: a call on one that leads nowhere costs the budget and no more.
	n.proxy.SetExisting(redistest.Swallowed)
	f.addsAtMostBudget(n, 4)
	f.settle()
	f.shared(5)
}
