package faults

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// Rows in which Redis comes back without some of what it had: emptied, or another server in its place.

func TestBackEmpty(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newFleet(t, server, time.Second) // exact counts: no call may miss its budget
	h := f.hold(0)
	byClient := f.token(f.nodes[0], 1, "lax")
	if status := f.nodes[1].post("/api/v1/revocations", map[string]string{"client": "c1"}, &struct{}{}); status != 200 {
		t.Fatalf("revoke by client: %d", status)
	}
	f.empty(2)
	keys := f.jwks(f.nodes[0])

	server.Restart(false)
	t.Logf("the fleet was well after %s", f.settle())
	// One burst more, from a limit that gives one an hour, and not one request more than that.
	f.spend(2, slowly)
	for _, raw := range []string{h.revoked, byClient} {
		f.refusedByAll(raw, f.nodes...)
	}
	// A node that has nothing of its own gets all of it: what was revoked, and the keys that there were. One that comes within the
	// quarter of a second between two looks at the ring finds none, and makes a key, which then stands behind the fleet's.
	f.eventually("the ring was offered again", func() bool {
		n, err := server.Client().Exists(t.Context(), "gh:{ring}:keys").Result()
		return err == nil && n == 1
	})
	young := f.add()
	young.start()
	f.settle()
	f.refusedByAll(h.revoked, young)
	f.refusedByAll(byClient, young)
	f.passes(young, h.lax)
	f.issues(3)
	if got := f.jwks(young); !slices.Equal(got, keys) {
		t.Errorf("the new node publishes %v, the fleet had %v", got, keys)
	}
	f.revokes(young, h.lax, true, nodes+1)
	f.refusedByAll(h.lax, f.nodes...)
}

// empty takes all that the slow limit gives a client, and is never refused: nodes remember refusals.
func (f *fleet) empty(client int) {
	f.t.Helper()
	if admitted := f.slow(client, slowly); admitted != slowly {
		f.t.Errorf("a limit that gives %d at once admitted %d", slowly, admitted)
	}
}

// spend takes all that the slow limit gives a client, asking every node, and checks that it gave as much as wanted.
func (f *fleet) spend(client, want int) {
	f.t.Helper()
	if admitted := f.spent(client); admitted != want {
		f.t.Errorf("a limit that gives %d at once, and one an hour, admitted %d", want, admitted)
	}
}

func (f *fleet) spent(client int) (admitted int) { return f.slow(client, 2*slowly+2) }

// slow sends so many requests to the slow limit, to each node in turn, and returns how many passed.
func (f *fleet) slow(client, requests int) (admitted int) {
	f.t.Helper()
	bearer := f.bearer(f.nodes[0], client)
	for i := range requests {
		status, _ := f.nodes[i%len(f.nodes)].call("slow", bearer)
		if status == 200 {
			admitted++
		}
	}
	return admitted
}

// replicated are a master, its replica, and the network between them.
type replicated struct {
	master, replica *redistest.Server
	between         *redistest.Proxy
}

// replicate starts both, and waits until the replica has what the master has.
func replicate(t *testing.T, f func(string, func() bool)) replicated {
	t.Helper()
	quick := []string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}
	r := replicated{master: redistest.Start(t, quick...)}
	r.between = redistest.StartProxy(t, r.master.Addr())
	host, port, _ := net.SplitHostPort(r.between.Addr())
	r.replica = redistest.Start(t, append(quick, "--replicaof", host+" "+port)...)
	f("the replica follows", func() bool { return strings.Contains(r.info(t, r.replica), "master_link_status:up") })
	return r
}

