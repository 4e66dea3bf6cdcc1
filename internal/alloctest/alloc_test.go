//go:build !race

package alloctest

import (
	"testing"
)

var kept []byte

func TestExactly(t *testing.T) {
	twice := func() { kept = make([]byte, 100); kept = make([]byte, 200) }
	Exactly(t, []Stage{{"two", 2, twice}, {"none", 0, func() {}}})
	for _, wrong := range []float64{1, 3} {
		probe := &testing.T{}
		Exactly(probe, []Stage{{"two", wrong, twice}})
		if !probe.Failed() {
			t.Errorf("two allocations passed for %v", wrong)
		}
	}
}
