package revoke

import (
	"sync/atomic"
	"time"
)

// clock is the node's own clock and what is known of Redis's, on which the fleet agrees. Safe for concurrent use.
type clock struct {
	now    func() time.Time
	start  time.Time
	offset atomic.Int64 // nanoseconds that Redis's clock is ahead; 0 without Redis
}

func newClock(now func() time.Time) *clock { return &clock{now: now, start: now()} }

// local is the node's own time. What expires does so by it, like the tokens themselves.
func (c *clock) local() time.Time { return c.now() }

// fleet is Redis's time, by the last heartbeat.
func (c *clock) fleet() time.Time { return c.now().Add(time.Duration(c.offset.Load())) }

// latest is the later of the two, in seconds: what is ahead of it is ahead of both.
func (c *clock) latest() float64 {
	now := c.now()
	return float64(now.Add(max(0, time.Duration(c.offset.Load()))).UnixNano()) / 1e9
}

// elapsed is the time since the start, on the monotonic clock where there is one.
func (c *clock) elapsed() time.Duration { return c.now().Sub(c.start) }

// measure takes Redis's time, read between sent and got.
func (c *clock) measure(redis, sent, got time.Time) {
	middle := sent.Add(got.Sub(sent) / 2)
	c.offset.Store(int64(redis.Sub(middle)))
}
