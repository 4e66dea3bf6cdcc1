package pulse

import (
	"math/bits"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/internal/exchange"
)

// buckets are those of a histogram of microseconds: four to each power of two, so that a quantile is off by an eighth at most.
const buckets = 27 * 4

// slot is what ended within one step of time. It is counted in while it is the newest, and by stragglers.
type slot struct {
	number int64 // which step, since 1970

	requests, failed, denied, tokens atomic.Uint32
	reasons                          []atomic.Uint32 // of refusals; nil for routes
	times                            [buckets]atomic.Uint32
}

// count adds a request to an API.
func (s *slot) count(r *exchange.Record) {
	s.requests.Add(1)
	if r.Status >= http.StatusInternalServerError {
		s.failed.Add(1)
	}
	if r.Status != http.StatusSwitchingProtocols { // how long a tunnel stays open says nothing of speed
		s.times[bucket(r.Duration)].Add(1)
	}
}

// ring are the slots of a stretch of time. A slot is made when something ends in its step, and thrown away as a whole, so that
// nobody ever counts into one that is being cleared.
type ring struct {
	every time.Duration
	slots []atomic.Pointer[slot]
}

// newRing has one slot more than the window, for the step that is under way.
func newRing(every, window time.Duration) ring {
	return ring{every, make([]atomic.Pointer[slot], window/every+1)}
}

func (g *ring) number(at time.Time) int64 { return at.UnixNano() / int64(g.every) }

// at is the slot of a moment. What ends long after it began to be noted, and finds its step gone, counts for the newer one.
func (g *ring) at(t time.Time, reasons int) *slot {
	n := g.number(t)
	place := &g.slots[n%int64(len(g.slots))]
	for {
		s := place.Load()
		if s != nil && s.number >= n {
			return s
		}
		next := &slot{number: n}
		if reasons > 0 {
			next.reasons = make([]atomic.Uint32, reasons)
		}
		if place.CompareAndSwap(s, next) {
			return next
		}
	}
}

// step is the slot of that number; nil where nothing ended in it.
func (g *ring) step(n int64) *slot {
	if s := g.slots[n%int64(len(g.slots))].Load(); s != nil && s.number == n {
		return s
	}
	return nil
}

// bucket is the one that a time belongs to.
func bucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 1))
	octave := bits.Len64(us) - 1
	fraction := (us << 2 >> octave) & 3
	return min(octave*4+int(fraction), buckets-1)
}

// from is where a bucket begins.
func from(b int) time.Duration {
	return time.Duration(float64(4+b%4) / 4 * float64(uint64(1)<<(b/4)) * float64(time.Microsecond))
}
