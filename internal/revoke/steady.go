package revoke

import (
	"sync"
	"time"
)

// steady is the node's own time without the leaps of its clock: what is forgotten by a clock that was set ahead by mistake would be
// missing once that is put right, and its tokens would pass again. It goes on from where the process began, at the pace of a clock
// that nobody sets. A clock that is set back is believed at once, since that makes nothing be forgotten; one that is set ahead once
// it has stayed there for as long as anything is kept, so that whatever was revoked before has truly expired. The zero value
// believes the first reading. Safe for concurrent use.
type steady struct {
	hold time.Duration // how long a clock that was set ahead must stay there

	mu     sync.Mutex
	known  bool
	origin time.Time     // what the clock said, or should have said, when the process began
	ahead  time.Time     // what it would have said by the time to which it was set ahead; zero: it was not
	since  time.Duration // when that was first seen
	back   time.Duration // by how much it was set back, all in all, since that was last taken
}

// shiver is by how much a clock may be set without that being taken for another time.
const shiver = time.Second

// at is the time when the clock says now, so long after the process began.
func (s *steady) at(now time.Time, elapsed time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	origin := now.Round(0).Add(-elapsed) // by the wall clock, which is the one that is set
	switch {
	case !s.known || origin.Before(s.origin):
		if s.known {
			s.back += s.origin.Sub(origin)
		}
		s.known, s.origin, s.ahead = true, origin, time.Time{}
	case !origin.After(s.origin):
		s.ahead = time.Time{}
	case s.ahead.IsZero() || origin.Sub(s.ahead).Abs() > shiver:
		s.ahead, s.since = origin, elapsed
	case elapsed-s.since >= s.hold:
		s.origin, s.ahead = origin, time.Time{}
	}
	return s.origin.Add(elapsed)
}

// setBack takes by how much the clock was set back since the last time that it was least or more; 0 where it was not as much.
func (s *steady) setBack(least time.Duration) (by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back >= least {
		by, s.back = s.back, 0
	}
	return by
}
