package keyring

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/internal/token"
)

const (
	fetchWait = 250 * time.Millisecond // the longest that a token with an unknown kid waits for the fleet's ring
	fetchGap  = 20 * time.Millisecond  // between two readings for such tokens, since strangers may send any number
	kidLength = 43                     // of a SHA-256 in base64url
)

// waiters are those who wait for the ring to be read again.
type waiters struct {
	mu    sync.Mutex
	done  chan struct{} // closed after the next reading that begins; nil: nobody waits
	nudge chan struct{}
}

// join returns a channel that is closed once the ring was read by a reading that begins after now.
func (w *waiters) join() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == nil {
		w.done = make(chan struct{})
	}
	select {
	case w.nudge <- struct{}{}:
	default:
	}
	return w.done
}

// leave returns who waits now, and lets later ones wait for the next reading.
func (w *waiters) leave() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.done
	w.done = nil
	return done
}

// Fetch is Key for a kid that Key does not have, and looks once more at what the fleet knows: another node may have begun
// to sign with a key before this one saw it. It takes a quarter of a second at most, nothing at all where there is nobody
// to ask, and however many call it Redis is read once in 20 ms.
func (r *Ring) Fetch(kid string) *token.PublicKey {
	l := r.life
	if l == nil || l.shared == nil || len(kid) != kidLength || r.now.Load().withdrawn[kid] {
		return nil
	}
	r.look()
	return r.Key(kid)
}

// SignerSince is Signer by what the fleet knows at t or later: where the ring was last read before, it is read once more.
// A node that hears of a key's end before it sees that the key was withdrawn would else sign tokens that are dead when they
// are issued. It takes as long as Fetch.
func (r *Ring) SignerSince(alg token.Algorithm, t time.Time) *token.PrivateKey {
	if l := r.life; l != nil && l.shared != nil && l.syncedAt.Load() < t.UnixMilli() {
		r.look()
	}
	return r.Signer(alg)
}

// look waits until the fleet's ring was read by a reading that begins after now, a quarter of a second at most.
func (r *Ring) look() {
	done := r.life.waiters.join()
	timer := time.NewTimer(fetchWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// wake makes the work in the background look at once.
func (r *Ring) wake() {
	select {
	case r.life.waiters.nudge <- struct{}{}:
	default:
	}
}

// start begins the work in the background.
func (r *Ring) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.life.cancel = cancel
	r.life.work.Go(func() { r.follow(ctx) })
}

// Close ends the work in the background. What the Ring holds then stays readable.
func (r *Ring) Close() {
	if r.life != nil && r.life.cancel != nil {
		r.life.cancel()
		r.life.work.Wait()
	}
}

// follow lets keys take turns when it is time, and looks at the fleet's ring, until ctx ends.
func (r *Ring) follow(ctx context.Context) {
	var last error
	for {
		if !r.rest(ctx) {
			return
		}
		done := r.life.waiters.leave()
		r.life.mu.Lock()
		err := r.advance(ctx)
		r.life.mu.Unlock()
		if done != nil {
			close(done)
		}
		if ctx.Err() == nil {
			r.note(last, err)
			last = err
		}
		pause(ctx, fetchGap)
	}
}

// note tells when the keys begin to fail, and when that is over.
func (r *Ring) note(last, err error) {
	switch log := r.life.log; {
	case err != nil:
		r.life.failures.Add(1)
		if last == nil || errors.Is(last, ErrUnavailable) != errors.Is(err, ErrUnavailable) {
			log.Error("signing keys are not kept up: those there are go on to sign", "err", err)
		}
	case last != nil:
		log.Info("signing keys are kept up again")
	}
}

// rest waits until something is due, and reports whether ctx goes on.
func (r *Ring) rest(ctx context.Context) bool {
	timer := time.NewTimer(r.wait())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-r.life.waiters.nudge:
	}
	return ctx.Err() == nil
}

// wait is how long nothing is due.
func (r *Ring) wait() time.Duration {
	l := r.life
	most := lookEvery
	if l.shared != nil {
		most = pollEvery
	}
	now, before := l.now(), l.use.Load().PublishBefore
	for _, k := range r.now.Load().infos {
		at := k.Until
		switch k.State {
		case Next:
			at = k.Signs
		case Current:
			at = k.Until.Add(-before)
		}
		switch d := at.Sub(now); {
		case d > 0:
			most = min(most, d)
		case k.State == Next: // its time came after the states were last judged
			most = min(most, fetchGap)
		}
	}
	return max(most, time.Millisecond)
}

// pause waits, shorter where ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
