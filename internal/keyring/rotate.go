package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/token"
)

// ErrFiles is the error of a rotation where the keys are files.
var ErrFiles = errors.New("the keys are the files of tokens.key_dir, which gatehouse does not make: put the new key's file there " +
	"(public half first, so that every verifier knows it), and name the one that signs in tokens.signing")

// Rotation is what a rotation does to one algorithm.
type Rotation struct {
	Algorithm token.Algorithm
	Old, New  string    // kids; Old is "" where nothing signed
	Published time.Time // when the new key was
	Signs     time.Time // when it signs
	Until     time.Time // when the old key stops to verify; with Withdrawn, the moment of that
	Withdrawn []string  // the kids whose tokens are refused from now on
}

// Rotate makes a new key of alg, publishes it, and lets it sign once every cache that lacks it has expired: after lead at
// least, and where that is 0 after the configured time. Where another node or the schedule has made one that signs by
// then, that one counts. Of a fleet's ring the error is ErrUnavailable while Redis is away; where the keys are files it is
// ErrFiles.
func (r *Ring) Rotate(ctx context.Context, alg token.Algorithm, lead time.Duration) (Rotation, error) {
	return r.rotate(ctx, alg, func(now time.Time) (Rotation, bool, error) {
		l := r.life
		lead := r.lead(now, lead)
		last, pending, _ := newest(l.entries, alg, now)
		if pending && !last.signs.After(now.Add(lead)) {
			return l.rotation(alg, last, nil), true, nil
		}
		e, err := l.generate(alg, now, now.Add(lead))
		if err != nil {
			return Rotation{}, false, err
		}
		out := l.rotation(alg, e, nil)
		won, err := l.add(ctx, e, nil)
		return out, won, err
	})
}

// Revoke withdraws the key of alg that signs, and the next one too, since they lie in one place, and lets a new one sign at
// once. Nothing that they sign is good any more, here from the return on and in the fleet within a second. The errors are
// those of Rotate.
func (r *Ring) Revoke(ctx context.Context, alg token.Algorithm) (Rotation, error) {
	var dead []entry
	return r.rotate(ctx, alg, func(now time.Time) (Rotation, bool, error) {
		l := r.life
		if dead == nil {
			dead = l.inUse(alg, now)
		}
		last, _, ok := newest(l.entries, alg, now)
		if ok && len(dead) > 0 && l.allRevoked(dead) { // another node was faster, and a new key signs
			return l.rotation(alg, last, dead), true, nil
		}
		e, err := l.generate(alg, now, now)
		if err != nil {
			return Rotation{}, false, err
		}
		for i := range dead {
			dead[i].revoked, dead[i].public, dead[i].private = now, nil, nil
		}
		out := l.rotation(alg, e, dead)
		won, err := l.add(ctx, e, dead)
		return out, won, err
	})
}

// rotate repeats once until the slot that it fills is its own.
func (r *Ring) rotate(ctx context.Context, alg token.Algorithm, once func(time.Time) (Rotation, bool, error)) (Rotation, error) {
	if r.life == nil {
		return Rotation{}, ErrFiles
	}
	l := r.life
	l.mu.Lock()
	defer l.mu.Unlock()
	defer r.wake()
	err := errBusy
	for try := range attempts {
		if try > 0 && errors.Is(err, ErrUnavailable) {
			pause(ctx, retryWait)
		}
		var out Rotation
		var done bool
		if out, done, err = l.attempt(ctx, once); done {
			return out, r.install()
		}
		if err != nil && !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			break
		}
		if err == nil {
			err = errBusy
		}
	}
	return Rotation{}, errors.Join(err, r.install())
}

// retryWait is the time between two attempts, where Redis did not answer the first.
const retryWait = 50 * time.Millisecond

var errBusy = fmt.Errorf("%w: other nodes change them all the time; try again", ErrUnavailable)

// attempt sees what the fleet has, and tries once. An attempt that Redis did not answer may have succeeded all the same:
// then the next one finds what it did.
func (l *lifecycle) attempt(ctx context.Context, once func(time.Time) (Rotation, bool, error)) (Rotation, bool, error) {
	if err := l.sync(ctx); err != nil {
		return Rotation{}, false, err
	}
	out, done, err := once(l.now())
	return out, done && err == nil, err
}

// rotation says what it means that e succeeds the key that signs now.
func (l *lifecycle) rotation(alg token.Algorithm, e entry, dead []entry) Rotation {
	out := Rotation{Algorithm: alg, New: e.id, Published: e.created, Signs: e.signs}
	for _, k := range dead {
		out.Withdrawn = append(out.Withdrawn, k.id)
	}
	if len(dead) > 0 {
		out.Old, out.Until = dead[0].id, dead[0].revoked
		return out
	}
	for _, s := range judge(l.entries, l.now(), l.use.Load().Every) {
		if s.alg == alg && s.state == Current {
			out.Old, out.Until = s.id, e.signs.Add(s.life+skew)
		}
	}
	return out
}

// inUse are the keys of alg that sign or will, the one that signs first.
func (l *lifecycle) inUse(alg token.Algorithm, now time.Time) []entry {
	var out []entry
	for _, s := range judge(l.entries, now, l.use.Load().Every) {
		switch {
		case s.alg != alg:
		case s.state == Current:
			out = append([]entry{s.entry}, out...)
		case s.state == Next:
			out = append(out, s.entry)
		}
	}
	return out
}

func (l *lifecycle) allRevoked(list []entry) bool {
	for _, e := range list {
		if l.entries[e.id].revoked.IsZero() {
			return false
		}
	}
	return true
}
