package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// Rows that take a Redis of several servers: Sentinel, and Cluster.

func list(addrs []string) string { return `["` + strings.Join(addrs, `", "`) + `"]` }

// TestSentinelFailover: the master dies, with writes that its replica has not heard of; Sentinels put the replica in its place.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, redistest.SentinelOptions{})
	f := prepare(t, time.Second)
	f.redis = func(*node) string { return "mode: sentinel, master_name: " + s.Name() + ", addrs: " + list(s.Addrs()) }
	f.grow(nodes)
	h := f.hold(0)
	master := s.Master()

	// The replica hangs while the last writes are made, and the master dies before it has them.
	replica := s.Servers()[1]
	if master == replica {
		replica = s.Servers()[0]
	}
	lost := f.token(f.nodes[0], 1, "lax")
	must(t, master.Client().ClientKillByFilter(t.Context(), "TYPE", "replica"))
	must(t, replica.Client().ConfigSet(t.Context(), "masterauth", "wrong"))
	f.revokes(f.nodes[0], lost, true, nodes)
	f.empty(2)
	master.Kill()
	killed := time.Now()
	f.passes(f.nodes[0], h.lax)
	f.refuses(f.nodes[1], h.revoked)
	s.AwaitFailover(master)
	promoted := time.Now()
	f.settle()
	t.Logf("another master after %s, and the fleet was well %s after that (claimed: about 1s)", promoted.Sub(killed), time.Since(promoted))
	if again := f.spent(2); again > slowly {
		t.Errorf("after the failover an empty bucket gave %d, wanted a burst of %d at most", again, slowly)
	}
	f.refusedByAll(lost, f.nodes...)
	f.refusedByAll(h.revoked, f.nodes...)
	young := f.add()
	young.start()
	f.settle()
	f.refusedByAll(lost, young)
	f.issues(3)
	fresh := f.token(young, 4, "lax")
	f.revokes(young, fresh, true, nodes+1)
	f.refusedByAll(fresh, f.nodes...)
}

// TestClusterMasterDown: one master of three is gone. Limits whose buckets it had fall back, the others do not notice; whether
// revocations are heard of depends on whether theirs is the one.
func TestClusterMasterDown(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterOptions{})
	f := prepare(t, 10*budget) // none that a busy machine misses
	f.redis = func(*node) string { return "mode: cluster, addrs: " + list(c.Addrs()) }
	f.grow(nodes)
	h := f.hold(0)
	revocations := c.Master("gh:{rev}:log")
	ring := c.Master("gh:{ring}:keys")
	var down *redistest.Server
	for _, s := range c.Servers() {
		if s != revocations && (down == nil || s != ring) {
			down = s
		}
	}
	if down == ring {
		t.Log("the master that dies has the signing keys")
	}

	by := map[*redistest.Server]int{} // a client for each master, by whose bucket that has
	f.bearers = map[int]string{}
	for client := 1; client < clients-3 && len(by) < 3; client++ {
		f.bearers[client] = f.token(f.nodes[0], client, "limits")
		before := keyed(t, c, "gh:rl:")
		f.nodes[0].call("slow", f.bearers[client])
		for s, n := range keyed(t, c, "gh:rl:") {
			if _, found := by[s]; !found && n > before[s] {
				by[s] = client
			}
		}
	}
	if len(by) < 3 {
		t.Fatalf("clients on %d of 3 masters alone", len(by))
	}
	down.Kill()
	f.eventually("the nodes know that a master is gone", func() bool {
		for _, n := range f.nodes {
			n.call("open", f.bearers[by[down]])
			if n.metric("gatehouse_redis_up") == 1 {
				return false
			}
		}
		return true
	})
	for s, client := range by {
		got := f.load(client, "local", time.Second, f.nodes...)
		what := fmt.Sprintf("a bucket of %s", s.Addr())
		t.Logf("%s: %d admitted by %v (down: %t)", what, got.admitted(), got.sources, s == down)
		f.within(what, got, 1)
		// A few may miss their budget on a machine that is busy.
		if alone := 4*got.decided["local"] > got.status[200]+got.status[429]; alone != (s == down) {
			t.Errorf("%s, whose master is down: %t: decided by %v", what, s == down, got.decided)
		}
	}
	raw := f.token(f.nodes[1], clients-1, "lax")
	f.revokes(f.nodes[1], raw, true, nodes)
	f.refusedByAll(raw, f.nodes...)
	for _, n := range f.nodes {
		if n.staleness() > stale {
			t.Errorf("%s: stale, though the master of the revocations is there", n.name)
		}
	}
	f.issues(clients - 2)
	down.Restart(false)
	c.AwaitOK()
	f.settle()
	f.refusedByAll(h.revoked, f.nodes...)

	// The one that has the revocations.
	revocations.Kill()
	queued := f.token(f.nodes[0], clients-1, "lax")
	f.eventually("a revocation is queued", func() bool { return f.nodes[0].staleness() > stale })
	f.revokes(f.nodes[0], queued, false, nodes)
	f.goesStale(f.nodes[2], h.strict, h.lax, h.revoked)
	for s, client := range by {
		if s == revocations {
			continue
		}
		// A bucket of another master still decides.
		bearer := f.token(f.nodes[0], client, "limits")
		before := len(f.nodes[0].seen.of(fmt.Sprintf("c%d", client), "slow"))
		for range 20 {
			f.nodes[0].call("slow", bearer)
		}
		by := map[string]int{}
		for _, r := range f.nodes[0].seen.of(fmt.Sprintf("c%d", client), "slow")[before:] {
			by[r.source]++
		}
		if by["local"] > 2 {
			t.Errorf("a bucket of another master: decided by %v, wanted Redis", by)
		}
	}
	f.issues(clients - 3)
	revocations.Restart(false)
	c.AwaitOK()
	f.settle()
	f.refusedByAll(queued, f.nodes...)
}

