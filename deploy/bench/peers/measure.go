package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const warmUp = 600 * time.Millisecond // of load before each round, its start and the making of its requests included

// entry is a scenario of one binary.
type entry struct {
	*scenario
	label  string // the scenario's name, with the binary's where there are several
	binary string // path; "" of a peer
	dir    string
}

// round is what one round of an entry measured.
type round struct {
	report          // of the load whose latency counts
	served  int64   // requests in all, those beside included
	cpu     float64 // microseconds of the proxy's CPU time per request
	busy    float64 // share of the elapsed time that the proxy computed; near 1 the core was full
	others  float64 // share of it that others had of the proxy's core: what disturbs
	scripts float64 // runs of scripts in Redis per request
	trips   float64 // times per request that Redis read from a connection
}

// perSecond is the requests served in a second.
func (r *round) perSecond() float64 { return float64(r.served) / r.elapsed.Seconds() }

// measure runs all entries in turn, so many rounds of them, each round beginning elsewhere in the list, so that what changes
// on the machine meanwhile meets all of them. say is told what was done. With an error come
// the results until then.
func measure(ctx context.Context, r *rig, list []*entry, rounds int, length time.Duration, profiles string, say io.Writer) (map[string][]round, error) {
	results := map[string][]round{}
	for n := range rounds {
		for i := range list {
			e := list[(i+n*len(list)/rounds)%len(list)]
			profile := ""
			if profiles != "" && n == 0 {
				profile = filepath.Join(profiles, e.label+".pprof")
			}
			got, err := e.measure(ctx, r, length, profile)
			if err != nil {
				return results, fmt.Errorf("%s, round %d: %w", e.label, n+1, err)
			}
			results[e.label] = append(results[e.label], got)
			fmt.Fprintf(say, "%d/%d %-28s %7.2f µs/request %8.0f/s  p50 %v  p99 %v  core %2.0f%% others %2.0f%%\n",
				n+1, rounds, e.label, got.cpu, got.perSecond(), got.p50, got.p99, 100*got.busy, 100*got.others)
		}
	}
	return results, nil
}

// measure is one round. The proxy is started for it and ended after it: none of the others takes anything of the core, and
// what a process has luck with in its memory it has once only.
func (e *entry) measure(ctx context.Context, r *rig, length time.Duration, profile string) (round, error) {
	s, err := e.open(ctx, r)
	if err != nil {
		return round{}, err
	}
	defer s.stop()
	main := e.load(r)
	first := main
	if e.fresh {
		first.tokens = strings.Replace(main.tokens, "-fresh", "-warm", 1)
	}
	if err := probe(s.addr, &first, e.want); err != nil {
		return round{}, fmt.Errorf("before: %w", err)
	}
	if err := e.refuses(s.addr, &first); err != nil {
		return round{}, err
	}
	if err := warm(ctx, e.dir, s.addr, &first); err != nil {
		return round{}, err
	}
	if profile != "" && s.admin != "" {
		profiled := fetchProfile(ctx, s.admin, profile, length)
		defer func() { <-profiled }()
	}
	got, err := e.drive(ctx, r, s, &main, length)
	if err != nil {
		return round{}, err
	}
	if err := probe(s.addr, &first, e.want); err != nil {
		return round{}, fmt.Errorf("after: %w", err)
	}
	return got, e.judge(&main, &got)
}

// refuses is an error where a proxy that was told to check tokens lets one through that it must not: a figure of what checks
// nothing is none.
func (e *entry) refuses(addr string, l *load) error {
	if l.tokens == "" || e.want != http.StatusOK {
		return nil
	}
	for _, must := range []struct {
		set    string
		since  verifying // what looks at as much as this refuses it
		status int
	}{
		{"-forged", signature, http.StatusUnauthorized},
		{"-tight", claims, http.StatusUnauthorized}, // for another audience
		{"-expired", claims, http.StatusUnauthorized},
		{"-scopeless", scopes, http.StatusForbidden},
	} {
		bad := *l
		bad.tokens = strings.Replace(l.tokens, "-warm", must.set, 1)
		if e.checks < must.since {
			continue
		}
		if err := probe(addr, &bad, must.status); err != nil {
			return fmt.Errorf("a token that must not pass: %w", err)
		}
	}
	return nil
}

