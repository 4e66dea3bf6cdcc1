package blackbox

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// gauge is one thing that a process must not use more and more of, as it was sampled over a run.
type gauge struct {
	name    string
	unit    string
	per     float64 // divides what is shown
	slack   float64 // what the last samples may have more, beside a tenth: what comes and goes
	holds   *gauge  // what it holds, which may grow; nil: nothing
	each    float64 // what one of those takes
	grows   bool    // by design: it is shown, and what holds it is allowed for it
	samples []float64
}

// ends are the medians of the second fifth of the samples and of the last. The first fifth is warm-up: tokens live a tenth of a run at
// most, so that what is kept while they live has reached its bound. NaN where there are too few samples to say anything.
func (g *gauge) ends() (early, late float64) {
	fifth := len(g.samples) / 5
	if fifth < 2 {
		return math.NaN(), math.NaN()
	}
	return median(g.samples[fifth : 2*fifth]), median(g.samples[len(g.samples)-fifth:])
}

// allowed is the rule: the last fifth may have a tenth more than the second, the slack, and what the growth of what it holds takes.
func (g *gauge) allowed() float64 {
	early, _ := g.ends()
	more := 0.0
	if g.holds != nil {
		before, after := g.holds.ends()
		more = max(after-before, 0) * g.each
	}
	return early*1.10 + g.slack + more
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[mid-1] + sorted[mid]) / 2
	}
	return sorted[mid]
}

// verdict is a table of all gauges, and whether each is flat.
func verdict(gauges []*gauge) (table string, flat bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %12s %12s %12s\n", "medians", "2nd fifth", "last fifth", "allowed")
	flat = true
	for _, g := range gauges {
		early, late := g.ends()
		word, allowed := "flat", g.allowed()
		switch {
		case g.grows:
			word, allowed = "kept until an hour after expiry", math.Inf(1)
		case !(late <= allowed): // NaN is no verdict
			word, flat = "GROWS", false
		}
		fmt.Fprintf(&b, "%-16s %12.1f %12.1f %12.1f  %s\n", strings.TrimSpace(g.name+" "+g.unit), early/g.per, late/g.per, allowed/g.per, word)
	}
	return b.String(), flat
}

// The verdict tells what grows from what only moves.
func TestSoakVerdict(t *testing.T) {
	const n = 60
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, tc := range []struct {
		name string
		at   func(share float64) float64 // of the run, from 0 to 1
		flat bool
	}{
		{"the same", func(float64) float64 { return 100 }, true},
		{"noise", func(float64) float64 { return 90 + 20*r.Float64() }, true},
		{"a collector's teeth", func(x float64) float64 { return 50 + 100*math.Mod(x*23, 1) }, true},
		{"a plateau once tokens expire", func(x float64) float64 { return 100 * min(x/0.15, 1) }, true},
		{"one high sample at the end", func(x float64) float64 {
			if x > 0.97 {
				return 1000
			}
			return 100
		}, true},
		{"less and less", func(x float64) float64 { return 100 - 50*x }, true},
		{"twice as much", func(x float64) float64 { return 100 + 100*x }, false},
		{"a third more", func(x float64) float64 { return 100 + 33*x }, false},
		{"a third more, with noise", func(x float64) float64 { return 100 + 33*x + 4*r.Float64() }, false},
		{"a step near the end", func(x float64) float64 {
			if x > 0.8 {
				return 130
			}
			return 100
		}, false},
		{"not a number", func(float64) float64 { return math.NaN() }, false},
	} {
		g := &gauge{name: tc.name, per: 1, slack: 5}
		for i := range n {
			g.samples = append(g.samples, tc.at(float64(i)/(n-1)))
		}
		table, flat := verdict([]*gauge{{name: "flat", per: 1, samples: slices.Repeat([]float64{1}, n)}, g})
		if flat != tc.flat || strings.Contains(table, "GROWS") == tc.flat {
			t.Errorf("seed %d, %s: flat is %v\n%s", seed, tc.name, flat, table)
		}
	}
	kept := &gauge{name: "kept", per: 1, grows: true}
	rising, leaking := &gauge{name: "holds it", per: 1, holds: kept, each: 2}, &gauge{name: "holds more", per: 1, holds: kept, each: 2}
	for i := range n {
		kept.samples = append(kept.samples, float64(i))
		rising.samples = append(rising.samples, 100+2*float64(i))
		leaking.samples = append(leaking.samples, 100+3*float64(i))
	}
	if table, flat := verdict([]*gauge{kept, rising}); !flat {
		t.Errorf("what holds what is kept grows with it:\n%s", table)
	}
	if table, flat := verdict([]*gauge{kept, leaking}); flat {
		t.Errorf("what grows by half as much again as what it holds is flat:\n%s", table)
	}
	if _, flat := verdict([]*gauge{{name: "few", per: 1, samples: []float64{1, 1, 1, 1, 1}}}); flat {
		t.Error("five samples are enough for a verdict")
	}
}
