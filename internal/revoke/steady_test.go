package revoke

import (
	"sync/atomic"
	"testing"
	"time"
)

func TestSteady(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	const h, day = time.Hour, 24 * time.Hour
	type reading struct {
		elapsed time.Duration
		off     time.Duration // of the clock
		want    time.Duration // of the steady time, from the true one
		back    time.Duration
	}
	for name, readings := range map[string][]reading{
		"true":                     {{0, 0, 0, 0}, {h, 0, 0, 0}, {100 * day, 0, 0, 0}},
		"ahead for a while":        {{0, 0, 0, 0}, {h, 3 * h, 0, 0}, {23 * h, 3 * h, 0, 0}, {23*h + 1, 0, 0, 0}, {50 * h, 3 * h, 0, 0}},
		"ahead for good":           {{0, 0, 0, 0}, {h, 3 * h, 0, 0}, {25*h - 1, 3 * h, 0, 0}, {25 * h, 3 * h, 3 * h, 0}, {26 * h, 3 * h, 3 * h, 0}},
		"trembles ahead":           {{0, 0, 0, 0}, {h, 3 * h, 0, 0}, {10 * h, 3*h + time.Second/2, 0, 0}, {25 * h, 3 * h, 3 * h, 0}},
		"ahead and then more":      {{0, 0, 0, 0}, {h, h, 0, 0}, {24 * h, 3 * h, 0, 0}, {25 * h, 3 * h, 0, 0}, {48 * h, 3 * h, 3 * h, 0}},
		"ahead, back, and again":   {{0, 0, 0, 0}, {h, 3 * h, 0, 0}, {12 * h, 0, 0, 0}, {13 * h, 3 * h, 0, 0}, {25 * h, 3 * h, 0, 0}},
		"behind for a while":       {{0, 0, 0, 0}, {h, -h, -h, h}, {2 * h, -h, -h, 0}, {3 * h, 0, -h, 0}, {27 * h, 0, 0, 0}},
		"wrong from the beginning": {{0, 5 * h, 5 * h, 0}, {h, 0, 0, 5 * h}, {2 * h, 5 * h, 0, 0}},
		"no clock until it is set": {{0, -20000 * day, -20000 * day, 0}, {1, 0, -20000 * day, 0}, {day + 1, 0, 0, 0}},
	} {
		s := steady{hold: day}
		for i, r := range readings {
			got, back := s.at(begin.Add(r.elapsed+r.off), r.elapsed), s.setBack(shiver)
			if off := got.Sub(begin.Add(r.elapsed)); (off-r.want).Abs() > shiver || (back-r.back).Abs() > shiver {
				t.Errorf("%s, reading %d: off by %v and set back by %v, wanted %v and %v", name, i, off, back, r.want, r.back)
			}
		}
	}
}

// stepped is a clock that a test sets.
type stepped struct{ by atomic.Int64 }

func (s *stepped) use(o *Options, _ *pace) {
	o.Now = func() time.Time { return time.Now().Add(time.Duration(s.by.Load())) }
}

func (s *stepped) set(by time.Duration) { s.by.Store(int64(by)) }

// TestClockSetAheadForAWhile: what expires by a clock that was set ahead by mistake is neither in memory nor on the disk forgotten.
func TestClockSetAheadForAWhile(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		var clock stepped
		dir := t.TempDir()
		n := e.start(t, dir, clock.use).synced()
		n.mustRevoke(live("a"))
		old := n.issue("billing")
		n.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"})
		clock.set(50 * time.Hour)
		for range 3 {
			if err := n.sweep(t.Context()); err != nil {
				t.Error(err)
			}
		}
		clock.set(0)
		if !n.refuses("a") || !n.Revoked(old) {
			t.Errorf("after the clock was put right, the token is refused: %v, the client's: %v", n.refuses("a"), n.Revoked(old))
		}
		n.stop()
		if e.server != nil {
			e.server.Restart(false) // so that it is the disk that remembers
		}
		n = e.start(t, dir)
		if !n.refuses("a") || !n.Revoked(old) {
			t.Errorf("after a restart, the token is refused: %v, the client's: %v", n.refuses("a"), n.Revoked(old))
		}
	})
}

// TestClockWrongAtStart: a node that starts with a clock far ahead takes all for expired that it has, until the clock is set.
func TestClockWrongAtStart(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		dir := t.TempDir()
		n := e.start(t, dir).synced()
		n.mustRevoke(live("a"))
		n.stop()
		var clock stepped
		clock.set(5 * time.Hour)
		n = e.start(t, dir, clock.use, func(_ *Options, p *pace) { p.sweep = usualPace.sweep })
		clock.set(0)
		n.sees("a")
	})
}
