package redistest

import (
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestSentinel(t *testing.T) {
	t.Parallel()
	secure, _ := TLSArgs(t)
	tests := []struct {
		name string
		o    SentinelOptions
	}{
		{"plain", SentinelOptions{}},
		{"two replicas", SentinelOptions{Name: "another", Replicas: 2}},
		{"password", SentinelOptions{Args: []string{"--requirepass", "open sesame"}}},
		{"TLS", SentinelOptions{Args: secure, SentinelArgs: secure}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := StartSentinel(t, tt.o)
			first := s.Master()
			if first != s.Servers()[0] {
				t.Errorf("the master is %s, wanted the first server, %s", first.Addr(), s.Servers()[0].Addr())
			}
			write(t, first.Client(), "v")
			second := s.Failover()
			await(t, "the new master has the key", func() bool { return ask(second, "GET", "k") == "v" })
			await(t, "the old master is a replica of the new one", func() bool {
				return strings.Contains(ask(first, "INFO", "replication"), "role:slave")
			})
			second.Kill()
			third := s.AwaitFailover(second)
			if third == second || !slices.Contains(s.Servers(), third) {
				t.Errorf("the master after the second failover is %s", third.Addr())
			}
			write(t, third.Client(), "w")
		})
	}
}

// TestAnnounce puts a Proxy before every server, as tests of bad networks do.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	before := map[string]string{}
	announce := func(addr string) string {
		before[addr] = StartProxy(t, addr).Addr()
		return before[addr]
	}
	s := StartSentinel(t, SentinelOptions{Announce: announce})
	for _, one := range append(slices.Clone(s.Servers()), s.Sentinels()...) {
		if one.Announced() != before[one.Addr()] {
			t.Errorf("%s is announced as %s, wanted %s", one.Addr(), one.Announced(), before[one.Addr()])
		}
	}
	write(t, s.Master().Client(), "v")
	s.Failover()

	c := StartCluster(t, ClusterOptions{Replicas: 1, Announce: announce})
	slots := redis.NewClusterSlotsCmd(t.Context(), "cluster", "slots")
	_ = c.Servers()[0].Client().Process(t.Context(), slots)
	parts, err := slots.Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		for _, node := range p.Nodes {
			if !slices.Contains(c.Addrs(), node.Addr) || before[node.Addr] != "" {
				t.Errorf("a node is announced as %s, wanted one of %v", node.Addr, c.Addrs())
			}
		}
	}
	c.Failover(c.Replicas(c.Servers()[0])[0])
}

func TestSentinelPaused(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, SentinelOptions{})
	first := s.Master()
	first.Pause()
	s.AwaitFailover(first)
	first.Resume()
	await(t, "the old master is a replica of the new one", func() bool {
		return strings.Contains(ask(first, "INFO", "replication"), "role:slave")
	})
	one := s.Sentinels()[0]
	one.Restart(true)
	if s.named(one) == nil {
		t.Error("a Sentinel that was restarted no longer knows the master")
	}
}
