package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/redisx"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"

	"go.etcd.io/bbolt"
)

// Options are what a ring of generated keys is made of.
type Options struct {
	// DB keeps the keys. The caller closes it after the Ring.
	DB *bbolt.DB
	// Redis shares the ring with the fleet; nil means that this node runs on its own. The caller closes it after the Ring.
	Redis *redisx.Client
	// Seal is the key under which a fleet seals its ring: SealKeySize bytes. Not used without Redis.
	Seal secret.Text
	// Issuer is whose tokens the keys sign. A ring sealed for another issuer does not unseal.
	Issuer string
	// Now is the time on which the fleet agrees; nil means time.Now.
	Now func() time.Time
	// Log hears of every step and of trouble; nil means silence.
	Log *slog.Logger
}

// Use is what a configuration asks of a ring.
type Use struct {
	// Algorithms each get a key that signs, and successors for it.
	Algorithms []token.Algorithm
	// Lifetime is the longest that a token lives. Zero means 24 hours, which is also the most.
	Lifetime time.Duration
	// Every is how long a key signs. Zero means 30 days.
	Every time.Duration
	// PublishBefore is how long a key is published before it signs. Zero means 15 minutes.
	PublishBefore time.Duration
}

// maxLife is the longest that any token lives.
const maxLife = 24 * time.Hour

const (
	pollEvery = 250 * time.Millisecond // between two looks at the fleet's ring
	lookEvery = time.Minute            // between two looks at the clock, which may be set
	pruneLate = time.Minute            // how long a key that is gone is kept, so that nodes agree that it is
	backWait  = time.Second            // for the fleet to give back to Redis what that has lost, before a node makes its own
	attempts  = 5                      // for a slot that others fill too
)

// lifecycle is what makes keys, lets them take turns, and shares them.
type lifecycle struct {
	store  store
	shared *shared // nil: this node runs on its own
	clock  func() time.Time
	log    *slog.Logger
	use    atomic.Pointer[Use]

	resumed time.Time  // when a ring that was there before was read; zero: this process made the first keys
	mu      sync.Mutex // held over every change, calls to Redis among it
	entries map[string]entry
	own     map[string]entry // of a node that ran on its own, until they are part of the fleet's ring; plain has them on the disk
	plain   store
	seen    picture   // of Redis, when it was last read
	owed    []entry   // used, and not on the disk yet
	dirty   bool      // something is here that Redis may lack
	away    bool      // Redis did not answer when it was last asked
	back    time.Time // when it answered again

	syncedAt   atomic.Int64 // when Redis was last read, in milliseconds since 1970
	rotations  atomic.Int64
	failures   atomic.Int64
	unsealable atomic.Int64

	waiters waiters
	cancel  context.CancelFunc
	work    sync.WaitGroup
}

// Open returns the ring that the database holds, completed by what the fleet shares, and follows it in the background until
// Close. It makes the keys that use lacks and has them on disk before they sign. A node of a fleet that has neither a
// ring of its own nor Redis is given a Ring that signs nothing yet, and tries on; Ensure and Signer tell. The same
// database gives the same keys, with the same ids, after a restart.
func Open(ctx context.Context, o Options, use Use) (*Ring, error) {
	r, err := open(o)
	if err != nil {
		return nil, err
	}
	if err := r.ensure(ctx, use); err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, err
	}
	r.start()
	return r, nil
}

// open reads what is on the disk.
func open(o Options) (*Ring, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &lifecycle{store: store{o.DB, plainBucket, plainCodec{}}, clock: o.Now, log: o.Log, dirty: true,
		waiters: waiters{nudge: make(chan struct{}, 1)}}
	var err error
	if l.entries, err = l.store.read(func(err error) error { return err }); err != nil {
		return nil, err
	}
	if o.Redis != nil {
		c, err := newSealedCodec([]byte(o.Seal.Reveal()), o.Redis.Prefix(), o.Issuer)
		if err != nil {
			return nil, err
		}
		l.shared = newShared(o.Redis, c)
		if err := l.join(store{o.DB, sealedBucket, c}); err != nil {
			return nil, err
		}
	}
	if len(l.entries)+len(l.own) > 0 {
		l.resumed = l.now()
	}
	l.setUse(Use{})
	r := &Ring{life: l}
	return r, r.install()
}

func (l *lifecycle) setUse(use Use) {
	if use.Lifetime <= 0 || use.Lifetime > maxLife {
		use.Lifetime = maxLife
	}
	if use.Every <= 0 {
		use.Every = 720 * time.Hour
	}
	if use.PublishBefore <= 0 {
		use.PublishBefore = 15 * time.Minute
	}
	use.Algorithms = slices.Clone(use.Algorithms)
	l.use.Store(&use)
}

// now is the fleet's time, as precise as it is stored.
func (l *lifecycle) now() time.Time { return l.clock().UTC().Truncate(time.Millisecond) }

// ErrUnavailable is the error where a fleet's ring can't be changed now, since Redis does not answer.
var ErrUnavailable = errors.New("the fleet's signing keys can't be read from Redis now")

