package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// few is a short run on few connections.
func few(s Scenario) Options {
	return Options{Scenario: s, Duration: 300 * time.Millisecond, Warmup: 20 * time.Millisecond, Concurrency: 4, Tokens: 9}
}

func mustRun(t *testing.T, g *gateway, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), g.target(), o)
	if err != nil {
		t.Fatal(err)
	}
	answers := uint64(0)
	for _, n := range r.Statuses {
		answers += n
	}
	for _, u := range r.Unexpected {
		if u.Got < "100" || u.Got > "599" {
			answers += u.Count
		}
	}
	if r.Requests() == 0 || answers != r.Requests() || r.Latency.Max() == 0 {
		t.Errorf("%d requests, %d answers and failures", r.Requests(), answers)
	}
	return r
}

func TestScenarios(t *testing.T) {
	for _, s := range Scenarios {
		t.Run(string(s), func(t *testing.T) {
			g := newGateway(t)
			o := few(s)
			if s == Mixed {
				o.Duration = 2 * time.Second // for enough of what is rare
			}
			r := mustRun(t, g, o)
			if len(r.Unexpected) > 0 {
				t.Errorf("unexpected: %v", r.Unexpected)
			}
			n := r.Requests()
			switch s {
			case Token:
				if uint64(g.issued) < n || r.Statuses[200] != n || len(g.seen) > 0 {
					t.Errorf("%d tokens for %d requests, %v, %v", g.issued, n, r.Statuses, g.seen)
				}
			case Call:
				if g.issued != o.Tokens || r.Statuses[200] != n || uint64(g.seen["call"]) < n {
					t.Errorf("%d tokens, %v, %v", g.issued, r.Statuses, g.seen)
				}
			case Revoked:
				if g.issued != o.Tokens || r.Statuses[401] != n || g.seen["call"] > 0 || g.seen["revocation"] != o.Tokens {
					t.Errorf("%d tokens, %v, %v", g.issued, r.Statuses, g.seen)
				}
			case Mixed:
				proportions(t, g)
			}
		})
	}
}

// proportions holds what a gateway has seen of Mixed to what is said of it, within five standard deviations.
func proportions(t *testing.T, g *gateway) {
	t.Helper()
	g.seen["token"] = g.issued - 9 // those it began with
	total := 0
	for _, n := range g.seen {
		total += n
	}
	denied := g.seen["none"] + g.seen["forged"] + g.seen["scope"]
	for what, tc := range map[string]struct {
		n     int
		share float64
	}{"calls": {g.seen["call"], .9}, "tokens": {g.seen["token"], .05}, "denied": {denied, .04}} {
		want := tc.share * float64(total)
		// A revocation for which there is no token yet is a call, and so the share of calls may be a hundredth more.
		if off := float64(tc.n) - want; off*off > 25*want+float64(total)*float64(total)/9000 {
			t.Errorf("%d of %d are %s, want about %.0f: %v", tc.n, total, what, want, g.seen)
		}
	}
	for _, what := range []string{"none", "forged", "scope", "revocation"} {
		if total > 3000 && g.seen[what] == 0 {
			t.Errorf("of %d requests none was %s", total, what)
		}
	}
	if g.seen["revoked"] > 0 {
		t.Errorf("%d calls with a token that was revoked", g.seen["revoked"])
	}
}

// A gateway that does what it must not is told apart from one that does what it must.
func TestUnexpected(t *testing.T) {
	for _, tc := range []struct {
		name     string
		scenario Scenario
		change   func(g *gateway)
		want     Unexpected
	}{
		{"revoked tokens are good", Revoked, func(g *gateway) { g.leaky = true }, Unexpected{Request: "call with a revoked token", Want: "401", Got: "200"}},
		{"an upstream fails", Call, func(g *gateway) { g.call = func(w http.ResponseWriter, _ string) { w.WriteHeader(502) } }, Unexpected{Request: "call", Want: "2xx", Got: "502"}},
		{"a redirect is not followed", Call, func(g *gateway) {
			g.call = func(w http.ResponseWriter, _ string) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(302) }
		}, Unexpected{Request: "call", Want: "2xx", Got: "302"}},
		{"an answer that breaks off", Call, func(g *gateway) { g.call = func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) } }, Unexpected{Request: "call", Want: "2xx", Got: "EOF"}},
		{"no token in an answer of 200", Token, func(g *gateway) {
			first := true
			g.refuse = func(w http.ResponseWriter) bool {
				g.mu.Lock()
				defer g.mu.Unlock()
				defer func() { first = false }()
				return !first
			}
		}, Unexpected{Request: "token", Want: "200", Got: "200"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGateway(t)
			tc.change(g)
			r := mustRun(t, g, few(tc.scenario))
			tc.want.Count = r.Requests()
			if !slices.Equal(r.Unexpected, []Unexpected{tc.want}) {
				t.Errorf("unexpected are %v, want %v", r.Unexpected, tc.want)
			}
		})
	}
}

