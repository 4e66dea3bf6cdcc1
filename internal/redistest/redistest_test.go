package redistest

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// write sets the one key that these tests look at.
func write(t *testing.T, c *redis.Client, value string) {
	t.Helper()
	if err := c.Set(t.Context(), "k", value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *Server) string {
	t.Helper()
	v, err := s.Client().Get(t.Context(), "k").Result()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return v
}

func TestServersAreApart(t *testing.T) {
	t.Parallel()
	a, b := Start(t), Start(t)
	if a.Addr() == b.Addr() {
		t.Fatalf("two servers on %s", a.Addr())
	}
	write(t, a.Client(), "a")
	if got := read(t, b); got != "" {
		t.Errorf("the second server has %q, wanted nothing", got)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	always := []string{"--appendonly", "yes", "--appendfsync", "always"}
	tests := []struct {
		name   string
		args   []string
		before func(*Server)
		keep   bool
		want   string
	}{
		{"running, kept", nil, func(*Server) {}, true, "v"},
		{"running, not kept", nil, func(*Server) {}, false, ""},
		{"paused, kept", nil, (*Server).Pause, true, "v"},
		{"stopped with nothing on disk", nil, (*Server).Stop, true, ""},
		{"killed with a log on disk", always, (*Server).Kill, true, "v"},
		{"killed with a log on disk, not kept", always, (*Server).Kill, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, tt.args...)
			addr := s.Addr()
			write(t, s.Client(), "v")
			tt.before(s)
			s.Restart(tt.keep)
			if got := read(t, s); got != tt.want {
				t.Errorf("after the restart k is %q, wanted %q", got, tt.want)
			}
			if s.Addr() != addr {
				t.Errorf("the address went from %s to %s", addr, s.Addr())
			}
		})
	}
}

func TestPauseAnswersNothing(t *testing.T) {
	t.Parallel()
	s := Start(t)
	c := s.Client()
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.WithTimeout(50 * time.Millisecond).Ping(ctx).Err(); err == nil {
		t.Error("a paused server answered")
	}
	s.Resume()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a resumed server: %v", err)
	}
}

func TestStoppedServerIsGone(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Stop()
	s.Stop() // a second time is nothing
	if err := s.Client().Ping(t.Context()).Err(); err == nil {
		t.Error("a stopped server answered")
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	s := Start(t, "--requirepass", "open sesame")
	write(t, s.Client(), "v")
	plain := redis.NewClient(&redis.Options{Addr: s.Addr()})
	defer plain.Close()
	if err := plain.Get(t.Context(), "k").Err(); !redis.IsAuthError(err) {
		t.Errorf("without the password: %v, wanted NOAUTH", err)
	}
}
