package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// patience is a budget that a busy machine keeps.
const patience = 20 * time.Second

// rig is a Limiter on a clock that stands still until the test moves it.
type rig struct {
	*Limiter
	micros atomic.Int64
	push   func(micros int64) // tells the engine; nil where it reads micros by itself
}

// set moves the clock, to microseconds since the epoch.
func (r *rig) set(micros int64) {
	r.micros.Store(micros)
	if r.push != nil {
		r.push(micros)
	}
}

func (r *rig) advance(d time.Duration) { r.set(r.micros.Load() + d.Microseconds()) }

func (r *rig) take(who string, cost int64, policies ...*Policy) Decision {
	return r.Check(context.Background(), []Charge{{Subject{ByClient, "local", who}, policies}}, cost)
}

// start is in 2030, a time of 15 digits: one more than Lua writes unless told to.
const start = int64(200e12) + 1

var engines = map[string]func(t testing.TB) *rig{"memory": onMemory, "redis": onRedis}

func onMemory(testing.TB) *rig {
	r := new(rig)
	r.Limiter = New(Options{Now: func() time.Time { return time.UnixMicro(r.micros.Load() + epoch) }})
	r.set(start)
	return r
}

// onRedis reads the clock from a list where take.lua asks Redis for its time.
func onRedis(t testing.TB) *rig {
	t.Helper()
	const asks = "redis.call('TIME')"
	if strings.Count(takeSource, asks) != 1 {
		t.Fatalf("take.lua does not contain %q once: the test can't set its clock", asks)
	}
	s := redistest.Start(t)
	r := &rig{Limiter: New(Options{Redis: dial(t, s)})}
	r.fleet.batch = redisx.NewBatcher(r.fleet.redis, redisx.NewScript(strings.Replace(takeSource, asks, "redis.call('LRANGE', 'clock', 0, 1)", 1)))
	r.now = func() time.Time { t.Error("the local clock was asked"); return time.Time{} }
	c := s.Client()
	r.push = func(micros int64) {
		_, err := c.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
			p.Del(context.Background(), "clock")
			p.RPush(context.Background(), "clock", (micros+epoch)/1e6, (micros+epoch)%1e6)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.set(start)
	return r
}

func dial(t testing.TB, s *redistest.Server) *redisx.Client {
	t.Helper()
	c := redisx.Open(redisx.Options{Addrs: []string{s.Addr()}, Prefix: "gh", Budget: patience})
	t.Cleanup(func() { c.Close() })
	return c
}

func onEach(t *testing.T, test func(t *testing.T, r *rig)) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func TestBucketOverTime(t *testing.T) {
	t.Parallel()
	p := &Policy{Name: "p", Requests: 10, Per: time.Hour, Burst: 3, OnError: Closed}
	const interval = 6 * time.Minute
	rows := []struct {
		advance   time.Duration
		cost      int64
		ok        bool
		remaining int64
		retry     time.Duration
	}{
		{0, 1, true, 2, 0},
		{0, 2, true, 0, 0},
		{0, 1, false, 0, interval},
		{0, 0, true, 0, 0},
		{interval - time.Microsecond, 1, false, 0, time.Microsecond},
		{time.Microsecond, 1, true, 0, 0},
		{2 * interval, 3, false, 2, interval},
		{0, 2, true, 0, 0},
		{100 * time.Hour, 4, false, 3, time.Microsecond},
		{0, 3, true, 0, 0},
		{-time.Hour, 1, false, 0, interval}, // set back: nobody is locked out for an hour
		{interval, 1, true, 0, 0},
		{time.Hour, 1, true, 2, 0},
	}
	onEach(t, func(t *testing.T, r *rig) {
		for i, row := range rows {
			r.advance(row.advance)
			d := r.take("a", row.cost, p)
			if d.OK != row.ok || d.Remaining != row.remaining || d.RetryAfter != row.retry || d.Policy != p {
				t.Fatalf("row %d: %+v, wanted %+v", i, d, row)
			}
			if want := map[bool]Source{true: Memory, false: Redis}[r.fleet == nil]; d.Source != want {
				t.Fatalf("row %d: source %q, wanted %q", i, d.Source, want)
			}
		}
		if d := r.take("b", 3, p); !d.OK {
			t.Errorf("another subject: %+v, wanted a bucket of its own", d)
		}
	})
}

// model is what both engines must agree with: every bucket kept for ever, and decide.
type model map[string]int64

func (m model) take(now int64, who string, cost int64, policies []*Policy) Decision {
	tats := make([]int64, len(policies))
	for i, p := range policies {
		tat, ok := m[who+" "+p.Name]
		if !ok {
			tat = now
		}
		tats[i] = tat
	}
	d := settle(now, tats, policies, cost)
	for i, p := range policies {
		stored, known := m[who+" "+p.Name]
		if d.OK && cost > 0 || known && tats[i] < stored {
			m[who+" "+p.Name] = tats[i]
		}
	}
	return d
}

// Periods are hours, so that no key of Redis's, which expire by its own clock, goes while the test runs.
func TestEnginesAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		for seed := range uint64(4) {
			random, m := rand.New(rand.NewPCG(seed, 7)), model{}
			var history []string
			for range 500 {
				r.advance(jump(random))
				who := fmt.Sprint(seed, random.IntN(3))
				policies := make([]*Policy, 1+random.IntN(3))
				for i := range policies {
					policies[i] = &Policy{Name: fmt.Sprint(i), Requests: 1 + random.Int64N(30), Per: 10 * time.Hour, Burst: 1 + random.Int64N(20), OnError: Closed}
				}
				cost := random.Int64N(4)
				got := r.take(who, cost, policies...)
				want := m.take(r.micros.Load(), who, cost, policies)
				history = append(history, fmt.Sprint(r.micros.Load()-start, who, cost, got.OK))
				if got.Source = None; got != want {
					t.Fatalf("seed %d: %+v, wanted %+v, after %v", seed, got, want, history)
				}
			}
		}
	})
}

