package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks of CPU time are a second in /proc: the kernel's USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// cpu is the CPU time, user and system, that all threads of the process have taken so far.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(b))
}

// quiet waits until the process has nothing to do. A node that begins compares what it holds with Redis, which takes it seconds
// of a million revocations, and is not what a request costs.
func (p *process) quiet(ctx context.Context) error {
	before, err := p.cpu()
	for end := time.Now().Add(readyWithin); err == nil && time.Now().Before(end); {
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		var now time.Duration
		if now, err = p.cpu(); err == nil && now-before <= 20*time.Millisecond {
			return nil
		}
		before = now
	}
	return errors.Join(err, errors.New("it was not quiet in time"))
}

// parseStat reads the CPU time of a line of /proc/PID/stat. The name of the program, in parentheses, may hold anything.
func parseStat(line string) (time.Duration, error) {
	_, rest, ok := cutLast(line, ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat of a form that is not known: %q", line)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("utime: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stime: %w", err)
	}
	return time.Duration(user+system) * time.Second / ticks, nil
}

// coreTime is the CPU time that anything has taken of the proxies' core so far, or that the machine below has taken from it.
func coreTime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseCore(string(b), "cpu"+proxyCore)
}

// parseCore adds what a core did in /proc/stat, but for idling, waiting and what of it is in another number already.
func parseCore(stat, core string) (time.Duration, error) {
	const idle, iowait, guest = 3, 4, 8
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		if len(f) <= guest || f[0] != core {
			continue
		}
		var sum int64
		for i, word := range f[1:min(len(f), guest+1)] {
			n, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/stat: %w", err)
			}
			if i != idle && i != iowait {
				sum += n
			}
		}
		return time.Duration(sum) * time.Second / ticks, nil
	}
	return 0, fmt.Errorf("/proc/stat has no %s", core)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// memory is what a process has resident, in bytes.
type memory struct {
	own    int64 // that the kernel can't take back: heap, stacks, and the program's data
	mapped int64 // of files, which it can: the program and its database
}

// memory asks the kernel.
func (p *process) memory() (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return memory{}, err
	}
	return parseMemory(string(b))
}

// parseMemory reads RssAnon, RssFile and RssShmem, which are in kB, of /proc/PID/status.
func parseMemory(status string) (m memory, err error) {
	found := 0
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"RssAnon": &m.own, "RssFile": &m.mapped, "RssShmem": &m.mapped}[name]
		if to == nil {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return m, err
		}
		*to += kb << 10
		found++
	}
	if found != 3 {
		return m, fmt.Errorf("/proc/PID/status does not say what is resident")
	}
	return m, nil
}
