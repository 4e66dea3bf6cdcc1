package faults

import (
	"runtime"
	"time"
)

// What the fleet holds: goroutines and connections.

// sample keeps the most goroutines and connections that there were at any moment that it looked.
func (w *watcher) sample() {
	now := usage{goroutines: runtime.NumGoroutine()} // those of the networks too: to look at stacks would stop all of them
	for _, n := range w.f.nodes {
		now.conns = append(now.conns, n.proxy.Conns())
	}
	w.note(func() { w.most = w.most.or(now) })
}

// usage counts goroutines, but for those of the networks, and connections.
func (f *fleet) usage() usage {
	f.http.CloseIdleConnections()
	u := usage{goroutines: len(stacks())}
	for _, n := range f.nodes {
		u.conns = append(u.conns, n.proxy.Conns())
	}
	return u
}

// poolsHold is how many connections the pools of a node may hold.
func poolsHold() int { return 10*runtime.GOMAXPROCS(0) + 4 }

// settledUsage waits until what the fleet holds is what it held, and returns in what it is more, where it stays so.
func (f *fleet) settledUsage(before usage) (breaches []string) {
	var now usage
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		now = f.usage()
		if breaches = grown(before, now, poolsHold()); len(breaches) == 0 || time.Since(start) > patience {
			f.t.Logf("goroutines and connections: %+v before, %+v after", before, now)
			return breaches
		}
	}
}
