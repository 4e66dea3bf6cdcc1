package revoke

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// Result says what became of a revocation.
type Result struct {
	// Local is whether it is on this node's disk.
	Local bool
	// Shared is whether Redis has it. False without Redis, and while Redis is away: then it is queued.
	Shared bool
	// Applied is how many of the Live nodes refuse the tokens already; the others follow within a second, or when they
	// can. This node counts in both.
	Applied, Live int
}

// Revoke makes e count: on the disk, in this node, in the fleet. It returns once the entry is on the disk and, where Redis
// answers, the living nodes have it or a short wait is over. An error of the journal means that the revocation would not
// outlive a restart of this node; it counts here and was shared all the same. Other errors mean that e is no revocation, or
// that ctx ended while a rule waited for its turn, and nothing was done.
//
// A rule gets as T the next whole second of the fleet's time, or one more than an earlier T that its tokens may bear as iat,
// so that it ends those too. Where that is more than two seconds ahead, Revoke waits.
func (s *Store) Revoke(ctx context.Context, e Entry) (Result, error) {
	if err := e.check(); err != nil {
		return Result{}, err
	}
	e, alive, err := s.enter(ctx, e)
	if !alive && err == nil {
		return Result{Local: true, Shared: s.feed != nil, Applied: s.Nodes(), Live: s.Nodes()}, nil // no node accepts it
	}
	if !alive {
		return Result{}, err
	}
	s.revoked[e.Kind].Add(1)
	s.note(&e)
	res := Result{Applied: 1, Live: 1}
	if s.feed != nil {
		// The caller may have gone: what is revoked here must still reach the fleet.
		res = s.feed.share(context.WithoutCancel(ctx), e)
	}
	res.Local = err == nil
	if err != nil {
		s.failed.Add(1)
		s.log.Error("revocation not on the disk: it counts, but this node would forget it at a restart", "kind", e.Kind.String(), "err", err)
	}
	return res, err
}

// note writes the revocation to the log; a token by its ID, in hex.
func (s *Store) note(e *Entry) {
	if e.Kind == Token {
		s.log.Info("revoked", "kind", e.Kind.String(), "id", hex.EncodeToString(e.ID[:]), "reason", e.Reason)
		return
	}
	s.log.Info("revoked", "kind", e.Kind.String(), "issuer", e.Issuer, "name", e.Name, "not_before", e.NotBefore, "reason", e.Reason)
}

// enter completes e and puts it into the journal and the set. alive is false where it did neither: an error says why, and
// without one the token has expired.
func (s *Store) enter(ctx context.Context, e Entry) (out Entry, alive bool, err error) {
	if e.Kind == Token {
		e.Issuer, e.Name, e.NotBefore = "", "", 0
		e.Expires += int64(Skew / time.Second)
		if e.Expires <= s.clock.earliest().Unix() {
			return e, false, nil
		}
		// No token that exists lives longer, whatever the caller took for its expiry.
		e.Expires = min(e.Expires, s.clock.latest().Add(s.life+Skew).Unix())
		return e, true, s.keep(e)
	}
	if err := s.turn(ctx, &e); err != nil {
		return e, false, err
	}
	defer s.mint.Unlock()
	return e, true, s.keep(e)
}

// keep writes the journal and then the set, which gets the entry even where the journal can't be written.
func (s *Store) keep(e Entry) error {
	err := s.journal.Put(s.feed != nil, e)
	s.set.Add(e)
	return err
}

// turn gives a rule its T and expiry, and returns with s.mint held, unless ctx ended while it waited.
func (s *Store) turn(ctx context.Context, e *Entry) error {
	for {
		s.mint.Lock()
		now := s.clock.fleet()
		e.NotBefore = max(now.Unix(), s.set.lastIssue(e)) + 1
		wait := time.Unix(e.NotBefore-mintAhead, 0).Sub(now)
		if wait <= 0 {
			e.Expires = e.NotBefore + int64((s.life+Skew)/time.Second)
			return nil
		}
		s.mint.Unlock()
		if !pause(ctx, wait) {
			return fmt.Errorf("revocation by %s waits until its time is near: %w", e.Kind, ctx.Err())
		}
	}
}
