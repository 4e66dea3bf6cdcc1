package load

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits = 7  // each power of two has 2^7 buckets, so that a quantile is at most 1/128 too high
	topBits = 40 // 2^40 ns are 18 minutes; what took longer counts as that long, but for Max
)

// Histogram counts durations in buckets of fixed bounds, so that those of many workers add up. The zero value is empty. It is
// not safe for concurrent use.
type Histogram struct {
	counts [(topBits - subBits + 1) << subBits]uint64
	count  uint64
	max    time.Duration
}

// Add counts one duration; a negative one, which a clock that was set may yield, counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(d)]++
	h.count++
	h.max = max(h.max, d)
}

// Merge adds what another one has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the longest duration, exactly; 0 where there is none.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the shortest duration that a share q of all, from 0 to 1, did not exceed, or up to 1/128 more; 0 where there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(uint64(math.Ceil(q*float64(h.count))), 1)
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; seen >= rank && i < len(h.counts)-1 {
			return min(upper(i), h.max)
		}
	}
	return h.max // beyond the last bound, or empty
}

// bucket is the index for a duration: itself below 2^subBits, and then that many of equal width in each power of two.
func bucket(d time.Duration) int {
	v := min(uint64(d), 1<<topBits-1)
	shift := max(bits.Len64(v)-1-subBits, 0)
	return shift<<subBits + int(v>>shift)
}

// upper is the longest duration that falls into a bucket.
func upper(i int) time.Duration {
	shift := max(i>>subBits-1, 0)
	return time.Duration((uint64(i-shift<<subBits)+1)<<shift - 1)
}
