package faults

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/ratelimit"
	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// The clients of the random run.
const (
	limited = 0 // whose requests are limited
	ended   = 1 // whose tokens are revoked
	issued  = 2 // who only asks for tokens
)

// watcher is what the callers of the random run have seen.
type watcher struct {
	f    *fleet
	stop chan struct{}
	work sync.WaitGroup

	mu       sync.Mutex
	promises []promise
	sights   []sight
	leased   [][]record // what limiters beside the fleet granted a busy subject
	waits    []wait
	timers   []wait
	sizes    []size
	most     usage    // the most of each that was seen at once
	odd      []string // answers that nobody should get
	tokens   int      // that were issued
}

// TestRandomFaults draws faults at random for 30 s, or for as long as GATEHOUSE_FAULTS says, under load on every node, and then
// checks the four invariants. It prints its seed; GATEHOUSE_FAULTS_SEED draws the same faults again, though what they meet depends
// on the machine.
func TestRandomFaults(t *testing.T) {
	during, seed := settings(t)
	t.Logf("seed %d, for %s", seed, during)
	server := redistest.Start(t)
	f := newFleet(t, server, budget)
	s := &storm{f: f, rng: rand.New(rand.NewPCG(seed, 0)), server: server, beside: redistest.StartProxy(t, server.Addr())}
	w := &watcher{f: f, stop: make(chan struct{})}
	f.issues(issued)
	before := f.usage()
	w.watch(s.beside, seed)
	s.rage(during)
	healed := time.Now()
	close(w.stop)
	w.work.Wait()
	if t.Failed() {
		return
	}
	w.sweep()

	breaches := forgotten(w.promises, w.sights, healed)
	breaches = append(breaches, overLimit("c"+strconv.Itoa(limited), f.seen(), bucket{burst: burst, rate: rate, lost: s.lost, sizes: w.sizes})...)
	breaches = append(breaches, overBusy(w.leased, s.lost)...)
	breaches = append(breaches, tooLong(w.waits, w.timers, budget)...)
	breaches = append(breaches, peaked(before, w.most, poolsHold())...)
	breaches = append(breaches, f.settledUsage(before)...)
	for _, b := range append(breaches, w.odd...) {
		t.Error(b)
	}
	w.report()
}

func settings(t *testing.T) (during time.Duration, seed uint64) {
	during, seed = 30*time.Second, rand.Uint64()
	if text := os.Getenv("GATEHOUSE_FAULTS"); text != "" {
		var err error
		if during, err = time.ParseDuration(text); err != nil {
			t.Fatalf("GATEHOUSE_FAULTS=%q: expected a duration such as 5m", text)
		}
	}
	if text := os.Getenv("GATEHOUSE_FAULTS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("GATEHOUSE_FAULTS_SEED=%q: expected a seed that a run has printed", text)
		}
	}
	return during, seed
}

// watch starts the callers.
func (w *watcher) watch(beside *redistest.Proxy, seed uint64) {
	for i := range w.f.nodes {
		w.keep(4*time.Millisecond, w.limits(i))
		w.keep(50*time.Millisecond, w.issue(i))
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	w.keep(30*time.Millisecond, func() { w.revoke(rng.IntN(nodes), rng.IntN(nodes)) })
	again := rand.New(rand.NewPCG(seed, 2))
	w.keep(5*time.Millisecond, func() { w.look(again) })
	w.keep(0, func() {
		start := time.Now()
		time.Sleep(budget)
		w.note(func() { w.timers = append(w.timers, wait{start, time.Since(start)}) })
	})
	last := time.Now()
	w.keep(250*time.Millisecond, func() { last = w.count(last) })
	w.keep(100*time.Millisecond, w.sample)
	w.decide(beside)
	w.busy(beside)
}

// count notes where a node knows of fewer nodes than there are: then its share of a limit is larger. It asks all of them, and
// what they say is taken to hold since they were asked before.
func (w *watcher) count(since time.Time) time.Time {
	least := float64(nodes)
	for _, n := range w.f.nodes {
		if known := n.metric("gatehouse_fleet_nodes"); known >= 1 {
			least = min(least, known)
		}
	}
	now := time.Now()
	if least < nodes {
		w.note(func() { w.sizes = append(w.sizes, size{span{since, now.Add(time.Second)}, least}) })
	}
	return now
}

// keep calls once again and again until the end of the run.
func (w *watcher) keep(pause time.Duration, once func()) {
	w.work.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(pause):
				once()
			}
		}
	})
}

func (w *watcher) note(what func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what()
}

