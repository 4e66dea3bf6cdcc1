package revoke

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/redistest"
)

// fleet is a Redis with n nodes in sync.
func fleet(t *testing.T, n int) (engine, []*node) {
	t.Helper()
	e := engine{redistest.Start(t)}
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = e.start(t, t.TempDir()).synced()
	}
	eventually(t, "every node knows the fleet", func() bool {
		for _, node := range nodes {
			if node.Nodes() != n {
				return false
			}
		}
		return true
	})
	return e, nodes
}

// members is how many tokens Redis holds.
func members(t testing.TB, c *redis.Client) int64 {
	t.Helper()
	n, err := c.ZCard(t.Context(), "gh:{rev}:jti").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// appendScript adds an entry to the log in one step, as a publication does.
const appendScript = `
local prev = ARGV[1]
if prev == '' then prev = redis.call('GET', KEYS[2]) or '0-0' end
local head = redis.call('XADD', KEYS[1], '*', 'prev', prev, 'kind', ARGV[2], 'member', ARGV[3], 't', ARGV[4], 'exp', ARGV[5])
return redis.call('SET', KEYS[2], head)`

// appendLog adds an entry to the log as a node would: after the head, or after another entry where prev says so.
func appendLog(t *testing.T, c *redis.Client, prev, kind, member string, notBefore, exp int64) {
	t.Helper()
	err := c.Eval(t.Context(), appendScript, []string{"gh:{rev}:log", "gh:{rev}:head"}, prev, kind, member, notBefore, exp).Err()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFleetSeesARevocation(t *testing.T) {
	t.Parallel()
	_, nodes := fleet(t, 3)
	if res := nodes[0].mustRevoke(live("a")); res != (Result{Local: true, Shared: true, Applied: 3, Live: 3}) {
		t.Errorf("Revoke = %+v, wanted it applied on 3 of 3", res)
	}
	old := nodes[2].issue("billing")
	nodes[1].mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"})
	for i, n := range nodes {
		if !n.refuses("a") || !n.Revoked(old) {
			t.Errorf("node %d lets pass what Revoke said is applied", i)
		}
		if n.Revoked(n.issue("billing")) {
			t.Errorf("node %d refuses the token it issues after the revocation", i)
		}
	}
}

func TestFleetSize(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 3)
	nodes[2].stop()
	eventually(t, "a node that left does not count", func() bool { return nodes[0].Nodes() == 2 })
	now := time.Now().UnixMilli()
	c := e.server.Client()
	// Silent for long, before Redis's clock was set back, and for a moment.
	states := []any{"dead", fmt.Sprintf("%d 0-0", now-6000), "future", fmt.Sprintf("%d 0-0", now+6000), "late", fmt.Sprintf("%d 0-0", now+4000)}
	if err := c.HSet(t.Context(), "gh:{rev}:nodes", states...).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a node heard a moment ago counts, the silent do not", func() bool { return nodes[0].Nodes() == 3 })
	if err := c.HSet(t.Context(), "gh:{rev}:nodes", "dead", fmt.Sprintf("%d 0-0", now-61000), "future", fmt.Sprintf("%d 0-0", now+70000)).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a node silent for a minute is removed", func() bool {
		left, err := c.HMGet(t.Context(), "gh:{rev}:nodes", "dead", "future").Result()
		return err == nil && left[0] == nil && left[1] == nil
	})
}

// TestFleetSizeOutlivesARestart: limits are shared by it while Redis is away, and a node must not take all of them because it
// was restarted meanwhile.
func TestFleetSizeOutlivesARestart(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	dir := t.TempDir()
	n := e.start(t, dir).synced()
	e.start(t, t.TempDir()).synced()
	eventually(t, "both nodes count", func() bool { return n.Nodes() == 2 })
	e.server.Kill()
	n.stop()
	for range 2 { // the second time, nothing was heard of the fleet since the first
		n = e.start(t, dir)
		if got := n.Nodes(); got != 2 {
			t.Errorf("after a restart without Redis the fleet has %d nodes, wanted 2", got)
		}
		n.stop()
	}
	if fresh := e.start(t, t.TempDir()); fresh.Nodes() != 1 {
		t.Errorf("a node that never heard of the fleet counts %d nodes, wanted itself", fresh.Nodes())
	}
}

