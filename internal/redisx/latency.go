package redisx

import (
	"sync/atomic"
	"time"
)

// LatencyBounds are the upper bounds of the buckets of Latency, in seconds, ascending. They are not to be changed.
var LatencyBounds = [...]float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5}

// Latency is how long Redis took to answer, or was waited for.
type Latency struct {
	Count uint64
	Sum   time.Duration
	// Within is how many took no longer than each of LatencyBounds.
	Within [len(LatencyBounds)]uint64
}

// latency counts. The zero value is ready for use, and nil counts nothing; safe for concurrent use.
type latency struct {
	sum    atomic.Int64                          // nanoseconds
	counts [len(LatencyBounds) + 1]atomic.Uint64 // not cumulative; the last is of those above all bounds
}

func (l *latency) add(took time.Duration) {
	if l == nil {
		return
	}
	i := 0
	for i < len(LatencyBounds) && took.Seconds() > LatencyBounds[i] {
		i++
	}
	l.counts[i].Add(1)
	l.sum.Add(int64(took))
}

func (l *latency) read() (out Latency) {
	out.Sum = time.Duration(l.sum.Load())
	for i := range l.counts {
		out.Count += l.counts[i].Load()
		if i < len(out.Within) {
			out.Within[i] = out.Count
		}
	}
	return out
}