// oddly keeps an answer that is none of those allowed; 0 is a node that restarts.
func (w *watcher) oddly(what string, got int, allowed ...int) bool {
	for _, status := range append(allowed, 0) {
		if got == status {
			return false
		}
	}
	w.note(func() { w.odd = append(w.odd, what+" answered "+strconv.Itoa(got)) })
	return true
}

// limits sends requests of one client through a node, with a token that is never old.
func (w *watcher) limits(i int) func() {
	var bearer string
	var taken time.Time
	return func() {
		if time.Since(taken) > time.Minute {
			raw, status := w.f.nodes[i].token(limited, "limits")
			if status != http.StatusOK {
				return
			}
			bearer, taken = raw, time.Now()
		}
		status, _ := w.f.nodes[i].call("local", bearer)
		w.oddly("a limited route", status, http.StatusOK, http.StatusTooManyRequests)
	}
}

// issue asks a node for tokens, which it gives whatever happens to Redis.
func (w *watcher) issue(i int) func() {
	return func() {
		_, status := w.f.nodes[i].token(issued, "lax")
		if !w.oddly("/oauth/token", status, http.StatusOK) {
			w.note(func() { w.tokens++ })
		}
	}
}

// revoke takes a token at one node and ends it at another, which must refuse it from then on.
func (w *watcher) revoke(from, by int) {
	raw, status := w.f.nodes[from].token(ended, "lax")
	if status != http.StatusOK {
		return
	}
	if _, status = w.f.nodes[by].revoke(raw); w.oddly("revoke", status, http.StatusOK) || status != http.StatusOK {
		return
	}
	at := time.Now()
	w.note(func() { w.promises = append(w.promises, promise{raw, by, at}) })
	w.see(by, raw)
}

// look tries a token that was revoked at some time, at some node.
func (w *watcher) look(rng *rand.Rand) {
	var raw string
	w.note(func() {
		if len(w.promises) > 0 {
			raw = w.promises[rng.IntN(len(w.promises))].token
		}
	})
	if raw != "" {
		w.see(rng.IntN(nodes), raw)
	}
}

func (w *watcher) see(i int, raw string) {
	from := time.Now()
	status, _ := w.f.nodes[i].call("lax", raw)
	to := time.Now()
	if !w.oddly("a token that some node has revoked", status, http.StatusOK, http.StatusUnauthorized) {
		w.note(func() { w.sights = append(w.sights, sight{raw, i, from, to, status == http.StatusOK}) })
	}
}

// sweep tries every token that was revoked at every node, after healing.
func (w *watcher) sweep() {
	for _, p := range w.promises {
		for i := range w.f.nodes {
			w.see(i, p.token)
		}
	}
}

// decide asks a limiter beside the fleet, on the same Redis by a network that has the same faults: how long it takes to decide
// is measured here without the noise of whole requests.
func (w *watcher) decide(beside *redistest.Proxy) {
	client := redisx.Open(redisx.Options{Addrs: []string{beside.Addr()}, Prefix: "beside", Budget: budget})
	w.f.t.Cleanup(func() { client.Close() })
	limiter := ratelimit.New(ratelimit.Options{Redis: client})
	policy := &ratelimit.Policy{Name: "beside", Requests: 1000, Per: time.Second, Burst: 500}
	charges := []ratelimit.Charge{{Subject: ratelimit.Subject{Value: "beside"}, Policies: []*ratelimit.Policy{policy}}}
	w.keep(2*time.Millisecond, func() {
		start := time.Now()
		limiter.Check(context.Background(), charges, 1)
		w.note(func() { w.waits = append(w.waits, wait{start, time.Since(start)}) })
	})
}

func (w *watcher) report() {
	sources := map[string]int{}
	for _, list := range w.f.seen() {
		for _, r := range list {
			if r.admitted {
				sources[r.source]++
			}
		}
	}
	by := map[string]int{}
	for _, list := range w.leased {
		for _, r := range list {
			by[r.source]++
		}
	}
	if by["lease"] == 0 {
		w.f.t.Errorf("a busy subject was granted %v, wanted leases among them", by)
	}
	w.f.t.Logf("a busy subject was granted %v; the most at any moment: %+v", by, w.most)
	w.f.t.Logf("%d tokens issued; %d revocations answered, looked at %d times; admitted by %v; of %d decisions the longest took %s, of %d timers %s",
		w.tokens, len(w.promises), len(w.sights), sources, len(w.waits), worst(w.waits), len(w.timers), worst(w.timers))
}

// seen is what each node has decided.
func (f *fleet) seen() (out [][]record) {
	for _, n := range f.nodes {
		out = append(out, n.seen.of("c"+strconv.Itoa(limited), "local"))
	}
	return out
}
