// Package suggest finds what was meant by a word that nobody knows.
package suggest

import (
	"iter"
	"strings"
)

// longest is the longest text that is compared, in bytes: more is no typing error, and costs time.
const longest = 128

// Nearest returns the candidate within a third of its length (at least one, at most three edits) of got, or "". Among
// equals the first in byte order wins, so that the order of candidates does not matter.
func Nearest(got string, candidates iter.Seq[string]) string {
	best, bestAt := "", 4
	if len(got) > longest {
		return ""
	}
	for c := range candidates {
		if len(c) > longest {
			continue
		}
		if strings.EqualFold(got, c) {
			return c
		}
		limit := min(max(len(c)/3, 1), 3)
		if d := Edits(got, c); d <= limit && (d < bestAt || d == bestAt && c < best) {
			best, bestAt = c, d
		}
	}
	return best
}

// Edits is the optimal string alignment distance: insertions, deletions, replacements, and swaps of neighbours.
func Edits(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
