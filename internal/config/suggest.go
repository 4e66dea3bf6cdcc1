package config

import (
	"fmt"
	"iter"

	"gatehouse/internal/suggest"
)

// didYouMean is ` — did you mean "x"?` for the candidate nearest to what was written, or "" where none is near.
func didYouMean(got string, candidates iter.Seq[string]) string {
	if best := nearest(got, candidates); best != "" {
		return fmt.Sprintf(" — did you mean %q?", best)
	}
	return ""
}

// nearest returns the candidate that was likely meant by got, or "".
func nearest(got string, candidates iter.Seq[string]) string { return suggest.Nearest(got, candidates) }
