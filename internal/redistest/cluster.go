package redistest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

const (
	masters = 3
	slots   = 16384
)

// ClusterOptions say how StartCluster's servers are run. The zero value is three masters without replicas or passwords.
type ClusterOptions struct {
	// Replicas is how many each master has.
	Replicas int
	// Args are for every server, in addition to those that make a cluster of them. --requirepass is told to all who need the
	// password.
	Args []string
	// Announce says under which address (an IP address and a port) a server makes itself known to clients, given the one that it
	// listens on. It is asked once for each address tried, of which a few may be taken. Nil: the same. The servers talk to one
	// another past it, on the cluster bus; replicas do not.
	Announce func(addr string) string
}

// Cluster is a Redis Cluster of three masters that share the slots. Slots without a master leave the others usable
// (cluster-require-full-coverage no), and a master that is silent for two seconds is replaced by its replica, where it has
// one. Its methods are for the test's goroutine, as a Server's are.
type Cluster struct {
	t       testing.TB
	servers []*Server
	ids     map[*Server]string
}

// StartCluster returns once every server sees every slot served and every replica has caught up.
func StartCluster(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	args := []string{"--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0",
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}
	if password := (&Server{args: o.Args}).arg("--requirepass"); password != "" {
		args = append(args, "--masterauth", password)
	}
	args = append(args, o.Args...)
	c := &Cluster{t: t, ids: map[*Server]string{}}
	for i := range masters * (1 + o.Replicas) {
		s := launch(t, clustered, args, o.Announce)
		c.servers = append(c.servers, s)
		c.ids[s] = c.must(s, "CLUSTER", "MYID")
		c.must(s, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for i, s := range c.servers[:masters] {
		c.must(s, "CLUSTER", "ADDSLOTSRANGE", i*slots/masters, (i+1)*slots/masters-1)
	}
	c.join()
	for i, s := range c.servers[masters:] {
		c.must(s, "CLUSTER", "REPLICATE", c.ids[c.servers[i%masters]])
	}
	for i, s := range c.servers[masters:] {
		awaitReplica(t, c.servers[i%masters], s)
	}
	for _, s := range c.servers {
		await(t, "every server knows every replica", func() bool { return strings.Count(ask(s, "CLUSTER", "NODES"), "slave ") == masters*o.Replicas })
	}
	c.AwaitOK()
	return c
}

// join has the first server meet every other, and waits until all know all.
func (c *Cluster) join() {
	c.t.Helper()
	for _, s := range c.servers[1:] {
		host, port, _ := net.SplitHostPort(s.Addr())
		c.must(c.servers[0], "CLUSTER", "MEET", host, port, s.bus)
	}
	for _, s := range c.servers {
		await(c.t, "every server knows every other", func() bool {
			nodes := ask(s, "CLUSTER", "NODES")
			return strings.Count(nodes, "\n") == len(c.servers) && !strings.Contains(nodes, "handshake")
		})
	}
}

// AwaitOK waits until every running server that answers sees every slot served, and as the others do.
func (c *Cluster) AwaitOK() {
	c.t.Helper()
	for _, s := range c.answering() {
		await(c.t, "every slot is served", func() bool {
			info := ask(s, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d\r\n", slots)) &&
				strings.Contains(info, fmt.Sprintf("cluster_size:%d\r\n", masters))
		})
	}
}

// Servers are all servers, first those that were the masters at the start.
func (c *Cluster) Servers() []*Server { return c.servers }

// Addrs are the addresses under which the servers are known, for a client's configuration.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.servers))
	for i, s := range c.servers {
		addrs[i] = s.announced
	}
	return addrs
}

// Slot is the slot of a key.
func (c *Cluster) Slot(key string) int {
	c.t.Helper()
	n, err := strconv.Atoi(c.must(c.answering()[0], "CLUSTER", "KEYSLOT", key))
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// answering are the servers that are neither ended nor paused; the test fails where none is left.
func (c *Cluster) answering() []*Server {
	c.t.Helper()
	var some []*Server
	for _, s := range c.servers {
		if s.answers() {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		c.t.Fatal("no server of the cluster answers")
	}
	return some
}

// Master is the server that says of itself that it is the master of a key's slot; it waits until one does.
func (c *Cluster) Master(key string) *Server {
	c.t.Helper()
	slot := c.Slot(key)
	var master *Server
	await(c.t, "slot "+strconv.Itoa(slot)+" has a master", func() bool {
		for _, s := range c.answering() {
			if owns(ask(s, "CLUSTER", "NODES"), slot) {
				master = s
				return true
			}
		}
		return false
	})
	return master
}

// Key returns a key that begins with the prefix and lives on the server, a master.
func (c *Cluster) Key(prefix string, on *Server) string {
	c.t.Helper()
	nodes := c.must(on, "CLUSTER", "NODES")
	for i := range slots {
		if key := prefix + strconv.Itoa(i); owns(nodes, c.Slot(key)) {
			return key
		}
	}
	c.t.Fatalf("redis-server on %s is the master of no slot", on.Addr())
	return ""
}

// Replicas are the servers that replicate the master, as it sees them.
func (c *Cluster) Replicas(of *Server) []*Server {
	c.t.Helper()
	var replicas []*Server
	for line := range strings.Lines(c.must(of, "CLUSTER", "NODES")) {
		fields := strings.Fields(line)
		for _, s := range c.servers {
			if len(fields) > 3 && fields[0] == c.ids[s] && fields[3] == c.ids[of] {
				replicas = append(replicas, s)
			}
		}
	}
	return replicas
}

// Failover makes a replica the master in place of its master, whether that runs or not, and waits until all see it so.
func (c *Cluster) Failover(replica *Server) {
	c.t.Helper()
	how := []any{"CLUSTER", "FAILOVER", "TAKEOVER"} // without asking the others
	if strings.Contains(ask(replica, "INFO", "replication"), "master_link_status:up") {
		how = how[:2] // without losing a write
	}
	c.must(replica, how...)
	await(c.t, "the replica is a master", func() bool { return strings.Contains(ask(replica, "INFO", "replication"), "role:master") })
	for _, s := range c.answering() {
		await(c.t, "the others see the new master", func() bool { return isMaster(ask(s, "CLUSTER", "NODES"), c.ids[replica]) })
	}
}

// BeginMove begins to move a slot: keys that its master does not have are asked of the other server (ASK), and the keys that
// it has stay where they are until EndMove.
func (c *Cluster) BeginMove(slot int, from, to *Server) {
	c.t.Helper()
	c.must(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", c.ids[from])
	c.must(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", c.ids[to])
}

// MoveKeys moves those keys of the slot that from has to the other server.
func (c *Cluster) MoveKeys(slot int, from, to *Server) {
	c.t.Helper()
	keys, err := from.Client().ClusterGetKeysInSlot(c.t.Context(), slot, slots).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, key := range keys {
		command := []any{"MIGRATE", "127.0.0.1", to.port, key, 0, startTimeout.Milliseconds()}
		if password := to.arg("--requirepass"); password != "" {
			command = append(command, "AUTH", password)
		}
		c.must(from, command...)
	}
}

// EndMove moves what is left of the slot, and tells every server who its master is.
func (c *Cluster) EndMove(slot int, from, to *Server) {
	c.t.Helper()
	c.MoveKeys(slot, from, to)
	c.must(to, "CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
	c.must(from, "CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
	c.AwaitOK()
}

// must is the server's answer as text.
func (c *Cluster) must(s *Server, command ...any) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	client := s.client()
	defer client.Close()
	answer, err := client.WithTimeout(startTimeout).Do(ctx, command...).Result()
	if err != nil {
		c.t.Fatalf("redis-server on %s: %v: %v", s.Addr(), command, err)
	}
	return fmt.Sprint(answer)
}

// owns reports whether the server that gave this list of nodes is the master of the slot.
func owns(nodes string, slot int) bool {
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.Contains(fields[2], "myself") || !strings.Contains(fields[2], "master") {
			continue
		}
		for _, part := range fields[8:] {
			first, last, ranged := strings.Cut(part, "-")
			if !ranged {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err1 == nil && err2 == nil && from <= slot && slot <= to {
				return true
			}
		}
	}
	return false
}

func isMaster(nodes, id string) bool {
	for line := range strings.Lines(nodes) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == id {
			return strings.Contains(fields[2], "master")
		}
	}
	return false
}
