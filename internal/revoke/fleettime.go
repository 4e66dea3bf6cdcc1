package revoke

import (
	"slices"
	"time"
)

// The fleet's time is Redis's, as long as the other clocks bear it out. Where the median of all clocks is far from it, the fleet
// goes by the median, so that no single clock that is wrong, Redis's or a node's, ends the good of every token.
//
// trusted is how far the median may be from Redis's clock for that to count. It is much more than clocks that are kept in step
// differ by, or than a busy machine measures wrongly, and much less than the half minute by which a token's iat may be
// ahead (authz.Skew).
const trusted = 5 * time.Second

// fleetLead is how far the fleet's time is ahead of Redis's, given how far the median is. From trusted to twice as much it goes
// over from Redis's to the median little by little: at a single border it would leap to and fro.
func fleetLead(median time.Duration) time.Duration {
	switch far := median.Abs(); {
	case far <= trusted:
		return 0
	case far >= 2*trusted:
		return median
	case median < 0:
		return 2 * (median + trusted)
	}
	return 2 * (median - trusted)
}

// median is that of the nodes' clocks and Redis's, over Redis's, given theirs. All nodes find the same. Where the number of
// clocks is even, Redis's has no vote: of two camps as large the one with more nodes counts, since it is nodes that judge
// tokens. A node that is alone with Redis goes by its own, therefore: nobody can tell which of the two is wrong, and the
// tokens that it issues pass at least where it judges them.
func median(nodes []time.Duration) time.Duration {
	all := slices.Clone(nodes)
	if len(all)%2 == 0 {
		all = append(all, 0)
	}
	slices.Sort(all)
	return all[len(all)/2]
}
