package app

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// sharedBy is one kind of Redis that a fleet shares: what it is in YAML, and how it loses the master that has the
// revocations. lose is nil where another takes over from none.
type sharedBy struct {
	name  string
	start func(t *testing.T, args, sentinelArgs []string) (yaml string, lose func())
}

var sharers = []sharedBy{
	{"standalone", func(t *testing.T, args, _ []string) (string, func()) {
		return fmt.Sprintf("addrs: [%q]", redistest.Start(t, args...).Addr()), nil
	}},
	{"sentinel", func(t *testing.T, args, sentinelArgs []string) (string, func()) {
		s := redistest.StartSentinel(t, redistest.SentinelOptions{Args: args, SentinelArgs: sentinelArgs})
		t.Setenv("GATEHOUSE_TEST_SENTINEL", redistest.Password)
		return fmt.Sprintf("mode: sentinel, addrs: [%s], master_name: %s, sentinel_username: gatehouse, sentinel_password: '${GATEHOUSE_TEST_SENTINEL}'",
				quoted(s.Addrs()), s.Name()), func() {
				old := s.Master()
				old.Kill()
				s.AwaitFailover(old)
			}
	}},
	{"cluster", func(t *testing.T, args, _ []string) (string, func()) {
		c := redistest.StartCluster(t, redistest.ClusterOptions{Replicas: 1, Args: args})
		return fmt.Sprintf("mode: cluster, addrs: [%s]", quoted(c.Addrs())), func() { c.Master("gh:{rev}:log").Kill() }
	}},
}

func quoted(list []string) string { return `"` + strings.Join(list, `", "`) + `"` }

// newFleet is a site whose nodes share all that there is to share, over TLS, by the user that README.md documents.
func newFleet(t *testing.T, by sharedBy) (s *site, lose func()) {
	t.Helper()
	secure, ca := redistest.TLSArgs(t)
	user := redistest.Documented(t, "../../README.md", "+evalsha")
	watcher := redistest.Documented(t, "../../README.md", "+sentinel|")
	yaml, lose := by.start(t, append(user, secure...), append(watcher, secure...))
	t.Setenv("GATEHOUSE_TEST_REDIS", redistest.Password)
	s = newSite(t, nil)
	s.shared = fmt.Sprintf("{%s, username: gatehouse, password: '${GATEHOUSE_TEST_REDIS}', tls: {ca_file: %s}, budget: 1s}", yaml, ca)
	key := make([]byte, 32)
	rand.Read(key)
	s.ringKey = base64.StdEncoding.EncodeToString(key) + "\n"
	s.tokens = "  ring_key_file: ring.key\n  rotation: {every: 720h, publish_before: 1s}\n"
	s.file("ring.key", s.ringKey)
	return s, lose
}

// Ensure that two nodes share tokens, limits, revocations, keys and assertions by each kind of Redis, with the least user
// and over TLS, and that they go on doing so after the master is lost.
func TestFleetByEachKindOfRedis(t *testing.T) {
	for _, by := range sharers {
		t.Run(by.name, func(t *testing.T) {
			s, lose := newFleet(t, by)
			s.limit = "{requests: 4, per: 24h, burst: 4, on_error: closed}"
			k := tokentest.Key(t, token.ES256)
			s.file("worker.jwks.json", keySet(t, k))
			s.client("worker", "grants: {orders: [orders:read]}\n    auth: private_key_jwt\n    jwks_file: "+filepath.Join(s.dir, "worker.jwks.json"))
			s.client("second", "grants: {orders: [orders:read]}")
			s.write()
			a, b := s.start(), s.second()

			limited := s.token(a, "reader")
			for i := range 8 {
				if got, want := []*node{a, b}[i%2].call("GET", "/orders/1", limited).status, map[bool]int{true: 200, false: 429}[i < 4]; got != want {
					t.Errorf("call %d gave %d, want %d", i, got, want)
				}
			}
			revokedEverywhere(s, a, b, "users", "other")
			post[adminapi.Revoked](a, "/api/v1/revocations", adminapi.RevokeRequest{Client: "second"}, 200)
			once := s.assertion("worker", k)
			if first, again := a.askJWT(once), b.askJWT(once); first != 200 || again != 401 {
				t.Errorf("an assertion gave %d, and on the other node %d, want 200 and 401", first, again)
			}
			rotated := rotate(a, adminapi.RotateRequest{})
			eventually(t, 20*time.Second, "the other node has the new key", func() bool {
				_, body := b.get("/.well-known/jwks.json")
				return strings.Contains(body, rotated.New)
			})
			for _, n := range []*node{a, b} {
				_, metrics := n.adminBody("GET", "/metrics")
				if !strings.Contains(metrics, `gatehouse_redis_errors_total{kind="auth"} 0`) || !strings.Contains(metrics, "gatehouse_redis_up 1") {
					t.Errorf("Redis refused something:\n%s", n.log)
				}
				if got := strings.Count(metrics, "gatehouse_redis_shard_up{"); got != map[string]int{"cluster": 3}[by.name] {
					t.Errorf("%d shards in the metrics", got)
				}
				if r := n.asked().State.Redis; r.Mode != by.name || !r.Up || len(r.Masters) != map[string]int{"cluster": 3}[by.name] || (r.Master != "") != (by.name == "sentinel") {
					t.Errorf("the status says of Redis %+v", r)
				}
			}
			if lose == nil {
				return
			}
			lose()
			eventually(t, time.Minute, "both nodes have a master again", func() bool {
				_, one := a.adminBody("GET", "/metrics")
				_, two := b.adminBody("GET", "/metrics")
				return strings.Contains(one, "gatehouse_redis_up 1") && strings.Contains(two, "gatehouse_redis_up 1")
			})
			revokedEverywhere(s, b, a, "users", "other")
			eventually(t, time.Minute, "a call over the limit is refused: the replica had the count", func() bool {
				return a.call("GET", "/orders/1", limited).status == 429
			})
		})
	}
}

// revokedEverywhere has a token of the client, for the API at /path, good on both nodes until it is revoked on one.
func revokedEverywhere(s *site, on, other *node, path, client string) {
	s.t.Helper()
	bearer := s.token(on, client)
	eventually(s.t, 20*time.Second, "the token is good on the other node", func() bool { return other.call("GET", "/"+path, bearer).status == 200 })
	if got := s.revoke(on, client, bearer); got != 200 {
		s.t.Fatalf("revoke gave %d", got)
	}
	if got := on.call("GET", "/"+path, bearer); got.reason() != "revoked" {
		s.t.Errorf("here: %d %s", got.status, got.body)
	}
	eventually(s.t, 20*time.Second, "the other node refuses the token", func() bool { return other.call("GET", "/"+path, bearer).reason() == "revoked" })
}
