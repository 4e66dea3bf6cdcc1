package revoke

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/redisx"

	"go.etcd.io/bbolt"
)

// Options are what a Store is made of.
type Options struct {
	// DB holds the journal. The caller closes it after the Store.
	DB *bbolt.DB
	// Redis shares revocations with the fleet; nil means that this node runs on its own. The caller closes it after the
	// Store.
	Redis *redisx.Client
	// Now is the node's clock; nil means time.Now.
	Now func() time.Time
	// Log hears of trouble; nil means silence.
	Log *slog.Logger
	// Name and Version are what this node calls itself in the fleet, for people; empty: it has none.
	Name, Version string
	// MaxStaleness is how old the last sync with the fleet may be for a node to serve that starts while Redis is away.
	// Zero means 10 minutes.
	MaxStaleness time.Duration
	// MaxLifetime is the longest that any token lives, and a rule is kept. Zero means 24 hours.
	MaxLifetime time.Duration
}

// pace is how often the store does what it does by itself.
type pace struct {
	block   time.Duration // one read of the log
	beat    time.Duration // between heartbeats
	silent  time.Duration // until a node that is not heard does not count
	persist time.Duration // between writes of the time of the last sync
	confirm time.Duration // the longest wait for other nodes to apply a revocation
	sweep   time.Duration // between removals of what has expired
	settle  time.Duration // between attempts to write what the disk did not take
	first   time.Duration // the longest wait of Open for the first reconciliation
}

var usualPace = pace{
	block:   500 * time.Millisecond,
	beat:    time.Second,
	silent:  5 * time.Second,
	persist: 10 * time.Second,
	confirm: 300 * time.Millisecond,
	sweep:   10 * time.Minute,
	settle:  time.Second,
	first:   time.Second,
}

// Store knows what is revoked, here and in the fleet. Safe for concurrent use.
type Store struct {
	set     Set
	journal *Journal
	feed    *Feed // nil: this node runs on its own
	clock   *clock
	log     *slog.Logger
	pace    pace
	life    time.Duration // how long a rule is kept after its T

	mint    sync.Mutex // from the reading of a rule's T to its writing
	revoked [All + 1]atomic.Int64
	failed  atomic.Int64

	cancel context.CancelFunc
	work   sync.WaitGroup
}

// Open returns a Store with all that the journal holds; ctx is needed for no longer than that takes. With Redis it begins
// to follow the feed in the background, and waits a second at most for what is there, or for that to fail: a gateway whose Redis
// is well is ready when its listener opens. Close ends that.
func Open(ctx context.Context, o Options) (*Store, error) { return open(ctx, o, usualPace) }

