// Package replay lets what may be used once be used once: an assertion with a jti (RFC 7523 section 3), until it expires.
//
// Each node remembers what it has seen in memory. That alone would forget with the process and would know nothing of the
// other nodes, so that a claim counts only once it stands elsewhere, too: in Redis, which the fleet shares, or, where a node
// runs alone, in its journal on the disk. Where that cannot be done, nobody knows whether it is the first use, and Claim
// says so.
package replay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/redisx"
)

// ErrFull means that more is remembered than there is room for.
var ErrFull = errors.New("too many assertions are remembered")

// maxEntries is about 60 MiB. Only what was verified is claimed, so that it takes thousands of good assertions a second.
const maxEntries = 1 << 20

// key names one use. Callers choose what goes into it and can't make two meet.
type key [16]byte

func keyOf(owner, id string) key {
	var stack [512]byte
	b := binary.BigEndian.AppendUint64(stack[:0], uint64(len(owner)))
	b = append(b, owner...)
	b = append(b, id...)
	sum := sha256.Sum256(b)
	return key(sum[:16])
}

// engine is where a claim must stand to count.
type engine interface {
	// claim is false where somebody else was first.
	claim(ctx context.Context, k key, until time.Time) (bool, error)
}

// Options say where claims are kept.
type Options struct {
	// DB holds the journal of a node that runs alone. The caller closes it after the last Claim. Unused with Redis.
	DB *bbolt.DB
	// Redis holds the claims of a fleet; nil means that this node runs alone.
	Redis *redisx.Client
	// Now is the clock by which assertions are judged; nil means time.Now.
	Now func() time.Time
	// Max bounds what is remembered in memory; 0 means a million.
	Max int
}

// Store remembers what was used. It is safe for concurrent use.
type Store struct {
	engine engine
	now    func() time.Time
	max    int

	mu    sync.Mutex
	seen  map[key]int64 // until when, in Unix seconds
	swept time.Time

	replays, failed atomic.Int64
}

// Open returns a Store; where it runs alone, with what the journal holds.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Max == 0 {
		o.Max = maxEntries
	}
	s := &Store{now: o.Now, max: o.Max, seen: map[key]int64{}, swept: o.Now()}
	if o.Redis != nil {
		s.engine = &fleet{o.Redis, redisx.NewBatcher(o.Redis, claimScript), o.Now}
		return s, nil
	}
	j, err := openJournal(o.DB, o.Now, s.seen)
	s.engine = j
	return s, err
}

// Claim takes the one use of an owner's id until a time, after which the id must be refused for its age. It is false where
// the use is taken. After an error nobody knows, and the caller must refuse; another try may succeed.
func (s *Store) Claim(ctx context.Context, owner, id string, until time.Time) (bool, error) {
	k := keyOf(owner, id)
	first, err := s.remember(k, until)
	if first {
		if first, err = s.engine.claim(ctx, k, until); err != nil {
			s.forget(k)
		}
	}
	switch {
	case err != nil:
		s.failed.Add(1)
		return false, err
	case !first:
		s.replays.Add(1)
	}
	return first, nil
}

// remember is false where k is known already.
func (s *Store) remember(k key, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.swept) > time.Minute || len(s.seen) >= s.max && now.Sub(s.swept) >= time.Second {
		s.sweep(now)
	}
	if expires, known := s.seen[k]; known && expires >= now.Unix() {
		return false, nil
	}
	if len(s.seen) >= s.max {
		return false, ErrFull
	}
	s.seen[k] = ceil(until)
	return true, nil
}

// sweep drops what has expired. s.mu is held.
func (s *Store) sweep(now time.Time) {
	s.swept = now
	for k, until := range s.seen {
		if until < now.Unix() {
			delete(s.seen, k)
		}
	}
}

func (s *Store) forget(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, k)
}

// ceil is t in Unix seconds, rounded up.
func ceil(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

// Stats is how a Store does, for metrics.
type Stats struct {
	Entries int // in memory
	// Replays counts uses that were not the first, Failed those of which it could not be known.
	Replays, Failed int64
}

// Stats returns the numbers as they are now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Entries: len(s.seen), Replays: s.replays.Load(), Failed: s.failed.Load()}
}