// TestEmptiedRedisIsReseeded holds that what either node knew is in Redis again, and that a new node gets everything.
func TestEmptiedRedisIsReseeded(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	for i := range 30 {
		nodes[i%2].mustRevoke(live(fmt.Sprintf("token %d", i)))
	}
	nodes[0].mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"})
	nodes[1].stop()
	nodes[0].mustRevoke(live("while the other was gone"))
	if err := e.server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis has the 31 tokens", func() bool { return members(t, e.server.Client()) == 31 })
	fresh := e.start(t, t.TempDir()).synced()
	for i := range 30 {
		if jti := fmt.Sprintf("token %d", i); !fresh.refuses(jti) {
			t.Errorf("a new node lets %s pass", jti)
		}
	}
	fresh.sees("while the other was gone")
	if !fresh.Revoked(&Target{Issuer: "local", Client: "billing", IssuedAt: time.Now().Unix() - 5}) {
		t.Error("a new node lets the client's tokens pass")
	}
}

// TestTwoNodesReseedBothWays restarts two nodes that each know something that the other does not, with an empty Redis.
func TestTwoNodesReseedBothWays(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	dirs := []string{t.TempDir(), t.TempDir()}
	for i, dir := range dirs {
		n := e.start(t, dir).synced()
		n.mustRevoke(live(fmt.Sprintf("of node %d", i)))
		n.stop()
		e.server.Restart(false)
	}
	a, b := e.start(t, dirs[0]), e.start(t, dirs[1])
	for _, n := range []*node{a, b} {
		n.sees("of node 0", "of node 1")
	}
	b.mustRevoke(live("later"))
	a.sees("later")
}

func TestOutboxAfterOutage(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	dir := t.TempDir()
	n := e.start(t, dir).synced()
	e.server.Kill()
	entries := []Entry{live("a"), {Kind: Client, Issuer: "local", Name: "billing"}}
	old := n.issue("billing")
	for _, entry := range entries {
		if res := n.mustRevoke(entry); !res.Local || res.Shared {
			t.Errorf("Revoke without Redis = %+v, wanted it local and not shared", res)
		}
	}
	if got := n.Stats().Outbox; got != 2 {
		t.Errorf("outbox %d, wanted 2", got)
	}
	n.stop()
	n = e.start(t, dir)
	if got := n.Stats().Outbox; got != 2 {
		t.Errorf("outbox %d after a restart, wanted 2", got)
	}
	e.server.Restart(false)
	for i, other := range nodes {
		other.sees("a")
		eventually(t, fmt.Sprintf("node %d refuses the client's old token", i), func() bool { return other.Revoked(old) })
	}
	eventually(t, "the outbox is empty, also on the disk", func() bool {
		_, queue := load(t, n.journal, 0)
		return n.Stats().Outbox == 0 && len(queue) == 0
	})
}

// TestFailoverThatLostWrites brings back an older state of Redis. Both nodes have a revocation that it lacks.
func TestFailoverThatLostWrites(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	nodes[0].mustRevoke(live("saved"))
	if err := e.server.Client().Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	nodes[0].mustRevoke(live("lost"))
	nodes[1].sees("lost")
	e.server.Kill()
	e.server.Restart(true)
	eventually(t, "Redis has both again", func() bool { return members(t, e.server.Client()) == 2 })
	fresh := e.start(t, t.TempDir()).synced()
	fresh.sees("saved", "lost")
	fresh.mustRevoke(live("later"))
	nodes[0].sees("later")
	nodes[1].sees("later")
}

// TestGapInTheLog has an entry in the truth alone, as if its log entry had been trimmed before this node read it.
func TestGapInTheLog(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	n, c := nodes[0], e.server.Client()
	n.mustRevoke(live("first"))
	trimmed, next := live("trimmed"), live("next")
	if err := c.ZAdd(t.Context(), "gh:{rev}:jti", redis.Z{Score: float64(trimmed.Expires), Member: trimmed.member()}).Err(); err != nil {
		t.Fatal(err)
	}
	before := n.Stats().Reconciled
	appendLog(t, c, "1-1", "token", next.member(), 0, next.Expires)
	n.sees("trimmed")
	if n.Stats().Reconciled == before {
		t.Error("the node did not reconcile")
	}
	n.mustRevoke(live("later"))
	if _, err := c.Del(t.Context(), "gh:{rev}:head", "gh:{rev}:log").Result(); err != nil {
		t.Fatal(err)
	}
	fresh := e.start(t, t.TempDir()).synced()
	fresh.sees("first", "trimmed", "later")
	fresh.mustRevoke(live("after the head was lost"))
	n.sees("after the head was lost")
}