// jump mostly stays, often moves on, and sometimes goes back.
func jump(r *rand.Rand) time.Duration {
	switch r.IntN(20) {
	case 0:
		return -time.Duration(r.Int64N(int64(20 * time.Hour)))
	case 1:
		return time.Duration(r.Int64N(int64(20 * time.Hour)))
	case 2, 3, 4, 5, 6, 7, 8:
		return time.Duration(r.Int64N(int64(time.Hour)))
	}
	return 0
}

func TestConcurrentCallersGetTheBurst(t *testing.T) {
	t.Parallel()
	const burst, callers, each = 100, 50, 10
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: burst, OnError: Closed}
	onEach(t, func(t *testing.T, r *rig) {
		admitted, unavailable := storm(callers, each, func(int) Decision { return r.take("a", 1, p) })
		exactly(t, burst, admitted, unavailable)
	})
}

// storm lets callers ask concurrently and counts the answers.
func storm(callers, each int, ask func(caller int) Decision) (admitted, unavailable int64) {
	var in, away atomic.Int64
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for range each {
				switch d := ask(caller); {
				case d.OK:
					in.Add(1)
				case d.Unavailable:
					away.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return in.Load(), away.Load()
}

// exactly allows for takes without an answer, which a busy machine may cause: they may have been counted.
func exactly(t *testing.T, want, admitted, unavailable int64) {
	t.Helper()
	if admitted > want || admitted+unavailable < want {
		t.Errorf("admitted %d, with %d unavailable, wanted %d", admitted, unavailable, want)
	}
}

func TestTwoNodesShareOneCount(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	nodes := []*Limiter{New(Options{Redis: dial(t, s)}), New(Options{Redis: dial(t, s)})}
	const burst = 200
	p := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: burst, OnError: Closed}
	charges := []Charge{{Subject{ByClient, "local", "a"}, []*Policy{p}}}
	admitted, unavailable := storm(10, 50, func(caller int) Decision {
		return nodes[caller%2].Check(context.Background(), charges, 1)
	})
	exactly(t, burst, admitted, unavailable)
}

func TestAllPoliciesOfASubjectOrNone(t *testing.T) {
	t.Parallel()
	wide := &Policy{Name: "wide", Requests: 10, Per: time.Hour, Burst: 10, OnError: Closed}
	tight := &Policy{Name: "tight", Requests: 1, Per: time.Hour, Burst: 2, OnError: Closed}
	onEach(t, func(t *testing.T, r *rig) {
		for i := range 5 {
			d := r.take("a", 1, wide, tight)
			if d.OK != (i < 2) || d.Policy != tight {
				t.Errorf("request %d: %+v, wanted tight to decide and to let two pass", i, d)
			}
		}
		if d := r.take("a", 0, wide); d.Remaining != 8 {
			t.Errorf("wide has %d left, wanted 8: refusals charge nothing", d.Remaining)
		}
	})
}

func TestChargesInOrderWithoutRefund(t *testing.T) {
	t.Parallel()
	ip := &Policy{Name: "ip", Requests: 10, Per: time.Hour, Burst: 10, OnError: Closed}
	route := &Policy{Name: "route", Requests: 10, Per: time.Hour, Burst: 2, OnError: Closed}
	client := &Policy{Name: "client", Requests: 10, Per: time.Hour, Burst: 5, OnError: Closed}
	onEach(t, func(t *testing.T, r *rig) {
		charges := []Charge{
			{Subject{ByIP, "", "192.0.2.1"}, []*Policy{ip}},
			{Subject{ByRoute, "", "orders GET /orders"}, []*Policy{route}},
			{Subject{ByClient, "local", "a"}, nil},
			{Subject{ByClient, "local", "a"}, []*Policy{client}},
		}
		for range 3 {
			r.Check(context.Background(), charges, 1)
		}
		if d := r.Check(context.Background(), charges, 1); d.OK || d.Policy != route {
			t.Errorf("%+v, wanted a refusal by route", d)
		}
		for i, want := range []int64{0: 6, 1: 0, 3: 3} {
			if i == 2 {
				continue
			}
			if d := r.Check(context.Background(), charges[i:i+1], 0); d.Remaining != want {
				t.Errorf("%s has %d left, wanted %d", d.Policy.Name, d.Remaining, want)
			}
		}
		if d := r.Check(context.Background(), []Charge{charges[0], charges[3]}, 1); !d.OK || d.Policy != client {
			t.Errorf("%+v, wanted the tightest of the passes, client with 2 of 5 and not ip with 5 of 10", d)
		}
	})
}

func TestWhatAppliesToNobody(t *testing.T) {
	t.Parallel()
	good := &Policy{Name: "p", Requests: 1, Per: time.Hour, Burst: 1, OnError: Open}
	onEach(t, func(t *testing.T, r *rig) {
		if d := r.Check(context.Background(), nil, 1); d != (Decision{OK: true}) {
			t.Errorf("no charges: %+v, wanted a pass that rests on nothing", d)
		}
		if d := r.take("a", 1, &Policy{Name: "empty", OnError: Open}); d.OK {
			t.Errorf("the zero policy: %+v, wanted a refusal", d)
		}
		if d := r.take("a", -1, good); d.OK {
			t.Errorf("a negative cost: %+v, wanted a refusal", d)
		}
	})
}

func TestBucketsOutliveReloads(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		policy := func(burst int64) *Policy {
			return &Policy{Name: "p", Requests: 10, Per: time.Hour, Burst: burst, OnError: Closed}
		}
		if d := r.take("a", 8, policy(10)); d.Remaining != 2 {
			t.Fatalf("%+v, wanted 2 remaining", d)
		}
		if d := r.take("a", 0, policy(10)); d.Remaining != 2 {
			t.Errorf("an equal policy has %d left, wanted 2", d.Remaining)
		}
		if d := r.take("a", 1, policy(4)); d.OK || d.RetryAfter != 6*time.Minute {
			t.Errorf("a lowered burst: %+v, wanted a refusal for one interval", d)
		}
		if d := r.take("a", 0, policy(10)); d.Remaining != 6 {
			t.Errorf("after the burst was lowered and raised, %d left, wanted 6", d.Remaining)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	p := &Policy{Name: "p", Requests: 100, Per: time.Second, Burst: 100}
	var now, tat int64
	b.ReportAllocs()
	for b.Loop() {
		now += 5000
		_, tat = decide(now, tat, p, 1)
	}
}

func BenchmarkCheckMemory(b *testing.B) {
	l := New(Options{})
	p := &Policy{Name: "p", Requests: 1e6, Per: time.Second, Burst: 1e6}
	charges := []Charge{{Subject{ByClient, "local", "billing-worker"}, []*Policy{p}}}
	b.ReportAllocs()
	for b.Loop() {
		l.Check(b.Context(), charges, 1)
	}
}

func BenchmarkCheckMemoryManySubjects(b *testing.B) {
	l := New(Options{MaxKeys: 1 << 16})
	p := &Policy{Name: "p", Requests: 100, Per: time.Second, Burst: 100}
	values := make([]string, 1<<17)
	for i := range values {
		values[i] = fmt.Sprint(i)
	}
	var i atomic.Uint32
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Check(b.Context(), []Charge{{Subject{ByClient, "local", values[i.Add(1)%uint32(len(values))]}, []*Policy{p}}}, 1)
		}
	})
}

func BenchmarkCheckRedis(b *testing.B) {
	l := New(Options{Redis: dial(b, redistest.Start(b))})
	p := &Policy{Name: "p", Requests: 1e6, Per: time.Second, Burst: 1e6, OnError: Closed}
	charges := []Charge{{Subject{ByClient, "local", "billing-worker"}, []*Policy{p}}}
	b.ReportAllocs()
	for b.Loop() {
		if d := l.Check(b.Context(), charges, 1); !d.OK {
			b.Fatalf("%+v", d)
		}
	}
}
