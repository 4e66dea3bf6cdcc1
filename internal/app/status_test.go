package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
)

// asked is the status that the node tells over its admin listener.
func (n *node) asked() (s adminapi.Status) {
	n.t.Helper()
	code, body := n.adminBody("GET", "/api/v1/status")
	if err := json.Unmarshal([]byte(body), &s); code != 200 || err != nil {
		n.t.Fatalf("status: %d %s (%v)", code, body, err)
	}
	return s
}

func TestStatus(t *testing.T) {
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newRingSite(t, redis, "{every: 720h}")
		s.limit = "{requests: 100, per: 1m}"
		s.write()
		n := s.start()
		raw := s.token(n, "reader")
		n.call("GET", "/orders/1", raw)
		n.call("POST", "/orders", raw)
		n.call("GET", "/"+strings.Repeat("x", 1000), "")
		if err := s.revoke(n, "reader", raw); err != 200 {
			t.Fatal(err)
		}

		got := n.asked()
		if got.Version != "test" || got.Mode != "run" || !got.Ready || got.Why != "" || got.Uptime <= 0 || got.Now.Before(got.Started) {
			t.Errorf("%+v", got)
		}
		if port := strings.TrimPrefix(n.Addr().String(), "127.0.0.1"); !strings.HasSuffix(got.Node, port) || got.Node == port {
			t.Errorf("the node is called %q, want its host and %s", got.Node, port)
		}
		if c := got.Config; c.Hash == "" || c.APIs != 2 || c.Routes != 4 || c.Clients != 3 || c.Last.Result != "ok" || c.Last.Trigger != "start" {
			t.Errorf("config %+v", c)
		}
		if r := got.Revocations; r.Tokens != 1 || r.Rules != 0 || r.Staleness == nil || *r.Staleness > 60 || len(r.Policies) != 2 || r.Policies[0].MaxStaleness != 600 || r.Policies[0].OnStale != "deny" {
			t.Errorf("revocations %+v", r)
		}
		if len(got.Keys) != 1 || got.Keys[0].State != "current" || len(got.Upstreams) != 2 || !got.Upstreams[0].Up || got.Upstreams[0].API != "orders" {
			t.Errorf("keys %+v, upstreams %+v", got.Keys, got.Upstreams)
		}
		source := "memory"
		if redis != nil {
			source = "redis"
		}
		if got.State.Engine != map[bool]string{true: "embedded", false: "redis"}[redis == nil] || got.Limits.Decisions[source] != 1 {
			t.Errorf("state %+v, limits %+v", got.State, got.Limits)
		}
		if len(got.Denials) != 2 {
			t.Fatalf("denials %+v", got.Denials)
		}
		if d := got.Denials[1]; d.Reason != "insufficient_scope" || d.Status != 403 || d.Method != "POST" || d.Path != "/orders" || d.Route != "POST /orders" || d.Client != "reader" || d.ID == "" {
			t.Errorf("denial %+v", d)
		}
		if d := got.Denials[0]; d.Reason != "no_route" || len(d.Path) > 300 || !strings.HasSuffix(d.Path, "xx…") {
			t.Errorf("denial %+v", d)
		}
		if got.Limits.Nodes != 1 {
			t.Errorf("%d nodes share a limit", got.Limits.Nodes)
		}
		if me := got.Fleet; len(me) != 1 || !me[0].Self || me[0].Name != got.Node {
			t.Errorf("fleet %+v", me)
		}
	})
}

// TestStatusTellsRefusedReload: what is wrong with the files is told with its place, until a reload works.
func TestStatusTellsRefusedReload(t *testing.T) {
	s := newSite(t, nil)
	n := s.start()
	good := s.read("config.yaml")
	s.file("config.yaml", strings.Replace(good, "upstream:", "upstraem:", 1))
	before := n.asked().Config
	if _, err := n.Reload("sighup"); err == nil {
		t.Fatal("the reload was not refused")
	}
	c := n.asked().Config
	if c.Hash != before.Hash || c.Last.Result != "refused" || c.Last.Trigger != "sighup" || len(c.Last.Errors) == 0 || c.Last.Errors[0].Line == 0 || !strings.HasSuffix(c.Last.Errors[0].File, "config.yaml") {
		t.Errorf("%+v", c)
	}
	s.file("config.yaml", strings.Replace(good, "GET /users", "GET /people", 1))
	if _, err := n.Reload("api"); err != nil {
		t.Fatal(err)
	}
	if c := n.asked().Config; c.Hash == before.Hash || c.Last.Result != "ok" || c.Last.Changes != "+1 route -1 route" || len(c.Last.Errors) != 0 {
		t.Errorf("%+v", c)
	}
}

// TestStatusOfAFleet: each node tells of all, also once Redis is away, which it then says.
func TestStatusOfAFleet(t *testing.T) {
	redis := redistest.Start(t)
	s := newSite(t, redis)
	a := s.start()
	b := s.second()
	names := func(n *node) (list []string) {
		for _, f := range n.asked().Fleet {
			if f.Live && f.Behind != nil && *f.Behind == 0 {
				list = append(list, f.Name)
			}
		}
		return list
	}
	for _, n := range []*node{a, b} {
		eventually(t, 30*time.Second, "both are known", func() bool { return len(names(n)) == 2 })
		if got := fmt.Sprint(names(n)); !strings.Contains(got, a.asked().Node) || !strings.Contains(got, b.asked().Node) {
			t.Errorf("fleet %s", got)
		}
	}
	if a.asked().Node == b.asked().Node {
		t.Error("the nodes can't be told apart")
	}
	for _, n := range []*node{a, b} {
		eventually(t, 30*time.Second, "the share is a half", func() bool { return n.asked().Limits.Nodes == 2 })
	}
	redis.Stop()
	eventually(t, 30*time.Second, "Redis is down", func() bool { r := a.asked().State.Redis; return !r.Up && *r.FleetAge > 1 })
	got := a.asked()
	if len(got.Fleet) != 2 || got.Limits.Nodes != 2 || *got.Revocations.Staleness < 1 || len(got.State.Redis.Errors) == 0 || got.State.Redis.Mode != "standalone" || got.State.Redis.Addrs[0] != redis.Addr() {
		t.Errorf("%+v", got)
	}
}

// TestSaysWhenItIsReady: the log says so when it is true, and until then why it is not.
func TestSaysWhenItIsReady(t *testing.T) {
	redis := redistest.Start(t)
	s := newRingSite(t, redis, "{every: 720h}")
	redis.Kill()
	n := s.startNotReady()
	eventually(t, 30*time.Second, "the log says why it is not ready", func() bool {
		return strings.Contains(n.log.String(), `"why":"the revocations were never read from Redis"`)
	})
	if log := n.log.String(); strings.Contains(log, `"msg":"ready"`) {
		t.Errorf("the log of a node that is not ready:\n%s", log)
	}
	redis.Restart(false)
	eventually(t, 30*time.Second, "the log says that it is ready", func() bool { return strings.Contains(n.log.String(), `"msg":"ready"`) })
	if got := n.adminGet("/-/ready"); got != 200 {
		t.Errorf("it says so, and /-/ready gives %d", got)
	}
}

func TestRecentKeepsTen(t *testing.T) {
	s := newSite(t, nil)
	n := s.start()
	for i := range 25 {
		n.call("GET", fmt.Sprintf("/nothing/%d", i), "")
	}
	got := n.asked().Denials
	if len(got) != recentDenials || got[0].Path != "/nothing/24" || got[9].Path != "/nothing/15" {
		t.Errorf("%d denials, from %+v to %+v", len(got), got[0], got[len(got)-1])
	}
}
