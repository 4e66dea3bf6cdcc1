package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/load"
)

const (
	benchWarmup    = time.Second
	benchTokens    = 256
	maxConnections = 10_000
	maxBenchTokens = 1_000_000
)

// benchFlags are what `bench` is asked for.
type benchFlags struct {
	duration             time.Duration
	concurrency, tokens  int
	rate                 float64
	scenario, output     string
	target, path, denied string
	redis                bool
	tokenRequest         // of --target
}

// onlyTarget are the flags that mean something to a gateway that runs already, and none to one that bench starts.
var onlyTarget = []string{"path", "denied-path", "client", "audience", "scope", "secret-file", "secret-stdin"}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what this machine does: tokens or calls a second, latencies, CPU and allocations a request",
		Long: `Measure what this machine does. Without --target, bench starts a gateway of its own, in a process of its own, with embedded state or
with a redis-server that it starts (--redis), and an API behind it that answers 200 bytes; all of it goes away at the end.

  token    a new token for each request
  call     calls of the API with tokens that take turns: what a gateway does most of the day
  mixed    90 % calls, 5 % new tokens, 4 % that must be refused (bad signature, no scope, no token), 1 % revocations
  revoked  calls with revoked tokens; every answer must be 401

With --target it is a gateway that runs already, and --path is the path of a route that GET may be asked for. The client's secret is read
from GATEHOUSE_CLIENT_SECRET, --secret-file or --secret-stdin, never from a flag. mixed and revoked then revoke tokens of that client, none
but those they were given.

The first second is not counted. With --rate, latency counts from when a request was meant to be sent, so that waiting for a slow gateway
is not left out. The load takes CPU from the gateway where both are on one machine: CPU a request is the figure to compare.
Exit code 1 where an answer was not what the scenario wants.`,
		Example: `  gatehouse bench
  gatehouse bench --scenario token --redis
  gatehouse bench --rate 2000 --duration 1m -o json
  gatehouse bench --target http://127.0.0.1:8080 --path /orders --client billing-worker --secret-file secret`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return f.run(cmd)
		},
	}
	fl := cmd.Flags()
	fl.DurationVar(&f.duration, "duration", 10*time.Second, "how long to measure, after a second that is not counted")
	fl.IntVar(&f.concurrency, "concurrency", 64, "connections, each with one request under way")
	fl.StringVar(&f.scenario, "scenario", string(load.Call), scenarioNames())
	fl.Float64Var(&f.rate, "rate", 0, "requests a second on all connections together; 0: as fast as possible")
	fl.IntVar(&f.tokens, "tokens", 0, "tokens that take turns; 0: 256, or one for each connection where that is more")
	fl.BoolVar(&f.redis, "redis", false, "start a redis-server, too, and keep limits and revocations there")
	fl.StringVar(&f.target, "target", "", "public URL of a gateway that runs already, such as http://127.0.0.1:8080; none: one of bench's own")
	fl.StringVar(&f.path, "path", "", "with --target: path of a route to call by GET")
	fl.StringVar(&f.denied, "denied-path", "", "with --target and mixed: path of a route that the client's tokens lack a scope for; none: that way of being refused is left out")
	fl.StringVar(&f.client, "client", "", "with --target: client id (GATEHOUSE_CLIENT_ID)")
	fl.StringVar(&f.tokenRequest.scope, "scope", "", "with --target: scopes, separated by spaces; none: all that is granted")
	fl.StringVar(&f.audience, "audience", "", "with --target: audience of the API; none: the client's only one")
	fl.StringVar(&f.secretFile, "secret-file", "", "with --target: file that holds the secret")
	fl.BoolVar(&f.secretStdin, "secret-stdin", false, "with --target: read the secret from standard input")
	outputFlag(cmd, &f.output)
	cmd.MarkFlagsMutuallyExclusive("secret-file", "secret-stdin")
	return cmd
}

