package faults

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
)

// TestRedisClock: Redis's clock steps by an hour, forward or back, and is put right again. A bucket is full once more at most,
// and refuses nobody for long; tokens are issued and taken, and what is revoked, one by one or by client, stays so, on a new
// node too, since the fleet goes by the median of all clocks; and every node warns of Redis's.
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
			before := f.token(f.nodes[1], 8, "lax") // whose client is revoked after the step, and 9's after the next
			old := f.token(f.nodes[2], 9, "lax")
			f.empty(1)
			f.within("before the step", f.load(2, "local", time.Second, f.nodes...), 1)

			clock.Set(step)
			f.issues(10) // before the nodes know
			f.clockWarned("a clock is wrong")
			f.issues(11)
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
			f.passes(f.nodes[1], old)
			during := f.token(f.nodes[2], 8, "lax")
			f.endsClient(8, before, during)
			anew := f.token(f.nodes[2], 8, "lax")
			f.revokes(f.nodes[1], later, true, nodes)
			f.refusedByAll(later, f.nodes...)
			young := f.add() // neither clock alone has made the fleet forget
			young.start()
			f.settle()
			f.refusedByAll(h.revoked, young)
			f.refusedByAll(later, young)
			f.refusedByAll(during, young)
			f.issues(12)

			clock.Set(0)
			f.issues(13)
			f.clockWarned("a clock is in step again")
			f.settle()
			for _, raw := range []string{h.revoked, later, before, during} {
				f.refusedByAll(raw, f.nodes...)
			}
			for _, n := range f.nodes {
				f.passes(n, anew)
				f.passes(n, old)
			}
			f.endsClient(9, old)
			back := f.load(3, "local", time.Second, f.nodes...)
			t.Logf("a bucket from before the clock was put right gave %d", back.admitted())
			if back.admitted() < rate/2 { // it refuses nobody for an hour
				t.Errorf("after the clock was put right a bucket gave %d", back.admitted())
			}
			f.within("a new client after the clock was put right", f.load(4, "local", time.Second, f.nodes...), 1)
			f.issues(14)
		})
	}
}

// clockWarned waits until every node has said as much of Redis's clock, and checks that none has said it of a node's.
func (f *fleet) clockWarned(says string) {
	f.t.Helper()
	for _, n := range f.nodes {
		f.eventually(n.name+" says of redis: "+says, func() bool {
			for line := range strings.Lines(n.log.String()) {
				if strings.Contains(line, says) && strings.Contains(line, `"whose":"redis"`) {
					return true
				}
			}
			return false
		})
		if text := n.log.String(); strings.Contains(text, `"whose":"node `) || strings.Contains(text, `"whose":"this node"`) {
			f.t.Errorf("%s warns of a node's clock; its log:\n%s", n.name, text)
		}
	}
}

// endsClient revokes by client, and checks that every node then refuses what was issued before, and takes what is issued after.
func (f *fleet) endsClient(client int, before ...string) {
	f.t.Helper()
	var out adminapi.Revoked
	status := f.nodes[0].post("/api/v1/revocations", map[string]string{"client": "c" + strconv.Itoa(client)}, &out)
	f.t.Logf("revoke by client answered %d %+v", status, out)
	if status != 200 {
		f.t.Errorf("revoke by client: %d, wanted 200", status)
	}
	for _, raw := range before {
		f.refusedByAll(raw, f.nodes...)
	}
	f.issues(client)
}
