package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
	"gatehouse/internal/statedb"
)

// engines are the ways to run: each opens a Store, also anew on what an earlier one left.
var engines = map[string]func(t *testing.T) (open func(Options) *Store){
	"journal": func(t *testing.T) func(Options) *Store {
		dir := t.TempDir()
		var last *bbolt.DB
		t.Cleanup(func() { last.Close() })
		return func(o Options) *Store {
			if last != nil {
				last.Close()
			}
			db, err := statedb.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			last, o.DB = db, db
			return open(t, o)
		}
	},
	"redis": func(t *testing.T) func(Options) *Store {
		server := redistest.Start(t)
		return func(o Options) *Store {
			o.Redis = client(t, server)
			return open(t, o)
		}
	},
}

func client(t *testing.T, s *redistest.Server) *redisx.Client {
	c := redisx.Open(redisx.Options{Addrs: []string{s.Addr()}, Prefix: "gh", Budget: 10 * time.Second})
	t.Cleanup(func() { c.Close() })
	return c
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claims(t *testing.T, s *Store, owner, id string, until time.Time, want bool) {
	t.Helper()
	if got, err := s.Claim(context.Background(), owner, id, until); err != nil || got != want {
		t.Errorf("Claim(%q, %q) = %v, %v, want %v", owner, id, got, err, want)
	}
}

// TestContract is what both engines hold.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := engine(t)
			s := start(Options{})
			until := time.Now().Add(5 * time.Minute)
			claims(t, s, "a", "1", until, true)
			claims(t, s, "a", "1", until, false)
			claims(t, s, "a", "1", until.Add(time.Minute), false)
			claims(t, s, "b", "1", until, true)
			claims(t, s, "a", "2", until, true)
			claims(t, s, "a1", "", until, true) // not the same as a, 1
			claims(t, s, "", "a1", until, true)
			var first atomic.Int64
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() {
					if ok, err := s.Claim(context.Background(), "a", "at once", until); err != nil {
						t.Error(err)
					} else if ok {
						first.Add(1)
					}
				})
			}
			all.Wait()
			if first.Load() != 1 {
				t.Errorf("%d of 200 at once were the first", first.Load())
			}
			if st := s.Stats(); st.Entries != 6 || st.Replays != 201 || st.Failed != 0 {
				t.Errorf("stats %+v", st)
			}
			again := start(Options{})
			claims(t, again, "a", "1", until, false)
			claims(t, again, "a", "at once", until, false)
			claims(t, again, "a", "3", until, true)
		})
	}
}

// Ensure that many claims at once are all written, and that a caller that has gone away has still used its assertion.
func TestManyAndGone(t *testing.T) {
	t.Parallel()
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := engine(t)
			s, until := start(Options{}), time.Now().Add(time.Minute)
			gone, cancel := context.WithCancel(context.Background())
			cancel()
			var all sync.WaitGroup
			for i := range 500 {
				all.Go(func() {
					if ok, err := s.Claim(gone, "a", fmt.Sprint(i), until); !ok || err != nil {
						t.Errorf("%d: %v, %v", i, ok, err)
					}
				})
			}
			all.Wait()
			again := start(Options{})
			for i := range 500 {
				claims(t, again, "a", fmt.Sprint(i), until, false)
			}
		})
	}
}

func TestTwoNodes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one, two := open(t, Options{Redis: client(t, server)}), open(t, Options{Redis: client(t, server)})
	until := time.Now().Add(310 * time.Second)
	claims(t, one, "a", "1", until, true)
	claims(t, two, "a", "1", until, false)
	claims(t, two, "b", "1", until, true)
	keys := server.Client().Keys(context.Background(), "gh:jti:*").Val()
	if len(keys) != 2 {
		t.Errorf("keys %q, want two", keys)
	}
	for _, k := range keys {
		if ttl := server.Client().TTL(context.Background(), k).Val(); ttl < 300*time.Second || ttl > 310*time.Second {
			t.Errorf("%s is kept for %s, want 310s", k, ttl)
		}
	}
}

// Ensure that a replay is refused on the node that saw the first use even where Redis has lost it, and that nobody is let in
// where Redis does not answer.
func TestRedisLosesAndDies(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, until := open(t, Options{Redis: client(t, server)}), time.Now().Add(time.Minute)
	claims(t, s, "a", "1", until, true)
	if err := server.Client().FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	claims(t, s, "a", "1", until, false)
	server.Kill()
	for range 2 {
		if ok, err := s.Claim(context.Background(), "a", "2", until); ok || err == nil {
			t.Errorf("without Redis: %v, %v", ok, err)
		}
	}
	claims(t, s, "a", "1", until, false)
	if st := s.Stats(); st.Entries != 1 || st.Failed != 2 || st.Replays != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestJournalFails(t *testing.T) {
	t.Parallel()
	db, err := statedb.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{DB: db})
	db.Close()
	if ok, err := s.Claim(context.Background(), "a", "1", time.Now().Add(time.Minute)); ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("a Store without any engine")
	}
}

// Ensure that memory and journal are bounded, and hold nothing for longer than it must be held.
func TestBounds(t *testing.T) {
	t.Parallel()
	db, err := statedb.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var ahead atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(ahead.Load())) }
	s := open(t, Options{DB: db, Now: now, Max: 10})
	until := now().Add(30 * time.Second)
	for i := range 10 {
		claims(t, s, "a", fmt.Sprint(i), until, true)
	}
	if ok, err := s.Claim(context.Background(), "a", "more", until); ok || !errors.Is(err, ErrFull) {
		t.Errorf("beyond the bound: %v, %v", ok, err)
	}
	claims(t, s, "a", "3", until, false)
	ahead.Store(int64(30 * time.Second))
	claims(t, s, "a", "3", until, false) // its last moment
	ahead.Store(int64(31 * time.Second))
	claims(t, s, "a", "3", now().Add(time.Minute), true)
	claims(t, s, "a", "more", now().Add(time.Minute), true)
	if st := s.Stats(); st.Entries != 2 {
		t.Errorf("%d entries, want 2", st.Entries)
	}
	left := 0
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(_, _ []byte) error { left++; return nil })
	})
	if err != nil || left != 2 {
		t.Errorf("%d entries in the journal, want 2: %v", left, err)
	}
	if seen := open(t, Options{DB: db, Now: now}).Stats().Entries; seen != 2 {
		t.Errorf("%d entries after a restart, want 2", seen)
	}
}

func BenchmarkClaim(b *testing.B) {
	db, err := statedb.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s, err := Open(Options{DB: db})
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if ok, err := s.Claim(context.Background(), "a", fmt.Sprint(n.Add(1)), time.Now().Add(time.Minute)); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