func scenarioNames() string {
	names := make([]string, len(load.Scenarios))
	for i, s := range load.Scenarios {
		names[i] = string(s)
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// check refuses what makes no sense, with what does.
func (f *benchFlags) check(cmd *cobra.Command) error {
	if err := checkOutput(cmd, f.output); err != nil {
		return err
	}
	wrong := func(format string, args ...any) error { return usage(cmd, fmt.Errorf(format, args...)) }
	switch {
	case !slices.Contains(load.Scenarios, load.Scenario(f.scenario)):
		return wrong("--scenario %q is not known: %s", f.scenario, scenarioNames())
	case f.duration < 100*time.Millisecond:
		return wrong("--duration %s: expected a duration from 100ms on, such as 10s", f.duration)
	case f.concurrency < 1 || f.concurrency > maxConnections:
		return wrong("--concurrency %d: expected 1 to %d connections", f.concurrency, maxConnections)
	case !(f.rate >= 0) || math.IsInf(f.rate, 0):
		return wrong("--rate %v: expected requests a second such as 2000, or 0 for as fast as possible", f.rate)
	case f.tokens < 0 || f.tokens > maxBenchTokens:
		return wrong("--tokens %d: expected 1 to %d, or 0 for 256", f.tokens, maxBenchTokens)
	case f.tokens > 0 && f.scenario == string(load.Token):
		return wrong("--tokens is for scenarios with calls: leave it out, since token asks for a new one each time")
	case f.tokens > 0 && f.tokens < f.concurrency:
		return wrong("--tokens %d: each connection has tokens of its own, so make it %d or more, or lower --concurrency", f.tokens, f.concurrency)
	case f.target == "":
		return f.checkOwn(cmd)
	case f.redis:
		return wrong("--redis is for the gateway that bench starts: leave it out, or leave out --target")
	}
	return f.checkTarget(cmd)
}

func (f *benchFlags) checkOwn(cmd *cobra.Command) error {
	if cmd.Flags().Changed("config") {
		return usage(cmd, errors.New("-c: bench starts a gateway with a configuration of its own; to measure yours, start it with gatehouse run, and add --target URL"))
	}
	for _, name := range onlyTarget {
		if cmd.Flags().Changed(name) {
			return usage(cmd, fmt.Errorf("--%s is for a gateway that runs already: name it with --target URL, or leave --%s out", name, name))
		}
	}
	return nil
}

func (f *benchFlags) checkTarget(cmd *cobra.Command) error {
	wrong := func(format string, args ...any) error { return usage(cmd, fmt.Errorf(format, args...)) }
	u, err := url.Parse(f.target)
	if err == nil && u.User != nil { // which may be a secret, and is not repeated
		return wrong("--target holds a user or a password: name the client with --client, and its secret with --secret-file")
	}
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return wrong("--target %q: want the public URL of a gateway, such as http://127.0.0.1:8080", f.target)
	}
	calls := f.scenario != string(load.Token)
	for _, p := range []struct {
		name, path    string
		needed, taken bool
	}{{"path", f.path, calls, calls}, {"denied-path", f.denied, false, f.scenario == string(load.Mixed)}} {
		switch {
		case p.path == "" && p.needed:
			return wrong("--scenario %s calls an API: say which route with --path, such as --path /orders", f.scenario)
		case p.path != "" && !p.taken:
			return wrong("--scenario %s has no use for --%s: leave it out", f.scenario, p.name)
		case p.path != "" && !strings.HasPrefix(p.path, "/"):
			return wrong("--%s %q: want a path that begins with /", p.name, p.path)
		}
	}
	if f.client = cmp.Or(f.client, os.Getenv("GATEHOUSE_CLIENT_ID")); f.client == "" {
		return wrong("which client? use --client or set GATEHOUSE_CLIENT_ID")
	}
	return nil
}

// run measures and prints.
func (f *benchFlags) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	o := load.Options{Scenario: load.Scenario(f.scenario), Duration: f.duration, Warmup: benchWarmup, Concurrency: f.concurrency, Rate: f.rate,
		Tokens: cmp.Or(f.tokens, max(benchTokens, f.concurrency))}
	var t load.Target
	if f.target == "" {
		g, err := startBenchGateway(ctx, f.redis)
		if err != nil {
			return err
		}
		defer g.stop()
		t, o.Usage = g.target(), load.UsageAt(g.Admin+"/metrics")
	} else {
		secret, err := readSecret(cmd, f.tokenRequest)
		if err != nil {
			return err
		}
		t = f.targetOf(secret)
	}
	fmt.Fprintf(talk(cmd), "measuring %s for %s, after %s that is not counted; interrupt to end sooner\n", f.scenario, f.duration, benchWarmup)
	report, err := load.Run(ctx, t, o)
	if err != nil {
		return f.told(err)
	}
	if err := f.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // interrupted: what was measured so far has been printed
	}
	switch {
	case len(report.Unexpected) == 0:
		return nil
	case f.target == "":
		return fmt.Errorf("%s has no place for some answers: see unexpected", f.scenario)
	}
	return fmt.Errorf("%s has no place for some answers: see unexpected; gatehouse status shows the last refusals of %s", f.scenario, f.target)
}

// targetOf is the gateway of --target. Routes are matched on the whole path, so that --path begins at the host.
func (f *benchFlags) targetOf(secret string) load.Target {
	base := strings.TrimSuffix(f.target, "/")
	u, _ := url.Parse(f.target)
	host := u.Scheme + "://" + u.Host
	t := load.Target{TokenURL: base + "/oauth/token", RevokeURL: base + "/oauth/revoke", CallURL: host + f.path,
		Client: f.client, Secret: secret, Audience: f.audience, Scope: f.tokenRequest.scope}
	if f.denied != "" {
		t.DeniedURL = host + f.denied
	}
	return t
}

// told gives an error its exit code and the next step.
func (f *benchFlags) told(err error) error {
	var refused *load.Refused
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &refused) && refused.Code == "":
		return fmt.Errorf("%w: is --target right?", err)
	case errors.As(err, &refused):
		if wait := refused.RetryAfter; wait != "" {
			err = fmt.Errorf("%w; try again in %s s", err, wait)
		}
		return &codedError{exitDenied, err}
	}
	return &codedError{exitUnreachable, fmt.Errorf("%w\nis it running? start it with: gatehouse run", err)}
}
