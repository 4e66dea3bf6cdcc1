package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Buckets follow each other without gap or overlap, and none is wider than a 128th of what it holds.
func TestBuckets(t *testing.T) {
	var h Histogram
	for i := range h.counts {
		top := upper(i)
		if got := bucket(top); got != i {
			t.Fatalf("bucket(%d) = %d, want %d", top, got, i)
		}
		if i == len(h.counts)-1 {
			break
		}
		if got := bucket(top + 1); got != i+1 {
			t.Fatalf("bucket(%d) = %d, want %d", top+1, got, i+1)
		}
		if width := upper(i+1) - top; width > 1+(top+1)/128 {
			t.Fatalf("the bucket from %d on is %d wide", top+1, width)
		}
	}
	if got := bucket(math.MaxInt64); got != len(h.counts)-1 {
		t.Errorf("the longest duration falls into bucket %d", got)
	}
}

// distributions are shapes of latencies, in nanoseconds.
var distributions = map[string]func(r *rand.Rand) time.Duration{
	"even":        func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Second))) },
	"tiny":        func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(300)) },
	"exponential": func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * 2e6) },
	"heavy tail": func(r *rand.Rand) time.Duration {
		return min(time.Duration(1e5*math.Pow(r.Float64(), -2)), 10*time.Minute)
	},
	"two modes": func(r *rand.Rand) time.Duration {
		return time.Duration(1+r.IntN(2)*999)*time.Millisecond + time.Duration(r.Int64N(1e5))
	},
	"one value": func(*rand.Rand) time.Duration { return 1234567 },
}

// A quantile is never below that of the sorted data, and at most a 128th above it, also where workers counted parts.
func TestQuantiles(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for name, draw := range distributions {
		for range 30 {
			var whole Histogram
			parts := make([]Histogram, 1+r.IntN(5))
			data := make([]time.Duration, 1+r.IntN(3000))
			for i := range data {
				data[i] = draw(r)
				parts[r.IntN(len(parts))].Add(data[i])
			}
			for i := range parts {
				whole.Merge(&parts[i])
			}
			slices.Sort(data)
			if whole.Count() != uint64(len(data)) || whole.Max() != data[len(data)-1] {
				t.Fatalf("seed %d, %s: %d durations up to %d, want %d up to %d", seed, name, whole.Count(), whole.Max(), len(data), data[len(data)-1])
			}
			for _, q := range []float64{0, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1, r.Float64()} {
				exact := data[max(int(math.Ceil(q*float64(len(data)))), 1)-1]
				if got := whole.Quantile(q); got < exact || got > exact+exact/128 {
					t.Fatalf("seed %d, %s: of %d durations the quantile %v is %d, want %d or up to a 128th more", seed, name, len(data), q, got, exact)
				}
			}
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Error("an empty histogram has quantiles")
	}
	h.Add(-time.Second)
	h.Add(time.Hour) // beyond the last bound
	if h.Quantile(0.5) != 0 || h.Quantile(1) != time.Hour || h.Count() != 2 {
		t.Errorf("quantiles %s and %s of %d", h.Quantile(0.5), h.Quantile(1), h.Count())
	}
}
