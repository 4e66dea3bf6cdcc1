package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
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
// on the machine meanwhile meets all of them. say is told what was done.
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
				return nil, fmt.Errorf("%s, round %d: %w", e.label, n+1, err)
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
	counts := e.shape != nil && e.shape.redis
	var before, after traffic
	if counts {
		if before, err = redisTraffic(r.redisAddr); err != nil {
			return got, err
		}
	}
	coreBegan, err := coreTime()
	if err != nil {
		return got, err
	}
	began, err := s.cpu()
	if err != nil {
		return got, err
	}
	start := time.Now()
	var beside report
	var besideErr error
	var wg sync.WaitGroup
	if e.beside != nil {
		second := e.beside(r)
		wg.Go(func() { beside, besideErr = drive(ctx, e.dir, "beside", s.addr, &second, length) })
	}
	got.report, err = drive(ctx, e.dir, "main", s.addr, main, length)
	wg.Wait()
	if err == nil {
		err = besideErr
	}
	if err != nil {
		return got, fmt.Errorf("%w\n%s", err, s.tail())
	}
	ended, err := s.cpu()
	if err != nil {
		return got, err
	}
	coreEnded, err := coreTime()
	if err != nil {
		return got, err
	}
	if e.shape == nil || e.shape.procs < 2 { // else its time is on both cores
		got.others = max(0, (coreEnded-coreBegan-(ended-began)).Seconds()/time.Since(start).Seconds())
	}
	if counts {
		if after, err = redisTraffic(r.redisAddr); err != nil {
			return got, err
		}
	}
	if e.beside != nil {
		if err := expect(&beside, e.flood); err != nil {
			return got, fmt.Errorf("beside: %w", err)
		}
	}
	got.served = got.requests + beside.requests
	got.cpu = float64((ended - began).Microseconds()) / float64(got.served)
	got.busy = (ended - began).Seconds() / got.elapsed.Seconds()
	got.scripts = float64(after.scripts-before.scripts) / float64(got.served)
	got.trips = float64(after.reads-before.reads) / float64(got.served)
	return got, nil
}

// judge refuses a round in which anything but what was to be measured happened.
func (e *entry) judge(l *load, got *round) error {
	if err := expect(&got.report, e.want); err != nil {
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

// expect is an error unless everything got the kind of status that was wanted, which probe knows exactly, and no connection
// failed.
func expect(got *report, want int) error {
	if got.errors > 0 {
		return fmt.Errorf("%d connections failed", got.errors)
	}
	if want < 400 && got.refused > 0 || want >= 400 && got.refused != got.requests {
		return fmt.Errorf("%d of %d requests were refused, where all were to get %d", got.refused, got.requests, want)
	}
	return nil
}

// probe sends one request of the load, several times where a limit lets the first ones of a client through, until the status is
// the one that is wanted.
func probe(addr string, l *load, want int) error {
	var status string
	for range 3 {
		req, err := http.NewRequest(l.method, "http://"+addr+l.path, strings.NewReader(l.form))
		if err != nil {
			return err
		}
		if l.form != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if l.basic != "" {
			req.Header.Set("Authorization", l.basic)
		}
		if l.tokens != "" {
			token, err := firstLine(l.tokens)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := oneOff.Do(req)
		if err != nil {
			return err
		}
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		res.Body.Close()
		if res.StatusCode == want {
			return nil
		}
		status = res.Status + " " + string(body)
	}
	return fmt.Errorf("%s %s: wanted status %d, got %s", l.method, l.path, want, status)
}

func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Scan()
	return s.Text(), s.Err()
}

// fetchProfile has the Gatehouse behind admin write a CPU profile of so long, and closes what it returns when it is there.
func fetchProfile(ctx context.Context, admin, path string, length time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, max(1, int(length.Seconds())))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return
		}
		res, err := oneOff.Do(req)
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
	return done
}

// median is the round whose CPU time per request is the middle one, the cheaper of the two middle ones of an even number. It
// is taken whole: its latencies are its own.
func median(rounds []round) round {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b round) int {
		switch {
		case a.cpu < b.cpu:
			return -1
		case a.cpu > b.cpu:
			return 1
		}
		return 0
	})
	return sorted[(len(sorted)-1)/2]
}
