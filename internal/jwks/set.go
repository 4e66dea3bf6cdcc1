// Package jwks keeps the key sets of others (RFC 7517): of clients that sign assertions, and of whoever else's signatures
// are to be verified by keys that stand in a file or behind a URL.
//
// A set that was fetched once goes on serving while its URL does not answer, for a stated time. It is fetched anew in the
// background, and once more for a kid that it does not know, which callers choose: so that happens at most every 30
// seconds, whatever they send, and whoever waits for it waits for his own set alone.
package jwks

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/token"
)

// ErrUnavailable means that there are no keys to verify with: the set was never fetched, or too long ago.
var ErrUnavailable = errors.New("its key set could not be fetched")

const (
	refresh    = 10 * time.Minute // between fetches in the background, where a set may be twice as old
	cooldown   = 30 * time.Second // between fetches for a kid that is not known
	firstPause = 5 * time.Second  // after a fetch that failed; then twice as long each time, up to refresh
	maxWaiters = 64               // requests that wait for one fetch
	maxTried   = 8                // keys that are tried for a signature without kid
)

// Set is one key set. It is safe for concurrent use.
type Set struct {
	source   Source // the zero Source: the keys are fixed
	fetch    func(ctx context.Context, from Source) ([]byte, error)
	maxStale time.Duration
	every    time.Duration // between fetches in the background
	now      func() time.Time
	log      *slog.Logger

	content atomic.Pointer[content] // nil: never fetched

	mu       sync.Mutex
	flight   *flight   // nil: none under way
	tried    time.Time // the end of the last fetch
	asked    time.Time // the last fetch for a kid that was not known
	failures int       // in a row
	counts   Stats

	stop func()
}

// content is what a set holds at one time. It is never changed.
type content struct {
	keys       []token.SetKey
	at         time.Time
	generation uint64 // from 1; see Keys.Generation
}

// flight is a fetch that is under way, and how many wait for it.
type flight struct {
	done    chan struct{}
	waiters int
}

// Lookup returns the keys that may have made a signature with alg: the one named kid or, where kid is empty, up to 8 that
// are for alg. No keys is an answer. It may wait for a fetch, for as long as that takes, 5 seconds, or until ctx is done.
// The error is ErrUnavailable.
func (s *Set) Lookup(ctx context.Context, kid string, alg token.Algorithm) ([]*token.PublicKey, error) {
	c := s.content.Load()
	if s.useless(c) {
		s.await(ctx, s.firstFetch)
	} else if s.fetched() && kid != "" && !c.knows(kid) {
		s.await(ctx, s.kidFetch)
	}
	c = s.content.Load()
	if s.useless(c) {
		return nil, ErrUnavailable
	}
	return c.find(kid, alg), nil
}

// Has reports whether key, of crypto/ecdsa, crypto/rsa or crypto/ed25519, is one of the set's, of which there may be any number. It
// waits as Lookup does where there is no set yet, and never for a newer one. The error is ErrUnavailable.
func (s *Set) Has(ctx context.Context, key crypto.PublicKey) (bool, error) {
	if s.useless(s.content.Load()) {
		s.await(ctx, s.firstFetch)
	}
	c := s.content.Load()
	if s.useless(c) {
		return false, ErrUnavailable
	}
	return slices.ContainsFunc(c.keys, func(k token.SetKey) bool { return k.Is(key) }), nil
}

func (s *Set) fetched() bool { return s.source != Source{} }

func (s *Set) useless(c *content) bool {
	return c == nil || s.fetched() && s.now().Sub(c.at) > s.maxStale
}

func (c *content) knows(kid string) bool {
	for _, k := range c.keys {
		if k.Name == kid {
			return true
		}
	}
	return false
}

func (c *content) find(kid string, alg token.Algorithm) []*token.PublicKey {
	var found []*token.PublicKey
	for _, k := range c.keys {
		if k.Algorithm() == alg && (kid == "" || k.Name == kid) && len(found) < maxTried {
			found = append(found, k.PublicKey)
		}
	}
	return found
}

// firstFetch and kidFetch say whether a caller may start a fetch now. s.mu is held.
func (s *Set) firstFetch(now time.Time) bool { return now.Sub(s.tried) >= min(s.pause(), cooldown) }

