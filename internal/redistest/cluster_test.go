package redistest

import (
	"strings"
	"testing"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	secure, _ := TLSArgs(t)
	tests := []struct {
		name string
		o    ClusterOptions
	}{
		{"masters alone", ClusterOptions{}},
		{"replicas", ClusterOptions{Replicas: 1}},
		{"password", ClusterOptions{Replicas: 1, Args: []string{"--requirepass", "open sesame"}}},
		{"TLS", ClusterOptions{Replicas: 1, Args: secure}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := StartCluster(t, tt.o)
			master := c.Master("k")
			write(t, master.Client(), "v")
			if tt.o.Replicas == 0 {
				return
			}
			replica := c.Replicas(master)[0]
			c.Failover(replica)
			if got := c.Master("k"); got != replica {
				t.Errorf("after the failover %s has the slot, wanted %s", got.Addr(), replica.Addr())
			}
			await(t, "the old master is a replica", func() bool { return strings.Contains(ask(master, "INFO", "replication"), "master_link_status:up") })
			replica.Kill()
			await(t, "the killed one is replaced", func() bool { return c.Master("k") == master })
			write(t, master.Client(), "w")
		})
	}
}

func TestClusterMovesASlot(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, ClusterOptions{})
	from := c.Master("k")
	to := c.Servers()[0]
	if to == from {
		to = c.Servers()[1]
	}
	write(t, from.Client(), "v")
	slot := c.Slot("k")
	c.BeginMove(slot, from, to)
	if err := from.Client().Get(t.Context(), "{k}another").Err(); err == nil || !strings.HasPrefix(err.Error(), "ASK ") {
		t.Errorf("a key that is not there: %v, wanted ASK", err)
	}
	c.EndMove(slot, from, to)
	if got := c.Master("k"); got != to {
		t.Errorf("%s has the slot, wanted %s", got.Addr(), to.Addr())
	}
	if got := read(t, to); got != "v" {
		t.Errorf("the key is %q on its new master, wanted v", got)
	}
	if key := c.Key("some-", to); c.Master(key) != to {
		t.Errorf("Key gave %q, which lives on %s, not on %s", key, c.Master(key).Addr(), to.Addr())
	}
	to.Restart(false)
	c.AwaitOK()
	if got := read(t, to); got != "" || c.Master("k") != to {
		t.Errorf("restarted empty, the server has %q and the slot is of %s", got, c.Master("k").Addr())
	}
}
