package faults

import (
	"slices"
	"time"
)

// How long things take, which is told apart from how late the machine is: other work goes on beside these tests.

// added is what a limit adds to a request at a node: of pairs of requests, one without and one with a limit, each difference,
// sorted.
func (f *fleet) added(n *node, client, pairs int) []time.Duration {
	f.t.Helper()
	bearer := f.token(n, client, "limits")
	n.call("free", bearer) // opens the connection
	var out []time.Duration
	for range pairs {
		start := time.Now()
		n.call("free", bearer)
		middle := time.Now()
		n.call("open", bearer)
		out = append(out, time.Since(middle)-middle.Sub(start))
	}
	slices.Sort(out)
	return out
}

// waitsAtMostBudget checks what limits add while a node finds out that Redis does not answer, and once it knows: the budget, and
// next to nothing, with what the machine was late beside it. What go-redis would wait by itself is seconds.
func (f *fleet) waitsAtMostBudget(n *node, client int) {
	f.t.Helper()
	f.addsAtMostBudget(n, client)
	f.eventually(n.name+" does without Redis", func() bool {
		n.call("open", f.token(n, client, "limits"))
		return n.metric("gatehouse_redis_breaker_open") == 1
	})
	var after []time.Duration
	late := lateness(func() { after = f.added(n, client, 15) })
	f.t.Logf("%s: a limit adds %s at the median once it is, on a machine that is %s late", n.name, after[7], late)
	if most := 10*time.Millisecond + late; after[7] > most {
		f.t.Errorf("%s: with the breaker open a limit added %s to a request, wanted at most %s", n.name, after[7], most)
	}
}

// lateness is by how much the latest of timers as long as a budget was late while something was done.
func lateness(while func()) (worst time.Duration) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			start := time.Now()
			time.Sleep(budget)
			worst = max(worst, time.Since(start)-budget)
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	while()
	close(done)
	<-stopped
	return worst
}

// addsAtMostBudget checks what limits add while a node finds out about Redis: half of the requests, and the one that waited longest. A
// whole request takes several turns of the scheduler where a timer takes one.
func (f *fleet) addsAtMostBudget(n *node, client int) {
	f.t.Helper()
	var added []time.Duration
	late := lateness(func() { added = f.added(n, client, 5) })
	f.t.Logf("%s: a limit adds %s at the median and %s at most while Redis is found out, on a machine that is %s late", n.name, added[2], added[4], late)
	if most := budget + 10*time.Millisecond + 2*late; added[2] > most {
		f.t.Errorf("%s: a limit added %s to half of the requests, wanted at most %s", n.name, added[2], most)
	}
	if most := budget + 25*time.Millisecond + 4*late; added[4] > most {
		f.t.Errorf("%s: a limit added %s to a request, wanted at most %s", n.name, added[4], most)
	}
}

// withinASecond checks what the table promises within a second, with what the machine was late beside it: of whole gateways
// with the race detector, many goroutines have a turn in that time.
func (f *fleet) withinASecond(what string, took, late time.Duration) {
	f.t.Helper()
	most := time.Second + 20*late
	f.t.Logf("%s in %s, on a machine that is %s late", what, took, late)
	if took > most {
		f.t.Errorf("%s in %s, wanted at most %s", what, took, most)
	}
}
