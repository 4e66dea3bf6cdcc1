package revoke

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	const h = time.Hour
	for name, tt := range map[string]struct {
		nodes []time.Duration
		want  time.Duration
	}{
		"no node":                         {nil, 0},
		"alone with Redis":                {[]time.Duration{h}, h},
		"two, one wrong":                  {[]time.Duration{h, 0}, 0},
		"two, Redis wrong":                {[]time.Duration{-h, -h}, -h},
		"two, all different":              {[]time.Duration{h, 2 * h}, h},
		"three, one wrong":                {[]time.Duration{0, -h, 0}, 0},
		"three, Redis wrong":              {[]time.Duration{h, h, h}, h},
		"three, two camps":                {[]time.Duration{h, 0, h}, h},
		"three, two wrong in their ways":  {[]time.Duration{h, 0, -h}, 0},
		"four, Redis and one are wrong":   {[]time.Duration{h, h, 0, h}, h},
		"four, two are wrong":             {[]time.Duration{h, 0, 0, h}, 0},
		"five, Redis and two are wrong":   {[]time.Duration{-h, 0, -h, 0, -h}, -h},
		"four, almost in step with Redis": {[]time.Duration{-3, -2, 1, 4}, 0},
	} {
		if got := median(tt.nodes); got != tt.want {
			t.Errorf("%s: %v, wanted %v", name, got, tt.want)
		}
	}
}

// TestFleetLead: Redis's clock counts up to five seconds, the median from ten on, and nowhere does a small change make a great one.
func TestFleetLead(t *testing.T) {
	const s = time.Second
	for median, want := range map[time.Duration]time.Duration{0: 0, 5 * s: 0, -5 * s: 0, 7 * s: 4 * s, -7 * s: -4 * s, 10 * s: 10 * s, -10 * s: -10 * s,
		time.Hour: time.Hour, -time.Hour: -time.Hour} {
		if got := fleetLead(median); got != want {
			t.Errorf("median %v ahead: %v, wanted %v", median, got, want)
		}
	}
	const step = 10 * time.Millisecond
	for m := -15 * s; m < 15*s; m += step {
		if a, b := fleetLead(m), fleetLead(m+step); b < a || b-a > 2*step {
			t.Errorf("from %v to %v the fleet's time goes from %v to %v", m, m+step, a, b)
		}
	}
}

// TestOldVersionsGoByRedis: a node that does not tell its clock goes by Redis's, so it has a vote for that; the silent have none.
func TestOldVersionsGoByRedis(t *testing.T) {
	hour := time.Hour
	silent, old, tells, young := Member{Clock: &hour}, Member{Live: true, old: true}, Member{Live: true, Clock: &hour}, Member{Live: true}
	if got := leads([]Member{silent, old, tells, young}); len(got) != 2 || got[0] != 0 || got[1] != hour {
		t.Errorf("clocks %v, wanted 0 and an hour", got)
	}
	if got := fmt.Sprint(readings([]Member{silent, old, tells}, 0)); strings.Count(got, "node") != 1 {
		t.Errorf("clocks to judge: %s, wanted Redis's and one node's", got)
	}
}

func TestParseFound(t *testing.T) {
	for text, want := range map[string]time.Duration{"0 5": 0, "-3600000 5": -time.Hour, "12 5": 12 * time.Millisecond} {
		if got, at, ok := parseFound(text); !ok || got != want || at.UnixMilli() != 5 {
			t.Errorf("%q: %v at %v, %t, wanted %v at 5 ms", text, got, at, ok, want)
		}
	}
	for _, text := range []string{"", "-", "1", "x 5", "1.5 5", "-9223372036854775808 5", "9223372036854775807 5", "3153600000001 5", "1 5 5"} {
		if got, _, ok := parseFound(text); ok {
			t.Errorf("%q: %v, wanted nothing", text, got)
		}
	}
}

// TestFoundBeforeAStep: a clock that was compared with Redis's before that stepped has no vote.
func TestFoundBeforeAStep(t *testing.T) {
	f, now := &Feed{pace: quick}, time.UnixMilli(1_800_000_000_000)
	for found, want := range map[string]bool{"7 1800000000000": true, "7 1799999995000": true, "7 1799999994999": false, "7 1800000005001": false, "-": false, "": false} {
		if m := f.member(&roll{now: now}, "id", "1800000000000 0-0", found); !m.Live || (m.Clock != nil) != want || m.old != (found == "") {
			t.Errorf("%q: clock %v, old %t, wanted known %t", found, m.Clock, m.old, want)
		}
	}
}

// TestClockWarnings: once for each clock that goes off, and once when it is back, however much it trembles.
func TestClockWarnings(t *testing.T) {
	var log lines
	var off map[string]bool
	for _, ahead := range []time.Duration{0, 5100, 4900, 5100, -6000, 3900, 4100, 4900, 5100} {
		off = warnOf(log.logger(), off, []reading{{"redis", ahead * time.Millisecond, "this"}, {"node a", 0, "that"}})
	}
	if text := log.String(); strings.Count(text, "a clock is wrong") != 2 || strings.Count(text, "in step again") != 1 || strings.Contains(text, "node a") {
		t.Errorf("the log:\n%s", text)
	}
}

// clocked gives a node a clock that is off, and a log.
func clocked(off time.Duration, log *lines) func(*Options, *pace) {
	return func(o *Options, _ *pace) {
		o.Now, o.Log, o.Name = func() time.Time { return time.Now().Add(off) }, log.logger(), "clock "+off.String()
	}
}

