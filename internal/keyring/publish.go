package keyring

import (
	"maps"
	"time"
)

const (
	fileAge   = 5 * time.Minute // how long caches may keep the keys of key_dir
	maxMargin = 5 * time.Second // kept between the end of a cached set and a signature it knows no key for
)

// MaxAge is how long a cache may keep the JWKS that is handed out now, without ever meeting a token whose key it lacks: less
// than the time for which a new key is published before it signs, and no longer than until the next scheduled signer
// takes over. Handing it out is remembered: see lead.
func (r *Ring) MaxAge() time.Duration {
	if r.life == nil {
		return fileAge
	}
	now, before := r.life.now(), r.life.use.Load().PublishBefore
	age := before - margin(before) - r.life.stale(now)
	if change := r.now.Load().change; !change.IsZero() && change.After(now) {
		age = min(age, change.Sub(now))
	}
	age = max(0, age).Truncate(time.Second)
	for until := now.Add(age).UnixMilli(); ; {
		old := r.handed.Load()
		if old >= until || r.handed.CompareAndSwap(old, until) {
			return age
		}
	}
}

// margin is for what passes between the making of a key and its publication on every node, for clocks that differ, and for
// the way to the cache.
func margin(before time.Duration) time.Duration { return min(before/2, maxMargin) }

// lead is how long a key that is made now is published before it signs: as long as was asked, or is configured where asked
// is 0, and never less than caches may keep a set without it. A node knows what it handed out itself; what the others did,
// and what it did before it was restarted, it does not.
func (r *Ring) lead(now time.Time, asked time.Duration) time.Duration {
	before := r.life.use.Load().PublishBefore
	if asked == 0 {
		asked = before
	}
	if r.life.shared != nil {
		asked = max(asked, before)
	}
	until := time.UnixMilli(r.handed.Load())
	if resumed := r.life.resumed; !resumed.IsZero() && resumed.Add(before).After(until) {
		until = resumed.Add(before)
	}
	if left := until.Sub(now); left > 0 {
		asked = max(asked, left+margin(before))
	}
	return asked
}

// install gives readers the set of now. The generation stays where the same keys verify, so that what was verified still
// counts.
func (r *Ring) install() error {
	l := r.life
	list := judge(l.entries, l.now(), l.use.Load().Every)
	next, err := assemble(list)
	if err != nil {
		return err
	}
	old := r.now.Load()
	if old != nil && sameKeys(old, next) {
		next.generation = old.generation
	}
	if old != nil {
		next.recall(old.retired)
	}
	r.now.Store(next)
	if old != nil {
		l.tell(old, next)
	}
	return nil
}

// remembered is how many keys that are gone a process knows by their ids, for whoever asks what became of one.
const remembered = 32

// recall takes over what was known of keys that are gone, and forgets those that went first.
func (k *keys) recall(retired map[string]time.Time) {
	for kid, until := range retired {
		if _, known := k.retired[kid]; !known && k.verify[kid] == nil && !k.withdrawn[kid] {
			k.retired[kid] = until
		}
	}
	for len(k.retired) > remembered {
		oldest := ""
		for kid, until := range k.retired {
			if oldest == "" || until.Before(k.retired[oldest]) {
				oldest = kid
			}
		}
		delete(k.retired, oldest)
	}
}

func sameKeys(a, b *keys) bool {
	if len(a.verify) != len(b.verify) {
		return false
	}
	for kid := range a.verify {
		if b.verify[kid] == nil {
			return false
		}
	}
	return true
}

// tell writes to the log what became of the keys.
func (l *lifecycle) tell(old, next *keys) {
	was := map[string]string{}
	for _, k := range old.infos {
		was[k.ID] = k.State
	}
	for _, k := range next.infos {
		before := was[k.ID]
		delete(was, k.ID)
		switch {
		case before == k.State:
		case k.State == Next:
			l.log.Info("signing key published", "kid", k.ID, "alg", k.Algorithm, "signs", k.Signs)
		case k.State == Current:
			if old.sign[k.Algorithm] != nil {
				l.rotations.Add(1)
			}
			l.log.Info("signing key in use", "kid", k.ID, "alg", k.Algorithm, "successor_due", k.Until)
		case k.State == Retiring:
			l.log.Info("signing key retiring", "kid", k.ID, "alg", k.Algorithm, "verifies_until", k.Until)
		}
	}
	for kid := range maps.Keys(was) {
		if next.withdrawn[kid] {
			l.log.Warn("signing key withdrawn: its tokens are refused", "kid", kid)
			continue
		}
		l.log.Info("signing key gone", "kid", kid)
	}
}

// Stats is what a Ring says of itself, for metrics. The counters start at 0 with the process.
type Stats struct {
	// Rotations counts the times that another key began to sign in the place of one.
	Rotations int64
	// Failures counts the times that the keys could not be brought to where they should be: Redis or the disk failed.
	Failures int64
	// Unsealable is how many keys in Redis do not unseal.
	Unsealable int64
}

// Stats returns the numbers as they are now; all 0 where the keys are files.
func (r *Ring) Stats() Stats {
	if r.life == nil {
		return Stats{}
	}
	return Stats{r.life.rotations.Load(), r.life.failures.Load(), r.life.unsealable.Load()}
}
