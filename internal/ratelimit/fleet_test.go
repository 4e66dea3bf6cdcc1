package ratelimit

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// serving is a Limiter on a server of its own that has answered once, so that a later failure is one.
func serving(t *testing.T, budget time.Duration, nodes int) (*redistest.Server, *Limiter) {
	t.Helper()
	s := redistest.Start(t)
	c := redisx.Open(redisx.Options{Addrs: []string{s.Addr()}, Prefix: "gh", Budget: budget})
	t.Cleanup(func() { c.Close() })
	l := New(Options{Redis: c, Nodes: func() int { return nodes }})
	p := &Policy{Name: "first", Requests: 1, Per: time.Hour, Burst: 1 << 30, OnError: Closed}
	until(t, func() bool { return check(l, "first", 1, p).OK })
	return s, l
}

func check(l *Limiter, who string, cost int64, policies ...*Policy) Decision {
	return l.Check(context.Background(), []Charge{{Subject: Subject{ByClient, "local", who}, Policies: policies}}, cost)
}

func until(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after %s", patience)
		}
	}
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	local := &Policy{Name: "local", Requests: 1, Per: time.Hour, Burst: 100}
	small := &Policy{Name: "small", Requests: 1, Per: time.Hour, Burst: 10}
	open := &Policy{Name: "open", Requests: 1, Per: time.Hour, Burst: 1, OnError: Open}
	closed := &Policy{Name: "closed", Requests: 1, Per: time.Hour, Burst: 1, OnError: Closed}
	tests := []struct {
		name     string
		cost     int64
		policies []*Policy
		admitted int // of 30, one of four nodes
		source   Source
		policy   *Policy
	}{
		{"local", 1, []*Policy{local}, 25, FellLocal, local},
		{"local, cost over the share", 5, []*Policy{small}, 1, FellLocal, small},
		{"open", 1, []*Policy{open}, 30, FellOpen, open},
		{"closed", 1, []*Policy{closed}, 0, FellShut, closed},
		{"local beside open", 1, []*Policy{open, local}, 25, FellLocal, local},
		{"two local", 1, []*Policy{local, small}, 2, FellLocal, small},
		{"closed beside open and local", 1, []*Policy{open, local, closed}, 0, FellShut, closed},
	}
	faults := map[string]func(*redistest.Server){"stopped": (*redistest.Server).Stop, "paused": (*redistest.Server).Pause}
	for fault, cause := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s, l := serving(t, 100*time.Millisecond, 4)
			cause(s)
			for _, tt := range tests {
				admitted := 0
				for range 30 {
					d := check(l, tt.name, tt.cost, tt.policies...)
					if d.OK {
						admitted++
					}
					if d.Source != tt.source || d.Policy != tt.policy || d.Unavailable != (tt.source == FellShut) {
						t.Fatalf("%s: %+v, wanted %s by %s", tt.name, d, tt.source, tt.policy.Name)
					}
				}
				if admitted != tt.admitted {
					t.Errorf("%s: %d of 30 admitted, wanted %d", tt.name, admitted, tt.admitted)
				}
			}
			if got := l.Stats(); got.Local != 4*30 || got.Open != 30 || got.Closed != 2*30 || got.Crowded != 0 {
				t.Errorf("Stats() = %+v, wanted 120 local, 30 open, 60 closed", got)
			}
		})
	}
}

// Routes of different cost share a bucket, and the share's burst is never below the cost. A refused request of a low cost
// must not forgive what one of a high cost has spent.
func TestLocalShareForgivesNothing(t *testing.T) {
	t.Parallel()
	s, l := serving(t, 100*time.Millisecond, 4)
	now := time.Now()
	l.now = func() time.Time { return now }
	s.Stop()
	p := &Policy{Name: "p", Requests: 60, Per: time.Minute, Burst: 20} // of a node: one in 4 s
	for _, low := range []int64{0, 1} {
		who := fmt.Sprint("cost ", low)
		admitted := 0
		for range 160 {
			if check(l, who, 20, p).OK {
				admitted++
				if d := check(l, who, low, p); d.OK != (low == 0) || d.Remaining != 0 || d.Source != FellLocal {
					t.Fatalf("%s: %+v, wanted nothing left", who, d)
				}
			}
			now = now.Add(time.Second)
		}
		if admitted != 2 { // 20 each 80 s
			t.Errorf("%s between: %d requests of cost 20 admitted in 160 s, wanted 2", who, admitted)
		}
	}
}

func TestRedisComesBack(t *testing.T) {
	t.Parallel()
	s, l := serving(t, 100*time.Millisecond, 1)
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 1 << 20}
	s.Pause()
	until(t, func() bool { return check(l, "a", 1, p).Source == FellLocal && l.fleet.redis.Stats().Open })
	s.Resume()
	until(t, func() bool { return check(l, "a", 1, p).Source == Redis })
	s.Kill()
	until(t, func() bool { return check(l, "a", 1, p).Source == FellLocal })
	s.Restart(false)
	until(t, func() bool { return check(l, "a", 1, p).Source == Redis })
}

