package redisx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// incr is a script whose every run shows.
var incr = NewScript(`return redis.call('INCR', KEYS[1])`)

// openCluster opens a cluster by the address of its first node, and waits until every master was written to.
func openCluster(t *testing.T, c *redistest.Cluster) *Client {
	t.Helper()
	out := open(t, Options{Mode: Cluster, Addrs: c.Addrs(), Budget: 5 * time.Second})
	eventually(t, "all three masters take writes", func() bool { s := out.Stats(); return s.Up && len(s.Shards) == 3 })
	return out
}

// keysOf is a key on each of the masters.
func keysOf(c *redistest.Cluster) []string {
	keys := make([]string, 3)
	for i := range keys {
		keys[i] = c.Key("k", c.Servers()[i])
	}
	return keys
}

func run(t *testing.T, c *Client, key string) (int64, error) {
	t.Helper()
	return c.Run(within(t, patience), incr, []string{key}).Int64()
}

func TestClusterSpreadsOverItsMasters(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, redistest.ClusterOptions{})
	// One node that answers is enough to find the others, and dead ones don't matter.
	c := open(t, Options{Mode: Cluster, Addrs: []string{"127.0.0.1:1", servers.Addrs()[2]}, Budget: 5 * time.Second})
	keys := keysOf(servers)
	if n, err := run(t, c, keys[0]); n != 1 || err != nil {
		t.Errorf("a call right after Open gave %d, %v, wanted 1", n, err)
	}
	eventually(t, "all three masters take writes", func() bool { s := c.Stats(); return s.Up && len(s.Shards) == 3 })
	for i, key := range keys {
		if got, want := c.Shard(key), servers.Servers()[i].Addr(); got != want {
			t.Errorf("Shard(%q) = %q, wanted %q", key, got, want)
		}
	}
	calls := make([]Call, 30)
	for i := range calls {
		calls[i].Keys = []string{keys[i%3]}
	}
	for i, r := range c.RunAll(within(t, patience), incr, calls) {
		want := int64(i/3 + 1)
		if i%3 == 0 {
			want++
		}
		if n, err := r.Int64(); n != want || err != nil {
			t.Errorf("call %d of one batch gave %d, %v, wanted %d", i, n, err, want)
		}
	}
	for i, s := range servers.Servers() {
		if n := s.Client().Keys(t.Context(), "gh:{*}:beat").Val(); len(n) != 1 {
			t.Errorf("master %d has the heartbeat keys %q, wanted one", i, n)
		}
	}
	if err := c.Cmd(keys[1]).Set(within(t, patience), keys[1], "v", 0).Err(); err != nil {
		t.Errorf("a command: %v", err)
	}
	if n := c.Stats().Errors; n["other"] != 0 || n["script"] != 0 {
		t.Errorf("errors counted: %v", n)
	}
}

func TestOneDeadMasterHurtsItsSlotsAlone(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*redistest.Server){"killed": (*redistest.Server).Kill, "paused": (*redistest.Server).Pause} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := redistest.StartCluster(t, redistest.ClusterOptions{})
			c := openCluster(t, servers)
			keys, dead := keysOf(servers), servers.Servers()[1]
			fail(dead)
			eventually(t, "the dead master's breaker is open", func() bool {
				c.Run(within(t, 50*time.Millisecond), incr, []string{keys[1]})
				return errors.Is(c.Run(within(t, 50*time.Millisecond), incr, []string{keys[1]}).Err(), ErrOpen)
			})
			// In one batch, and one by one: while the cluster finds out, and after.
			calls := []Call{{Keys: keys[0:1]}, {Keys: keys[1:2]}, {Keys: keys[2:3]}}
			for until := time.Now().Add(4 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
				results := c.RunAll(within(t, patience), incr, calls)
				if err := errors.Join(results[0].Err(), results[2].Err()); err != nil {
					t.Fatalf("a master that lives: %v", err)
				}
				if err := results[1].Err(); err == nil {
					t.Fatal("a dead master answered")
				}
				for _, key := range []string{keys[0], keys[2]} {
					if _, err := run(t, c, key); err != nil {
						t.Fatalf("a master that lives: %v", err)
					}
				}
			}
			eventually(t, "the dead master alone is hurt", func() bool {
				stats, good := c.Stats(), 0
				for _, s := range stats.Shards {
					if hurt := s.Name == dead.Addr(); s.Up != hurt && s.Open == hurt {
						good++
					}
				}
				return good == 3 && !stats.Up && stats.Open
			})
			dead.Resume()
			dead.Restart(true)
			eventually(t, "the master is back", func() bool {
				n, err := run(t, c, keys[1])
				return err == nil && n > 0 && c.Stats().Up && !c.Stats().Open
			})
		})
	}
}

