//go:build !race

package proxy

import (
	"testing"

	"gatehouse/internal/alloctest"
)

func TestAllocations(t *testing.T) { alloctest.Exactly(t, stages(t)) }
