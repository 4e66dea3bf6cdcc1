// Package load puts a gateway that runs under load, from outside: it asks for tokens, calls an API with them, is refused, and
// revokes, on many connections at once, and measures how long each answer took. It knows nothing of Gatehouse but its HTTP.
package load

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Scenario says what is asked.
type Scenario string

// The scenarios.
const (
	Token   Scenario = "token"   // a new access token each time
	Call    Scenario = "call"    // an API, with tokens that take turns
	Mixed   Scenario = "mixed"   // 90 % calls, 5 % new tokens, 4 % that must be refused, 1 % revocations
	Revoked Scenario = "revoked" // an API, with tokens that were revoked: every answer must be 401
)

// Scenarios are all of them, in the order in which people are told.
var Scenarios = []Scenario{Token, Call, Mixed, Revoked}

const (
	grace    = 10 * time.Second // how long an answer may take after the end of the load
	maxKinds = 32               // kinds of unexpected answers that are told apart, since an error's text may be the peer's
)

// Options say how. Scenario, Duration, Concurrency and Tokens are required.
type Options struct {
	Scenario    Scenario
	Duration    time.Duration // what is counted
	Warmup      time.Duration // before that, under the same load
	Concurrency int           // connections, each with one request under way
	Tokens      int           // that take turns, at least one for each connection; nothing to Token
	Rate        float64       // requests/s of all connections; 0: as fast as possible
	// Usage reads what the gateway has used so far, when the counted time begins and when it is over; nil: nobody knows.
	Usage func(context.Context) (Usage, error)
}

// Usage is what a process has used since it began.
type Usage struct {
	CPU     float64 // seconds, user and system
	Mallocs float64 // objects allocated on the heap
}

// Report is what was measured.
type Report struct {
	Elapsed    time.Duration // from the first counted request to the last answer
	Latency    Histogram     // of each counted request, from when it was meant to be sent to the last byte of its answer
	Statuses   map[int]uint64
	Unexpected []Unexpected // most frequent first
	Used       *Usage       // by the gateway meanwhile; nil: not known
}

// Unexpected is an answer that the scenario has no place for.
type Unexpected struct {
	Request string `json:"request"` // what was asked: token, call, revocation, …
	Want    string `json:"want"`    // a status, or 2xx
	Got     string `json:"got"`     // a status, or why there was none
	Count   uint64 `json:"count"`
}

// Requests is how many were counted.
func (r *Report) Requests() uint64 { return r.Latency.Count() }

// PerSecond is how many were answered in a second; 0 where nothing was counted.
func (r *Report) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Requests()) / r.Elapsed.Seconds()
}

// Run puts the target under load until the time is over, or ctx is done: the report is then of what was counted so far. Its error is
// a *Refused or that of a connection where the tokens that the load needs were not to be had, and ctx's where it was done before
// anything was counted.
func Run(ctx context.Context, t Target, o Options) (*Report, error) {
	hard, cancel := context.WithCancel(ctx)
	defer cancel()
	a, err := newAsker(t, o.Concurrency)
	if err != nil {
		return nil, err
	}
	defer a.transport.CloseIdleConnections()
	if o.Scenario == Token {
		o.Tokens = 1 // which shows that the client may have one
	}
	workers := make([]*worker, o.Concurrency)
	for i := range workers {
		workers[i] = &worker{asker: a, scenario: o.Scenario, tokens: make([]*held, share(o.Tokens, o.Concurrency, i)),
			statuses: map[int]uint64{}, unexpected: map[Unexpected]uint64{}}
	}
	if err := fill(hard, workers); err != nil {
		return nil, err
	}
	warm := time.Now()
	begin := warm.Add(o.Warmup)
	end := begin.Add(o.Duration)
	// The warm-up has a pace of its own: what it could not send in time is not owed by what is counted.
	uncounted, counted := &pace{begin: warm, end: begin, rate: o.Rate}, &pace{begin: begin, end: end, rate: o.Rate}
	stop := time.AfterFunc(time.Until(end)+grace, cancel)
	defer stop.Stop()

	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			w.work(hard, ctx, uncounted, false)
			w.work(hard, ctx, counted, true)
		})
	}
	used := meter(ctx, o.Usage, begin)
	all.Wait()
	r := merge(workers)
	if r.Requests() == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.Elapsed = time.Since(begin)
	if ctx.Err() == nil {
		r.Elapsed = max(r.Elapsed, o.Duration) // at a low rate the last request is over sooner
	}
	r.Used = used()
	return r, nil
}

// share is how many of all tokens a worker has.
func share(tokens, workers, i int) int { return tokens*(i+1)/workers - tokens*i/workers }

// fill gives each worker its tokens. It returns the first error of any.
func fill(ctx context.Context, workers []*worker) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			for i := range w.tokens {
				if ctx.Err() != nil {
					return
				}
				if err := w.renew(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// meter reads the usage once begin has come, and returns what gives the difference to what it is then; nil where it can't be read.
func meter(ctx context.Context, read func(context.Context) (Usage, error), begin time.Time) func() *Usage {
	if read == nil {
		return func() *Usage { return nil }
	}
	type result struct {
		Usage
		err error
	}
	first := make(chan result, 1)
	timer := time.AfterFunc(time.Until(begin), func() {
		u, err := read(ctx)
		first <- result{u, err}
	})
	return func() *Usage {
		if timer.Stop() {
			return nil // begin has not come
		}
		before := <-first
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace) // an interrupted run has its figures, too
		defer cancel()
		after, err := read(ctx)
		if before.err != nil || err != nil {
			return nil
		}
		return &Usage{CPU: after.CPU - before.CPU, Mallocs: after.Mallocs - before.Mallocs}
	}
}

// merge adds up what the workers have counted.
func merge(workers []*worker) *Report {
	r := &Report{Statuses: map[int]uint64{}, Unexpected: []Unexpected{}}
	bad := map[Unexpected]uint64{}
	for _, w := range workers {
		r.Latency.Merge(&w.latency)
		for status, n := range w.statuses {
			r.Statuses[status] += n
		}
		for u, n := range w.unexpected {
			if len(bad) >= maxKinds && bad[u] == 0 {
				u.Got = "other"
			}
			bad[u] += n
		}
	}
	for u, n := range bad {
		u.Count = n
		r.Unexpected = append(r.Unexpected, u)
	}
	slices.SortFunc(r.Unexpected, func(a, b Unexpected) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Request, b.Request), cmp.Compare(a.Got, b.Got))
	})
	return r
}

// Refused is an answer without a token.
type Refused struct {
	URL    string
	Status int
	// Code and Description are the error and error_description of RFC 6749 section 5.2; "" where the answer had none.
	Code, Description string
	RetryAfter        string // the header; "" where there was none
}

func (r *Refused) Error() string {
	if r.Code == "" {
		return fmt.Sprintf("%s answered %d, and not the JSON of a token endpoint", r.URL, r.Status)
	}
	return fmt.Sprintf("%s refused: %s: %s", r.URL, r.Code, r.Description)
}
