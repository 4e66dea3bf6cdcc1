package blackbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/load"
)

// gauges are in the order of the table.
func (s *soak) gauges() []*gauge {
	return []*gauge{&s.rss, &s.heap, &s.goroutines, &s.files, &s.series, &s.pause, &s.revoked, &s.disk, &s.redisMemory, &s.redisKeys}
}

// rules says what each gauge may have more at the end. A node forgets revoked tokens by whole hours of their expiry, so that their number
// goes on growing in any run of a handy length; what they take is known: a million of them 100 MiB at most.
func (s *soak) rules() {
	const mib = 1 << 20
	s.revoked = gauge{name: "revoked", per: 1, grows: true}
	s.rss = gauge{name: "RSS", unit: "MiB", per: mib, slack: 8 * mib, holds: &s.revoked, each: 104}
	// Between two reloads tokens are remembered, and what the collector has not taken yet counts as well: a short run meets few of both.
	s.heap = gauge{name: "heap", unit: "MiB", per: mib, slack: 8 * mib, holds: &s.revoked, each: 104}
	s.goroutines = gauge{name: "goroutines", per: 1, slack: 16}
	s.files = gauge{name: "descriptors", per: 1, slack: 16}
	s.series = gauge{name: "series", per: 1, slack: 2}
	s.pause = gauge{name: "GC pause", unit: "µs", per: 1e-6, slack: 500e-6}
	// The journal drops what has expired every ten minutes, and the file doubles when it grows.
	s.disk = gauge{name: "database", unit: "MiB", per: mib, slack: 8 * mib}
	s.redisMemory = gauge{name: "Redis", unit: "MiB", per: mib, slack: 2 * mib}
	s.redisKeys = gauge{name: "Redis keys", per: 1, slack: 16}
}

// sample adds one to each gauge.
func (s *soak) sample(ctx context.Context) {
	m, err := load.Scrape(ctx, s.node.admin+"/metrics")
	if ctx.Err() != nil {
		return // the run is over
	}
	info, infoErr := s.client.Info(ctx, "memory").Result()
	keys, keysErr := s.client.DBSize(ctx).Result()
	if ctx.Err() != nil {
		return
	}
	if err != nil || infoErr != nil || keysErr != nil {
		s.t.Errorf("no sample: %v, %v, %v", err, infoErr, keysErr)
		return
	}
	n, spent := m["go_gc_duration_seconds_count"], m["go_gc_duration_seconds_sum"]
	pause := 0.0
	if n > s.collected {
		pause = (spent - s.paused) / (n - s.collected)
	}
	s.collected, s.paused = n, spent
	for _, v := range []struct {
		*gauge
		value float64
	}{
		{&s.rss, s.resident(m)}, {&s.heap, m["go_memstats_heap_alloc_bytes"]}, {&s.goroutines, m["go_goroutines"]}, {&s.files, m["process_open_fds"]},
		{&s.series, float64(len(m))}, {&s.pause, pause}, {&s.revoked, m[`gatehouse_revoked_entries{kind="token"}`]}, {&s.disk, s.databases()},
		{&s.redisMemory, field(info, "used_memory:")}, {&s.redisKeys, float64(keys)},
	} {
		v.samples = append(v.samples, v.value)
	}
	if s.plan.judged {
		s.t.Log(s.row())
	}
}

// resident is the RSS of the gateway in bytes: as the kernel says it, or where there is no /proc, as its metrics do.
func (s *soak) resident(m load.Metrics) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.node.cmd.Process.Pid))
	if err != nil {
		return m["process_resident_memory_bytes"]
	}
	return field(string(text), "VmRSS:") * 1024
}

// field is the number that follows a name in a text; 0 where there is none.
func field(text, name string) float64 {
	_, rest, _ := strings.Cut(text, name)
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseFloat(words[0], 64)
	return n
}

// databases is the size of what the gateway keeps on disk, in bytes, but for the audit trail, which keeps everything.
func (s *soak) databases() (size float64) {
	files, _ := filepath.Glob(filepath.Join(s.node.state, "*.db"))
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			size += float64(info.Size())
		}
	}
	return size
}

// head and row are the table of samples.
func (s *soak) head() string {
	line := fmt.Sprintf("%8s", "after")
	for _, g := range s.gauges() {
		line += fmt.Sprintf(" %13s", strings.TrimSpace(g.name+" "+g.unit))
	}
	return line
}

func (s *soak) row() string {
	line := fmt.Sprintf("%8s", time.Since(s.begun).Round(time.Second))
	for _, g := range s.gauges() {
		line += fmt.Sprintf(" %13.1f", g.samples[len(g.samples)-1]/g.per)
	}
	return line
}
