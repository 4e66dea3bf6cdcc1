package load

import (
	"context"
	"sync/atomic"
	"time"
)

// pace says when requests are meant to be sent: one after the other at a rate, whoever of the workers is free, or at once. A
// request that is sent late, since all workers still wait for answers, is still counted from the time it was meant for: what a
// slow gateway does to those who come meanwhile is not hidden by their waiting for it.
type pace struct {
	begin, end time.Time
	rate       float64 // requests/s of all workers; 0: at once
	taken      atomic.Int64
}

// take waits for the time of the next request and returns it; false once there is none before the end, or ctx is done.
func (p *pace) take(ctx context.Context) (meant time.Time, ok bool) {
	now := time.Now()
	if !now.Before(p.end) || ctx.Err() != nil {
		return now, false
	}
	meant = now
	switch {
	case p.rate > 0:
		n := p.taken.Add(1) - 1
		meant = p.begin.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	case now.Before(p.begin):
		meant = p.begin
	}
	if !meant.Before(p.end) {
		return meant, false
	}
	if !meant.After(now) {
		return meant, true
	}
	timer := time.NewTimer(meant.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return meant, true
	case <-ctx.Done():
		return meant, false
	}
}
