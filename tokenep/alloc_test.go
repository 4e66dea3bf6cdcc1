//go:build !race

package tokenep_test

import (
	"testing"

	"gatehouse/internal/alloctest"
)

// A token from the form to the answer.
func TestAllocations(t *testing.T) {
	alloctest.Exactly(t, []alloctest.Stage{{Name: "token", Allocs: 129, Run: asking(t)}})
}
