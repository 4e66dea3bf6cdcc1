package faults

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// TestRedisClock: Redis's clock steps by an hour, forward or back, and is put right again. A bucket is full once more at most,
// and refuses nobody for long; what is revoked stays so, on a new node too; and every node warns of it, since tokens are issued by
// Redis's clock and judged by its own.
func TestRedisClock(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			server, clock := redistest.StartClock(t)
			f := newFleet(t, server, time.Second)
			h := f.hold(0)
			f.bearers = map[int]string{}
			for client := 1; client <= 6; client++ { // tokens from before the step
				f.bearers[client] = f.token(f.nodes[0], client, "limits")
			}
			later := f.token(f.nodes[1], 7, "lax")
			f.empty(1)
			f.within("before the step", f.load(2, "local", time.Second, f.nodes...), 1)

			clock.Set(step)
			for _, n := range f.nodes {
				f.eventually(n.name+" warns that the clocks differ", func() bool { return strings.Contains(n.log.String(), "clock and redis's differ") })
			}
			f.settle()
			again := f.spent(1)
			t.Logf("after the step a bucket that was empty gave %d of %d", again, slowly)
			if again > slowly {
				t.Errorf("after the step a bucket that was empty gave %d, wanted one burst of %d at most", again, slowly)
			}
			f.within("a new client after the step", f.load(3, "local", time.Second, f.nodes...), 1)
			after := f.load(2, "local", time.Second, f.nodes...)
			t.Logf("a bucket from before the step gave %d", after.admitted())
			if most := 2*burst + rate*after.during.Seconds() + 1; float64(after.admitted()) > most {
				t.Errorf("a bucket from before the step gave %d, wanted %.1f at most", after.admitted(), most)
			}

			f.refuses(f.nodes[1], h.revoked)
			f.passes(f.nodes[1], h.lax)
			f.revokes(f.nodes[1], later, true, nodes)
			f.refusedByAll(later, f.nodes...)
			young := f.add() // neither clock alone has made the fleet forget
			young.start()
			f.settle()
			f.refusedByAll(h.revoked, young)
			f.refusedByAll(later, young)
			f.offTheClock(step)

			clock.Set(0)
			for _, n := range f.nodes {
				f.eventually(n.name+" says that the clocks are in step", func() bool { return strings.Contains(n.log.String(), "in step again") })
			}
			f.settle()
			f.refusedByAll(h.revoked, f.nodes...)
			f.refusedByAll(later, f.nodes...)
			back := f.load(3, "local", time.Second, f.nodes...)
			t.Logf("a bucket from before the clock was put right gave %d", back.admitted())
			if back.admitted() < rate/2 { // it refuses nobody for an hour
				t.Errorf("after the clock was put right a bucket gave %d", back.admitted())
			}
			f.within("a new client after the clock was put right", f.load(4, "local", time.Second, f.nodes...), 1)
			f.issues(9)
		})
	}
}

// offTheClock shows the price of the fleet's going by Redis's clock, as README.md and SECURITY.md have it: tokens are issued, but by a
// clock that the nodes do not judge them by; and a revocation by client ends what was issued before that clock's time.
func (f *fleet) offTheClock(step time.Duration) {
	f.t.Helper()
	reason, ends := "not_yet_valid", 401
	if step < 0 {
		reason, ends = "expired", 200
	}
	before := f.bearers[5]
	for _, n := range f.nodes {
		raw := f.token(n, 8, "lax")
		if status, got := n.call("lax", raw); status != 401 || got != reason {
			f.t.Errorf("%s: a token issued by Redis's clock got %d %q, wanted 401 %q", n.name, status, got, reason)
		}
	}
	var out struct{}
	if status := f.nodes[0].post("/api/v1/revocations", map[string]string{"client": "c5"}, &out); status != 200 {
		f.t.Errorf("revoke by client: %d", status)
	}
	if status, _ := f.nodes[0].call("local", before); status != ends {
		f.t.Errorf("after a revocation of its client a token from before got %d, wanted %d", status, ends)
	}
}
