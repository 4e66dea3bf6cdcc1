package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// tables is all that a run has found.
type tables struct {
	list    []*entry
	results map[string][]round
	singles []single
	missing map[string]string // peers without a result, and why
	machine string            // what it ran on, as Markdown
	rounds  int
	length  time.Duration
}

// base is what ratios are to. The first of them that ran counts.
var base = []string{"haproxy-rs256", "haproxy-rs256-bare", "haproxy-plain", "reverseproxy-tuned", "G1-rs256"}

// middle is the median round of an entry; ok is false where it did not run.
func (t *tables) middle(label string) (round, bool) {
	if list := t.results[label]; len(list) > 0 {
		return median(list), true
	}
	return round{}, false
}

// markdown is the whole report.
func (t *tables) markdown() string {
	var b strings.Builder
	b.WriteString(t.machine)
	t.peersTable(&b)
	t.versus(&b)
	t.goals(&b)
	t.once(&b)
	return b.String()
}

// peersTable has a line for each entry, ratios first.
func (t *tables) peersTable(b *strings.Builder) {
	if len(t.list) == 0 {
		return
	}
	to := ""
	for _, name := range base {
		if _, ok := t.middle(name); ok {
			to = name
			break
		}
	}
	if to == "" {
		to = t.list[0].label
	}
	reference, _ := t.middle(to)
	fmt.Fprintf(b, "Medians of %d rounds of %v; the ratio is that of CPU time per request to %s.\n\n", t.rounds, t.length, to)
	b.WriteString("| Scenario | Ratio | CPU µs/request | lowest–highest | requests/s | Core busy, by others | p50 ms | p99 ms | Redis: scripts, round trips a request | What it is |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, e := range t.list {
		m, ok := t.middle(e.label)
		if !ok {
			continue
		}
		low, high := spread(t.results[e.label])
		redis := ""
		if e.shape != nil && e.shape.redis {
			redis = fmt.Sprintf("%.4f, %.4f", m.scripts, m.trips)
		}
		fmt.Fprintf(b, "| %s | %.2f | %.1f | %.1f–%.1f | %.0f | %.0f %%, %.0f %% | %s | %s | %s | %s |\n", e.label, m.cpu/reference.cpu, m.cpu, low, high,
			m.perSecond(), 100*m.busy, 100*m.others, ms(m.p50), ms(m.p99), redis, e.about)
	}
	b.WriteString("\n")
	for _, peer := range sortedKeys(t.missing) {
		fmt.Fprintf(b, "%s was not measured: it could not be built here (%s).\n\n", peer, firstWords(t.missing[peer]))
	}
}

// versus compares two binaries: a line for each scenario that both ran. Rounds of the two that came one after the other are
// compared, and the median of those ratios counts: what changes on the machine in the course of a run is in both.
func (t *tables) versus(b *strings.Builder) {
	var head bool
	for _, e := range t.list {
		name, binary, two := strings.Cut(e.label, "@")
		other := t.partner(name, e.label)
		first, second := t.results[e.label], t.results[other]
		if !two || len(first) == 0 || len(first) != len(second) {
			continue
		}
		if !head {
			_, otherBinary, _ := strings.Cut(other, "@")
			fmt.Fprintf(b, "| Scenario | %s ÷ %s | lowest ÷ lowest | CPU µs/request of %s, each round | of %s |\n|---|---|---|---|---|\n", otherBinary, binary, binary, otherBinary)
			head = true
		}
		low1, _ := spread(first)
		low2, _ := spread(second)
		fmt.Fprintf(b, "| %s | %.3f | %.3f | %s | %s |\n", name, paired(first, second), low2/low1, each(first), each(second))
	}
	if head {
		b.WriteString("\n")
	}
}

// paired is the median of the ratios of each round of b to that of a; both have as many.
func paired(a, b []round) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = b[i].cpu / a[i].cpu
	}
	slices.Sort(ratios)
	n := len(ratios)
	return (ratios[(n-1)/2] + ratios[n/2]) / 2
}

// once has a line for each figure that was measured once.
func (t *tables) once(b *strings.Builder) {
	if len(t.singles) == 0 {
		return
	}
	b.WriteString("| Measured once, outside of the rounds | |\n|---|---|\n")
	for _, s := range t.singles {
		fmt.Fprintf(b, "| %s | %.1f %s |\n", s.what, s.value, s.unit)
	}
	b.WriteString("\n")
}

// partner is the entry of the same scenario that comes next after label with the next binary; "" is none.
func (t *tables) partner(name, label string) string {
	at := slices.IndexFunc(t.list, func(e *entry) bool { return e.label == label })
	for _, e := range t.list[at+1:] {
		if strings.HasPrefix(e.label, name+"@") {
			return e.label
		}
	}
	return ""
}

func each(rounds []round) string {
	words := make([]string, len(rounds))
	for i, r := range rounds {
		words[i] = fmt.Sprintf("%.2f", r.cpu)
	}
	return strings.Join(words, ", ")
}

// spread is the lowest and the highest CPU time per request of the rounds.
func spread(rounds []round) (low, high float64) {
	low, high = rounds[0].cpu, rounds[0].cpu
	for _, r := range rounds {
		low, high = min(low, r.cpu), max(high, r.cpu)
	}
	return low, high
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// firstWords is enough of an error to know it by.
func firstWords(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 200)]
}
