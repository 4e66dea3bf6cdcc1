// Package alloctest holds stages of the request path to the number of times that they allocate. Times differ from machine to
// machine and from run to run; allocations do not, so that one more of them is a change that somebody made.
package alloctest

import (
	"runtime/debug"
	"testing"
)

// Stage is one thing that is done for a request, ready to be done again and again.
type Stage struct {
	Name   string
	Allocs float64 // how often it allocates, on average of 100 runs, rounded down
	Run    func()
}

// Exactly fails t for every stage that allocates more often than it says, or less often: then the new number is to be written
// down, or it would creep up again unseen. Stages are counted one after the other, over the whole process, so the test that
// calls it must not be parallel, and not be built with the race detector, under which more is allocated.
func Exactly(t *testing.T, stages []Stage) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties pools, whatever the stage does
	for _, s := range stages {
		switch n := testing.AllocsPerRun(100, s.Run); {
		case n > s.Allocs:
			t.Errorf("%s allocates %v times, and did %v: find out why", s.Name, n, s.Allocs)
		case n < s.Allocs:
			t.Errorf("%s allocates %v times, and did %v: write the new number down", s.Name, n, s.Allocs)
		}
	}
}

// Bench runs each stage as a benchmark of its own.
func Bench(b *testing.B, stages []Stage) {
	for _, s := range stages {
		b.Run(s.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Run()
			}
		})
	}
}
