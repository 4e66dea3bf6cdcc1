package hashpool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hold keeps the pool's one worker until the returned function is called.
func hold(t *testing.T, p *Pool) (release func()) {
	t.Helper()
	held, end := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		if err := p.Do(context.Background(), "holder", func() { close(held); <-end }); err != nil {
			t.Errorf("the holder: %v", err)
		}
	})
	<-held
	return func() { close(end); done.Wait() }
}

// waits returns once n wait.
func waits(t *testing.T, p *Pool, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); p.Stats().Waiting != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait, want %d", p.Stats().Waiting, n)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	p := New(Options{Workers: 3, Waiting: 1000, PerSource: 1000, Patience: time.Minute})
	var running, most, ran atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			err := p.Do(context.Background(), fmt.Sprint(i%7), func() {
				now := running.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				ran.Add(1)
				running.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 3 || ran.Load() != 200 {
		t.Errorf("%d ran, %d at once", ran.Load(), most.Load())
	}
	if s := p.Stats(); s.Running != 0 || s.Waiting != 0 || s.Done != 200 || s.Refused != 0 || len(p.sources) != 0 || len(p.turn) != 0 {
		t.Errorf("afterwards %+v, %d sources", s, len(p.sources))
	}
}

// Ensure that one source that floods costs another one turn, and not the whole queue.
func TestSourcesTakeTurns(t *testing.T) {
	t.Parallel()
	p := New(Options{Workers: 1, PerSource: 10, Patience: time.Minute})
	release := hold(t, p)
	var mu sync.Mutex
	var order []string
	var all sync.WaitGroup
	ask := func(source string, n int) {
		all.Go(func() {
			if err := p.Do(context.Background(), source, func() { mu.Lock(); order = append(order, source); mu.Unlock() }); err != nil {
				t.Error(err)
			}
		})
		waits(t, p, n)
	}
	for i := range 10 {
		ask("flood", i+1)
	}
	if err := p.Do(context.Background(), "flood", func() { t.Error("ran") }); !errors.Is(err, ErrBusy) {
		t.Errorf("the eleventh of one source: %v", err)
	}
	ask("good", 11)
	release()
	all.Wait()
	if at := slices.Index(order, "good"); at > 1 || len(order) != 11 {
		t.Errorf("the order was %v", order)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := New(Options{Workers: 1, Waiting: 2, PerSource: 2, Patience: time.Minute})
	release := hold(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			if err := p.Do(ctx, fmt.Sprint(i), func() { t.Error("ran after its caller had gone") }); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that went away: %v", err)
			}
		})
	}
	waits(t, p, 2)
	if err := p.Do(context.Background(), "third", func() { t.Error("ran") }); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the bound: %v", err)
	}
	cancel()
	all.Wait()
	p.o.Patience = time.Millisecond // nobody waits now
	if err := p.Do(context.Background(), "slow", func() { t.Error("ran") }); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the patience: %v", err)
	}
	release()
	if err := p.Do(context.Background(), "after", func() {}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if s := p.Stats(); s.Running != 0 || s.Waiting != 0 || s.Refused != 4 || len(p.sources) != 0 || len(p.turn) != 0 {
		t.Errorf("afterwards %+v", s)
	}
}

// Ensure that no worker is lost where the turn comes in the moment in which its waiter gives up.
func TestTurnsAreNotLost(t *testing.T) {
	t.Parallel()
	p := New(Options{Workers: 2, Waiting: 64, PerSource: 64, Patience: 50 * time.Microsecond})
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for range 200 {
				_ = p.Do(context.Background(), fmt.Sprint(i%5), func() { time.Sleep(20 * time.Microsecond) })
			}
		})
	}
	all.Wait()
	if s := p.Stats(); s.Running != 0 || s.Waiting != 0 || len(p.sources) != 0 || len(p.turn) != 0 {
		t.Errorf("afterwards %+v, %d sources, %d in turn", s, len(p.sources), len(p.turn))
	}
}