func (r replicated) info(t *testing.T, s *redistest.Server) string {
	t.Helper()
	text, err := s.Client().Info(t.Context(), "replication").Result()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// caughtUp reports whether the replica has all that the master has.
func (r replicated) caughtUp(t *testing.T) bool {
	t.Helper()
	offset := func(s *redistest.Server, name string) string {
		_, rest, _ := strings.Cut(r.info(t, s), name+":")
		at, _, _ := strings.Cut(rest, "\r\n")
		return at
	}
	return offset(r.master, "master_repl_offset") == offset(r.replica, "slave_repl_offset")
}

// promote makes the replica a master of its own.
func (r replicated) promote(t *testing.T) {
	t.Helper()
	if err := r.replica.Client().ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T) func(string, func() bool) {
	return func(what string, holds func() bool) {
		t.Helper()
		f := fleet{t: t}
		f.eventually(what, holds)
	}
}

func TestFailoverThatLostWrites(t *testing.T) {
	t.Parallel()
	r := replicate(t, await(t))
	f := newFleet(t, r.master, time.Second)
	h := f.hold(0)
	await(t)("the replica has it all", func() bool { return r.caughtUp(t) })

	r.between.Set(redistest.Swallowed) // from here on the replica hears of nothing
	lost := f.token(f.nodes[0], 1, "lax")
	f.revokes(f.nodes[0], lost, true, nodes)
	f.refusedByAll(lost, f.nodes...)
	var rotated []struct {
		New string `json:"new_kid"`
	}
	if status := f.nodes[1].post("/api/v1/keys/rotate", map[string]string{}, &rotated); status != 200 {
		t.Fatalf("rotate: %d", status)
	}
	keys := f.jwks(f.nodes[1])
	f.empty(2)
	r.master.Kill()
	r.promote(t)
	for _, n := range f.nodes {
		n.proxy.Retarget(r.replica.Addr())
	}
	f.settle()

	// The lost window once: what was spent in it can be spent again, and no more.
	f.spend(2, slowly)
	// None missing: a node that knows nothing gets from the new master what the old one alone had.
	young := f.add()
	young.proxy.Retarget(r.replica.Addr())
	young.start()
	f.settle()
	f.refusedByAll(lost, f.nodes...)
	f.refusedByAll(h.revoked, f.nodes...)
	f.issues(3)
	if got := f.jwks(young); !slices.Equal(got, keys) {
		t.Errorf("after the failover the new node publishes the keys %v, wanted %v", got, keys)
	}
}

func TestTwoMasters(t *testing.T) {
	t.Parallel()
	r := replicate(t, await(t))
	f := newFleet(t, r.master, budget)
	h := f.hold(0)
	await(t)("the replica has it all", func() bool { return r.caughtUp(t) })
	old, young := f.nodes[:2], f.nodes[2:]

	// The network splits: two nodes keep the old master, one has what was the replica.
	r.between.Set(redistest.Swallowed)
	r.promote(t)
	young[0].proxy.Retarget(r.replica.Addr())
	young[0].proxy.Cut()
	// Each half thinks itself the fleet after a while; what a node does without Redis would be shared by those it hears of.
	f.eventually("each half knows its size", func() bool { return old[0].well(2) && old[1].well(2) && young[0].well(1) })

	half := f.load(1, "local", time.Second, old...)
	f.within("limits of the old half", half, 1)
	other := f.load(1, "local", time.Second, young...)
	f.within("limits of the young half", other, 1) // a full one, too
	here, there := f.token(old[0], 2, "lax"), f.token(young[0], 2, "lax")
	f.revokes(old[0], here, true, 2)
	f.revokes(young[0], there, true, 1)
	f.passes(young[0], here)
	f.issues(3) // tokens of either half pass on the other

	// Writes to the old master stop, reads go on: what it is asked for looks healthy, and is stale all the same.
	if err := r.master.Client().ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range old {
		f.goesStale(n, h.strict, h.lax, h.revoked)
		if n.metric(`gatehouse_redis_errors_total{kind="readonly"}`) < 1 {
			t.Errorf("%s: no error of kind readonly counted", n.name)
		}
	}
	share := f.load(4, "local", time.Second, old...)
	f.within("limits of the old half without writes", share, 1) // a half of two, each with half
	f.only("limits of the old half without writes", share, "local")

	// The split is over: the old half is given the new master, and what either half revoked holds everywhere.
	for _, n := range old {
		n.proxy.Retarget(r.replica.Addr())
		n.proxy.Cut()
	}
	r.master.Kill()
	f.settle()
	f.refusedByAll(here, f.nodes...)
	f.refusedByAll(there, f.nodes...)
	f.shared(5)
	f.issues(6)
}