// keyed counts the keys that begin so on each master.
func keyed(t *testing.T, c *redistest.Cluster, prefix string) map[*redistest.Server]int {
	t.Helper()
	out := map[*redistest.Server]int{}
	for _, s := range c.Servers() {
		keys, err := s.Client().Keys(t.Context(), prefix+"*").Result()
		if err != nil {
			t.Fatal(err)
		}
		out[s] = len(keys)
	}
	return out
}

// TestClusterMoves: a slot moves from one master to another while its bucket is charged (ASK, then MOVED). Nobody is charged
// twice, and nothing falls back.
func TestClusterMoves(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterOptions{})
	f := prepare(t, 5*time.Second)
	f.redis = func(*node) string { return "mode: cluster, addrs: " + list(c.Addrs()) }
	f.grow(nodes)
	h := f.hold(0)
	bearer := f.token(f.nodes[0], 1, "limits")
	admitted := 0
	ask := func(times int) {
		for i := range times {
			if status, _ := f.nodes[i%nodes].call("slow", bearer); status == 200 {
				admitted++
			}
		}
	}
	before := keyed(t, c, "gh:rl:")
	ask(3)
	var from, to *redistest.Server
	for s, n := range keyed(t, c, "gh:rl:") {
		if n > before[s] {
			from = s
		} else {
			to = s
		}
	}
	keys, err := from.Client().Keys(t.Context(), "gh:rl:*:*slow*").Result()
	if err != nil || len(keys) == 0 {
		keys, err = from.Client().Keys(t.Context(), "gh:rl:*").Result()
	}
	if err != nil || len(keys) == 0 {
		t.Fatalf("no bucket: %v", err)
	}
	moved := map[int]bool{}
	for _, key := range keys {
		if slot := c.Slot(key); !moved[slot] {
			moved[slot] = true
			c.BeginMove(slot, from, to)
			ask(1)
			c.MoveKeys(slot, from, to) // from here on ASK
			ask(2)
			c.EndMove(slot, from, to) // and MOVED
			ask(2)
		}
	}
	ask(slowly + 2)
	if admitted != slowly {
		t.Errorf("%d admitted while the bucket moved, wanted %d", admitted, slowly)
	}

	rev := c.Slot("gh:{rev}:log") // and the slot of the revocations
	from = c.Master("gh:{rev}:log")
	for _, s := range c.Servers() {
		if s != from {
			to = s
		}
	}
	raw := f.token(f.nodes[0], 2, "lax")
	c.BeginMove(rev, from, to)
	c.EndMove(rev, from, to)
	f.revokes(f.nodes[0], raw, true, nodes)
	f.refusedByAll(raw, f.nodes...)
	f.settle()
	f.refusedByAll(h.revoked, f.nodes...)
	f.issues(3)
}