// What comes while the gateway stands still is as late as it is for those who would have asked, not as their one connection asked.
func TestLatencyCountsWaiting(t *testing.T) {
	g := newGateway(t)
	var once sync.Once
	begun := time.Now()
	g.call = func(w http.ResponseWriter, _ string) {
		if time.Since(begun) > 200*time.Millisecond {
			once.Do(func() { time.Sleep(500 * time.Millisecond) })
		}
	}
	r := mustRun(t, g, Options{Scenario: Call, Duration: time.Second, Warmup: 100 * time.Millisecond, Concurrency: 1, Tokens: 1, Rate: 200})
	// 100 of 200 requests were meant for the half second, and those of its first 400 ms waited for 100 ms at least.
	if got := r.Latency.Quantile(0.7); got < 100*time.Millisecond {
		t.Errorf("30 %% waited for no more than %s", got)
	}
	if r.Requests() > 200 {
		t.Errorf("%d requests where 200 were asked for", r.Requests())
	}
}

// Tokens are replaced before they expire.
func TestTokensAreRenewed(t *testing.T) {
	g := newGateway(t)
	g.life = 1
	o := few(Call)
	o.Duration = 1200 * time.Millisecond
	r := mustRun(t, g, o)
	if g.issued < 2*o.Tokens-1 || len(r.Unexpected) > 0 {
		t.Errorf("%d tokens for %d that live a second; unexpected: %v", g.issued, o.Tokens, r.Unexpected)
	}
}

func TestInterrupted(t *testing.T) {
	g := newGateway(t)
	ctx, cancel := context.WithCancel(t.Context())
	g.call = func(http.ResponseWriter, string) {
		if g.count() > 500 {
			cancel()
		}
	}
	o := few(Call)
	o.Duration, o.Warmup = time.Hour, 0
	o.Usage = func(ctx context.Context) (Usage, error) { return Usage{CPU: float64(g.count())}, ctx.Err() }
	r, err := Run(ctx, g.target(), o)
	if err != nil || r.Requests() < 400 || len(r.Unexpected) > 0 || r.Elapsed > time.Minute {
		t.Fatalf("%v, %+v", err, r)
	}
	if r.Used == nil || r.Used.CPU < 400 {
		t.Errorf("used meanwhile: %+v", r.Used)
	}
	if _, err := Run(ctx, g.target(), o); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted before the beginning: %v", err)
	}
}

func (g *gateway) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen["call"]
}

func TestNoTokens(t *testing.T) {
	g := newGateway(t)
	g.refuse = func(w http.ResponseWriter) bool {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(429)
		fmt.Fprint(w, `{"error":"quota_exceeded","error_description":"no more"}`)
		return true
	}
	for _, s := range Scenarios {
		_, err := Run(t.Context(), g.target(), few(s))
		var refused *Refused
		if !errors.As(err, &refused) || refused.Status != 429 || refused.RetryAfter != "7" || !strings.HasSuffix(err.Error(), "/token refused: quota_exceeded: no more") {
			t.Errorf("%s: %v", s, err)
		}
	}
	g.Close()
	if _, err := Run(t.Context(), g.target(), few(Call)); err == nil || !strings.Contains(err.Error(), "refused") || errors.As(err, new(*Refused)) {
		t.Errorf("a gateway that is away: %v", err)
	}
}

// A gateway that goes away is no reason to spin, and what went wrong has one line.
func TestGatewayGoesAway(t *testing.T) {
	g := newGateway(t)
	var once sync.Once
	g.call = func(http.ResponseWriter, string) {
		once.Do(func() { go func() { g.Listener.Close(); g.CloseClientConnections() }() })
	}
	r := mustRun(t, g, few(Call))
	if n := len(r.Unexpected); n == 0 || n > 5 {
		t.Errorf("unexpected are %v", r.Unexpected)
	}
	failures := uint64(0)
	for _, u := range r.Unexpected {
		failures += u.Count
	}
	if failures > 4*40 {
		t.Errorf("%d failures in 300 ms on 4 connections", failures)
	}
}