// An entry that no node wrote links to nothing. Nodes compare all again and again, at ease, miss nothing meanwhile, and follow
// the log again from the next revocation on.
func TestForeignEntry(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	n, c := nodes[0], e.server.Client()
	before, begin := n.Stats().Reconciled, time.Now()
	if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "gh:{rev}:log", Values: []string{"a", "b"}}).Err(); err != nil {
		t.Fatal(err)
	}
	const times = 12
	eventually(t, "all is compared a dozen times", func() bool { return n.Stats().Reconciled >= before+times })
	// The second waits 1 ms, and each twice as long as the one before it, up to a quarter of a heartbeat.
	least, wait := time.Duration(0), firstRetry
	for range times - 2 {
		least += wait
		wait = min(2*wait, n.feed.pace.beat/4)
	}
	if took := time.Since(begin); took < least {
		t.Errorf("%d times in %s, wanted no faster than %s", times, took, least)
	}
	silent := live("without an entry in the log")
	if err := c.ZAdd(t.Context(), "gh:{rev}:jti", redis.Z{Score: float64(silent.Expires), Member: silent.member()}).Err(); err != nil {
		t.Fatal(err)
	}
	n.sees("without an entry in the log")
	nodes[1].mustRevoke(live("later"))
	n.sees("later")
	eventually(t, "the log is followed again", func() bool { return *n.feed.applied.Load() == n.feed.roll.Load().head && !n.feed.relink.Load() })
}

// TestRuleInTheFuture holds that a T far ahead has no effect before its time, and stops nothing else.
func TestRuleInTheFuture(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	n, c := nodes[0], e.server.Client()
	now := time.Now().Unix()
	far, near := now+3600, now+5
	for name, notBefore := range map[string]int64{"far": far, "near": near} {
		member := ruleKey{Client, "local", name}.String()
		if err := c.HSet(t.Context(), "gh:{rev}:rule", member, fmt.Sprintf("%d %d", notBefore, far+86400)).Err(); err != nil {
			t.Fatal(err)
		}
		appendLog(t, c, "", "rule", member, notBefore, far+86400)
	}
	next := live("next")
	appendLog(t, c, "", "token", next.member(), 0, next.Expires)
	if err := c.ZAdd(t.Context(), "gh:{rev}:jti", redis.Z{Score: float64(next.Expires), Member: next.member()}).Err(); err != nil {
		t.Fatal(err)
	}
	n.sees("next")
	eventually(t, "the far rule is counted as ignored", func() bool { return n.Stats().Ignored > 0 })
	eventually(t, "the near rule counts when its time has come", func() bool { return n.NotBefore("local", "near", "") == near })
	if got := n.NotBefore("local", "far", ""); got != 0 {
		t.Errorf("the rule an hour ahead has effect: T = %d", got)
	}
}

// TestForeignHead: a head that names no entry stops nothing.
func TestForeignHead(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	nodes[0].mustRevoke(live("a"))
	for i, head := range []string{"junk", "", "1-", "99999999999999999999-0", "1-2 3"} {
		if err := e.server.Client().Set(t.Context(), "gh:{rev}:head", head, 0).Err(); err != nil {
			t.Fatal(err)
		}
		at := nodes[1].feed.beatAt.Load()
		eventually(t, fmt.Sprintf("heartbeats go on with the head %q", head), func() bool { return nodes[1].feed.beatAt.Load() > at })
		jti := fmt.Sprint("after head ", i)
		if res := nodes[0].mustRevoke(live(jti)); !res.Shared {
			t.Errorf("head %q: Revoke = %+v", head, res)
		}
		nodes[1].sees(jti)
	}
}