func open(ctx context.Context, o Options, p pace) (*Store, error) {
	o = o.withDefaults()
	journal, err := OpenJournal(o.DB)
	if err != nil {
		return nil, err
	}
	s := &Store{journal: journal, clock: newClock(o.Now, o.MaxLifetime+Skew), log: o.Log, pace: p, life: o.MaxLifetime}
	queue, err := journal.Load(o.Now().Unix(), s.set.Add)
	if err != nil {
		return nil, err
	}
	if o.Redis != nil {
		s.feed = newFeed(o, p, &s.set, journal, s.clock)
		s.feed.outbox.add(queue...)
		last, ok, err := journal.lastSync()
		if err != nil {
			return nil, err
		}
		if ok {
			s.feed.resume(last, o.MaxStaleness)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.start()
	if s.feed != nil {
		s.feed.await(ctx, p.first)
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxStaleness == 0 {
		o.MaxStaleness = 10 * time.Minute
	}
	if o.MaxLifetime == 0 {
		o.MaxLifetime = 24 * time.Hour
	}
	return o
}

func (s *Store) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.work.Go(func() { s.sweeps(ctx) })
	s.work.Go(func() { s.settles(ctx) })
	if s.feed != nil {
		s.work.Go(func() { s.feed.read(ctx) })
		s.work.Go(func() { s.feed.beats(ctx) })
	}
}

// Close ends the work in the background; with Redis it may take as long as one read of the log. Afterwards lookups go on
// from what is known.
func (s *Store) Close() error {
	s.cancel()
	s.work.Wait()
	if s.feed != nil {
		s.feed.leave()
	}
	return nil
}

// Revoked reports whether t is revoked. It takes no lock, does no I/O and does not allocate.
func (s *Store) Revoked(t *Target) bool { return s.set.Revoked(t) }

// NotBefore is the T that the iat of a new token must reach, so that no rule refuses it; 0 means any.
func (s *Store) NotBefore(issuer, client, key string) int64 {
	return s.set.NotBefore(issuer, client, key)
}

// Now is the time on which the fleet agrees, as the last heartbeat found it: Redis's, or the median of all clocks where Redis's
// is far from that; the node's own where it runs alone. Tokens are issued by it, since rules are made by it.
func (s *Store) Now() time.Time { return s.clock.fleet() }

// Staleness is how long ago this node last knew all that the fleet knew. It is 0 without Redis, and the longest Duration
// where it never did.
func (s *Store) Staleness() time.Duration {
	if s.feed == nil {
		return 0
	}
	return s.feed.staleness()
}

// Ready reports whether this node knows enough to serve: it is in sync with the fleet, or was recently enough before it was
// restarted and Redis does not answer. Once true it stays so. Without Redis it is always true.
func (s *Store) Ready() bool { return s.feed == nil || s.feed.ready.Load() }

// Nodes is how many nodes the fleet had when last heard of, this one included; 1 without Redis.
func (s *Store) Nodes() int {
	if s.feed == nil {
		return 1
	}
	return s.feed.nodes()
}

// Fleet is who shares the revocations, by the last heartbeat; its zero value is a node that runs on its own, or that Redis
// never answered. It asks nobody.
func (s *Store) Fleet() Fleet {
	if s.feed == nil {
		return Fleet{}
	}
	return s.feed.fleet()
}

// Stats is what a Store says of itself, for metrics. The counters start at 0 with the process.
type Stats struct {
	// Tokens and Rules are the entries in the set, Outbox those that Redis has not acknowledged.
	Tokens, Rules, Outbox int
	// Revoked counts the revocations that were asked of this node, by Kind.String.
	Revoked map[string]int64
	// JournalErrors counts failures to write the journal.
	JournalErrors int64
	// ClockOffset is how far Redis's clock is ahead of this node's, and FleetOffset how far the fleet's time is.
	ClockOffset, FleetOffset time.Duration
	// Reconciled counts the times that all was compared with Redis, Ignored the rules found too far in the future, and
	// Unreadable the entries in Redis that were not understood.
	Reconciled, Ignored, Unreadable int64
}

// Stats returns the numbers as they are now.
func (s *Store) Stats() Stats {
	out := Stats{Revoked: make(map[string]int64, All), JournalErrors: s.failed.Load()}
	out.Tokens, out.Rules = s.set.Len()
	for k := Token; k <= All; k++ {
		out.Revoked[k.String()] = s.revoked[k].Load()
	}
	if f := s.feed; f != nil {
		out.Outbox = f.outbox.size()
		out.JournalErrors += f.unjournalled.Load()
		b := s.clock.bearing.Load()
		out.ClockOffset, out.FleetOffset = b.redis, b.fleet
		out.Reconciled, out.Ignored, out.Unreadable = f.reconciled.Load(), f.ignored.Load(), f.unreadable.Load()
	}
	return out
}

// recall takes in again what had expired by a clock that was since set back: what the process began with is what had not
// expired then.
func (s *Store) recall(now int64, by time.Duration) {
	queue, err := s.journal.Load(now, s.set.Add)
	if err != nil {
		s.log.Error("revocations of before the clock was set back were not read again", "err", err)
		return
	}
	s.log.Warn("the clock was set back: what had expired by it is taken for revoked again", "by", by.Round(time.Millisecond))
	if s.feed != nil {
		s.feed.outbox.add(queue...)
		s.feed.relink.Store(true)
	}
}

// settles writes what the disk did not take, once it takes it, and heeds a clock that is set back, until ctx ends.
func (s *Store) settles(ctx context.Context) {
	trouble := trouble{log: s.log, what: "journal of revocations"}
	for pause(ctx, s.pace.settle) {
		now := s.clock.earliest().Unix()
		if by := s.clock.steady.setBack(Skew / 2); by > 0 {
			s.recall(now, by)
		}
		trouble.note(ctx, s.journal.settle(now))
	}
}

// sweeps removes what has expired, at its pace, until ctx ends: not at once, since a machine's clock may be wrong when it starts.
func (s *Store) sweeps(ctx context.Context) {
	for pause(ctx, s.pace.sweep) {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("expired revocations not removed", "err", err)
		}
	}
}

func (s *Store) sweep(ctx context.Context) error {
	now := s.clock.earliest().Unix()
	s.set.Drop(now)
	if err := s.journal.Drop(now); err != nil {
		s.failed.Add(1)
		return err
	}
	if s.feed == nil {
		return nil
	}
	if err := s.feed.sweep(ctx); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}
