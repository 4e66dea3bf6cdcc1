// Package lastuse keeps the day on which each client was last issued a token, so that clients that nobody uses any more can
// be found and removed.
//
// A day is enough for that, and makes it cheap: a node writes at most once a day for each client, together with the others
// of the same few seconds, and never while a request waits. What a crash loses is the news of those seconds. A fleet keeps
// the days in one hash in Redis, a node on its own in its journal.
package lastuse

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/exchange"
	"gatehouse/internal/redisx"
)

const (
	flushEvery = 5 * time.Second
	flushMost  = 500 // clients in one write
	ioLimit    = 2 * time.Second
)

// since is the name under which the first day of all is kept. No client has it: their ids are printable.
const since = "\x00since"

// Options say where days are kept.
type Options struct {
	// DB is the journal of a node on its own. The caller closes it after Run has returned. Unused with Redis.
	DB *bbolt.DB
	// Redis holds the days of a fleet; nil: this node is on its own.
	Redis *redisx.Client
	// Log takes what could not be written; nil: nothing does.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Every is the time between two writes; 0: five seconds.
	Every time.Duration
}

// engine is where days stand. Days are as 2026-11-24, in UTC, so that their order is that of text.
type engine interface {
	// put writes days, except where a later one stands.
	put(ctx context.Context, days map[string]string) error
	// all is what stands there.
	all(ctx context.Context) (map[string]string, error)
}

// Store notes who was issued a token. It is safe for concurrent use. Make it with Open, and keep it going with Run.
type Store struct {
	o      Options
	engine engine

	mu      sync.Mutex
	today   string
	noted   map[string]bool   // those of today
	waiting map[string]string // to be written
	failed  bool              // the last write failed, which was logged
}

// Open returns a Store. It makes its place in the journal, and asks nothing of Redis.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every == 0 {
		o.Every = flushEvery
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: o, noted: map[string]bool{}, waiting: map[string]string{}}
	s.waiting[since] = day(o.Now())
	if o.Redis != nil {
		s.engine = fleet{o.Redis}
		return s, nil
	}
	j, err := openJournal(o.DB)
	s.engine = j
	return s, err
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Finish implements exchange.Sink: it notes the client of a token that was issued. A nil Store notes nothing.
func (s *Store) Finish(r *exchange.Record) {
	if s != nil && r.Issued {
		s.note(r.Client)
	}
}

func (s *Store) note(client string) {
	today := day(s.o.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if today != s.today {
		s.today = today
		clear(s.noted)
	}
	if !s.noted[client] {
		s.noted[client] = true
		s.waiting[client] = today
	}
}

// Run writes what was noted, until ctx is done; then once more.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flush()
			return
		case <-tick.C:
			s.flush()
		}
	}
}

// flush writes what waits, in parts. What can't be written waits for the next time.
func (s *Store) flush() {
	for batch := s.next(); len(batch) > 0; batch = s.next() {
		ctx, cancel := context.WithTimeout(context.Background(), ioLimit)
		err := s.engine.put(ctx, batch)
		cancel()
		s.settle(batch, err)
		if err != nil {
			return
		}
	}
}

func (s *Store) next() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := map[string]string{}
	for client, day := range s.waiting {
		if len(batch) == flushMost {
			break
		}
		batch[client] = day
		delete(s.waiting, client)
	}
	return batch
}

// settle puts back what could not be written, and logs it once.
func (s *Store) settle(batch map[string]string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		for client, day := range batch {
			s.waiting[client] = max(day, s.waiting[client])
		}
		if !s.failed {
			s.o.Log.Warn("the days of clients' last tokens can't be written, and are kept to be written later", "error", err.Error())
		}
	}
	s.failed = err != nil
}

// Days is the day of each client's last token, and the day from which on they were noted. A client that is missing got none
// since then. An error means that Redis or the disk did not answer.
func (s *Store) Days(ctx context.Context) (days map[string]string, from string, err error) {
	ctx, cancel := context.WithTimeout(ctx, ioLimit)
	defer cancel()
	if days, err = s.engine.all(ctx); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	waiting := maps.Clone(s.waiting)
	s.mu.Unlock()
	for client, day := range waiting {
		if client != since || days[since] == "" {
			days[client] = max(day, days[client])
		}
	}
	from = days[since]
	delete(days, since)
	return days, from, nil
}