// TestForeignKeys: where somebody else's data lies under one of our keys, staleness runs and the log says what to do; once it is
// deleted all is well again, and nothing is lost.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"jti", "rule", "log", "head", "nodes", "clocks"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			var log lines
			e := engine{redistest.Start(t)}
			n := e.start(t, t.TempDir(), func(o *Options, _ *pace) { o.Log = log.logger() }).synced()
			n.mustRevoke(live("a"))
			n.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"})
			c, name := e.server.Client(), "gh:{rev}:"+key
			if err := c.Eval(t.Context(), "redis.call('DEL', KEYS[1]); return redis.call('LPUSH', KEYS[1], 'x')", []string{name}).Err(); err != nil {
				t.Fatal(err)
			}
			n.feed.relink.Store(true) // as a restart would
			eventually(t, "the log says what to do", func() bool { return strings.Contains(log.String(), "something else writes under state.redis.prefix") })
			eventually(t, "staleness grows", func() bool { return n.Staleness() > 200*time.Millisecond })
			if res := n.mustRevoke(live("b")); !res.Local || !n.refuses("b") {
				t.Errorf("Revoke = %+v", res)
			}
			if err := c.Del(t.Context(), name).Err(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "in sync again", func() bool { return n.Staleness() < 100*time.Millisecond && n.Stats().Outbox == 0 })
			fresh := e.start(t, t.TempDir()).synced()
			n.feed.relink.Store(true) // what was deleted besides is offered when it compares all
			fresh.sees("a", "b")
			eventually(t, "the rule is there", func() bool { return fresh.NotBefore("local", "billing", "") > 0 })
		})
	}
}

// TestRuleInTheFutureSwallowsNone: a T in Redis that no node heeds does not keep a good one of the same client from the fleet.
func TestRuleInTheFutureSwallowsNone(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	c, far := e.server.Client(), time.Now().Unix()+3600
	member := ruleKey{Client, "local", "billing"}.String()
	if err := c.HSet(t.Context(), "gh:{rev}:rule", member, fmt.Sprintf("%d %d", far, far+90000)).Err(); err != nil {
		t.Fatal(err)
	}
	old := nodes[1].issue("billing")
	if res := nodes[0].mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"}); res != (Result{Local: true, Shared: true, Applied: 2, Live: 2}) {
		t.Errorf("Revoke = %+v", res)
	}
	for i, n := range []*node{nodes[0], nodes[1], e.start(t, t.TempDir()).synced()} {
		if !n.Revoked(old) {
			t.Errorf("node %d lets pass what Revoke said is applied", i)
		}
		if n.Revoked(n.issue("billing")) {
			t.Errorf("node %d refuses the token it issues after the revocation", i)
		}
	}
}

// TestJournalFromAWrongClock: a node that made a T an hour ahead while it ran alone keeps it to itself, and offers it until its time
// has come.
func TestJournalFromAWrongClock(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	dir := t.TempDir()
	alone := engine{}.start(t, dir, func(o *Options, _ *pace) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	alone.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"})
	alone.stop()
	joined := e.start(t, dir).synced()
	eventually(t, "the rule waits for its time", func() bool { return joined.Stats().Outbox == 1 })
	if n, err := e.server.Client().HLen(t.Context(), "gh:{rev}:rule").Result(); n != 0 || err != nil {
		t.Errorf("Redis has %d rules, %v, wanted none", n, err)
	}
	old := nodes[0].issue("billing")
	nodes[0].mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"})
	if !nodes[1].Revoked(old) {
		t.Error("the other node lets pass what Revoke said is applied")
	}
	for i, n := range nodes {
		if n.Stats().Ignored != 0 || n.Revoked(n.issue("billing")) {
			t.Errorf("node %d: %d rules ignored, and a new token is refused: %v", i, n.Stats().Ignored, n.Revoked(n.issue("billing")))
		}
	}
}

// TestOwnClockDoesNotMatter has nodes whose clocks are an hour off either way, beside one that agrees with Redis: T is in their time.
func TestOwnClockDoesNotMatter(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		skewed := e.start(t, t.TempDir(), func(o *Options, _ *pace) { o.Now = func() time.Time { return time.Now().Add(off) } }).synced()
		if got := time.Until(skewed.Now()).Abs(); got > 2*time.Second {
			t.Errorf("clock %v off: Now is %v from Redis's", off, got)
		}
		name := "client " + off.String()
		skewed.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: name})
		eventually(t, "the other node has the rule", func() bool { return nodes[0].NotBefore("local", name, "") > 0 })
		if ahead := nodes[0].NotBefore("local", name, "") - time.Now().Unix(); ahead > 2 || ahead < -30 {
			t.Errorf("clock %v off: T is %d s ahead", off, ahead)
		}
		nodes[0].mustRevoke(Entry{Kind: Key, Issuer: "local", Name: name})
		eventually(t, "the skewed node has the other's rule", func() bool { return skewed.NotBefore("local", "", name) > 0 })
		if res := skewed.mustRevoke(live(name)); !res.Shared { // which has expired by one of the clocks
			t.Errorf("clock %v off: Revoke = %+v", off, res)
		}
		nodes[0].sees(name)
		skewed.stop()
	}
	if got := nodes[0].Stats().Ignored; got != 0 {
		t.Errorf("%d rules ignored, wanted none", got)
	}
}

