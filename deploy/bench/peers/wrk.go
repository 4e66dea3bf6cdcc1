package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// load is what wrk asks for, over connections that stay open.
type load struct {
	method string // "" is GET
	path   string
	tokens string // the file of bearer tokens to use in turn, one a line; "" sends none
	basic  string // the value of Authorization instead, such as "Basic …"; "" sends none
	form   string // the body, as application/x-www-form-urlencoded; "" is none
	conns  int    // 0 is 64
}

// report is what wrk measured.
type report struct {
	requests int64
	refused  int64 // of them, those whose status was not 2xx or 3xx
	errors   int64 // connections that failed, were cut or timed out
	elapsed  time.Duration
	p50, p99 time.Duration
}

// script is the Lua program that has wrk send the load. All requests are made before the first is sent.
func (l *load) script() string {
	method := l.method
	if method == "" {
		method = "GET"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "local requests, i = {}, 0\nlocal function add(headers)\n  requests[#requests + 1] = wrk.format(%q, %q, headers, ", method, l.path)
	if l.form == "" {
		b.WriteString("nil)\nend\n")
	} else {
		fmt.Fprintf(&b, "%q)\nend\n", l.form)
	}
	b.WriteString("function init()\n")
	switch {
	case l.tokens != "":
		fmt.Fprintf(&b, "  for token in io.lines(%q) do add({Authorization = \"Bearer \" .. token}) end\n", l.tokens)
	case l.basic != "":
		fmt.Fprintf(&b, "  add({Authorization = %q, [\"Content-Type\"] = \"application/x-www-form-urlencoded\"})\n", l.basic)
	default:
		b.WriteString("  add({})\n")
	}
	b.WriteString("end\nfunction request()\n  i = i % #requests + 1\n  return requests[i]\nend\n")
	return b.String()
}

// drive has wrk send the load to addr for so long, in whole seconds. name tells its script from those of others in dir.
func drive(ctx context.Context, dir, name, addr string, l *load, length time.Duration) (report, error) {
	cmd, err := wrk(ctx, dir, name, addr, l, length)
	if err != nil {
		return report{}, err
	}
	out, err := said(cmd)
	if err != nil {
		return report{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	r, err := parseWrk(out)
	if err != nil {
		return r, fmt.Errorf("%w: wrk said:\n%s", err, out)
	}
	return r, nil
}

// said runs a command and returns all that it wrote.
func said(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := begin(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	return out.String(), err
}

// warm has wrk send the load for the time of warmUp, which may be less than a second, and forgets what came of it.
func warm(ctx context.Context, dir, addr string, l *load) error {
	brief, cancel := context.WithTimeout(ctx, warmUp)
	defer cancel()
	cmd, err := wrk(brief, dir, "warm", addr, l, time.Minute)
	if err != nil {
		return err
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // at which it ends as at the end of its time
	if out, err := said(cmd); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("wrk: %w: %s", err, out)
	}
	return ctx.Err()
}

// wrk is the command that sends the load.
func wrk(ctx context.Context, dir, name, addr string, l *load, length time.Duration) (*exec.Cmd, error) {
	script := filepath.Join(dir, name+".lua")
	if err := os.WriteFile(script, []byte(l.script()), 0o600); err != nil {
		return nil, err
	}
	conns := l.conns
	if conns == 0 {
		conns = 64
	}
	return exec.CommandContext(ctx, "taskset", "-c", loadCore, "wrk", "-t1", "-c"+strconv.Itoa(conns), fmt.Sprintf("-d%.0fs", length.Seconds()),
		"--latency", "-s", script, "http://"+addr), nil
}

// parseWrk reads what wrk prints with --latency.
func parseWrk(out string) (r report, err error) {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "50%":
			r.p50, err = parseUnit(f[1])
		case len(f) == 2 && f[0] == "99%":
			r.p99, err = parseUnit(f[1])
		case len(f) >= 4 && f[1] == "requests" && f[2] == "in":
			if r.requests, err = strconv.ParseInt(f[0], 10, 64); err == nil {
				r.elapsed, err = parseUnit(strings.TrimSuffix(f[3], ","))
			}
		case strings.HasPrefix(strings.TrimSpace(line), "Socket errors:"):
			r.errors, err = sum(f[2:])
		case strings.Contains(line, "Non-2xx or 3xx responses:"):
			r.refused, err = strconv.ParseInt(f[len(f)-1], 10, 64)
		}
		if err != nil {
			return r, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
	}
	if r.requests == 0 || r.elapsed == 0 || r.p99 == 0 {
		return r, fmt.Errorf("no requests, or no latency of them, in what wrk printed")
	}
	return r, nil
}

// sum adds the numbers among words such as "connect 0, read 3,".
func sum(words []string) (n int64, err error) {
	for i := 1; i < len(words); i += 2 {
		v, err := strconv.ParseInt(strings.TrimSuffix(words[i], ","), 10, 64)
		if err != nil {
			return 0, err
		}
		n += v
	}
	return n, nil
}

// parseUnit reads a time as wrk writes it: 12.00us, 1.05ms, 4.00s, 1.00m.
func parseUnit(s string) (time.Duration, error) { return time.ParseDuration(s) }
