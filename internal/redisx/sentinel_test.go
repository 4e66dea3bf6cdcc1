package redisx

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/secret"
)

func watched(s *redistest.Sentinel) Options {
	return Options{Mode: Sentinel, Addrs: s.Addrs(), MasterName: s.Name(), Budget: 5 * time.Second}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*redistest.Sentinel, *redistest.Server){
		"killed": func(_ *redistest.Sentinel, s *redistest.Server) { s.Kill() },
		"paused": func(_ *redistest.Sentinel, s *redistest.Server) { s.Pause() },
		"asked":  func(s *redistest.Sentinel, _ *redistest.Server) { s.Failover() },
		"asked, and one Sentinel killed": func(s *redistest.Sentinel, _ *redistest.Server) {
			s.Sentinels()[0].Kill()
			s.Failover()
		},
		"asked, and one Sentinel paused": func(s *redistest.Sentinel, _ *redistest.Server) {
			s.Sentinels()[0].Pause()
			s.Failover()
		},
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := redistest.StartSentinel(t, redistest.SentinelOptions{})
			var log lines
			o := watched(servers)
			o.Log = log.logger()
			c := open(t, o)
			if n, err := run(t, c, "n"); n != 1 || err != nil {
				t.Errorf("a call right after Open gave %d, %v, wanted 1", n, err)
			}
			eventually(t, "the master takes writes", func() bool { return c.Stats().Up })
			before := clientID(t, c)
			old := servers.Master()
			fail(servers, old)
			master := servers.AwaitFailover(old)
			eventually(t, "the new master takes writes", func() bool {
				return c.Run(within(t, 100*time.Millisecond), write, []string{"after"}).Err() == nil &&
					master.Client().Exists(t.Context(), "after").Val() == 1
			})
			eventually(t, "all is well", func() bool { s := c.Stats(); return s.Up && !s.Open })
			eventually(t, "the log tells of the new master", func() bool { return log.has("another server is the redis master") })
			old.Resume()
			for range 20 { // also while the old master learns that it is none
				eventually(t, "writes go on after the old master is back", func() bool {
					return c.Run(within(t, patience), write, []string{"more"}).Err() == nil
				})
			}
			if after := clientID(t, c); after == before && master == old {
				t.Error("the old master is still the one")
			}
		})
	}
}

// TestABlockingReadMovesToTheNewMaster has a reader that waits at the old master, as the feed of revocations does.
func TestABlockingReadMovesToTheNewMaster(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, redistest.SentinelOptions{})
	c := open(t, watched(servers))
	eventually(t, "the master takes writes", func() bool { return c.Stats().Up })
	old := servers.Master()
	old.Pause()
	master := servers.AwaitFailover(old)
	master.Client().RPush(t.Context(), "list", "v")
	eventually(t, "what was written to the new master is read", func() bool {
		got, err := c.Stream("list").BLPop(within(t, 700*time.Millisecond), 500*time.Millisecond, "list").Result()
		return err == nil && slices.Equal(got, []string{"list", "v"})
	})
}

func TestSentinelsAllDown(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, redistest.SentinelOptions{})
	var log lines
	o := watched(servers)
	o.Log = log.logger()
	c := open(t, o)
	eventually(t, "the master takes writes", func() bool { return c.Stats().Up })
	for _, s := range servers.Sentinels() {
		s.Kill()
	}
	eventually(t, "the log says so", func() bool { return log.has("no sentinel names the redis master") })
	if _, err := run(t, c, "n"); err != nil {
		t.Errorf("the master is as well as before: %v", err)
	}
	servers.Sentinels()[1].Restart(true)
	eventually(t, "the log says that one is back", func() bool { return log.has("a sentinel names the redis master again") })
}

func TestTheLatestElectionCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		words []word
		want  string
	}{
		{"one", []word{{addr: "a", epoch: 0}}, "a"},
		{"the later election", []word{{addr: "a", epoch: 3}, {addr: "b", epoch: 4}, {addr: "a", epoch: 3}}, "b"},
		{"errors count for nothing", []word{{err: errUnknown}, {addr: "a", epoch: 3}, {err: errUnknown}}, "a"},
		{"nobody knows", []word{{err: errUnknown}, {err: errUnknown}}, ""},
	} {
		got, err := choose(tt.words)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v, wanted %q", tt.name, got, err, tt.want)
		}
	}
}

func TestSentinelMistakes(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, redistest.SentinelOptions{SentinelArgs: []string{"--requirepass", "open sesame"}})
	standalone := redistest.Start(t)
	tests := []struct {
		name  string
		wrong func(*Options)
		class Class
		says  string
	}{
		{"name", func(o *Options) { o.MasterName = "mymaster" }, Conn, `knows no master named "mymaster": set state.redis.master_name`},
		{"password", func(o *Options) { o.SentinelPassword = secret.Hide("guess") }, Auth, "WRONGPASS"},
		{"no password", func(o *Options) { o.SentinelPassword = secret.Text{} }, Auth, "NOAUTH"},
		{"no sentinel", func(o *Options) { o.Addrs = []string{standalone.Addr()}; o.SentinelPassword = secret.Text{} }, Other, "unknown command"},
		{"nobody there", func(o *Options) { o.Addrs = []string{"127.0.0.1:1"} }, Conn, "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log lines
			o := watched(servers)
			o.SentinelPassword = secret.Hide("open sesame")
			tt.wrong(&o)
			o.Log = log.logger()
			c := open(t, o)
			err := c.Run(within(t, patience), incr, []string{"n"}).Err()
			if Classify(err) != tt.class || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("a call gave %v of class %v, wanted class %v and %q", err, Classify(err), tt.class, tt.says)
			}
			eventually(t, "the breaker opens", func() bool { return c.Stats().Open && !c.Stats().Up })
			eventually(t, "the log says so", func() bool { return log.has("no sentinel names the redis master") })
			if log.has("guess") {
				t.Errorf("the log:\n%s", log.text())
			}
		})
	}
}

func TestSentinelPassword(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t, redistest.SentinelOptions{
		Args: []string{"--requirepass", "open sesame"}, SentinelArgs: []string{"--requirepass", "another"}})
	o := watched(servers)
	o.Password, o.SentinelPassword = secret.Hide("open sesame"), secret.Hide("another")
	c := open(t, o)
	if _, err := run(t, c, "n"); err != nil {
		t.Error(err)
	}
}
