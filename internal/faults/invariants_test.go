package faults

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// What must hold whatever happens. Each invariant is a function over what was seen, with a test of its own that shows it a
// violation.

// span is a stretch of time.
type span struct{ from, to time.Time }

func (s span) meets(from, to time.Time) bool { return !s.from.After(to) && !s.to.Before(from) }

// promise is a revocation that a node has answered with 200.
type promise struct {
	token string
	node  int
	at    time.Time // of the answer
}

// sight is what a node made of a token.
type sight struct {
	token    string
	node     int
	from, to time.Time // of the request
	passed   bool      // it answered 200
}

// forgotten are the breaches of the first invariant: a node that lets a token pass of which it had itself answered that it is
// revoked; and after healing, any node that lets such a token pass.
func forgotten(promises []promise, sights []sight, healed time.Time) (breaches []string) {
	by := map[string]promise{}
	for _, p := range promises {
		if first, ok := by[p.token]; !ok || p.at.Before(first.at) {
			by[p.token] = p
		}
	}
	for _, s := range sights {
		p, revoked := by[s.token]
		switch {
		case !revoked || !s.passed || !s.from.After(p.at):
		case s.node == p.node:
			breaches = append(breaches, fmt.Sprintf("node %d let a token pass %s after it had answered that it is revoked", s.node, s.from.Sub(p.at)))
		case s.from.After(healed):
			breaches = append(breaches, fmt.Sprintf("node %d let a token pass %s after healing, which node %d had revoked", s.node, s.from.Sub(healed), p.node))
		}
	}
	return breaches
}

// clockSlack is what Redis's own clock may lag behind while it runs a script: it reads it once in each round of its loop.
const clockSlack = 100 * time.Millisecond

// bucket is a limit as it was granted, and when it was lost: a bucket that is lost is full again. Sizes are when nodes knew of
// another number of nodes, so that a node's share was another one.
type bucket struct {
	burst, rate float64
	lost        []span
	sizes       []size
}

// size is how many nodes the fleet had, as far as a node knew.
type size struct {
	span
	nodes float64
}

// tooMany is the breach of the second invariant, "" for none: in no window may more be admitted than burst + rate × window, and
// one burst more for each time that the bucket was lost within it. Only what began and ended inside the window counts as
// admitted in it, since nobody saw the moment of the decision.
func tooMany(what string, admitted []record, b bucket) string {
	slices.SortFunc(admitted, func(x, y record) int { return x.end.Compare(y.end) })
	lost := slices.SortedFunc(slices.Values(b.lost), func(x, y span) int { return x.from.Compare(y.from) })
	sizes := slices.SortedFunc(slices.Values(b.sizes), func(x, y size) int { return x.from.Compare(y.from) })
	for i := range admitted {
		from := admitted[i].start
		// The window's end only moves on: what it has met, it meets from then on.
		count, losses, least, l, s := 0, 0, float64(nodes), 0, 0
		for _, r := range admitted {
			if r.start.Before(from) {
				continue
			}
			count++
			for ; l < len(lost) && !lost[l].from.After(r.end); l++ {
				if lost[l].meets(from, r.end) {
					losses++
				}
			}
			for ; s < len(sizes) && !sizes[s].from.After(r.end); s++ {
				if sizes[s].meets(from, r.end) {
					least = max(1, min(least, sizes[s].nodes))
				}
			}
			most := (b.burst + b.rate*(r.end.Sub(from)+clockSlack).Seconds()) * nodes / least
			most += b.burst * float64(losses)
			if float64(count) > most+1 {
				return fmt.Sprintf("%s: %d admitted within %s, wanted at most %.1f", what, count, r.end.Sub(from), most)
			}
		}
	}
	return ""
}