func (s *Set) kidFetch(now time.Time) bool {
	if now.Sub(s.asked) < cooldown {
		return false
	}
	s.asked = now
	return true
}

// await waits for the fetch that is under way, or for a new one where may lets it start.
func (s *Set) await(ctx context.Context, may func(now time.Time) bool) {
	s.mu.Lock()
	f := s.flight
	if f == nil && may(s.now()) {
		f = s.start()
	}
	if f == nil || f.waiters >= maxWaiters {
		s.mu.Unlock()
		return
	}
	f.waiters++
	s.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
	}
}

// start begins a fetch. It ends by itself, whoever waits for it. s.mu is held and no fetch is under way.
func (s *Set) start() *flight {
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go func() {
		defer close(f.done)
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		keys, left, err := s.load(ctx)
		s.finish(keys, left, err)
	}()
	return f
}

// load fetches the set. One without any usable key is a failure, so that what was there before stays.
func (s *Set) load(ctx context.Context) ([]token.SetKey, []token.Unusable, error) {
	body, err := s.fetch(ctx, s.source)
	if err != nil {
		return nil, nil, err
	}
	keys, left, err := token.ParseKeySet(body)
	if err == nil && len(keys) == 0 {
		err = errors.New("it holds no key that can be used")
	}
	return keys, left, err
}

// finish takes over what a fetch brought, and logs a change between good and bad.
func (s *Set) finish(keys []token.SetKey, left []token.Unusable, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.flight, s.tried = nil, now
	if err != nil {
		s.counts.Failed++
		if s.failures++; s.failures == 1 {
			s.log.Warn("key set not fetched", "url", s.source.Name(), "err", err)
		}
		return
	}
	if s.failures > 0 || s.content.Load() == nil || len(left) != s.counts.LeftOut {
		s.log.Info("key set fetched", "url", s.source.Name(), "keys", len(keys), "left_out", leftOut(left))
	}
	s.counts.Fetched++
	s.counts.LeftOut, s.failures = len(left), 0
	s.content.Store(s.content.Load().next(keys, now, s.maxStale))
}

// next is what follows c, which may be nil, when keys were fetched now. The generation stays where nothing changed and c
// was of use until now.
func (c *content) next(keys []token.SetKey, now time.Time, maxStale time.Duration) *content {
	n := &content{keys: keys, at: now, generation: 1}
	if c != nil {
		n.generation = c.generation
		if now.Sub(c.at) > maxStale || !slices.EqualFunc(c.keys, keys, sameKey) {
			n.generation++
		}
	}
	return n
}

func sameKey(a, b token.SetKey) bool {
	return a.Name == b.Name && a.ID() == b.ID() && a.Algorithm() == b.Algorithm()
}

func leftOut(left []token.Unusable) []string {
	var out []string
	for i, u := range left {
		if i == 10 {
			break
		}
		out = append(out, u.Error())
	}
	return out
}

// pause is how long to wait after the last fetch. s.mu is held.
func (s *Set) pause() time.Duration {
	if s.failures == 0 {
		return s.every
	}
	return min(firstPause<<min(s.failures-1, 10), s.every)
}

// keep fetches in the background until ctx ends. The first fetch is under way.
func (s *Set) keep(ctx context.Context, f *flight) {
	for {
		<-f.done
		s.mu.Lock()
		wait := jitter(s.pause())
		s.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		s.mu.Lock()
		if f = s.flight; f == nil {
			f = s.start()
		}
		s.mu.Unlock()
	}
}

// Stats is how a set, or all sets of a Cache, do.
type Stats struct {
	// Sets are those that are fetched; Empty of them never were, Failing did not succeed the last time.
	Sets, Empty, Failing int
	// Oldest is the age of the content that was fetched longest ago; 0 where there is none.
	Oldest time.Duration
	// LeftOut is how many keys of the content could not be used.
	LeftOut int
	// Fetched and Failed count fetches.
	Fetched, Failed int64
}

func (s *Set) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.counts
	out.Sets = 1
	if s.failures > 0 {
		out.Failing = 1
	}
	if c := s.content.Load(); c == nil {
		out.Empty = 1
	} else {
		out.Oldest = s.now().Sub(c.at)
	}
	return out
}
