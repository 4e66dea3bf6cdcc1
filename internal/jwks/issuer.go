package jwks

import (
	"context"

	"gatehouse/internal/token"
)

// Keys are the keys of an issuer whose tokens are verified: a Set that a Cache holds, in the words of the verifier. It is
// safe for concurrent use, and Key, Generation and Ready don't block.
type Keys struct {
	set *Set
}

// HoldIssuer returns the keys of an issuer, and begins to fetch them where they are new; it does not wait. Give back what
// Set returns by Release.
func (c *Cache) HoldIssuer(from Source) *Keys { return &Keys{c.hold(from)} }

// Set is the set that the keys are in.
func (k *Keys) Set() *Set { return k.set }

// Key is the key that kid names: the one for alg, else one that is for another algorithm. Without kid it is the only key
// for alg that there is. Nil where there is none, and where the set can't be used.
func (k *Keys) Key(kid string, alg token.Algorithm) *token.PublicKey {
	c := k.set.content.Load()
	if k.set.useless(c) {
		return nil
	}
	found := c.find(kid, alg)
	switch {
	case len(found) == 1 || len(found) > 1 && kid != "":
		return found[0]
	case kid == "":
		return nil
	}
	for _, other := range c.keys {
		if other.Name == kid {
			return other.PublicKey
		}
	}
	return nil
}

// Generation changes whenever a key is added or withdrawn, when the set has become too old to be used, and when it can be
// used again; no value comes twice.
func (k *Keys) Generation() uint64 {
	c := k.set.content.Load()
	switch {
	case c == nil:
		return 0
	case k.set.useless(c):
		return 2*c.generation + 1
	}
	return 2 * c.generation
}

// Fetch looks once more for a key that Key does not have. It waits for a fetch, for as long as that takes, 5 seconds; that
// there is one at most every 30 seconds holds for all callers together.
func (k *Keys) Fetch(kid string, alg token.Algorithm) *token.PublicKey {
	// ErrUnavailable is what Ready says too.
	_, _ = k.set.Lookup(context.Background(), kid, alg)
	return k.Key(kid, alg)
}

// Ready reports whether the set can be used: it was fetched, and not too long ago.
func (k *Keys) Ready() bool { return !k.set.useless(k.set.content.Load()) }

// Stats is how the set does.
func (k *Keys) Stats() Stats { return k.set.stats() }