// TestRedisClockIsWrong: where Redis alone is an hour off, the fleet goes by the nodes' clocks, and rules count at once.
func TestRedisClockIsWrong(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} { // the nodes' from Redis's
		e, _ := fleet(t, 0)
		var logs [2]lines
		var nodes []*node
		for i := range logs {
			nodes = append(nodes, e.start(t, t.TempDir(), clocked(off, &logs[i])).synced())
		}
		for i, n := range nodes {
			eventually(t, "Redis is warned of", func() bool { return strings.Contains(logs[i].String(), "whose=redis ") })
			if got := n.Now().Sub(time.Now().Add(off)).Abs(); got > 2*time.Second {
				t.Errorf("Redis %v off: the fleet's time is %v from the nodes'", -off, got)
			}
			if s := n.Stats(); (s.ClockOffset+off).Abs() > 2*time.Second || s.FleetOffset.Abs() > 2*time.Second {
				t.Errorf("offsets %v and %v, wanted %v and none", s.ClockOffset, s.FleetOffset, -off)
			}
			eventually(t, "the fleet is two nodes in step", func() bool {
				known := n.Fleet().Nodes
				return len(known) == 2 && !slices.ContainsFunc(known, func(m Member) bool { return m.Clock == nil || m.Clock.Abs() > 2*time.Second })
			})
			before, name := n.issue(off.String()), off.String()
			if res := n.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: name}); !res.Shared || res.Applied != 2 {
				t.Errorf("Revoke = %+v", res)
			}
			for _, m := range nodes {
				if !m.Revoked(before) || m.Revoked(m.issue(name)) {
					t.Errorf("a token from before is revoked: %t, one from after: %t", m.Revoked(before), m.Revoked(m.issue(name)))
				}
			}
			if got := n.Stats().Ignored; got != 0 {
				t.Errorf("%d rules ignored, wanted none", got)
			}
		}
		nodes[0].stop()
		nodes[1].stop()
		if left := e.server.Client().HGetAll(t.Context(), "gh:{rev}:clocks").Val(); len(left) != 0 {
			t.Errorf("after all have left there are clocks %v", left)
		}
	}
}

// TestAloneWithRedis: a node goes by its own clock, until others tell which of the two is wrong.
func TestAloneWithRedis(t *testing.T) {
	t.Parallel()
	e, _ := fleet(t, 0)
	var log, other lines
	n := e.start(t, t.TempDir(), clocked(time.Hour, &log)).synced()
	if got := n.Stats().FleetOffset.Abs(); got > 2*time.Second {
		t.Errorf("alone, the fleet's time is %v from the node's", got)
	}
	if !strings.Contains(log.String(), `whose="redis or this node"`) {
		t.Errorf("the log:\n%s", log.String())
	}
	c := e.server.Client()
	if err := c.HSet(t.Context(), "gh:{rev}:clocks", "gone", "0 1", "gone too", "0 1").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "clocks of nobody are removed", func() bool { return c.HLen(t.Context(), "gh:{rev}:clocks").Val() == 1 })
	if got := n.Stats().FleetOffset.Abs(); got > 2*time.Second {
		t.Errorf("clocks of nobody had a vote: the fleet's time is %v from the node's", got)
	}
	e.start(t, t.TempDir(), clocked(0, &other)).synced()
	eventually(t, "the others outvote it", func() bool { return strings.Contains(log.String(), `whose="this node"`) })
	eventually(t, "the other names it", func() bool { return strings.Contains(other.String(), `whose="node clock 1h0m0s"`) })
	if got := time.Until(n.Now()).Abs(); got > 2*time.Second {
		t.Errorf("the fleet's time is %v from that of Redis and the other node", got)
	}
}

// TestFewClocksDoNotJudge: an emptied Redis knows one node first, which must not take its own clock for the fleet's; and what
// nodes of older versions read is as it was.
func TestFewClocksDoNotJudge(t *testing.T) {
	t.Parallel()
	e, _ := fleet(t, 0)
	var log, silence lines
	n := e.start(t, t.TempDir(), clocked(time.Hour, &log)).synced()
	m := e.start(t, t.TempDir(), clocked(0, &silence)).synced()
	eventually(t, "both know both", func() bool { return n.Nodes() == 2 && m.Nodes() == 2 })
	eventually(t, "the wrong clock is outvoted", func() bool { return n.Stats().FleetOffset < -time.Minute })
	m.stop()
	c := e.server.Client()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.feed.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.Nodes() == 2 && n.Stats().FleetOffset > -time.Minute { // else it took more than five seconds here
		t.Error("a node that Redis knows alone went by its own clock at once")
	}
	for field, value := range c.HGetAll(t.Context(), "gh:{rev}:nodes").Val() {
		if _, applied, _ := strings.Cut(value, " "); applied != "0-0" {
			t.Errorf("node %q says %q, wanted a time and an id of the log", field, value)
		}
	}
	eventually(t, "alone for long, it does", func() bool { return n.Stats().FleetOffset.Abs() < 2*time.Second })
}

// TestFewerVotesWait: fewer clocks than before decide once there were no more for as long as a silent node counts; more do at once.
func TestFewerVotesWait(t *testing.T) {
	f := &Feed{pace: pace{silent: 5 * time.Second}}
	for _, tt := range []struct {
		after time.Duration
		votes int
		want  bool
	}{
		{0, 1, true}, {time.Second, 3, true}, {2 * time.Second, 1, false}, {3 * time.Second, 2, false}, {4 * time.Second, 3, true},
		{5 * time.Second, 2, false}, {9 * time.Second, 2, false}, {9*time.Second + time.Millisecond, 2, true}, {10 * time.Second, 2, true},
	} {
		if got := f.elects(tt.votes, tt.after); got != tt.want {
			t.Errorf("%s: %d clocks decide: %t, wanted %t", tt.after, tt.votes, got, tt.want)
		}
	}
}
