package ratelimit

import (
	"math"
	"strings"
	"testing"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// A Redis that answers what it can't have found is one that does not answer: the policy says what that means.
func TestLyingRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := slow("p", 5000)
	for _, lie := range []string{
		"{2, 0, 1, 1}", "{-1, 0, 1, 1}", "{1, 1, 1, 1}", "{1, -1, 1, 1}", "{9223372036854775807, 9223372036854775807, 1, 1}", "{1, 0, 1}", "{1, 0, 1, 1, 1}",
		"{}", "1", "false", "{'1', '0', '1', 'x'}", "{{1}, 0, 1, 1}", "redis.status_reply('OK')", "redis.error_reply('no')",
		"{0, 0, -4611686018427387904, 1}", "{1, 0, 1, 4611686018427387904}", "{0, 0, 1, 4611686018427387904}",
	} {
		r := New(Options{Redis: dial(t, s)})
		r.fleet.batch = redisx.NewBatcher(r.fleet.redis, redisx.NewScript("return "+lie))
		for range 3 {
			d := r.Check(t.Context(), []Charge{{Subject: Subject{ByClient, "local", "a"}, Policies: []*Policy{p}}}, 1)
			if d.OK || d.RetryAfter < 0 || d.Reset < 0 || d.Remaining < 0 {
				t.Errorf("%s: %+v", lie, d)
			}
		}
	}
}

// The size of the fleet comes from Redis too.
func TestLyingFleet(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{math.MaxInt, math.MaxInt/2 + 1, math.MaxInt / 2, 0, -1, math.MinInt} {
		r := leasing(t)
		r.Limiter.fleet.known.nodes = New(Options{Redis: dial(t, redistest.Start(t)), Nodes: func() int { return nodes }}).nodes
		for range 100 {
			if d := r.take("a", 1, slow("p", 1<<40)); !d.OK {
				t.Fatalf("%d nodes: %+v", nodes, d)
			}
		}
		r.settled(t)
	}
}

// A bucket with something else in it than a time is a lost one: it is as full as if it were absent, and counts again.
func TestSpoiledBucket(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		if r.redis == nil {
			t.Skip("the buckets are ours alone")
		}
		p := slow("p", 3)
		for _, spoiled := range []string{"nan", "-nan", "inf", "-inf", "x", "", "0x", "1e999", strings.Repeat("9", 400)} {
			who := "who " + spoiled[:min(len(spoiled), 9)]
			key := "gh:rl:{" + tagOf(Subject{ByClient, "local", who}) + "}:p"
			if err := r.redis.Set(t.Context(), key, spoiled, 0).Err(); err != nil {
				t.Fatal(err)
			}
			if d := r.take(who, 0, p); d.Unavailable || !d.OK || d.Remaining < 0 || d.Remaining > 3 {
				t.Errorf("%q: looked at: %+v", spoiled, d)
			}
			passed := 0
			for range 6 {
				d := r.take(who, 1, p)
				if d.Unavailable {
					t.Errorf("%q: %+v", spoiled, d)
				}
				if d.OK {
					passed++
				}
			}
			if passed > 3 {
				t.Errorf("%q: %d passed", spoiled, passed)
			}
			if ttl := r.redis.PTTL(t.Context(), key).Val(); ttl <= 0 {
				t.Errorf("%q: the bucket stays for ever: %s", spoiled, ttl)
			}
		}
	})
}
