package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/redistest"
)

// Rows in which Redis answers, and says no.

// TestRefused: a Redis that is full, shut, or a replica is away to the limits at once, is counted under what is wrong with it, and
// comes back by itself. What is revoked meanwhile waits.
func TestRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client()
	set := func(name, value string) {
		t.Helper()
		if err := admin.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	f := newFleet(t, server, budget)
	h := f.hold(0)
	rows := []struct {
		kind       string
		begin, end func()
	}{
		{"oom", func() { set("maxmemory", "1") }, func() { set("maxmemory", "0") }},
		{"readonly", func() { must(t, admin.ReplicaOf(t.Context(), "127.0.0.1", "1")) }, func() { must(t, admin.ReplicaOf(t.Context(), "NO", "ONE")) }},
		{"auth", func() {
			// Those that are connected stay trusted: their connections are ended, as a restart of Redis would.
			set("requirepass", "not the fleet's")
			must(t, admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes"))
		}, func() { set("requirepass", "") }},
	}
	for i, row := range rows {
		name := fmt.Sprintf(`gatehouse_redis_errors_total{kind="%s"}`, row.kind)
		before := f.nodes[0].metric(name)
		client := 1 + 8*i
		row.begin()
		for _, n := range f.nodes {
			f.eventually(n.name+" does without a Redis that refuses: "+row.kind, func() bool {
				n.call("open", f.token(n, client, "limits"))
				return n.metric("gatehouse_redis_breaker_open") == 1
			})
		}
		if got := f.nodes[0].metric(name); got <= before {
			t.Errorf("%s is %v, and was %v before Redis refused", name, got, before)
		}
		all := f.load(client+1, "local", time.Second, f.nodes...)
		f.within(row.kind, all, 1)
		f.only(row.kind, all, "local")
		queued := f.token(f.nodes[1], client+2, "lax")
		f.revokes(f.nodes[1], queued, false, nodes)
		f.goesStale(f.nodes[2], h.strict, h.lax, h.revoked)
		f.issues(client + 3)
		row.end()
		t.Logf("%s: the fleet was well after %s", row.kind, f.settle())
		f.refusedByAll(queued, f.nodes...)
		f.shared(client + 4)
	}
	if log := f.nodes[0].log.String(); !strings.Contains(log, "NOAUTH") {
		t.Error("the log does not say NOAUTH")
	}
}

func must(t *testing.T, cmd redis.Cmder) {
	t.Helper()
	if err := cmd.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestScriptFlush: a Redis that has forgotten the scripts is given them, and charges nobody twice.
func TestScriptFlush(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newFleet(t, server, time.Second)
	h := f.hold(0)
	admin := server.Client()
	must(t, admin.ConfigResetStat(t.Context()))
	bearer := f.token(f.nodes[0], 1, "limits")
	admitted := 0
	for i := range 2 * slowly {
		must(t, admin.ScriptFlush(t.Context()))
		if status, _ := f.nodes[i%nodes].call("slow", bearer); status == 200 {
			admitted++
		}
	}
	if admitted != slowly {
		t.Errorf("%d requests admitted while scripts were flushed, wanted %d", admitted, slowly)
	}
	// In each of the last loads no script is loaded twice: of three nodes at once, only those that met the flush load it.
	loads := calls(t, admin, "script|load")
	f.load(2, "local", 300*time.Millisecond, f.nodes...)
	if more := calls(t, admin, "script|load") - loads; more > 3*nodes {
		t.Errorf("with nothing flushed the scripts were loaded %d times", more)
	}
	must(t, admin.ScriptFlush(t.Context()))
	raw := f.token(f.nodes[1], 3, "lax")
	f.revokes(f.nodes[1], raw, true, nodes)
	f.refusedByAll(raw, f.nodes...)
	f.refuses(f.nodes[2], h.revoked)
	must(t, admin.ScriptFlush(t.Context()))
	f.issues(4)
}

// calls is how often a command was called since CONFIG RESETSTAT.
func calls(t *testing.T, c *redis.Client, command string) (n int) {
	t.Helper()
	text, err := c.Info(context.Background(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "cmdstat_"+command+":calls=")
	fmt.Sscan(rest, &n)
	return n
}
