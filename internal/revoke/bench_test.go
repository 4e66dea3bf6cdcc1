package revoke

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

// quantiles reports what a latency was at the median, at the 99th percentile and at worst.
func quantiles(b *testing.B, what string, all []time.Duration) {
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(0.50), "ms-p50-"+what)
	b.ReportMetric(at(0.99), "ms-p99-"+what)
	b.ReportMetric(at(1), "ms-max-"+what)
}

// BenchmarkFleet says how soon three nodes refuse a token, at the pace of production: from the call of Revoke on one until both
// others do ("fleet"), and from its answer ("after", 0 where they did before), and how long the call itself took ("call").
func BenchmarkFleet(b *testing.B) {
	for _, bm := range []struct {
		name string
		kill time.Duration // between two kills of every connection; 0: none
	}{{"steady", 0}, {"connections killed every 100 ms", 100 * time.Millisecond}, {"connections killed every second", time.Second}} {
		b.Run(bm.name, func(b *testing.B) {
			server := redistest.Start(b)
			var nodes []*node
			for range 3 {
				nodes = append(nodes, engine{server}.start(b, b.TempDir(), func(o *Options, p *pace) { o.Log, *p = nil, usualPace }).synced())
			}
			eventually(b, "each knows the fleet", func() bool { return nodes[0].Nodes() == 3 && nodes[1].Nodes() == 3 && nodes[2].Nodes() == 3 })
			ctx, stop := context.WithCancel(b.Context())
			var killer sync.WaitGroup
			kills := 0
			if bm.kill > 0 {
				killer.Go(func() {
					for pause(ctx, bm.kill) {
						server.Client().ClientKillByFilter(ctx, "TYPE", "normal")
						kills++
					}
				})
			}
			var fleet, after, call []time.Duration
			b.ResetTimer()
			for i := range b.N {
				from, others := nodes[i%3], []*node{nodes[(i+1)%3], nodes[(i+2)%3]}
				jti := fmt.Sprint("t", i)
				answered := make(chan time.Time, 1)
				began := time.Now()
				go func() {
					if _, err := from.Revoke(ctx, live(jti)); err != nil {
						b.Error(err)
					}
					answered <- time.Now()
				}()
				for !others[0].refuses(jti) || !others[1].refuses(jti) {
					if time.Since(began) > time.Minute {
						b.Fatal("not refused in a minute")
					}
					time.Sleep(20 * time.Microsecond)
				}
				seen := time.Now()
				back := <-answered
				fleet, after, call = append(fleet, seen.Sub(began)), append(after, max(0, seen.Sub(back))), append(call, back.Sub(began))
				if bm.kill > 0 {
					time.Sleep(time.Duration(i%7) * time.Millisecond) // so that the kills fall everywhere
				}
			}
			b.StopTimer()
			stop()
			killer.Wait()
			quantiles(b, "fleet", fleet)
			quantiles(b, "after", after)
			quantiles(b, "call", call)
			if bm.kill > 0 {
				b.ReportMetric(float64(kills), "kills")
			}
		})
	}
}

// BenchmarkPauses says what the garbage collector's pauses are with nothing in the set, and with a million.
func BenchmarkPauses(b *testing.B) {
	for _, bm := range []struct {
		name string
		set  *Set
	}{{"empty", new(Set)}, {"million", million(24)}} {
		b.Run(bm.name, func(b *testing.B) {
			var before, after debug.GCStats
			runtime.GC()
			debug.ReadGCStats(&before)
			for b.Loop() {
				runtime.GC()
			}
			debug.ReadGCStats(&after)
			cycles := after.NumGC - before.NumGC
			recent := slices.Clone(after.Pause[:min(int64(len(after.Pause)), cycles)])
			b.ReportMetric(float64((after.PauseTotal-before.PauseTotal).Microseconds())/float64(cycles), "µs-pause")
			quantiles(b, "pause", recent)
			runtime.KeepAlive(bm.set)
		})
	}
}

// BenchmarkRejoin says how soon a node that was restarted is ready with a million revocations, and how long until it has compared
// them with Redis where it must: where the log has the entry that it applied last, and where it has not.
func BenchmarkRejoin(b *testing.B) {
	server := redistest.Start(b)
	e, dir := engine{server}, b.TempDir()
	usual := func(o *Options, p *pace) { o.Log, *p = nil, usualPace }
	n := e.start(b, dir, usual).synced()
	expires := time.Now().Add(20 * time.Hour).Unix()
	batch := make([]Entry, 0, 50_000)
	for i := range uint64(1_000_000) {
		if batch = append(batch, Entry{Kind: Token, ID: id(i), Expires: expires + int64(i%3000)}); len(batch) == cap(batch) {
			n.set.Add(batch...)
			if err := n.journal.Put(false, batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	compared := func(n *node) {
		b.Helper()
		for n.Stats().Reconciled == 0 || members(b, server.Client()) < 1_000_000 || n.feed.relink.Load() || n.feed.applied.Load().ms == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	n.feed.relink.Store(true)
	compared(n)
	n.mustRevoke(live("last"))
	n.stop()
	for _, bm := range []struct {
		name   string
		before func()
	}{{"goes on", func() {}}, {"compares all", func() { server.Client().Del(b.Context(), "gh:{rev}:log") }}} {
		b.Run(bm.name, func(b *testing.B) {
			var ready []time.Duration
			for b.Loop() {
				b.StopTimer()
				bm.before()
				b.StartTimer()
				began := time.Now()
				n := e.start(b, dir, usual)
				for !n.Ready() {
					time.Sleep(time.Millisecond)
				}
				ready = append(ready, time.Since(began))
				b.StopTimer()
				n.mustRevoke(live(fmt.Sprint(bm.name, len(ready))))
				n.stop()
				b.StartTimer()
			}
			quantiles(b, "ready", ready)
		})
	}
}