// TestWrongClockIsNotPublished has a node that made a T an hour ahead before it ever heard other clocks.
func TestWrongClockIsNotPublished(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	e.server.Pause()
	hour := func(o *Options, p *pace) {
		o.Now, p.silent = func() time.Time { return time.Now().Add(time.Hour) }, time.Minute // the other counts, however long the pause
	}
	skewed := e.start(t, t.TempDir(), hour)
	if res := skewed.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"}); res.Shared {
		t.Errorf("Revoke = %+v while Redis hangs", res)
	}
	e.server.Resume()
	skewed.synced()
	skewed.mustRevoke(token("a", time.Now().Add(2*time.Hour).Unix()))
	nodes[0].sees("a")
	if got := nodes[0].NotBefore("local", "billing", ""); got != 0 {
		t.Errorf("the fleet has a T of %d, an hour ahead", got)
	}
	if n, err := e.server.Client().HLen(t.Context(), "gh:{rev}:rule").Result(); n != 0 || err != nil {
		t.Errorf("Redis has %d rules, %v, wanted none", n, err)
	}
	if got := skewed.Stats().Outbox; got != 1 {
		t.Errorf("outbox %d, wanted the rule to wait for its time", got)
	}
}

func TestUnreadableEntriesArePassedOver(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	n, c := nodes[0], e.server.Client()
	good := live("good")
	appendLog(t, c, "", "epoch", "x", 1, good.Expires)
	appendLog(t, c, "", "token", "short", 0, good.Expires)
	appendLog(t, c, "", "rule", "client 99:x", 1, good.Expires)
	appendLog(t, c, "", "token", good.member(), 0, good.Expires)
	n.sees("good")
	if got := n.Stats().Unreadable; got != 3 {
		t.Errorf("%d unreadable, wanted 3", got)
	}
	if err := c.HSet(t.Context(), "gh:{rev}:rule", "nonsense", "x", "client 5:localc", "1").Err(); err != nil {
		t.Fatal(err)
	}
	fresh := e.start(t, t.TempDir()).synced()
	if got := fresh.Stats(); got.Unreadable != 2 || got.Rules != 0 {
		t.Errorf("a new node: %d unreadable and %d rules, wanted 2 and none", got.Unreadable, got.Rules)
	}
}

func TestStalenessRunsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		away, back func(*redistest.Server)
	}{
		{"hung", (*redistest.Server).Pause, (*redistest.Server).Resume},
		{"down", (*redistest.Server).Kill, func(s *redistest.Server) { s.Restart(false) }},
		{"not writable", configSet("min-replicas-to-write", "1"), configSet("min-replicas-to-write", "0")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, nodes := fleet(t, 1)
			n := nodes[0]
			n.mustRevoke(live("a"))
			tt.away(e.server)
			eventually(t, "staleness grows", func() bool { return n.Staleness() > 500*time.Millisecond })
			if !n.Ready() || !n.refuses("a") || n.Nodes() != 1 {
				t.Errorf("Ready %v, refused %v, Nodes %d, wanted true, true, 1", n.Ready(), n.refuses("a"), n.Nodes())
			}
			if res := n.mustRevoke(live("b")); res.Shared || !n.refuses("b") {
				t.Errorf("Revoke = %+v, refused %v", res, n.refuses("b"))
			}
			tt.back(e.server)
			eventually(t, "in sync again", func() bool { return n.Staleness() < 300*time.Millisecond })
			eventually(t, "both are in Redis", func() bool { return members(t, e.server.Client()) == 2 })
		})
	}
}

