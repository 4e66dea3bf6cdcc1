package revoke

import (
	"fmt"
	"sync/atomic"
	"time"
)

// clock is the node's own clock and how the others stand to it. Safe for concurrent use.
type clock struct {
	now     func() time.Time
	start   time.Time
	bearing atomic.Pointer[bearing] // by the last heartbeat; never nil
}

// bearing is how far other clocks are ahead of the node's own. The zero value is a node that runs alone, or has heard nothing.
type bearing struct {
	redis, fleet time.Duration
	at           time.Time // on Redis's clock; zero: not since this process began
}

func newClock(now func() time.Time) *clock {
	c := &clock{now: now, start: now()}
	c.bearing.Store(new(bearing))
	return c
}

// local is the node's own time. What expires does so by it, like the tokens themselves.
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

// earliest is the earlier of the node's own time and the fleet's: what has expired by it has by both.
func (c *clock) earliest() time.Time { return c.now().Add(min(0, c.bearing.Load().fleet)) }

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

// elapsed is the time since the start, on the monotonic clock where there is one.
func (c *clock) elapsed() time.Duration { return c.now().Sub(c.start) }

// offset is how far Redis's clock is ahead of the node's own, if it was read between sent and got.
func offset(redis, sent, got time.Time) time.Duration {
	return redis.Sub(sent.Add(got.Sub(sent) / 2))
}
