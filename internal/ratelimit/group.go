package ratelimit

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/redisx"
)

// group is one script call: the requests of one charge and one cost that came while an earlier call was under way, in the
// order in which they came, and permits where the charge is hot. It may have no requests, and be there for permits alone.
type group struct {
	f       *fleet
	entry   *entry
	cost    int64
	exact   bool
	waiters []*waiter

	sent    int64 // when, on the local clock; a permit lives from then on, which is before Redis charges it
	permits int64 // asked for

	granted int64 // what follows is Redis's answer
	now     int64
	tats    []int64
	room    [2]int64 // for tats
	held    int64    // permits of earlier calls, which are this node's to spend and part of what is left
}

func newGroup(f *fleet, e *entry, cost int64, exact bool) *group {
	return &group{f: f, entry: e, cost: cost, exact: exact}
}

// Call implements redisx.Job: it closes the group. Requests whose time is up are not charged.
func (g *group) Call() (redisx.Call, bool) {
	e := g.entry
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	e.gathering = slices.DeleteFunc(e.gathering, func(other *group) bool { return other == g })
	g.sent = g.f.clock()
	all := len(g.waiters)
	g.waiters = slices.DeleteFunc(g.waiters, func(w *waiter) bool { return w.deadline <= g.sent })
	e.waiting -= all - len(g.waiters)
	if !g.exact {
		g.permits = e.want(g.sent)
	}
	if len(g.waiters) == 0 && g.permits == 0 {
		return redisx.Call{}, false
	}
	e.asking = e.asking || g.permits > 0
	g.f.merged.Add(int64(max(len(g.waiters)-1, 0)))
	args := make([]any, 0, 2+3*len(e.policies))
	args = append(args, len(g.waiters), g.permits)
	for _, p := range e.policies {
		interval, tau := p.shape()
		args = append(args, charge(g.cost, interval, tau), interval, tau)
	}
	return redisx.Call{Keys: e.keys, Args: args}, true
}

// Done implements redisx.Job.
func (g *group) Done(answer []int64, err error) {
	e := g.entry
	if want := 3 + len(e.policies); err == nil && len(answer) != want {
		err = fmt.Errorf("take.lua gave %d numbers, wanted %d", len(answer), want)
	}
	if err == nil && (answer[0] < 0 || answer[0] > int64(len(g.waiters)) || answer[1] < 0 || answer[1] > g.permits) {
		err = fmt.Errorf("take.lua let %d of %d requests pass and gave %d of %d permits", answer[0], len(g.waiters), answer[1], g.permits)
	}
	e.shard.mu.Lock()
	e.waiting -= len(g.waiters)
	e.asking = e.asking && g.permits == 0
	if err == nil {
		g.granted, g.now, g.tats, g.held = answer[0], answer[2], append(g.room[:0], answer[3:]...), e.held()
		e.learn(g, answer[1])
	}
	e.shard.mu.Unlock()
	for i, w := range g.waiters {
		w.place, w.err = int64(i), err
		w.answered <- struct{}{}
	}
}

// left is the buckets once the first n of those that passed were charged.
func (g *group) left(tats []int64, n int64) []int64 {
	tats = append(tats, g.tats...)
	for i, p := range g.entry.policies {
		interval, tau := p.shape()
		tats[i] += n * charge(g.cost, interval, tau)
	}
	return tats
}

// decision is that of one waiter, by the rule in Go: the script must have come to the same.
func (g *group) decision(w *waiter) (Decision, error) {
	var stack [stackPolicies]int64
	d := settle(g.now, g.left(stack[:0], min(w.place, g.granted)), w.policies, g.cost)
	if granted := w.place < g.granted; d.OK != granted {
		return Decision{}, fmt.Errorf("take.lua granted: %t, wanted %t", granted, d.OK)
	}
	interval, _ := d.Policy.shape()
	d.Remaining += g.held
	d.Reset = max(0, d.Reset-micros(g.held*interval))
	d.Source = Redis
	return d, nil
}

// waiter is one request that waits for its group's answer.
type waiter struct {
	group    *group
	policies []*Policy // the caller's own, equal to the group's
	deadline int64
	timer    *time.Timer
	answered chan struct{} // of one, so that nobody waits for a request that went away
	place    int64         // in the order of arrival; set before answered is sent
	err      error
}

var errLate = errors.New("no answer from Redis in time")

// waiters keeps those that were answered. One that gave up is not kept, as its answer may still come.
var waiters = sync.Pool{New: func() any {
	return &waiter{timer: time.NewTimer(time.Hour), answered: make(chan struct{}, 1)}
}}

func newWaiter(g *group, policies []*Policy, deadline int64) *waiter {
	w := waiters.Get().(*waiter)
	w.group, w.policies, w.deadline = g, policies, deadline
	return w
}

func (w *waiter) wait(longest time.Duration) (d Decision, err error) {
	w.timer.Reset(longest)
	select {
	case <-w.timer.C:
		return Decision{}, errLate
	case <-w.answered:
	}
	w.timer.Stop()
	if err = w.err; err == nil {
		d, err = w.group.decision(w)
	}
	w.group, w.policies, w.err = nil, nil, nil
	waiters.Put(w)
	return d, err
}