func configSet(name, value string) func(*redistest.Server) {
	return func(s *redistest.Server) { s.Client().ConfigSet(context.Background(), name, value) }
}

func TestReadyAtStart(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	dir := t.TempDir()
	n := e.start(t, dir).synced()
	n.mustRevoke(token("a", time.Now().Add(20*time.Hour).Unix()))
	n.stop()
	e.server.Kill()

	never := e.start(t, t.TempDir())
	if never.Ready() || never.Staleness() != math.MaxInt64 {
		t.Errorf("never in sync: Ready %v, Staleness %v, wanted false and the longest", never.Ready(), never.Staleness())
	}
	within := func(max time.Duration, now time.Duration) func(*Options, *pace) {
		return func(o *Options, _ *pace) {
			o.MaxStaleness = max
			o.Now = func() time.Time { return time.Now().Add(now) }
		}
	}
	for _, tt := range []struct {
		name string
		max  time.Duration
		now  time.Duration // how much later the node starts
		want bool
	}{
		{"recently in sync", time.Hour, 0, true},
		{"almost too long ago", time.Hour, 50 * time.Minute, true},
		{"too long ago", time.Hour, 2 * time.Hour, false},
		{"in the future", time.Hour, -2 * time.Hour, false},
	} {
		n := e.start(t, dir, within(tt.max, tt.now))
		<-n.feed.attempt // Redis was asked in vain
		if n.Ready() != tt.want || !n.refuses("a") {
			t.Errorf("%s: Ready %v, wanted %v; refused %v", tt.name, n.Ready(), tt.want, n.refuses("a"))
		}
		if tt.now > 0 && (n.Staleness() < tt.now || n.Staleness() > tt.now+30*time.Minute) {
			t.Errorf("%s: Staleness %v, wanted at least %v", tt.name, n.Staleness(), tt.now)
		}
		n.stop()
	}
	e.server.Restart(false)
	never.synced()
}

// TestReadyOnceItHasCaughtUp: a node that comes back to a Redis that answers does not serve by what it knew before. What was revoked
// meanwhile would pass for as long as it takes to read all.
func TestReadyOnceItHasCaughtUp(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	proxy := redistest.StartProxy(t, e.server.Addr())
	dir := t.TempDir()
	n := e.start(t, dir, through(t, proxy)).synced()
	n.stop()
	nodes[0].mustRevoke(live("missed"))
	proxy.Set(redistest.Slow(50 * time.Millisecond)) // answers come in good time, and all of them take long
	n = e.start(t, dir, through(t, proxy))
	if n.Ready() {
		t.Error("a node is ready before it has read anything")
	}
	eventually(t, "it is ready", n.Ready)
	if !n.refuses("missed") {
		t.Error("a node is ready, and lets pass what was revoked before it began")
	}
	n.stop()
	patient := func(_ *Options, p *pace) { p.first = time.Minute }
	if n = e.start(t, dir, through(t, proxy), patient); !n.Ready() {
		t.Error("a node that waits for what it missed is not ready then")
	}
	n.stop()
	proxy.Set(redistest.Swallowed)
	if n = e.start(t, dir, through(t, proxy), patient); !n.Ready() {
		t.Error("a node waits for a Redis that does not answer")
	}
	n.stop()
	n = e.start(t, dir, through(t, proxy))
	eventually(t, "it is ready without Redis, by what it knows", n.Ready)
}

func TestExpiredLeavesRedis(t *testing.T) {
	t.Parallel()
	e, _ := fleet(t, 1)
	c := e.server.Client()
	now := time.Now().Unix()
	err := c.ZAdd(t.Context(), "gh:{rev}:jti", redis.Z{Score: float64(now - 100), Member: "0123456789abcdef"},
		redis.Z{Score: float64(now - 10), Member: "just expired....."[:16]}).Err()
	if err == nil {
		err = c.HSet(t.Context(), "gh:{rev}:rule", "client 5:localold", fmt.Sprintf("%d %d", now-90000, now-100),
			"client 5:localnew", fmt.Sprintf("%d %d", now-50, now+1000)).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the expired ones are gone", func() bool {
		rules, err := c.HKeys(t.Context(), "gh:{rev}:rule").Result()
		return err == nil && len(rules) == 1 && rules[0] == "client 5:localnew" && members(t, c) == 1
	})
}

