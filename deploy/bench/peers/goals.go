package main

import (
	"fmt"
	"strings"
)

// goal is one bar: a value that a run gives, and what it may be at most.
type goal struct {
	id    string // G1 to G10
	what  string
	most  float64
	least bool // most is the least that it may be
	form  string
	value func(t *tables) (float64, bool) // ok is false where it was not measured
}

// cpu is the CPU time per request of a scenario; per divides it by that of another.
func cpu(name string) func(*tables) (float64, bool) {
	return func(t *tables) (float64, bool) {
		m, ok := t.scenario(name)
		return m.cpu, ok
	}
}

func per(name, other string) func(*tables) (float64, bool) {
	return func(t *tables) (float64, bool) {
		a, ok1 := t.scenario(name)
		b, ok2 := t.scenario(other)
		if !ok1 || !ok2 {
			return 0, false
		}
		return a.cpu / b.cpu, true
	}
}

func of(name string, figure func(m round) float64) func(*tables) (float64, bool) {
	return func(t *tables) (float64, bool) {
		m, ok := t.scenario(name)
		if !ok {
			return 0, false
		}
		return figure(m), true
	}
}

func p99(m round) float64  { return float64(m.p99.Microseconds()) / 1000 }
func rate(m round) float64 { return m.perSecond() }

func only(key string) func(*tables) (float64, bool) {
	return func(t *tables) (float64, bool) {
		for _, s := range t.singles {
			if s.key == key {
				return s.value, true
			}
		}
		return 0, false
	}
}

// goals are the bars. Ratios are of CPU time per request.
func goals() []goal {
	const us, ratio = "%.1f µs", "%.2f"
	return []goal{
		{"G1", "warm, RS256: to HAProxy RS256", 0.50, false, ratio, per("G1-rs256", "haproxy-rs256")},
		{"G1", "… to HAProxy RS256 that checks the signature alone", 0.50, false, ratio, per("G1-rs256", "haproxy-rs256-bare")},
		{"G1", "warm, ES256: to HAProxy ES256", 0.25, false, ratio, per("G1-es256", "haproxy-es256")},
		{"G1", "… to HAProxy ES256 that checks the signature alone", 0.25, false, ratio, per("G1-es256", "haproxy-es256-bare")},
		{"G1", "warm, RS256: to Caddy with jwx", 0.125, false, "%.3f", per("G1-rs256", "caddy-rs256")},
		{"G1", "warm, RS256: CPU a request", 25, false, us, cpu("G1-rs256")},
		{"G1", "warm, ES256: CPU a request", 25, false, us, cpu("G1-es256")},
		{"G1", "warm, RS256: requests a second on a core", 40_000, true, "%.0f", of("G1-rs256", rate)},
		{"G1", "warm, RS256: p99", 4, false, "%.2f ms", of("G1-rs256", p99)},
		{"G2", "public route: to the tuned ReverseProxy", 0.58, false, ratio, per("G2-public", "reverseproxy-tuned")},
		{"G2", "public route: to HAProxy without checks", 2, false, ratio, per("G2-public", "haproxy-plain")},
		{"G2", "public route: CPU a request", 23, false, us, cpu("G2-public")},
		{"G3", "never seen, RS256: to HAProxy RS256", 1.5, false, ratio, per("G3-rs256", "haproxy-rs256")},
		{"G3", "… to HAProxy RS256 that checks the signature alone", 1.5, false, ratio, per("G3-rs256", "haproxy-rs256-bare")},
		{"G3", "never seen, ES256: to HAProxy ES256", 1.1, false, ratio, per("G3-es256", "haproxy-es256")},
		{"G3", "… to HAProxy ES256 that checks the signature alone", 1.1, false, ratio, per("G3-es256", "haproxy-es256-bare")},
		{"G3", "never seen, RS256: CPU a request", 75, false, us, cpu("G3-rs256")},
		{"G3", "never seen, ES256: CPU a request", 115, false, us, cpu("G3-es256")},
		{"G4", "token endpoint: CPU a token", 55, false, us, cpu("G4-token")},
		{"G4", "token endpoint: tokens a second on a core", 17_000, true, "%.0f", of("G4-token", rate)},
		{"G5", "what Redis adds: CPU a request", 2, false, us, minus("G1-rs256", "G5-memory")},
		{"G5", "what Redis adds: round trips a request", 0.05, false, "%.4f", of("G1-rs256", func(m round) float64 { return m.trips })},
		{"G6", "10 KB replies: to HAProxy RS256 with the same", 0.60, false, ratio, per("G6-10k", "haproxy-rs256-10k")},
		{"G6", "10 KB replies: CPU a request", 31, false, us, cpu("G6-10k")},
		{"G7", "bad signature: to an allowed token that was never seen", 1, false, ratio, per("G7-forged", "G3-rs256")},
		{"G7", "wrong scope: to an allowed request", 1, false, ratio, per("G7-scope", "G1-rs256")},
		{"G7", "over the limit: to an allowed request", 1, false, ratio, per("G7-limit", "G1-rs256")},
		{"G7", "p99 of good requests beside as many bad signatures: to alone", 2, false, ratio, quotient("G7-flood", "G1-rs256", p99)},
		{"G7", "the same beside as many good ones, for comparison", 2, false, ratio, quotient("G7-crowd", "G1-rs256", p99)},
		{"G8", "resident, idle, 200 routes and 10 000 clients", 60, false, "%.0f MiB", only("rss")},
		{"G8", "its own memory per idle connection", 15, false, "%.1f KiB", only("conn")},
		{"G8", "its own memory that a million revocations add", 100, false, "%.0f MiB", only("revoked")},
		{"G8", "its own memory after long load: to after the second tenth of it", 1.1, false, ratio, only("soak")},
		{"G9", "2000 routes: to 10", 1.1, false, ratio, per("G9-routes", "G1-rs256")},
		{"G9", "10 000 clients: to 10", 1.1, false, ratio, per("G9-clients", "G1-rs256")},
		{"G9", "a million revocations: to none", 1.1, false, ratio, per("G1-rs256", "G9-unrevoked")},
		{"G9", "GOMAXPROCS=2, on both cores with the load: to 1", 1.1, false, ratio, per("G9-procs", "G1-rs256")},
		{"G10", "start, 2000 routes and 10 000 clients", 300, false, "%.0f ms", only("start-large")},
		{"G10", "start, a million revocations in the journal", 1000, false, "%.0f ms", only("start-revoked")},
	}
}

