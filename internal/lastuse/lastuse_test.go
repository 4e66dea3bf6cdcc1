package lastuse

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
	"gatehouse/internal/statedb"
)

type clock struct{ unix atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.unix.Load(), 0) }

func (c *clock) set(t *testing.T, day string) {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	c.unix.Store(at.Add(23 * time.Hour).Unix())
}

// engines runs a test on both; open gives another Store on the same state.
func engines(t *testing.T, test func(t *testing.T, c *clock, open func() *Store)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		db, err := statedb.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		c := &clock{}
		c.set(t, "2026-11-24")
		test(t, c, func() *Store { return opened(t, Options{DB: db, Now: c.now}) })
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		c := &clock{}
		c.set(t, "2026-11-24")
		test(t, c, func() *Store {
			client := redisx.Open(redisx.Options{Addrs: []string{server.Addr()}, Prefix: "gh", Budget: time.Second})
			t.Cleanup(func() { client.Close() })
			return opened(t, Options{Redis: client, Now: c.now})
		})
	})
}

func opened(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func issue(s *Store, client string) { s.Finish(&exchange.Record{Client: client, Issued: true}) }

func wantDays(t *testing.T, s *Store, since string, want map[string]string) {
	t.Helper()
	got, from, err := s.Days(context.Background())
	if err != nil || from != since || !maps.Equal(got, want) {
		t.Errorf("got %v since %s, want %v since %s (%v)", got, from, want, since, err)
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c *clock, open func() *Store) {
		s := open()
		issue(s, "a")
		s.Finish(&exchange.Record{Client: "refused"})
		wantDays(t, s, "2026-11-24", map[string]string{"a": "2026-11-24"}) // before it is written
		s.flush()
		wantDays(t, s, "2026-11-24", map[string]string{"a": "2026-11-24"})
		c.set(t, "2026-11-25")
		other := open()
		issue(other, "b")
		issue(other, "a")
		other.flush()
		issue(s, "c") // while it has not seen a on this day
		s.flush()
		want := map[string]string{"a": "2026-11-25", "b": "2026-11-25", "c": "2026-11-25"}
		wantDays(t, s, "2026-11-24", want)
		wantDays(t, open(), "2026-11-24", want) // another process, later
	})
}

// A day that was noted before and is written late does not take the place of a later one.
func TestLateWrite(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c *clock, open func() *Store) {
		late, prompt := open(), open()
		issue(late, "a")
		c.set(t, "2026-11-26")
		issue(prompt, "a")
		prompt.flush()
		late.flush()
		wantDays(t, late, "2026-11-24", map[string]string{"a": "2026-11-26"})
	})
}

// However many tokens, a client is written once a day.
func TestWritesAreFew(t *testing.T) {
	t.Parallel()
	c := &clock{}
	c.set(t, "2026-11-24")
	e := &counting{}
	s := &Store{o: Options{Now: c.now}, engine: e, noted: map[string]bool{}, waiting: map[string]string{}}
	for range 3 {
		var wg sync.WaitGroup
		for i := range 4 * flushMost {
			wg.Go(func() { issue(s, fmt.Sprint(i%(2*flushMost))) })
		}
		wg.Wait()
		s.flush()
	}
	if e.clients != 2*flushMost || e.puts != 2 {
		t.Errorf("%d clients in %d writes, want %d in 2", e.clients, e.puts, 2*flushMost)
	}
}

type counting struct{ puts, clients int }

func (e *counting) put(_ context.Context, days map[string]string) error {
	e.puts++
	e.clients += len(days)
	return nil
}

func (e *counting) all(context.Context) (map[string]string, error) { return map[string]string{}, nil }

// What Redis did not take is written once it is back.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := redisx.Open(redisx.Options{Addrs: []string{server.Addr()}, Prefix: "gh", Budget: 200 * time.Millisecond})
	t.Cleanup(func() { client.Close() })
	s := opened(t, Options{Redis: client, Every: 50 * time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	server.Pause()
	issue(s, "a")
	if _, _, err := s.Days(ctx); err == nil {
		t.Error("the days are known while Redis does not answer")
	}
	server.Resume()
	until := time.Now().Add(time.Minute)
	for {
		stored, err := s.engine.all(ctx)
		if err == nil && stored["a"] != "" && stored[since] != "" {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("not written: %v %v", stored, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