// open starts the entry's proxy.
func (e *entry) open(ctx context.Context, r *rig) (*server, error) {
	dir, err := r.dir(e.label)
	if err != nil {
		return nil, err
	}
	e.dir = dir
	if e.shape != nil {
		return e.shape.gatehouse(ctx, r, e.binary, dir)
	}
	return e.start(ctx, r, dir)
}

// drive sends the load, and what is beside it, and takes the difference of all counters.
func (e *entry) drive(ctx context.Context, r *rig, s *server, main *load, length time.Duration) (got round, err error) {
	var said, saidAfter tally
	if s.admin != "" {
		if said, err = scrape(s.admin); err != nil {
			return got, err
		}
	}
	before, err := e.count(r, s)
	if err != nil {
		return got, err
	}
	var second report
	var secondErr error
	var wg sync.WaitGroup
	if e.beside != nil {
		l := e.beside(r)
		wg.Go(func() { second, secondErr = drive(ctx, e.dir, "beside", s.addr, &l, length) })
	}
	got.report, err = drive(ctx, e.dir, "main", s.addr, main, length)
	wg.Wait()
	if err = errors.Join(err, secondErr); err != nil {
		return got, fmt.Errorf("%w\n%s", err, s.tail())
	}
	after, err := e.count(r, s)
	if err != nil {
		return got, err
	}
	if e.beside != nil {
		if err := expect(&second, e.flood, 0); err != nil {
			return got, fmt.Errorf("beside: %w", err)
		}
	}
	got.served = got.requests + second.requests
	if s.admin != "" {
		if saidAfter, err = scrape(s.admin); err == nil {
			err = e.account(said, saidAfter, got.served)
		}
		if err != nil {
			return got, err
		}
	}
	got.spent(before, after)
	if e.shape != nil && e.shape.procs > 1 {
		got.others = 0 // its own time is on the other core too
	}
	return got, nil
}

// counters are what is read before and after a load.
type counters struct {
	at    time.Time
	cpu   time.Duration // of the proxy
	core  time.Duration // of anything on its core
	redis traffic       // zero where the proxy has none
}

func (e *entry) count(r *rig, s *server) (c counters, err error) {
	c.at = time.Now()
	if c.cpu, err = s.cpu(); err != nil {
		return c, err
	}
	if c.core, err = coreTime(); err != nil {
		return c, err
	}
	if e.shape != nil && e.shape.redis {
		c.redis, err = redisTraffic(r.redisAddr)
	}
	return c, err
}

// spent fills in what was used between the counters, for the requests that were served.
func (r *round) spent(before, after counters) {
	cpu, n := after.cpu-before.cpu, float64(r.served)
	r.cpu = float64(cpu.Microseconds()) / n
	r.busy = cpu.Seconds() / r.elapsed.Seconds()
	r.others = max(0, (after.core-before.core-cpu).Seconds()/after.at.Sub(before.at).Seconds())
	r.scripts = float64(after.redis.scripts-before.redis.scripts) / n
	r.trips = float64(after.redis.reads-before.redis.reads) / n
}

// judge refuses a round in which anything but what was to be measured happened.
func (e *entry) judge(l *load, got *round) error {
	if err := expect(&got.report, e.want, e.slack()); err != nil {
		return err
	}
	if !e.fresh {
		return nil
	}
	n, err := countLines(l.tokens)
	if err == nil && got.requests > int64(n) {
		err = fmt.Errorf("%d requests with %d tokens: some were not new. Take shorter rounds, or raise freshPerSecond", got.requests, n)
	}
	return err
}

// expect is an error unless everything got the kind of status that was wanted, but for so large a share, and no connection failed.
// Which status it is exactly, probe knows, and Gatehouse's own metrics.
func expect(got *report, want int, slack float64) error {
	if got.errors > 0 {
		return fmt.Errorf("%d connections failed", got.errors)
	}
	wrong := got.refused
	if want >= 400 {
		wrong = got.requests - got.refused
	}
	if float64(wrong) > slack*float64(got.requests) {
		return fmt.Errorf("%d of %d requests were refused, where all were to get %d", got.refused, got.requests, want)
	}
	return nil
}

// median is the round whose CPU time per request is the middle one, the cheaper of the two middle ones of an even number. It
// is taken whole: its latencies are its own.
func median(rounds []round) round {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b round) int { return cmp.Compare(a.cpu, b.cpu) })
	return sorted[(len(sorted)-1)/2]
}
