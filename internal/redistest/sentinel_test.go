package redistest

import (
	"slices"
	"strings"
	"testing"
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