// overLimit are the breaches of the second invariant for one client: what Redis admitted, for the fleet; and what each
// process of each node admitted by itself, which is its share of burst and rate, whenever and for however long it thought
// Redis away. A process that ends takes its bucket with it. So the fleet admits in any window what the limit says, one burst
// more for each time that Redis lost the bucket, and the shares of those nodes that did without it.
func overLimit(client string, seen [][]record, fleet bucket) (breaches []string) {
	var shared []record
	for i, list := range seen {
		local := map[int64][]record{}
		for _, r := range list {
			switch {
			case r.client != client || !r.admitted:
			case r.source == "local":
				local[r.life] = append(local[r.life], r)
			default: // redis, and a lease of permits taken there
				shared = append(shared, r)
			}
		}
		for life, own := range local {
			share := bucket{burst: fleet.burst / nodes, rate: fleet.rate / nodes, sizes: fleet.sizes}
			if breach := tooMany(fmt.Sprintf("%s by node %d alone, process %d", client, i, life), own, share); breach != "" {
				breaches = append(breaches, breach)
			}
		}
	}
	fleet.sizes = nil // Redis's bucket is the same for any number
	if breach := tooMany(client+" by Redis", shared, fleet); breach != "" {
		breaches = append(breaches, breach)
	}
	return breaches
}

// wait is how long a limit took to decide.
type wait struct {
	at   time.Time
	took time.Duration
}

// waitSlack is what is always allowed on top of a budget.
const waitSlack = 25 * time.Millisecond

// near is how far from a decision in time a timer tells how late the machine was.
const near = time.Second

// tooLong are the breaches of the third invariant: a decision that took longer than the budget. A timer of the same length runs
// beside the limits all the time. What a decision waits for takes several turns of the scheduler where a timer takes one: by
// three times as much as the latest that ran within a second of it, a decision may be late.
func tooLong(waits, timers []wait, budget time.Duration) (breaches []string) {
	for _, w := range waits {
		if w.took <= budget+waitSlack {
			continue
		}
		late := time.Duration(0)
		for _, timer := range timers {
			if (span{timer.at.Add(-near), timer.at.Add(timer.took + near)}).meets(w.at, w.at.Add(w.took)) {
				late = max(late, timer.took-budget)
			}
		}
		if most := budget + waitSlack + 3*late; w.took > most {
			breaches = append(breaches, fmt.Sprintf("a limit took %s to decide, wanted at most %s", w.took, most))
		}
	}
	return breaches
}

// usage is what the fleet holds at one moment.
type usage struct {
	goroutines int
	conns      []int // connections to Redis, by node
}

// or is the larger of both, one by one.
func (u usage) or(v usage) usage {
	out := usage{max(u.goroutines, v.goroutines), slices.Clone(v.conns)}
	for i, n := range u.conns {
		out.conns[i] = max(out.conns[i], n)
	}
	return out
}

// grown are the breaches of the fourth invariant: after healing no more goroutines than before, but for a few that come and go,
// and no more connections of a node than its pools may hold.
func grown(before, after usage, pools int) (breaches []string) {
	const comeAndGo = 12
	if after.goroutines > before.goroutines+comeAndGo {
		breaches = append(breaches, fmt.Sprintf("%d goroutines after healing, %d before", after.goroutines, before.goroutines))
	}
	for i, n := range after.conns {
		if n > max(before.conns[i], pools) {
			breaches = append(breaches, fmt.Sprintf("node %d has %d connections to Redis after healing, and had %d", i, n, before.conns[i]))
		}
	}
	return breaches
}

// peaked are the breaches of the fourth invariant while faults last: the most that was seen at any moment. A network that stalls does not
// tell of connections that were closed on this side, which is why there may be more of them than pools hold.
func peaked(before, most usage, pools int) (breaches []string) {
	const busy = 800 // with every caller and fault under way, and four for each connection through a network
	if most.goroutines > before.goroutines+busy {
		breaches = append(breaches, fmt.Sprintf("%d goroutines at one moment, and %d before", most.goroutines, before.goroutines))
	}
	for i, n := range most.conns {
		if n > 4*pools {
			breaches = append(breaches, fmt.Sprintf("node %d had %d connections to Redis at one moment, where its pools hold %d", i, n, pools))
		}
	}
	return breaches
}

// worst is the longest of the waits; 0 where there is none.
func worst(waits []wait) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	return slices.MaxFunc(waits, func(a, b wait) int { return cmp.Compare(a.took, b.took) }).took
}
