package proxy

import (
	"errors"
	"math/rand/v2"
	"slices"
)

// Balance is how requests are spread over the endpoints of an API. The zero value is round robin.
type Balance uint8

// The ways. RoundRobin takes turns by weight, spread evenly. LeastRequests draws two endpoints by weight and takes the one
// with fewer requests in flight for its weight.
const (
	RoundRobin Balance = iota
	LeastRequests
)

var errOpen = errors.New("the breaker of every endpoint is open: too many requests failed in a row")

// spread is one turn of round robin, by smooth weighting: weights 5, 1, 1 make A A B A C A A, not A A A A A B C.
func spread(members []*member) []*member {
	divisor, total := 0, 0
	for _, m := range members {
		divisor = gcd(divisor, m.weight)
		total += m.weight
	}
	credit := make([]int, len(members))
	round := make([]*member, 0, total/divisor)
	for range total / divisor {
		best := 0
		for i, m := range members {
			credit[i] += m.weight
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		round = append(round, members[best])
	}
	return round
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// choice is one request's choice among the members.
type choice struct {
	tried []*member
	panic bool // also those that are not up
	again bool // also those that were tried
}

// takes reports whether the request may go to m.
func (c *choice) takes(up *upstream, m *member) bool {
	return (c.panic || m.up()) && (up.api.Breaker == nil || m.breaker.ready(monotonic)) && (c.again || !slices.Contains(c.tried, m))
}

// pick chooses where a request goes: to a member that is up and has not been tried for it; else to one that is up; else,
// since none is, to any. What no breaker lets pass is an error. probe is true where the member's breaker is half open and
// this request decides about it.
func (up *upstream) pick(tried []*member) (m *member, probe bool, err error) {
	for {
		m := up.choose(tried)
		if m == nil {
			return nil, false, errOpen
		}
		if up.api.Breaker == nil {
			return m, false, nil
		}
		if ok, probe := m.breaker.pass(monotonic); ok {
			return m, probe, nil
		} // another request was faster: it is the probe now
	}
}

func (up *upstream) choose(tried []*member) *member {
	c := choice{tried: tried}
	if len(up.members) == 1 {
		c.panic, c.again = true, true
		return up.at(&c, nil, func(int) int { return 0 })
	}
	if len(tried) == 0 && up.api.Balance == RoundRobin {
		if m := up.round[(up.turn.Add(1)-1)%uint64(len(up.round))]; c.takes(up, m) {
			return m
		}
	}
	for _, step := range [...]struct{ panic, again bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		if c.panic, c.again = step.panic, step.again; c.again && len(tried) == 0 {
			continue
		}
		if m := up.among(&c); m != nil {
			return m
		}
	}
	return nil
}

// among chooses by weight from the members that c takes; nil where it takes none.
func (up *upstream) among(c *choice) *member {
	if up.api.Balance == RoundRobin {
		return up.at(c, nil, func(total int) int { return int(up.detour.Add(1) % uint64(total)) })
	}
	one := up.draw(c, nil)
	if one == nil {
		return nil
	}
	two := up.draw(c, one)
	if two != nil && two.inFlight.Load()*int64(one.weight) < one.inFlight.Load()*int64(two.weight) {
		return two
	}
	return one
}

// draw draws by weight from the members that c takes, but not. A few draws from a whole round mostly find one.
func (up *upstream) draw(c *choice, not *member) *member {
	for range 4 {
		if m := up.round[rand.IntN(len(up.round))]; m != not && c.takes(up, m) {
			return m
		}
	}
	return up.at(c, not, rand.IntN)
}

// at lays the weights of the members that c takes, but not, end to end, and returns whose the point is that draw gives.
func (up *upstream) at(c *choice, not *member, draw func(total int) int) *member {
	total := 0
	for _, m := range up.members {
		if m != not && c.takes(up, m) {
			total += m.weight
		}
	}
	if total == 0 {
		return nil
	}
	point := draw(total)
	var last *member // a member may have gone since the weights were added up
	for _, m := range up.members {
		if m == not || !c.takes(up, m) {
			continue
		}
		if last = m; point < m.weight {
			break
		}
		point -= m.weight
	}
	return last
}
