package ratelimit

import (
	"context"
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
	micros  atomic.Int64
	steady  atomic.Int64       // the local clock of a fleet's node, which is never set back
	push    func(micros int64) // tells Redis; nil where there is none
	redis   *redis.Client
	exact   bool     // every charge is Exact
	sources []Source // what decisions may rest on
}

// set moves the clock, to microseconds since the epoch. That Redis's was set back is seen when it is asked again: after a
// second, where it refused before.
func (r *rig) set(micros int64) {
	forward := micros - r.micros.Load()
	if forward < 0 {
		forward = int64(time.Second / time.Microsecond)
	}
	r.steady.Add(forward)
	r.micros.Store(micros)
	if r.push != nil {
		r.push(micros)
	}
}

func (r *rig) advance(d time.Duration) { r.set(r.micros.Load() + d.Microseconds()) }

func (r *rig) take(who string, cost int64, policies ...*Policy) Decision {
	return r.charge(cost, Charge{Subject: Subject{ByClient, "local", who}, Policies: policies})
}

func (r *rig) charge(cost int64, charges ...Charge) Decision {
	for i := range charges {
		charges[i].Exact = r.exact
	}
	return r.Check(context.Background(), charges, cost)
}

// start is in 2030, a time of 15 digits: one more than Lua writes unless told to.
const start = int64(200e12) + 1

// engines are both engines, the one in Redis in each of its modes. A refusal does not stand for longer than Redis would
// refuse: that it may, by 5 ms, has a test of its own.
var engines = map[string]func(t testing.TB) *rig{
	"memory":     onMemory,
	"exact":      func(t testing.TB) *rig { r := onRedis(t, tuned, Redis); r.exact = true; return r },
	"merged":     func(t testing.TB) *rig { return onRedis(t, tuning{}, Redis) },
	"remembered": func(t testing.TB) *rig { return onRedis(t, tuning{remember: tuned.remember}, Redis, Remembered) },
	"leased":     func(t testing.TB) *rig { return onRedis(t, tuning{lease: tuned.lease}, Redis, Lease) },
	"redis": func(t testing.TB) *rig {
		return onRedis(t, tuning{lease: tuned.lease, remember: tuned.remember}, Redis, Lease, Remembered)
	},
}

func onMemory(testing.TB) *rig {
	r := &rig{sources: []Source{Memory}}
	r.Limiter = New(Options{Now: func() time.Time { return time.UnixMicro(r.micros.Load() + epoch) }})
	r.set(start)
	return r
}

// onRedis reads the clock from a list where take.lua asks Redis for its time.
func onRedis(t testing.TB, how tuning, sources ...Source) *rig {
	t.Helper()
	const asks = "redis.call('TIME')"
	if strings.Count(takeSource, asks) != 1 {
		t.Fatalf("take.lua does not contain %q once: the test can't set its clock", asks)
	}
	s := redistest.Start(t)
	r := &rig{Limiter: New(Options{Redis: dial(t, s)}), sources: sources}
	r.fleet.batch = redisx.NewBatcher(r.fleet.redis, redisx.NewScript(strings.Replace(takeSource, asks, "redis.call('LRANGE', 'clock', 0, 1)", 1)))
	r.fleet.clock = func() int64 { return 1000 * r.steady.Load() }
	r.fleet.known.tuning = how
	r.now = func() time.Time { t.Error("the wall clock was asked"); return time.Time{} }
	c := s.Client()
	r.redis = c
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

// underWay counts the groups that are not sent yet, and the calls for permits that are.
func (l *Limiter) underWay() (gathering, asking int) {
	for i := range l.fleet.known.shards {
		sh := &l.fleet.known.shards[i]
		sh.mu.Lock()
		for _, e := range sh.entries {
			gathering += len(e.gathering)
			if e.asking {
				asking++
			}
		}
		sh.mu.Unlock()
	}
	return gathering, asking
}

func tagOf(s Subject) string {
	digest := s.digest()
	return tag(&digest)
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
