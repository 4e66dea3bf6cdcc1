package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"gatehouse/internal/token"
)

// File returns the set of a file's content: fixed keys. A private or symmetric key in it, a key that is broken or weak, and
// a kid and alg that stand twice are errors; keys for another use and of other kinds are passed over, but one must be left.
func File(data []byte) (*Set, error) {
	keys, left, err := token.ParseKeySet(data)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, u := range left {
		if !u.Foreign {
			errs = append(errs, u)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("it holds no key that can be used: want RSA, EC on P-256 or Ed25519, for ES256, RS256, PS256 or EdDSA (%d keys passed over)", len(left))
	}
	s := &Set{now: time.Now}
	s.content.Store(&content{keys: keys})
	return s, nil
}

// Options are what a Cache needs.
type Options struct {
	// Own are the addresses of our own listeners, which nothing is fetched from; nil means none.
	Own func() []netip.AddrPort
	// MaxStale is how long a set serves on after its last fetch. Zero means 24 hours.
	MaxStale time.Duration
	// Log hears when a set can't be fetched and when it can again; nil means silence.
	Log *slog.Logger
}

// Source is where a set is fetched. It is an identity: who holds an equal Source shares the Set.
type Source struct {
	// URL is the set's. Empty: it is the jwks_uri of Issuer's metadata.
	URL string
	// Issuer is an authorization server by its iss. Empty: the keys are some client's.
	Issuer string
	// Insecure allows http to any address. Otherwise a client's may be fetched by http from loopback, an issuer's never.
	Insecure bool
	// MaxStale is how long the set serves on after its last fetch. Zero means what the Cache says.
	MaxStale time.Duration
}

// Name is the source for logs and people: its URL without the query, which may hold a key.
func (s Source) Name() string {
	if s.URL == "" {
		return s.Issuer
	}
	return withoutQuery(s.URL)
}

// Cache holds one Set for each Source. It outlives reloads, so that the keys that are known, and the limits on fetching, do
// too. It is safe for concurrent use.
type Cache struct {
	o       Options
	fetcher *fetcher
	now     func() time.Time

	mu   sync.Mutex
	sets map[Source]*held
	gone Stats // the counters of sets that are no longer held
}

type held struct {
	*Set
	holders int
}

// NewCache returns an empty Cache.
func NewCache(o Options) *Cache {
	if o.MaxStale == 0 {
		o.MaxStale = 24 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Cache{o: o, fetcher: newFetcher(o.Own, nil), now: time.Now, sets: map[Source]*held{}}
}

// Hold returns the set of a client's URL, and begins to fetch it where it is new; it does not wait. Each Hold asks for a
// Release.
func (c *Cache) Hold(url string) *Set { return c.hold(Source{URL: url}) }

func (c *Cache) hold(from Source) *Set {
	if from.MaxStale == 0 {
		from.MaxStale = c.o.MaxStale
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.sets[from]
	if h == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s := &Set{source: from, fetch: c.fetcher.load, maxStale: from.MaxStale, every: min(refresh, from.MaxStale/2), now: c.now, log: c.o.Log, stop: cancel}
		s.content.Store(c.known(from))
		h = &held{Set: s}
		c.sets[from] = h
		s.mu.Lock()
		go s.keep(ctx, s.start()) // begun here: a fetch for a request may end before keep runs, and there would be two
		s.mu.Unlock()
	}
	h.holders++
	return h.Set
}

// known is what is held of a source under another MaxStale, so that to change that loses no keys. c.mu is held.
func (c *Cache) known(from Source) *content {
	for other, h := range c.sets {
		other.MaxStale = from.MaxStale
		if other == from {
			return h.content.Load()
		}
	}
	return nil
}

// Release gives back what Hold returned; a nil or fixed set is none of ours. The last Release of a set ends its fetching.
func (c *Cache) Release(s *Set) {
	if s == nil || !s.fetched() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.sets[s.source]
	if h == nil || h.Set != s {
		return
	}
	if h.holders--; h.holders > 0 {
		return
	}
	s.stop()
	delete(c.sets, s.source)
	last := s.stats()
	c.gone.Fetched += last.Fetched
	c.gone.Failed += last.Failed
}

// Stats sums up all sets that are held, and counts the fetches of those that were.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := c.gone
	for _, h := range c.sets {
		s := h.stats()
		sum.Sets++
		sum.Empty += s.Empty
		sum.Failing += s.Failing
		sum.LeftOut += s.LeftOut
		sum.Fetched += s.Fetched
		sum.Failed += s.Failed
		sum.Oldest = max(sum.Oldest, s.Oldest)
	}
	return sum
}

// jitter is d, up to a tenth more or less, so that not all sets are fetched at one time.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(rand.Int64N(int64(d)/5+1))
}
