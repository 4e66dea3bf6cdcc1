package revoke

import (
	"fmt"
	"sync/atomic"
	"time"
)

// clock is the node's own clock and how the others stand to it. Safe for concurrent use.
type clock struct {
	now     func() time.Time
	start   time.Time // on the machine's clock, for elapsed alone
	steady  steady
	bearing atomic.Pointer[bearing] // by the last heartbeat; never nil
}

// bearing is how far other clocks are ahead of the node's own. The zero value is a node that runs alone, or has heard nothing.
type bearing struct {
	redis, fleet time.Duration
	at           time.Time // on Redis's clock; zero: not since this process began
}

// newClock returns a clock that reads now. Hold is how long anything is kept.
func newClock(now func() time.Time, hold time.Duration) *clock {
	c := &clock{now: now, start: time.Now(), steady: steady{hold: hold}}
	c.steady.at(now(), 0)
	c.bearing.Store(new(bearing))
	return c
}

// local is the node's own time. Tokens expire by it; what is revoked is kept for as long as it counts by earliest.
func (c *clock) local() time.Time { return c.now() }

// fleet is the time on which the fleet agrees, by the last heartbeat.
func (c *clock) fleet() time.Time { return c.now().Add(c.bearing.Load().fleet) }

// redis is Redis's time, by the last heartbeat.
func (c *clock) redis() time.Time { return c.now().Add(c.bearing.Load().redis) }

// lead is how far the fleet's time is ahead of Redis's. Unlike fleet it stays where the node's own clock steps.
func (c *clock) lead() time.Duration {
	b := c.bearing.Load()
	return b.fleet - b.redis
}

// earliest is the earliest of the node's own time, the same without leaps, and the fleet's: what has expired by it has by all.
func (c *clock) earliest() time.Time {
	now := c.now()
	own, fleet := c.steady.at(now, c.elapsed()), now.Add(min(0, c.bearing.Load().fleet))
	if own.Before(fleet) {
		return own
	}
	return fleet
}

// latest is the later of the two: what is ahead of it is ahead of both.
func (c *clock) latest() time.Time { return c.now().Add(max(0, c.bearing.Load().fleet)) }

// found is what the last heartbeat found of the node's clock, for the others: milliseconds by which it is ahead of Redis's, and
// Redis's time in milliseconds then. Not the node's clock as it is now, for Redis to compare: a call that hung for seconds would
// make it as much wrong.
func (c *clock) found() string {
	b := c.bearing.Load()
	if b.at.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%d %d", -b.redis.Milliseconds(), b.at.UnixMilli())
}

// elapsed is the time since the start, on the machine's monotonic clock, which nobody sets.
func (c *clock) elapsed() time.Duration { return time.Since(c.start) }

// offset is how far Redis's clock is ahead of the node's own, if it was read between sent and got.
func offset(redis, sent, got time.Time) time.Duration {
	return redis.Sub(sent.Add(got.Sub(sent) / 2))
}
