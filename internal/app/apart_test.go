package app

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
)

// TestTwoFleetsOnOneRedis: fleets with prefixes of their own share a Redis and nothing in it.
func TestTwoFleetsOnOneRedis(t *testing.T) {
	redis := redistest.Start(t)
	var sites []*site
	var nodes []*node
	for _, prefix := range []string{"one", "two"} {
		s := newRingSite(t, redis, "{every: 720h}")
		s.shared = fmt.Sprintf("{addrs: [%q], budget: 10s, prefix: %s}", redis.Addr(), prefix)
		s.limit = "{requests: 3, per: 24h, burst: 3, on_error: closed}"
		s.write()
		sites, nodes = append(sites, s), append(nodes, s.start())
	}
	tokens := []string{sites[0].token(nodes[0], "reader"), sites[1].token(nodes[1], "reader")}
	for range 5 {
		nodes[0].call("GET", "/orders/1", tokens[0])
	}
	if got := nodes[0].call("GET", "/orders/1", tokens[0]).status; got != 429 {
		t.Errorf("a call over the limit gave %d", got)
	}
	post[adminapi.Revoked](nodes[0], "/api/v1/revocations", adminapi.RevokeRequest{All: true}, 200)
	post[adminapi.Revoked](nodes[0], "/api/v1/revocations", adminapi.RevokeRequest{Client: "reader"}, 200)
	rotate(nodes[0], adminapi.RotateRequest{Revoke: true})
	if got := nodes[0].call("GET", "/orders/1", tokens[0]).status; got != 401 {
		t.Errorf("where all is revoked a token gave %d", got)
	}
	for i, n := range nodes {
		if got := n.asked(); len(got.Fleet) != 1 || got.Limits.Nodes != 1 {
			t.Errorf("fleet %d has %+v, and shares by %d", i, got.Fleet, got.Limits.Nodes)
		}
	}
	if got := nodes[1].asked(); got.Revocations.Tokens+got.Revocations.Rules != 0 || len(got.Keys) != 1 || got.Keys[0].State != "current" {
		t.Errorf("the other fleet has revocations %+v, keys %+v", got.Revocations, got.Keys)
	}
	if got := nodes[1].call("GET", "/orders/1", tokens[1]); got.status != 200 {
		t.Errorf("a token of the other fleet gave %d %s", got.status, got.body)
	}
	keys := redis.Client().Keys(t.Context(), "*").Val()
	if len(keys) < 10 {
		t.Errorf("Redis has no more than %q", keys)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "one:") && !strings.HasPrefix(key, "two:") {
			t.Errorf("the key %q is neither fleet's", key)
		}
	}
}

// TestNothingIsLeft: a gateway that ends leaves no goroutine and no descriptor, however often it was reloaded. It runs beside no
// other test.
func TestNothingIsLeft(t *testing.T) {
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newRingSite(t, redis, "{every: 720h}")
		s.limit = "{requests: 1000, per: 1m}"
		s.write()
		life := func() {
			n := s.startOn(listener(t))
			raw := s.token(n, "reader")
			for i := range 3 {
				s.extra = fmt.Sprintf("      - {match: GET /extra/%d, auth: token}\n", i)
				s.write()
				if _, err := n.Reload("api"); err != nil {
					t.Fatal(err)
				}
				if got := n.call("GET", "/orders/1", raw).status; got != 200 {
					t.Errorf("a call gave %d", got)
				}
			}
			if got := s.revoke(n, "reader", raw); got != 200 {
				t.Errorf("revoke gave %d", got)
			}
			n.stop()
			http.DefaultClient.CloseIdleConnections()
			s.upstream.CloseClientConnections()
		}
		life() // what the process keeps for good is there from now on
		goroutines, files := settled(t, 1<<20, 1<<20)
		for range 3 {
			life()
		}
		if g, f := settled(t, goroutines, files); g > goroutines || f > files {
			all := make([]byte, 1<<20)
			t.Errorf("%d goroutines and %d descriptors are left, there were %d and %d:\n%s", g, f, goroutines, files, all[:runtime.Stack(all, true)])
		}
	})
}

// settled is how many goroutines and descriptors there are, once they are no more than that, and the same for a while.
func settled(t *testing.T, goroutines, files int) (g, f int) {
	t.Helper()
	same := 0
	for end := time.Now().Add(20 * time.Second); same < 50 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		runtime.GC()
		nowG, nowF := runtime.NumGoroutine(), descriptors(t)
		if same++; nowG != g || nowF != f || g > goroutines || f > files {
			g, f, same = nowG, nowF, 0
		}
	}
	return g, f
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not Linux
	}
	return len(list)
}
