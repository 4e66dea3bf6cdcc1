package keyring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// sync merges this node's ring and the fleet's: what either lacks it is given. Keys are on this node's disk before they
// are used. Without Redis there is nothing to do. l.mu is held.
func (l *lifecycle) sync(ctx context.Context) error {
	if l.shared == nil {
		return nil
	}
	raw, err := l.shared.read(ctx)
	if l.away && err == nil {
		l.back = time.Now()
	}
	l.away = err != nil
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if l.dirty || !maps.Equal(raw, l.seen.raw) {
		l.dirty = true // until all of this is done
		l.look(l.shared.parse(raw))
		if err := l.adopt(); err != nil {
			return err
		}
		failed := l.take() // the disk's failure, which is no reason not to give
		if err := l.give(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		l.dirty = l.dirty || failed != nil
		err = failed
	}
	l.syncedAt.Store(l.now().UnixMilli())
	return err
}

// look keeps what was seen in Redis, and raises the alarm over what can't be read there.
func (l *lifecycle) look(p picture) {
	slices.Sort(p.broken)
	if !slices.Equal(p.broken, l.seen.broken) {
		for _, kid := range p.broken {
			l.log.Error("a key in redis does not unseal and counts as absent: it was changed there, or sealed under another "+
				"tokens.ring_key_file, prefix or public_url", "kid", clip(kid), "redis_key", l.shared.key)
		}
	}
	l.unsealable.Store(int64(len(p.broken)))
	l.seen = p
}

// clip shortens what may be anything.
func clip(s string) string { return s[:min(len(s), 64)] }

// take merges what was seen into this node's ring.
func (l *lifecycle) take() error {
	var changed []entry
	for kid, theirs := range l.seen.keys {
		ours, known := l.entries[kid]
		if !known {
			if !l.over(theirs) {
				changed = append(changed, theirs)
			}
			continue
		}
		if both, more := merge(ours, theirs); more {
			changed = append(changed, both)
		}
	}
	if len(changed) == 0 && len(l.owed) == 0 {
		return nil
	}
	return l.keep(changed)
}

// over reports whether a key of the fleet that this node does not hold is gone, since it was dropped here before.
func (l *lifecycle) over(e entry) bool {
	with := maps.Clone(l.entries)
	maps.Copy(with, l.seen.keys)
	with[e.id] = e
	for _, s := range judge(with, l.now(), l.use.Load().Every) {
		if s.id == e.id {
			return s.state == gone
		}
	}
	return false
}

// give offers Redis what it lacks of this node's ring. A record there that does not unseal is put right by whoever holds
// its key.
func (l *lifecycle) give(ctx context.Context) error {
	var lacking []entry
	for _, s := range judge(l.entries, l.now(), l.use.Load().Every) {
		if s.state == gone {
			continue
		}
		theirs, there := l.seen.keys[s.id]
		if there {
			if _, more := merge(theirs, s.entry); !more {
				continue
			}
		}
		lacking = append(lacking, s.entry)
	}
	if err := l.shared.offer(ctx, l.seen.raw, lacking, nil); err != nil {
		return err
	}
	if len(lacking) > 0 {
		l.log.Info("signing keys offered to redis", "keys", len(lacking))
	}
	// What was written is seen, and compared, with the next read.
	l.dirty = len(lacking) > 0
	return nil
}

// prune forgets the keys that are gone, here and in Redis, a while after they are. Ids of withdrawn keys are kept for good.
func (l *lifecycle) prune(ctx context.Context) error {
	var kids []string
	var drop []entry
	for _, s := range judge(l.entries, l.now().Add(-pruneLate), l.use.Load().Every) {
		if s.state == gone {
			kids, drop = append(kids, s.id), append(drop, s.entry)
		}
	}
	if len(drop) == 0 {
		return nil
	}
	if l.shared != nil {
		if err := l.shared.offer(ctx, l.seen.raw, nil, drop); err != nil {
			return err
		}
	}
	if err := l.store.write(nil, kids); err != nil {
		return err
	}
	next := maps.Clone(l.entries)
	for _, kid := range kids {
		delete(next, kid)
	}
	l.entries = next
	return nil
}

// stale is how long ago the fleet's ring was last read; 0 for a node on its own.
func (l *lifecycle) stale(now time.Time) time.Duration {
	if l.shared == nil {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(l.syncedAt.Load())))
}
