package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// loadAverage is that of the last minute, as the kernel writes it.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// describe says what the run was made with and on.
func describe(ctx context.Context, r *rig, load string, took time.Duration) string {
	version := func(line int, argv ...string) string {
		out, err := output(ctx, r.repo, argv...)
		lines := strings.Split(out, "\n")
		if err != nil || line >= len(lines) {
			return argv[0] + ": not there"
		}
		return strings.TrimSpace(lines[line])
	}
	tree := version(0, "git", "describe", "--tags", "--always", "--dirty")
	haproxy, _, _ := strings.Cut(version(0, "haproxy", "-v"), " - ")
	redis := strings.Fields(version(0, "redis-server", "--version") + " ? ?")
	before := ""
	if urgent {
		before = " What was measured went before other programs."
	}
	return fmt.Sprintf(`%s. Gatehouse %s, %s. %s; %s; wrk %s; Redis %s. Linux %s, %d × %s. Load average before: %s. The run took %v.%s

`, time.Now().UTC().Format("2006-01-02 15:04 MST"), tree, strings.TrimPrefix(version(0, "go", "version"), "go version "),
		haproxy, version(0, "nginx", "-v"), wrkVersion(ctx), strings.TrimPrefix(redis[2], "v="), version(0, "uname", "-r"), cores(), cpuModel(), load, took.Round(time.Second), before)
}

// wrkVersion is the second word of what wrk says of itself, when it ends with an error, which is how it does.
func wrkVersion(ctx context.Context) string {
	_, err := output(ctx, "", "wrk", "-v")
	if err == nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(err.Error(), "wrk ")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return "unknown"
	}
	return f[0]
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func cores() int {
	b, _ := os.ReadFile("/proc/cpuinfo")
	return strings.Count(string(b), "processor\t:")
}