// TestPublicationIsIdempotent holds that what Redis knows does not enter the log again, and that the larger T and the later expiry stay.
func TestPublicationIsIdempotent(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	f, c := nodes[0].feed, e.server.Client()
	now := time.Now().Unix()
	rule := func(notBefore, exp int64) Entry {
		return Entry{Kind: Client, Issuer: "local", Name: "c", NotBefore: notBefore, Expires: exp}
	}
	for i, tt := range []struct {
		entry Entry
		log   int64 // its length afterwards
	}{
		{token("a", now+100), 1},
		{token("a", now+100), 1},
		{token("a", now+50), 1},
		{token("a", now+200), 2},
		{rule(now-10, now+900), 3},
		{rule(now-10, now+900), 3},
		{rule(now-20, now+900), 3},
		{rule(now-20, now+999), 4},
		{rule(now-10, now+999), 4},
		{rule(now-9, now+900), 5},
		{rule(now+60, now+900), 5}, // refused
	} {
		_, refused, err := f.publish(t.Context(), []Entry{tt.entry}, false)
		if err != nil || (len(refused) == 1) != (tt.entry.NotBefore > now) {
			t.Fatalf("publication %d: refused %v, %v", i, refused, err)
		}
		if n, err := c.XLen(t.Context(), "gh:{rev}:log").Result(); n != tt.log || err != nil {
			t.Errorf("after publication %d the log has %d entries, %v, wanted %d", i, n, err, tt.log)
		}
	}
	a := token("a", 1)
	if got := c.ZScore(t.Context(), "gh:{rev}:jti", a.member()).Val(); got != float64(now+200) {
		t.Errorf("the token's expiry is %v, wanted %d", got, now+200)
	}
	want := strconv.FormatInt(now-9, 10) + " " + strconv.FormatInt(now+999, 10)
	if got := c.HGet(t.Context(), "gh:{rev}:rule", "client 5:localc").Val(); got != want {
		t.Errorf("the rule is %q, wanted %q", got, want)
	}
}

// A publication that got no further than the truth, as with a user that may not XADD, is no success the second time either. The
// others hear of it once the log takes it.
func TestPublicationThatStopsHalfway(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	n, c := nodes[0], e.server.Client()
	allow := func(rule string) {
		if err := c.Do(t.Context(), "ACL", "SETUSER", "default", rule).Err(); err != nil {
			t.Fatal(err)
		}
	}
	allow("-xadd")
	for _, entry := range []Entry{live("a"), {Kind: Client, Issuer: "local", Name: "billing"}} {
		if res := n.mustRevoke(entry); !res.Local || res.Shared {
			t.Errorf("Revoke = %+v", res)
		}
	}
	for range 3 { // and so it was offered again
		at := n.feed.beatAt.Load()
		eventually(t, "a heartbeat", func() bool { return n.feed.beatAt.Load() > at })
	}
	if got := n.Stats().Outbox; got != 2 {
		t.Errorf("%d wait for Redis, wanted 2", got)
	}
	if members(t, c) != 1 || !c.HExists(t.Context(), "gh:{rev}:rule", "client 5:localbilling").Val() {
		t.Error("the truth lacks one of them, which those who compare would have seen")
	}
	allow("+xadd")
	nodes[1].sees("a")
	eventually(t, "the rule is there", func() bool { return nodes[1].NotBefore("local", "billing", "") > 0 })
	eventually(t, "nothing waits", func() bool { return n.Stats().Outbox == 0 })
}

func TestScriptFlushLosesNothing(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	if err := e.server.Client().ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if res := nodes[0].mustRevoke(live("a")); !res.Shared {
		t.Errorf("Revoke = %+v", res)
	}
	nodes[1].sees("a")
}