// One caller's cancelled request is charged like any other, and is no failure of Redis.
func TestACallerThatGoesAwayIsCharged(t *testing.T) {
	t.Parallel()
	_, l := serving(t, patience, 1)
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 10, OnError: Closed}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	charges := []Charge{{Subject: Subject{ByClient, "local", "a"}, Policies: []*Policy{p}}}
	if d := l.Check(ctx, charges, 1); !d.OK || d.Source != Redis || d.Remaining != 9 {
		t.Errorf("%+v, wanted a pass counted in Redis with 9 remaining", d)
	}
}

func TestKeysInRedis(t *testing.T) {
	t.Parallel()
	s, l := serving(t, patience, 1)
	c := s.Client()
	c.FlushAll(t.Context())
	p := &Policy{Name: "orders GET /orders/{id}", Requests: 1, Per: time.Minute, Burst: 2, OnError: Closed}
	subject := Subject{ByClient, "local", "a}{b"}
	charges := []Charge{{Subject: subject, Policies: []*Policy{p}}}
	l.Check(t.Context(), charges, 1)
	key := "gh:rl:{" + tagOf(subject) + "}:orders GET /orders/{id}"
	value, err := c.Get(t.Context(), key).Result()
	if err != nil || !regexp.MustCompile(`^[0-9]{14,16}$`).MatchString(value) {
		t.Fatalf("%s holds %q, %v, wanted whole microseconds", key, value, err)
	}
	if ttl := c.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Minute {
		t.Errorf("the key lives %v, wanted until the bucket is full, at most a minute", ttl)
	}
	l.Check(t.Context(), charges, 1)
	full := c.Get(t.Context(), key).Val()
	for range 3 {
		if d := l.Check(t.Context(), charges, 1); d.OK {
			t.Errorf("%+v, wanted a refusal", d)
		}
	}
	other := []Charge{{Subject: Subject{ByIP, "", "192.0.2.1"}, Policies: []*Policy{p}}}
	if d := l.Check(t.Context(), other, 3); d.OK {
		t.Errorf("%+v, wanted a refusal of more than the burst", d)
	}
	if got := c.Get(t.Context(), key).Val(); got != full {
		t.Errorf("refusals changed the bucket from %s to %s", full, got)
	}
	if n := c.Keys(t.Context(), "gh:rl:*").Val(); len(n) != 1 {
		t.Errorf("the keys are %q, wanted one: a refusal makes none", n)
	}
}

func TestAScriptThatIsGoneChargesOnce(t *testing.T) {
	t.Parallel()
	s, l := serving(t, patience, 1)
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 10, OnError: Closed}
	for i := range int64(10) {
		if err := s.Client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if d := check(l, "a", 1, p); !d.OK || d.Remaining != 9-i {
			t.Fatalf("request %d: %+v, wanted a pass with %d remaining", i, d, 9-i)
		}
	}
}

// A key that is not a bucket is a fault of that key alone: its policy's on_error, and everyone else's bucket as ever.
func TestAKeyOfAnotherType(t *testing.T) {
	t.Parallel()
	s, l := serving(t, patience, 1)
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 1 << 20, OnError: Closed}
	broken := Subject{ByClient, "local", "broken"}
	s.Client().LPush(t.Context(), "gh:rl:{"+tagOf(broken)+"}:p", "x")
	for range 20 {
		if d := l.Check(t.Context(), []Charge{{Subject: broken, Policies: []*Policy{p}}}, 1); !d.Unavailable {
			t.Fatalf("%+v, wanted unavailable", d)
		}
	}
	if d := check(l, "whole", 1, p); !d.OK || d.Source != Redis {
		t.Errorf("another subject: %+v, wanted a pass counted in Redis", d)
	}
	if st := l.fleet.redis.Stats(); st.Open || st.Errors["script"] != 20 {
		t.Errorf("Stats() = %+v, wanted 20 script errors and a closed breaker", st)
	}
}

// However many requests come at once, all of them are answered by Redis, and none falls back.
func TestACrowdIsAnsweredByRedis(t *testing.T) {
	s := redistest.Start(t)
	c := redisx.Open(redisx.Options{Addrs: []string{s.Addr()}, Prefix: "gh", Budget: 10 * time.Second})
	defer c.Close()
	l := New(Options{Redis: c})
	p := &Policy{Name: "crowd", Requests: 100, Per: time.Hour, Burst: 100, OnError: Closed}
	var passed, refused, other atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			charges := []Charge{{Subject: Subject{Kind: ByClient, Issuer: "local", Value: "one"}, Policies: []*Policy{p}}}
			if i%2 == 1 { // other subjects, in the same round trips
				charges[0].Subject.Value = fmt.Sprint(i)
			}
			d := l.Check(context.Background(), charges, 1)
			switch {
			case d.Source != Redis && d.Source != Remembered: // who comes after the answer is refused by it
				other.Add(1)
			case i%2 == 1:
				if !d.OK {
					t.Errorf("subject %d was refused", i)
				}
			case d.OK:
				passed.Add(1)
			default:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 100 || refused.Load() != 400 || other.Load() != 0 {
		t.Errorf("passed %d, refused %d, without Redis %d; want 100, 400, 0", passed.Load(), refused.Load(), other.Load())
	}
	if conns := c.Stats().Conns; conns > 4 {
		t.Errorf("a crowd of 1000 opened %d connections", conns)
	}
}
