package exchange

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/trace"
)

// told is a Case that only has a reason.
type told string

func (c told) Trace() *trace.Trace { return &trace.Trace{Reason: string(c)} }

func TestRing(t *testing.T) {
	var g Ring
	start := time.Unix(1_800_000_000, 0)
	if got := g.Last(10); len(got) != 0 {
		t.Fatalf("an empty ring has %d", len(got))
	}
	add := func(i int, client string, v Verdict, c Case) {
		g.Finish(&Record{ID: fmt.Sprint(client, i), Start: start.Add(time.Duration(i)), Client: client, Verdict: v, Case: c, Status: 403, Remote: "192.0.2.1"})
	}
	add(1, "known", Deny, told("one"))
	add(2, "known", WouldDeny, told("two"))
	add(3, "known", Allow, told("three"))
	add(4, "known", Deny, nil)
	for i := range 3 * ringSize { // a flood of strangers does not reach what happened to clients
		add(10+i, "", Deny, told("flood"))
	}
	d, ok := g.Find("known1")
	if !ok || d.Trace.Reason != "one" || d.Trace.RequestID != "known1" || d.Trace.Verdict != trace.Deny || d.Trace.Status != 403 || d.Remote != "192.0.2.1" ||
		!d.Trace.Time.Equal(start.Add(1)) {
		t.Errorf("Find = %+v %+v, %v", d, d.Trace, ok)
	}
	if d, ok := g.Find("known2"); !ok || d.Trace.Verdict != trace.WouldDeny {
		t.Errorf("the one that observe mode let through: %+v, %v", d, ok)
	}
	for _, id := range []string{"known3", "known4", "10", ""} {
		if _, ok := g.Find(id); ok {
			t.Errorf("%q is kept", id)
		}
	}
	all := g.Last(1 << 20)
	if len(all) != ringSize+2 || all[0].Trace.RequestID != fmt.Sprint(9+3*ringSize) || all[len(all)-1].Trace.RequestID != "known1" {
		t.Errorf("%d, the first %q, the last %q", len(all), all[0].Trace.RequestID, all[len(all)-1].Trace.RequestID)
	}
	if got := g.Last(1); len(got) != 1 || got[0].Trace.RequestID != all[0].Trace.RequestID {
		t.Errorf("the last one: %+v", got)
	}
}

func TestRingConcurrent(t *testing.T) {
	var g Ring
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 2 * ringSize {
				id := fmt.Sprint(w, "-", i)
				g.Finish(&Record{ID: id, Start: time.Unix(int64(i), 0), Case: told(id)})
				if d, ok := g.Find(id); ok && d.Trace.Reason != id {
					t.Errorf("%s has the trace of %s", id, d.Trace.Reason)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				g.Last(50)
			}
		})
	}
	wg.Wait()
	if n := len(g.Last(1 << 20)); n != ringSize {
		t.Errorf("%d kept, want %d", n, ringSize)
	}
}

func BenchmarkRing(b *testing.B) {
	var g Ring
	c := told("x")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := &Record{ID: "x", Case: c}
		for pb.Next() {
			g.Finish(r)
		}
	})
}
