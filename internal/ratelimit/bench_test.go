package ratelimit

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/redistest"
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

func BenchmarkCheckMemory(b *testing.B) {
	l := New(Options{})
	p := &Policy{Name: "p", Requests: 1e6, Per: time.Second, Burst: 1e6}
	charges := []Charge{{Subject: Subject{ByClient, "local", "billing-worker"}, Policies: []*Policy{p}}}
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
			l.Check(b.Context(), []Charge{{Subject: Subject{ByClient, "local", values[i.Add(1)%uint32(len(values))]}, Policies: []*Policy{p}}}, 1)
		}
	})
}

func BenchmarkCheckRedis(b *testing.B) {
	l := New(Options{Redis: dial(b, redistest.Start(b))})
	p := &Policy{Name: "p", Requests: 1e6, Per: time.Second, Burst: 1e6, OnError: Closed}
	charges := []Charge{{Subject: Subject{ByClient, "local", "billing-worker"}, Policies: []*Policy{p}}}
	b.ReportAllocs()
	for b.Loop() {
		if d := l.Check(b.Context(), charges, 1); !d.OK {
			b.Fatalf("%+v", d)
		}
	}
}
