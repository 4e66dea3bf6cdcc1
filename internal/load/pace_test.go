package load

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Requests are sent when they are meant to be, whoever of the workers takes them.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().Add(50 * time.Millisecond)
		p := &pace{begin: begin, end: begin.Add(time.Second), rate: 200}
		var mu sync.Mutex
		var sent []time.Duration
		var all sync.WaitGroup
		for range 7 {
			all.Go(func() {
				for {
					meant, ok := p.take(t.Context())
					if !ok {
						return
					}
					if !meant.Equal(time.Now()) {
						t.Errorf("meant for %s, and sent at %s", meant.Sub(begin), time.Since(begin))
					}
					mu.Lock()
					sent = append(sent, meant.Sub(begin))
					mu.Unlock()
				}
			})
		}
		all.Wait()
		slices.Sort(sent)
		if len(sent) != 200 {
			t.Fatalf("%d requests in a second of 200", len(sent))
		}
		for i, at := range sent {
			if want := time.Duration(i) * 5 * time.Millisecond; at != want {
				t.Errorf("request %d was meant for %s, want %s", i, at, want)
			}
		}
	})
}

// Who comes late sends at once, and is told when it should have been.
func TestPaceOfALateWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := &pace{begin: begin, end: begin.Add(time.Second), rate: 10}
		p.take(t.Context())
		time.Sleep(550 * time.Millisecond)
		for i := 1; i <= 5; i++ {
			meant, ok := p.take(t.Context())
			if late := time.Since(begin); !ok || late != 550*time.Millisecond || meant.Sub(begin) != time.Duration(i)*100*time.Millisecond {
				t.Errorf("request %d: %v, meant for %s, sent at %s", i, ok, meant.Sub(begin), late)
			}
		}
		if meant, ok := p.take(t.Context()); !ok || time.Since(begin) != 600*time.Millisecond {
			t.Errorf("the first one in time: %v, meant for %s, sent at %s", ok, meant.Sub(begin), time.Since(begin))
		}
	})
}

func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().Add(time.Second)
		free := &pace{begin: begin, end: begin.Add(time.Second)}
		if meant, ok := free.take(t.Context()); !ok || !meant.Equal(begin) || !time.Now().Equal(begin) {
			t.Errorf("before the beginning: %v, meant for %s", ok, meant.Sub(begin))
		}
		if meant, ok := free.take(t.Context()); !ok || !meant.Equal(time.Now()) {
			t.Errorf("as fast as possible: %v, meant for %s", ok, meant.Sub(begin))
		}
		time.Sleep(time.Second)
		if _, ok := free.take(t.Context()); ok {
			t.Error("a request after the end")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		slow := &pace{begin: time.Now(), end: time.Now().Add(time.Hour), rate: 0.01}
		slow.take(ctx)
		if _, ok := slow.take(ctx); ok || ctx.Err() == nil {
			t.Error("a request after the context was done")
		}
	})
}
