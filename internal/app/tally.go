package app

import (
	"sync/atomic"

	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
)

// limitSources has room for every ratelimit.Source.
const limitSources = 16

// tally counts by what limits were decided, for the status. The zero value is ready for use.
type tally [limitSources]atomic.Int64

// Finish implements exchange.Sink.
func (t *tally) Finish(x *exchange.Record) {
	if x.LimitSource == "" {
		return
	}
	for s := range ratelimit.Source(limitSources) {
		if s.String() == x.LimitSource {
			t[s].Add(1)
			return
		}
	}
}

// counts is how often limits were decided by what; what never did is left out.
func (t *tally) counts() map[string]int64 {
	out := map[string]int64{}
	for s := range ratelimit.Source(limitSources) {
		if n := t[s].Load(); n > 0 {
			out[s.String()] = n
		}
	}
	return out
}