// Ensure sees to it that every algorithm of use has a key that signs, and that keys take turns as use says. A ring of
// generated keys makes what it lacks, and has it on disk before it is used; a ring of files cannot, and says which
// algorithms lack a signer. On error keys and use stay as they were, and the error is ErrUnavailable where Redis is the
// reason.
func (r *Ring) Ensure(ctx context.Context, use Use) error {
	l := r.life
	if l == nil {
		if lacking := lacks(use.Algorithms, r.now.Load().sign); len(lacking) > 0 {
			return noSigner(lacking)
		}
		return nil
	}
	old := l.use.Load()
	err := r.ensure(ctx, use)
	if err != nil {
		l.use.Store(old)
	}
	r.wake() // what is due next may be due earlier now
	return err
}

func (r *Ring) ensure(ctx context.Context, use Use) error {
	l := r.life
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setUse(use)
	err := r.advance(ctx)
	if lacking := lacks(use.Algorithms, r.now.Load().sign); len(lacking) > 0 {
		if err == nil { // others are to give the ring back first
			err = ErrUnavailable
		}
		return fmt.Errorf("%w: %w", noSigner(lacking), err)
	}
	if errors.Is(err, ErrUnavailable) {
		return nil // what there is signs; the rest is tried again
	}
	return err
}

// Missing are the algorithms in use that have no key to sign with; nil where none is.
func (r *Ring) Missing() []token.Algorithm {
	if r.life == nil {
		return nil
	}
	return lacks(r.life.use.Load().Algorithms, r.now.Load().sign)
}

// advance brings the ring to where it should be now: what the fleet knows, the keys that are due, the states that the
// clock gives. l.mu is held.
func (r *Ring) advance(ctx context.Context) error {
	l := r.life
	// Before a token can be issued that outlives what its key is said to sign.
	err := l.prolong(l.use.Load().Lifetime)
	if err == nil {
		err = l.sync(ctx)
	}
	for try := 0; err == nil && try < attempts; try++ {
		var again bool
		if again, err = r.provide(ctx); !again {
			break
		}
	}
	if err == nil {
		err = l.prune(ctx)
	}
	return errors.Join(err, r.install())
}

// provide makes the keys that are due. again is true where another node was faster, so that things must be seen anew.
func (r *Ring) provide(ctx context.Context) (again bool, err error) {
	l, use, now := r.life, r.life.use.Load(), r.life.now()
	for _, alg := range use.Algorithms {
		last, pending, ok := newest(l.entries, alg, now)
		due := last.signs.Add(use.Every)
		signs := now
		switch {
		case pending || ok && now.Before(due.Add(-use.PublishBefore)):
			continue
		case !ok && time.Since(l.back) < backWait:
			continue
		case ok:
			if signs = now.Add(r.lead(now, 0)); signs.Before(due) {
				signs = due
			}
		}
		e, err := l.generate(alg, now, signs)
		if err != nil {
			return false, err
		}
		won, err := l.add(ctx, e, nil)
		if err != nil || !won {
			return !won, err
		}
	}
	return false, nil
}

// generate makes the key of the next slot.
func (l *lifecycle) generate(alg token.Algorithm, now, signs time.Time) (entry, error) {
	key, err := token.Generate(alg)
	if err != nil {
		return entry{}, err
	}
	slot := max(topSlot(l.entries, alg), l.seen.slots[alg]) + 1
	return entry{id: key.Public().ID(), alg: alg, public: key.Public(), private: key, created: now, slot: slot, signs: signs,
		life: l.use.Load().Lifetime}, nil
}

// add puts a new key into the ring and withdraws others with it. won is false where another node had filled the slot.
func (l *lifecycle) add(ctx context.Context, e entry, dead []entry) (won bool, err error) {
	if l.shared != nil {
		if l.foreign() && len(l.entries) == 0 {
			return true, errForeign
		}
		if won, err = l.shared.propose(ctx, e, dead); err != nil {
			return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return won, l.sync(ctx)
	}
	return true, l.keep(append([]entry{e}, dead...))
}

// keep has keys on the disk, and then uses them. In a fleet a full disk stops no use: Redis and the other nodes have the
// keys, they sign with them, and what they withdrew must not pass here. The disk is given them with the next that it takes.
func (l *lifecycle) keep(changed []entry) error {
	err := l.store.write(slices.Concat(l.owed, changed), nil)
	switch {
	case err == nil:
		l.owed = nil
	case l.shared == nil:
		return err
	default:
		l.owed = slices.Concat(l.owed, changed)
	}
	next := maps.Clone(l.entries)
	for _, e := range changed {
		next[e.id] = e
	}
	l.entries, l.dirty = next, true
	return err
}

// prolong notes that the keys which sign, or will, may sign tokens that live so long.
func (l *lifecycle) prolong(life time.Duration) error {
	var changed []entry
	for _, s := range judge(l.entries, l.now(), l.use.Load().Every) {
		if (s.state == Current || s.state == Next) && s.life < life {
			s.life = life
			changed = append(changed, s.entry)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return l.keep(changed)
}