func minus(name, other string) func(*tables) (float64, bool) {
	return func(t *tables) (float64, bool) {
		a, ok1 := t.scenario(name)
		b, ok2 := t.scenario(other)
		return a.cpu - b.cpu, ok1 && ok2
	}
}

func quotient(name, other string, figure func(round) float64) func(*tables) (float64, bool) {
	return func(t *tables) (float64, bool) {
		a, ok1 := t.scenario(name)
		b, ok2 := t.scenario(other)
		if !ok1 || !ok2 {
			return 0, false
		}
		return figure(a) / figure(b), true
	}
}

// scenario is the median round of a scenario, of the first binary where there are several.
func (t *tables) scenario(name string) (round, bool) {
	for _, e := range t.list {
		if e.name == name {
			return t.middle(e.label)
		}
	}
	return round{}, false
}

// met reports whether the value is within the bar.
func (g *goal) met(value float64) bool {
	if g.least {
		return value >= g.most
	}
	return value <= g.most
}

// goals has a line for each bar that was measured.
func (t *tables) goals(b *strings.Builder) {
	head := false
	for _, g := range goals() {
		value, ok := g.value(t)
		if !ok {
			continue
		}
		if !head {
			b.WriteString("| Goal | | Bar | Measured | |\n|---|---|---|---|---|\n")
			head = true
		}
		sign, verdict := "≤", "met"
		if g.least {
			sign = "≥"
		}
		if !g.met(value) {
			verdict = "**missed**"
		}
		fmt.Fprintf(b, "| %s | %s | %s "+g.form+" | "+g.form+" | %s |\n", g.id, g.what, sign, g.most, value, verdict)
	}
	if head {
		b.WriteString("\n")
	}
}
