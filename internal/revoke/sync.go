package revoke

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// resume takes over what the node knew of the fleet before it was restarted. The fleet's size is good whatever its age:
// nodes that restart while Redis is away would else each take the whole of every limit.
func (f *Feed) resume(s synced, maxStaleness time.Duration) {
	f.live.Store(s.nodes)
	age := f.clock.local().Sub(s.at)
	if age < -Skew {
		return // the clock was set back: nobody knows how long ago it was
	}
	age = max(age, 0)
	f.clock.bearing.Store(&bearing{redis: s.offset, fleet: s.offset})
	f.votes = int(s.nodes)
	f.beatAt.Store(int64(-age))
	f.readAt.Store(int64(-age))
	f.recent = age <= maxStaleness
	if s.applied != (streamID{}) {
		f.applied.Store(&s.applied)
		f.resumed = true
		f.relink.Store(false)
	}
}

// staleness is the time since heartbeat and reader both had succeeded; the longest Duration where they never have.
func (f *Feed) staleness() time.Duration {
	last := min(f.beatAt.Load(), f.readAt.Load())
	if last == never {
		return math.MaxInt64
	}
	return max(0, f.clock.elapsed()-time.Duration(last))
}

// succeeded notes that the heartbeat or the reader was up to date at a time since the clock's start.
func (f *Feed) succeeded(mark *atomic.Int64, at time.Duration) {
	mark.Store(int64(at))
	if f.beatAt.Load() >= 0 && f.readAt.Load() >= 0 {
		f.ready.Store(true)
	}
}

func (f *Feed) attempted() { f.ended.Do(func() { close(f.attempt) }) }

// await waits until the first reconciliation has succeeded or failed, or the limit is over.
func (f *Feed) await(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-f.attempt:
	case <-ctx.Done():
	}
}
