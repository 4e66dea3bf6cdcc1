package keyring

import (
	"fmt"
	"maps"
	"slices"
)

// join has the node follow the fleet's ring. What it has from before, when it ran on its own, waits for adopt.
func (l *lifecycle) join(sealed store) error {
	entries, err := sealed.read(func(err error) error {
		l.log.Error("a key in state.dir counts as absent: it was sealed under another tokens.ring_key_file, prefix or public_url", "err", err)
		return nil
	})
	if err != nil {
		return err
	}
	l.own, l.plain = l.entries, l.store
	l.entries, l.store = entries, sealed
	return nil
}

// adopt makes the keys that the node had while it ran on its own part of the fleet's ring, once it was seen that it can read that:
// else it would sign with keys that nobody else can, and its disk would have them in no form that another key file unseals.
func (l *lifecycle) adopt() error {
	if len(l.own) == 0 {
		return nil
	}
	if l.foreign() {
		return errForeign
	}
	if err := l.store.write(slices.Collect(maps.Values(l.own)), nil); err != nil {
		return err
	}
	if err := l.plain.write(nil, slices.Collect(maps.Keys(l.own))); err != nil {
		return err
	}
	next := maps.Clone(l.entries)
	maps.Copy(next, l.own)
	l.entries, l.own = next, nil
	return nil
}

// foreign reports whether the ring in Redis is one that this node cannot read at all.
func (l *lifecycle) foreign() bool { return len(l.seen.keys) == 0 && len(l.seen.broken) > 0 }

// errForeign keeps a node with the wrong key file from signing with keys that the rest of the fleet can't read.
var errForeign = fmt.Errorf("%w: no key in it unseals; give every node of the fleet the same tokens.ring_key_file, public_url and prefix, "+
	"or, if the file was replaced on purpose, stop every node and delete the ring from Redis", ErrUnavailable)
