package redisx

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/redistest"
)

var add = NewScript(`return {redis.call('INCRBY', KEYS[1], ARGV[1])}`)

// job is a Job of a test.
type job struct {
	call func() (Call, bool)
	done chan result
}

func newJob(call func() (Call, bool)) *job { return &job{call, make(chan result, 1)} }

func (j *job) Call() (Call, bool)              { return j.call() }
func (j *job) Done(numbers []int64, err error) { j.done <- result{numbers, err} }

func adding(key string, n int) func() (Call, bool) {
	return func() (Call, bool) { return Call{[]string{key}, []any{n}}, true }
}

// What arrives while a round trip is under way shares the next, in its order, and each gets its own answer.
func TestBatcherSharesRoundTrips(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := NewBatcher(open(t, Options{Addrs: []string{s.Addr()}, Budget: patience}), add)
	taken, sent := make(chan struct{}), make(chan struct{})
	first := newJob(func() (Call, bool) {
		close(taken)
		<-sent // as long as a slow round trip
		return Call{[]string{"n"}, []any{1}}, true
	})
	if err := b.Add("n", first); err != nil {
		t.Fatal(err)
	}
	<-taken
	jobs := make([]*job, maxBatch+10)
	for i := range jobs {
		jobs[i] = newJob(adding("n", 1))
		if i == 3 { // nobody wants it any more
			jobs[i].call = func() (Call, bool) { return Call{}, false }
		}
		if err := b.Add("n", jobs[i]); err != nil {
			t.Fatal(err)
		}
	}
	close(sent)
	want := int64(2) // the first one gave 1
	for i, j := range jobs {
		if i == 3 {
			continue
		}
		if r := <-j.done; r.err != nil || len(r.numbers) != 1 || r.numbers[0] != want {
			t.Fatalf("job %d: %v, %v, wanted %d", i, r.numbers, r.err, want)
		}
		want++
	}
	if st := b.Stats(); st != (BatchStats{RoundTrips: 3, Calls: maxBatch + 10}) {
		t.Errorf("Stats() = %+v, wanted 3 round trips", st)
	}
	select {
	case r := <-jobs[3].done:
		t.Errorf("a job that was not sent was told %v", r)
	default:
	}
	eventually(t, "the lane has ended", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.lanes) == 0 })
}

// What is held up at one server holds up nothing for another.
func TestBatcherKeepsServersApart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := NewBatcher(open(t, Options{Addrs: []string{s.Addr()}, Budget: patience}), add)
	b.shard = func(key string) string { server, _, _ := strings.Cut(key, ":"); return server }
	release := make(chan struct{})
	slow := newJob(func() (Call, bool) { <-release; return Call{[]string{"slow:n"}, []any{1}}, true })
	if err := b.Add("slow:n", slow); err != nil {
		t.Fatal(err)
	}
	behind := newJob(adding("slow:n", 1))
	if err := b.Add("slow:n", behind); err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		if n, err := b.Run(within(t, patience), Call{[]string{"fast:n"}, []any{1}}); err != nil || n[0] != i+1 {
			t.Fatalf("run %d beside a slow server: %v, %v", i, n, err)
		}
	}
	close(release)
	for _, j := range []*job{slow, behind} {
		if r := <-j.done; r.err != nil {
			t.Error(r.err)
		}
	}
}

// So many wait for a server, and no more; who gives up is not sent.
func TestBatcherIsBounded(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := NewBatcher(open(t, Options{Addrs: []string{s.Addr()}, Budget: patience}), add)
	release, taken := make(chan struct{}), make(chan struct{})
	first := newJob(func() (Call, bool) { close(taken); <-release; return Call{}, false })
	if err := b.Add("n", first); err != nil {
		t.Fatal(err)
	}
	<-taken
	ctx, cancel := context.WithCancel(context.Background())
	var gone sync.WaitGroup
	gone.Go(func() {
		if _, err := b.Run(ctx, Call{[]string{"n"}, []any{1}}); !errors.Is(err, context.Canceled) {
			t.Errorf("Run with its context cancelled: %v", err)
		}
	})
	eventually(t, "it waits", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.lanes[""].waiting) == 1 })
	cancel()
	gone.Wait()
	for range maxWaiting - 1 {
		if err := b.Add("n", newJob(adding("n", 1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add("n", newJob(adding("n", 1))); !errors.Is(err, errCrowded) {
		t.Errorf("one more gave %v, wanted errCrowded", err)
	}
	close(release)
	eventually(t, "all are answered", func() bool { return b.Stats().Calls == maxWaiting-1 })
	n, err := b.Run(within(t, patience), Call{[]string{"n"}, []any{0}})
	if err != nil || n[0] != maxWaiting-1 {
		t.Errorf("n is %v, %v, wanted %d", n, err, maxWaiting-1)
	}
}

func TestBatcherWithTheBreakerOpen(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, Options{Addrs: []string{s.Addr()}, Budget: 100 * time.Millisecond})
	b := NewBatcher(c, add)
	eventually(t, "the heartbeat is answered", func() bool { return c.Stats().Up })
	s.Stop()
	eventually(t, "the breaker is open", func() bool {
		_, err := b.Run(within(t, patience), Call{[]string{"n"}, []any{1}})
		return errors.Is(err, ErrOpen)
	})
	if err := b.Add("n", newJob(adding("n", 1))); !errors.Is(err, ErrOpen) {
		t.Errorf("Add gave %v, wanted ErrOpen", err)
	}
}