// TestManyRevocationsAtOnce has two nodes revoke concurrently, so that their publications and reads interleave.
func TestManyRevocationsAtOnce(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 2)
	const each = 100
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for i := range each {
				if _, err := nodes[w%2].Revoke(t.Context(), live(fmt.Sprintf("%d/%d", w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	for w := range 4 {
		for i := range each {
			for _, n := range nodes {
				n.sees(fmt.Sprintf("%d/%d", w, i))
			}
		}
	}
	if got := members(t, e.server.Client()); got != 4*each {
		t.Errorf("Redis has %d tokens, wanted %d", got, 4*each)
	}
	for i, n := range nodes {
		if got := n.Stats().Reconciled; got != 1 {
			t.Errorf("node %d reconciled %d times, wanted the one at the start", i, got)
		}
	}
}

// TestLogIsBounded: the log holds about as many entries as it may, and the truth all of them.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	f, c, expires := nodes[0].feed, e.server.Client(), time.Now().Add(time.Hour).Unix()
	const more = 4000
	batch := make([]Entry, pushCount)
	for n := uint64(0); n < logLength+more; n += pushCount {
		for i := range batch {
			batch[i] = Entry{Kind: Token, ID: id(n + uint64(i)), Expires: expires}
		}
		if _, _, err := f.publish(t.Context(), batch, false); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.XLen(t.Context(), "gh:{rev}:log").Result()
	if err != nil || got < logLength || got > logLength+more/2 { // it is trimmed by whole nodes of the stream
		t.Errorf("the log has %d entries, %v, wanted about %d", got, err, logLength)
	}
	if got := members(t, c); got != logLength+more {
		t.Errorf("Redis has %d tokens, wanted %d", got, logLength+more)
	}
}

// TestLargeReconciliation moves more than one scan and one publication hold, both ways.
func TestLargeReconciliation(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	dir := t.TempDir()
	j, db := openJournal(t, dir)
	expires := time.Now().Add(time.Hour).Unix()
	var entries []Entry
	for i := range uint64(6000) {
		entries = append(entries, Entry{Kind: Token, ID: id(i), Expires: expires})
	}
	if err := j.Put(false, entries...); err != nil {
		t.Fatal(err)
	}
	db.Close()
	e.start(t, dir).synced()
	eventually(t, "Redis has the 6000 tokens", func() bool { return members(t, e.server.Client()) == 6000 })
	fresh := e.start(t, t.TempDir()).synced()
	if got := fresh.Stats().Tokens; got != 6000 {
		t.Errorf("a new node has %d tokens, wanted 6000", got)
	}
	if kept, _ := load(t, fresh.journal, 0); len(kept) != 6000 {
		t.Errorf("a new node's journal has %d tokens, wanted 6000", len(kept))
	}
}

func TestEvictingRedisIsWarnedOf(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]bool{"allkeys-lru": true, "noeviction": false, "volatile-ttl": false} {
		e := engine{redistest.Start(t, "--maxmemory-policy", policy)}
		var log lines
		e.start(t, t.TempDir(), func(o *Options, _ *pace) { o.Log = log.logger() }).synced()
		if got := strings.Contains(log.String(), "may evict"); got != want {
			t.Errorf("maxmemory-policy %s: warned %v, wanted %v; the log:\n%s", policy, got, want, log.String())
		}
	}
}

// TestFleetSizeShrinksLate: what one heartbeat finds too few is not believed at once: an emptied Redis knows nobody yet.
func TestFleetSizeShrinksLate(t *testing.T) {
	f := &Feed{pace: pace{silent: 5 * time.Second}}
	for _, tt := range []struct {
		after time.Duration
		found int64
		want  int
	}{
		{0, 3, 3}, {time.Second, 1, 3}, {2 * time.Second, 2, 3}, {3 * time.Second, 3, 3}, // Redis was emptied
		{4 * time.Second, 2, 3}, {8 * time.Second, 2, 3}, {8*time.Second + time.Millisecond, 2, 2}, // one has left
		{9 * time.Second, 5, 5}, // more count at once
	} {
		f.counted(tt.found, tt.after)
		if got := f.nodes(); got != tt.want {
			t.Errorf("%s: %d found, %d counted, wanted %d", tt.after, tt.found, got, tt.want)
		}
	}
}
