package main

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "4242 (odd) name (x) S 1 4242 4242 0 -1 4194560 1000 0 0 0 321 123 7 9 20 0 5 0 100 200 300"
	if got, err := parseStat(line); err != nil || got != 4440*time.Millisecond {
		t.Errorf("got %v, %v, want 4.44s: utime and stime of this process, without its children", got, err)
	}
	for _, bad := range []string{"", "4242 (x S 1 2 3", "4242 (x) S 1 2 3", "4242 (x) S 1 4242 4242 0 -1 4194560 1000 0 0 0 many 123 7"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %v, want an error", bad, got)
		}
	}
}

func TestParseCore(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 30 5000 6000 7 8 9 1000 2000\ncpu1 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
	if got, err := parseCore(stat, "cpu0"); err != nil || got != 1740*time.Millisecond {
		t.Errorf("got %v, %v, want 1.74s: neither idle and iowait, nor the guests, who are in user already", got, err)
	}
	if got, err := parseCore(stat, "cpu2"); err == nil {
		t.Errorf("got %v of a core that there is not", got)
	}
}

func TestParseMemory(t *testing.T) {
	const status = "Name:\tx\nVmRSS:\t    7168 kB\nRssAnon:\t    2048 kB\nRssFile:\t    4096 kB\nRssShmem:\t    1024 kB\nThreads:\t5\n"
	if got, err := parseMemory(status); err != nil || got != (memory{2 << 20, 5 << 20}) {
		t.Errorf("got %+v, %v, want 2 MiB of its own and 5 of files", got, err)
	}
	for _, bad := range []string{"Name:\tx\n", "RssAnon:\tmuch kB\nRssFile:\t4 kB\nRssShmem:\t0 kB\n"} {
		if got, err := parseMemory(bad); err == nil {
			t.Errorf("got %+v of %q, want an error", got, bad)
		}
	}
}

// A process counts its CPU time, and is gone after stop, although it does not listen to SIGTERM.
func TestProcess(t *testing.T) {
	p, err := launch(t.TempDir(), proxyCore, nil, "sh", "-c", "trap '' TERM; echo begun; while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if err := p.await(t.Context(), func() error {
		if cpu, err := p.cpu(); err != nil || cpu < 50*time.Millisecond || p.tail() != "begun" {
			return errors.New("has not computed for long enough")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if m, err := p.memory(); err != nil || m.own <= 0 || m.mapped <= 0 {
		t.Errorf("memory is %+v, %v", m, err)
	}
	p.stop()
	if _, err := p.cpu(); err == nil {
		t.Error("there is a process after stop")
	}
}

func TestAwaitSaysWhyAProcessEnded(t *testing.T) {
	p, err := launch(t.TempDir(), proxyCore, nil, "sh", "-c", "echo no such port >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(t.Context(), func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("got %v, want what it wrote", err)
	}
	if err := p.await(t.Context(), func() error { return nil }); err == nil {
		t.Error("an answer counts although the program has ended: it was another's")
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := freePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		l, err := net.Listen("tcp", loopback(p))
		if err != nil || seen[p] {
			t.Errorf("port %d comes twice, or is not free: %v", p, err)
			continue
		}
		defer l.Close()
		seen[p] = true
	}
	if len(seen) != 50 {
		t.Errorf("got %d ports, want 50", len(seen))
	}
}
