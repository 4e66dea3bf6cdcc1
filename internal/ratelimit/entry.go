package ratelimit

import "time"

const (
	// leaseBurst is the smallest burst of which permits are leased: smaller buckets are counted exactly.
	leaseBurst = 1000
	// hot is how many units a charge must spend in heatWindow for permits to be worth it: at less, a call for permits
	// would serve few requests, and many permits would expire.
	hot        = 5
	heatWindow = int64(100 * time.Millisecond)
)

// tuning is how far an entry may go. The zero value has it ask Redis about everything.
type tuning struct {
	// lease is how long permits live. 0: none are taken.
	lease int64
	// remember is how long at most Redis's last answer refuses, whatever it said: a bucket that was emptied there, as by a
	// Redis that came back without its data, is seen by then. 0: it never refuses.
	remember int64
	// quiet is the shortest time for which a refusal stands, so that a bucket that refills by the microsecond is not asked
	// for by the microsecond. It is cut to a quarter of what the bucket takes to refill, so that nothing is lost.
	quiet int64
}

var tuned = tuning{
	lease:    int64(200 * time.Millisecond),
	remember: int64(time.Second),
	quiet:    int64(5 * time.Millisecond),
}

// entry is what this node knows of one charge: the buckets as Redis last said, and permits that Redis has charged already.
// Its shard's lock guards it.
//
// A permit is one unit of the charge, of all its policies at once. Redis charges it like a request when it is leased, at most
// 200 ms before it lets one pass; what is not spent by then is lost. So whatever passes in a window was charged in that window
// or in the 200 ms before: any number of nodes let pass at most burst + rate × (window + 200 ms).
//
// Remembered answers refuse only what Redis would refuse too: since they were given, others can only have taken more, and the
// time that has passed is taken from the moment of sending, which was before Redis looked at its clock. Two exceptions are
// bounded by tuning.
type entry struct {
	shard    *tableShard
	key      chargeKey
	policies []*Policy
	keys     []string // of the buckets, in the order of policies
	least    int64    // the smallest burst

	at   int64   // when Redis was asked last, on the local clock
	now  int64   // Redis's clock then
	tats []int64 // the buckets after all that was charged; nil: nothing is known

	quiet     int64 // until then, on the local clock, quietCost and more is refused
	quietCost int64

	lots   [2]lot // the older first
	size   int64  // of the last lease asked for
	asking bool   // a call for permits is under way

	since, spent, before int64 // units that passed since a time, and in the window before it

	touched   int64
	waiting   int
	gathering []*group // not sent yet, one for each cost
}

// lot is permits that were leased at once.
type lot struct{ permits, until int64 }

// decide decides without Redis where that is safe, else ok is false.
func (e *entry) decide(now int64, policies []*Policy, cost int64) (d Decision, ok bool) {
	if e.tats == nil || cost <= 0 {
		return Decision{}, false
	}
	e.expire(now)
	d = e.settle(now, policies, cost)
	if d.OK && e.held() >= cost {
		e.spend(now, cost)
		d.Source = Lease
		return d, true
	}
	if now-e.at >= e.shard.table.remember {
		return Decision{}, false
	}
	if !d.OK && e.quiet <= e.at { // the first one since Redis was asked
		e.hush(now, cost)
	}
	if now < e.quiet && cost >= e.quietCost {
		d.OK = false
		d.Remaining = min(d.Remaining, cost-1)
		d.RetryAfter = max(d.RetryAfter, time.Duration(e.quiet-now))
	}
	d.Source = Remembered
	return d, !d.OK
}

// settle is the rule applied to the buckets as they must be by now, less what is leased and not spent.
func (e *entry) settle(now int64, policies []*Policy, cost int64) Decision {
	var stack [stackPolicies]int64
	tats := append(stack[:0], e.tats...)
	if held := e.held(); held > 0 {
		for i, p := range policies {
			interval, _ := p.shape()
			tats[i] -= held * interval
		}
	}
	return settle(e.now+(now-e.at+999)/1000, tats, policies, cost)
}

// learn takes over the answer to a group.
func (e *entry) learn(g *group, permits int64) {
	e.at, e.now = g.sent, g.now
	e.tats = g.left(e.tats[:0], g.granted)
	for i, p := range e.policies {
		interval, _ := p.shape()
		e.tats[i] += permits * interval
	}
	e.count(g.sent, g.granted*g.cost)
	if permits > 0 {
		e.hold(lot{permits, g.sent + e.shard.table.lease})
	}
	switch {
	case g.granted < int64(len(g.waiters)):
		e.hush(g.sent, g.cost)
	case permits < g.permits: // there are no more
		e.hush(g.sent, 1)
	}
}

// hold takes over permits. Those of an entry that was dropped while they were on their way, as by a reload, nobody will spend.
func (e *entry) hold(l lot) {
	t := e.shard.table
	t.granted.Add(l.permits)
	if e.shard.entries[e.key] != e {
		t.lost.Add(l.permits)
		return
	}
	e.lots[1] = l
	e.shard.leased[e] = struct{}{}
	e.expire(l.until - t.lease)
}

// hush has a refusal stand for a while.
func (e *entry) hush(now, cost int64) {
	still := e.shard.table.quiet
	for _, p := range e.policies {
		_, tau := p.shape()
		still = min(still, tau*1000/4)
	}
	e.quiet, e.quietCost = now+still, cost
}

func (e *entry) held() int64 { return e.lots[0].permits + e.lots[1].permits }

// expire gives up permits whose time is over.
func (e *entry) expire(now int64) {
	for range e.lots {
		if first := &e.lots[0]; first.permits == 0 || first.until <= now {
			e.shard.table.lost.Add(first.permits)
			e.lots[0], e.lots[1] = e.lots[1], lot{}
		}
	}
}

// spend takes permits, of which there are enough, the oldest first.
func (e *entry) spend(now, cost int64) {
	e.count(now, cost)
	older := min(cost, e.lots[0].permits)
	e.lots[0].permits -= older
	e.lots[1].permits -= cost - older
}

// want is how many permits to ask Redis for now: as many as are spent in 150 ms, so that a steady caller spends them before
// they expire; at most the share of the burst that one of so many nodes may hold; and none before half of them is spent.
func (e *entry) want(now int64) int64 {
	t := e.shard.table
	if t.lease == 0 || e.asking || e.least < leaseBurst || now < e.quiet || e.lots[1].permits > 0 || e.held() > e.size/2 {
		return 0
	}
	e.count(now, 0)
	spent := max(e.spent, e.before)
	if spent < hot {
		return 0
	}
	e.size = min(spent+spent/2, e.least/(4*int64(max(t.nodes(), 1))))
	return max(e.size-e.held(), 0)
}

// count counts units that passed.
func (e *entry) count(now, units int64) {
	if age := now - e.since; age >= heatWindow {
		e.before = e.spent
		if age >= 2*heatWindow {
			e.before = 0
		}
		e.since, e.spent = now, 0
	}
	e.spent += units
}

// group is the one that requests of this cost can still join; nil where there is none.
func (e *entry) group(cost int64, exact bool) *group {
	for _, g := range e.gathering {
		if g.cost == cost && g.exact == exact {
			return g
		}
	}
	return nil
}