func TestASlotMovesAndNothingIsChargedTwice(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, redistest.ClusterOptions{})
	from, to := servers.Servers()[0], servers.Servers()[1]
	key := servers.Key("k", from)
	tag := "{" + key + "}"
	c := openCluster(t, servers)
	watched := c.Cmd(tag) // reads follow too, whatever they were told before
	counted := map[string]int64{}
	count := func(what, key string) {
		t.Helper()
		n, err := run(t, c, key)
		if counted[key]++; err != nil || n != counted[key] {
			t.Errorf("%s: %q gave %d, %v, wanted %d", what, key, n, err, counted[key])
		}
		if got, err := watched.Get(within(t, patience), key).Int64(); err != nil || got != n {
			t.Errorf("%s: %q reads %d, %v, wanted %d", what, key, got, err, n)
		}
	}
	count("before", tag+"1")
	slot := servers.Slot(key)
	servers.BeginMove(slot, from, to)
	count("moving, still there", tag+"1")
	count("moving, new", tag+"2") // ASK, to a server without the script
	count("moving, new", tag+"3")
	batch := []Call{{Keys: []string{tag + "1"}}, {Keys: []string{tag + "2"}}, {Keys: []string{tag + "4"}}}
	for i, r := range c.RunAll(within(t, patience), incr, batch) {
		k := batch[i].Keys[0]
		if counted[k]++; r.Err() != nil || r.Val() != counted[k] {
			t.Errorf("a batch while the slot moves: %q gave %v, %v, wanted %d", k, r.Val(), r.Err(), counted[k])
		}
	}
	servers.MoveKeys(slot, from, to)
	for _, s := range servers.Servers() {
		s.Client().ScriptFlush(t.Context())
	}
	count("moved, not told", tag+"1")
	servers.EndMove(slot, from, to)
	moved := time.Now()
	count("moved", tag+"1") // MOVED, unless the client knows already
	count("moved", tag+"4")
	eventually(t, "the client knows the new master", func() bool { return c.Shard(tag) == to.Addr() })
	if took := time.Since(moved); took > lookEvery/2 {
		t.Errorf("the client knew the new master after %s, wanted it to ask as soon as it was told MOVED", took)
	}
	count("known", tag+"1")
	if stats := c.Stats(); stats.Open || stats.Errors["other"] != 0 {
		t.Errorf("after a move: %+v", stats)
	}
	eventually(t, "all masters are up", func() bool { return c.Stats().Up })
}

// TestKeysThatMoveApartDoNotOpenTheBreaker has a call whose keys are on two servers for a while.
func TestKeysThatMoveApartDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, redistest.ClusterOptions{})
	from, to := servers.Servers()[0], servers.Servers()[1]
	key := servers.Key("k", from)
	tag := "{" + key + "}"
	c := openCluster(t, servers)
	if _, err := run(t, c, tag+"1"); err != nil {
		t.Fatal(err)
	}
	servers.BeginMove(servers.Slot(key), from, to)
	for range 3 * inARow {
		err := c.Run(within(t, patience), incr, []string{tag + "1", tag + "2"}).Err()
		if Classify(err) != Key || !strings.HasPrefix(err.Error(), "TRYAGAIN") {
			t.Fatalf("keys on two servers: %v of class %v, wanted TRYAGAIN", err, Classify(err))
		}
	}
	if c.Stats().Open {
		t.Error("a breaker is open")
	}
}

