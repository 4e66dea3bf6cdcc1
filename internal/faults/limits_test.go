package faults

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/exchange"
)

// record is one request that a limit decided, as the node that served it saw it.
type record struct {
	route, client, source string
	admitted              bool
	start, end            time.Time
	life                  int64 // which of the node's processes it was, counted from 0: each has limits of its own in memory
}

// records are what a node has decided by its limits. It is a sink of the gateway, and outlives its restarts.
type records struct {
	life atomic.Int64
	mu   sync.Mutex
	list []record
}

// Finish implements exchange.Sink.
func (r *records) Finish(e *exchange.Record) {
	if e.LimitSource == "" {
		return
	}
	one := record{e.Route, e.Client, e.LimitSource, e.Status == http.StatusOK, e.Start, e.Start.Add(e.Duration), r.life.Load()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, one)
}

// of are the records of one client on one route.
func (r *records) of(client, route string) (out []record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.list {
		if one.client == client && one.route == "GET /"+route+"/{id}" {
			out = append(out, one)
		}
	}
	return out
}

// tally is what became of the requests of one load.
type tally struct {
	status  map[int]int    // answers by status
	sources map[string]int // admitted requests by who decided
	decided map[string]int // all requests by who decided
	during  time.Duration  // from the start of the first to the end of the last
	times   [][]time.Time  // when each node got them
}

func (c tally) admitted() int { return c.status[http.StatusOK] }

// load sends requests of a client to a route through the nodes, as fast as one caller for each gets answers, for the time
// given. The client must be new to the route.
func (f *fleet) load(client int, route string, during time.Duration, through ...*node) tally {
	f.t.Helper()
	var mu sync.Mutex
	out := tally{status: map[int]int{}, sources: map[string]int{}, decided: map[string]int{}}
	bearer := f.bearer(through[0], client)
	start := time.Now()
	var work sync.WaitGroup
	for _, n := range through {
		work.Go(func() {
			for time.Since(start) < during {
				status, _ := n.call(route, bearer)
				mu.Lock()
				out.status[status]++
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	work.Wait()
	out.during = time.Since(start)
	f.attribute(&out, client, route, through)
	return out
}

// bearer is the token that a client calls limited routes with: the one that it has, or one of the node's.
func (f *fleet) bearer(n *node, client int) string {
	f.t.Helper()
	if raw := f.bearers[client]; raw != "" {
		return raw
	}
	return f.token(n, client, "limits")
}

// attribute counts by who decided, once the nodes have told of all requests.
func (f *fleet) attribute(out *tally, client int, route string, through []*node) {
	f.t.Helper()
	sent := 0
	for _, n := range out.status {
		sent += n
	}
	name := "c" + strconv.Itoa(client)
	f.eventually("the nodes have told of every request", func() bool {
		told := 0
		for _, n := range through {
			told += len(n.seen.of(name, route))
		}
		return told >= sent
	})
	for _, n := range through {
		var times []time.Time
		for _, r := range n.seen.of(name, route) {
			out.decided[r.source]++
			if r.admitted {
				out.sources[r.source]++
			}
			times = append(times, r.start)
		}
		out.times = append(out.times, times)
	}
}

// due is how many requests at these times a bucket of this share of rate and burst has room for.
func due(times []time.Time, share float64) (n int) {
	times = slices.SortedFunc(slices.Values(times), time.Time.Compare)
	interval := time.Duration(float64(time.Second) / (rate * share))
	tau := time.Duration(burst*share) * interval
	var full time.Time
	for _, t := range times {
		if full.Before(t) {
			full = t
		}
		if !full.Add(interval).After(t.Add(tau)) {
			full = full.Add(interval)
			n++
		}
	}
	return n
}

// due is what a load was due by this share: where most was decided without Redis, the sum of what the nodes had room for by
// themselves.
func (c tally) due(share float64) (n int) {
	if c.decided["local"] <= c.decided["redis"] {
		return due(slices.Concat(c.times...), share)
	}
	for _, times := range c.times {
		n += due(times, share/float64(len(c.times)))
	}
	return n
}

// within checks that the load was admitted by a bucket of this share of rate and burst: no more than that could give in the time,
// and no less than 95 % of what it had room for when the requests came. A decision that missed Redis's answer may have been
// charged there too.
func (f *fleet) within(what string, c tally, share float64) {
	f.t.Helper()
	most := share*(burst+rate*c.during.Seconds()) + 1 // the last one may be a fraction
	least := 0.95*float64(c.due(share)) - 1
	if c.decided["redis"] > c.decided["local"] {
		most += float64(c.sources["local"])
		least -= float64(c.decided["local"])
	}
	f.t.Logf("%s: %d admitted in %s, by %v; between %.1f and %.1f were due", what, c.admitted(), c.during.Round(time.Millisecond), c.sources, least, most)
	if got := float64(c.admitted()); got > most || got < least {
		f.t.Errorf("%s: %d admitted, wanted between %.1f and %.1f", what, c.admitted(), least, most)
	}
	if unknown := len(c.status) - min(c.status[200], 1) - min(c.status[429], 1); unknown > 0 {
		f.t.Errorf("%s: answers %v, wanted 200 and 429 alone", what, c.status)
	}
}

// only checks who decided.
func (f *fleet) only(what string, c tally, source string) {
	f.t.Helper()
	for name, n := range c.decided {
		if name != source {
			f.t.Errorf("%s: %d of the requests were decided by %s, wanted %s alone", what, n, name, source)
		}
	}
}

// fellBack is the column of limits while Redis does not answer any node: local gives the fleet the whole rate and one node its
// share, open lets all pass, closed answers 503. It uses three clients from first on.
func (f *fleet) fellBack(first int) {
	f.t.Helper()
	all := f.load(first, "local", 2*time.Second, f.nodes...)
	f.within("local, load on every node", all, 1)
	f.only("local, load on every node", all, "local")
	one := f.load(first+1, "local", 2*time.Second, f.nodes[0])
	f.within("local, load on one node", one, 1./nodes)
	open := f.load(first+2, "open", 300*time.Millisecond, f.nodes...)
	f.only("open", open, "open")
	if open.admitted() == 0 || len(open.status) != 1 {
		f.t.Errorf("open: answers %v, wanted 200 alone", open.status)
	}
	closed := f.load(first+2, "closed", 300*time.Millisecond, f.nodes...)
	f.only("closed", closed, "closed")
	if closed.status[503] == 0 || len(closed.status) != 1 {
		f.t.Errorf("closed: answers %v, wanted 503 alone", closed.status)
	}
}

// shared checks that limits are the fleet's again: every node decides by Redis, and together they give one bucket's worth. On
// a busy machine a few answers in a row may miss the budget, and a breaker open once more; then it is looked at again, with
// buckets of other clients.
func (f *fleet) shared(client int) {
	f.t.Helper()
	for again := range 4 {
		all := f.load(client, "local", time.Second, f.nodes...)
		f.within("shared again", all, 1)
		if all.decided["redis"] >= all.decided["local"] {
			return
		}
		f.t.Logf("shared again: decided by %v, wanted Redis", all.decided)
		client = clients - 1 - again
		f.settle()
	}
	f.t.Error("limits are not the fleet's again")
}
