package proxy

import (
	"sync/atomic"
	"time"
)

// Breaker stops asking an endpoint that has failed Failures times in a row, for OpenFor; then one request finds out
// whether it is well again. No answer, and a 502, 503 or 504, are failures; any other response is not.
type Breaker struct {
	Failures int
	OpenFor  time.Duration
}

// clock is monotonic, but in tests. A closed breaker reads none.
type clock func() int64

// breaker is the state of one endpoint's breaker. The zero value is closed.
type breaker struct {
	failed atomic.Int32 // in a row
	until  atomic.Int64 // open until then, and half open from then on; 0: closed
	probed atomic.Bool  // half open, and a request is finding out
}

// ready reports whether a request may pass, without taking the place of the one that finds out.
func (b *breaker) ready(now clock) bool {
	until := b.until.Load()
	return until == 0 || now() >= until && !b.probed.Load()
}

// pass lets a request pass, or not. A probe must be followed by report.
func (b *breaker) pass(now clock) (ok, probe bool) {
	until := b.until.Load()
	if until == 0 {
		return true, false
	}
	probe = now() >= until && b.probed.CompareAndSwap(false, true)
	return probe, probe
}

// report tells how a request that passed has ended, and returns what that makes of the breaker: "open", "closed", or ""
// where nothing changed.
func (b *breaker) report(o outcome, probe bool, cfg *Breaker, now clock) string {
	switch {
	case probe:
		defer b.probed.Store(false)
		if o == failed {
			b.until.Store(now() + int64(cfg.OpenFor))
			return "open"
		}
		if o == worked {
			b.failed.Store(0)
			b.until.Store(0)
			return "closed"
		}
	case o == worked && b.failed.Load() != 0:
		b.failed.Store(0)
	case o == failed && b.failed.Add(1) >= int32(cfg.Failures) && b.until.CompareAndSwap(0, now()+int64(cfg.OpenFor)):
		return "open"
	}
	return ""
}

// state is "closed", "half_open" or "open".
func (b *breaker) state(now clock) string {
	switch until := b.until.Load(); {
	case until == 0:
		return "closed"
	case now() >= until:
		return "half_open"
	}
	return "open"
}

// outcome is what a request says of the endpoint that it was sent to.
type outcome uint8

const (
	unclear outcome = iota // the client left, or was at fault
	worked
	failed
)