func TestAPromotedReplicaIsFollowed(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*redistest.Cluster, *redistest.Server){
		"killed": func(_ *redistest.Cluster, s *redistest.Server) { s.Kill() },
		"paused": func(_ *redistest.Cluster, s *redistest.Server) { s.Pause() },
		"asked":  func(c *redistest.Cluster, s *redistest.Server) { c.Failover(c.Replicas(s)[0]) },
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := redistest.StartCluster(t, redistest.ClusterOptions{Replicas: 1})
			c := openCluster(t, servers)
			old := servers.Servers()[0]
			key := servers.Key("k", old)
			fail(servers, old)
			eventually(t, "the new master has the key", func() bool {
				_, err := c.Run(within(t, 100*time.Millisecond), incr, []string{key}).Int64()
				return err == nil && c.Shard(key) != old.Addr()
			})
			eventually(t, "all masters are up", func() bool { s := c.Stats(); return s.Up && !s.Open && len(s.Shards) == 3 })
			old.Resume()
			if _, err := run(t, c, key); err != nil {
				t.Errorf("after the old master is back: %v", err)
			}
		})
	}
}

func TestScriptsAreLoadedWhereTheyLack(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, redistest.ClusterOptions{})
	c := openCluster(t, servers)
	keys := keysOf(servers)
	for round := range 3 {
		for _, key := range keys {
			if n, err := run(t, c, key); err != nil || n != int64(round+1) {
				t.Errorf("round %d: %d, %v", round, n, err)
			}
		}
		servers.Servers()[round].Client().ScriptFlush(t.Context())
	}
	for i, s := range servers.Servers() {
		// The heartbeat runs no script: all that were loaded, the calls had loaded.
		if there := s.Client().ScriptExists(t.Context(), incr.sha).Val()[0]; there != (i != 2) {
			t.Errorf("server %d has the script: %t", i, there)
		}
	}
}

func TestABlockingReadInAClusterEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, redistest.ClusterOptions{})
	c := openCluster(t, servers)
	key := servers.Key("k", servers.Servers()[1])
	if err := c.Stream(key).BLPop(within(t, patience), 100*time.Millisecond, key).Err(); Classify(err) != None {
		t.Errorf("a read with nothing to read gave %v", err)
	}
	servers.Servers()[1].Pause()
	start := time.Now()
	err := c.Stream(key).BLPop(within(t, 300*time.Millisecond), 200*time.Millisecond, key).Err()
	if took := time.Since(start); Classify(err) != Timeout || took > patience/2 {
		t.Errorf("a paused master gave %v after %s, wanted a timeout", err, took)
	}
}

func TestAClusterThatIsNone(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var log lines
	c := Open(Options{Mode: Cluster, Addrs: []string{s.Addr()}, Prefix: "gh", Log: log.logger()})
	defer c.Close()
	if err := c.Run(within(t, patience), incr, []string{"k"}).Err(); Classify(err) != Conn {
		t.Errorf("Run gave %v of class %v, wanted an error of class conn", err, Classify(err))
	}
	if err := c.Cmd("k").Get(within(t, patience), "k").Err(); Classify(err) != Conn {
		t.Errorf("Cmd gave %v of class %v, wanted an error of class conn", err, Classify(err))
	}
	if s := c.Stats(); s.Up || len(s.Shards) != 0 || c.Shard("k") != "" {
		t.Errorf("Stats() = %+v", s)
	}
	eventually(t, "the log says what to write", func() bool { return log.has("write state.redis.mode: standalone") })
}

func TestAStandaloneServerThatIsPartOfACluster(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, redistest.ClusterOptions{})
	c := open(t, Options{Addrs: servers.Addrs()[:1]})
	eventually(t, "it is warned of", func() bool {
		warnings, err := c.Warnings(within(t, patience))
		return err == nil && strings.Contains(fmt.Sprint(warnings), "write mode: cluster")
	})
	key := servers.Key("k", servers.Servers()[1])
	if err := c.Run(within(t, patience), incr, []string{key}).Err(); err == nil || !strings.HasPrefix(err.Error(), "MOVED") {
		t.Errorf("a key of another server gave %v, wanted MOVED: nothing is guessed", err)
	}
}

func TestRunAllOfNothing(t *testing.T) {
	t.Parallel()
	c := open(t, Options{Addrs: []string{"127.0.0.1:1"}})
	if got := c.RunAll(context.Background(), incr, nil); len(got) != 0 {
		t.Errorf("RunAll of no call gave %v", got)
	}
}
