package ratelimit

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

func BenchmarkDecide(b *testing.B) {
	p := &Policy{Name: "p", Requests: 100, Per: time.Second, Burst: 100}
	var now, tat int64
	b.ReportAllocs()
	for b.Loop() {
		now += 5000
		_, tat = decide(now, tat, p, 1)
	}
}

// ample is never used up by a benchmark.
var ample = &Policy{Name: "orders", Requests: 1e6, Per: time.Second, Burst: 1 << 30, OnError: Closed}

// inFlight is how many requests are under way at once in BenchmarkCheck.
const inFlight = 64

// way is how a check travels, and how often Redis was asked; nil: for each.
type way func(b *testing.B) (check func([]Charge) Decision, trips func() int64)

// ways are those there are. The first two are there to compare with.
var ways = []struct {
	name string
	open way
}{
	{"single", func(b *testing.B) (func([]Charge) Decision, func() int64) {
		c := dial(b, redistest.Start(b))
		script := redisx.NewScript(takeSource)
		return alone(c.Prefix(), func(call redisx.Call) ([]int64, error) {
			ctx, cancel := context.WithTimeout(context.Background(), c.Budget())
			defer cancel()
			return c.Run(ctx, script, call.Keys, call.Args...).Int64Slice()
		}), nil
	}},
	{"batched", func(b *testing.B) (func([]Charge) Decision, func() int64) {
		c := dial(b, redistest.Start(b))
		batch := redisx.NewBatcher(c, redisx.NewScript(takeSource))
		return alone(c.Prefix(), func(call redisx.Call) ([]int64, error) {
			ctx, cancel := context.WithTimeout(context.Background(), c.Budget())
			defer cancel()
			return batch.Run(ctx, call)
		}), func() int64 { return batch.Stats().RoundTrips }
	}},
	{"merged", through(tuning{})},
	{"leased", through(tuned)},
	{"memory", func(b *testing.B) (func([]Charge) Decision, func() int64) {
		l := New(Options{})
		return func(charges []Charge) Decision { return l.Check(context.Background(), charges, 1) }, func() int64 { return 0 }
	}},
}

func through(how tuning) way {
	return func(b *testing.B) (func([]Charge) Decision, func() int64) {
		l := New(Options{Redis: dial(b, redistest.Start(b))})
		l.fleet.known.tuning = how
		return func(charges []Charge) Decision { return l.Check(context.Background(), charges, 1) },
			func() int64 { return l.fleet.batch.Stats().RoundTrips }
	}
}

// alone makes each check a call of its own.
func alone(prefix string, run func(redisx.Call) ([]int64, error)) func([]Charge) Decision {
	return func(charges []Charge) Decision {
		c := &charges[0]
		p := c.Policies[0]
		digest := c.Subject.digest()
		interval, tau := p.shape()
		answer, err := run(redisx.Call{
			Keys: []string{prefix + ":rl:{" + tag(&digest) + "}:" + p.Name},
			Args: []any{1, 0, charge(1, interval, tau), interval, tau},
		})
		if err != nil {
			return Decision{Unavailable: true}
		}
		return settle(answer[2], answer[3:], c.Policies, 1)
	}
}

// BenchmarkCheck has many requests under way, of subjects that are drawn by chance. cpu-ns/op is what this process spent on
// a check, in all its threads; redis-server is another process.
func BenchmarkCheck(b *testing.B) {
	for _, keys := range []int{1, 1000, 100_000} {
		values := make([]string, keys)
		for i := range values {
			values[i] = fmt.Sprint("client-", i)
		}
		for _, way := range ways {
			b.Run(fmt.Sprintf("keys=%d/%s", keys, way.name), func(b *testing.B) {
				check, trips := way.open(b)
				check([]Charge{{Subject: Subject{ByClient, "local", "first"}, Policies: []*Policy{ample}}})
				policies := []*Policy{ample}
				b.ReportAllocs()
				b.SetParallelism(inFlight / 2)
				b.ResetTimer()
				before := cpu()
				b.RunParallel(func(pb *testing.PB) {
					charges := make([]Charge, 1)
					random := rand.New(rand.NewPCG(rand.Uint64(), 1))
					for pb.Next() {
						charges[0] = Charge{Subject: Subject{ByClient, "local", values[random.IntN(keys)]}, Policies: policies}
						if d := check(charges); !d.OK {
							b.Errorf("%+v", d)
							return
						}
					}
				})
				b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s")
				if trips != nil {
					b.ReportMetric(float64(trips())/float64(b.N), "trips/op")
				}
			})
		}
	}
}

// BenchmarkKnown fills the table of what is known, and says what an entry takes.
func BenchmarkKnown(b *testing.B) {
	var before, after runtime.MemStats
	policies, digest := []*Policy{ample}, [32]byte{}
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		t := newTable(func() int { return 1 })
		for i := range uint64(4 * maxKnown) {
			binary.LittleEndian.PutUint64(digest[:], i)
			binary.LittleEndian.PutUint64(digest[24:], i)
			sh := t.shard(&digest)
			sh.mu.Lock()
			e := sh.find(&Charge{Policies: policies}, &digest, 0, "gh")
			e.tats = make([]int64, 1)
			sh.mu.Unlock()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		n, _ := t.count(0)
		b.ReportMetric(float64(n), "entries")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/entry")
		runtime.KeepAlive(t)
	}
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
