package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rounds makes rounds of these CPU times, each with a p99 of as many milliseconds, at one request a CPU time.
func rounds(cpu ...float64) (list []round) {
	for _, c := range cpu {
		r := report{requests: int64(4e6 / c), elapsed: 4 * time.Second, p50: time.Millisecond, p99: time.Duration(c * float64(time.Millisecond))}
		list = append(list, round{report: r, served: r.requests, cpu: c, busy: 1})
	}
	return list
}

func entriesOf(labels ...string) (list []*entry) {
	for _, label := range labels {
		name, _, _ := strings.Cut(label, "@")
		list = append(list, &entry{scenario: &scenario{name: name, about: "about " + name}, label: label})
	}
	return list
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		cpu  []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{9, 5}, 5}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2}} {
		if got := median(rounds(tc.cpu...)); got.cpu != tc.want || got.p99 != time.Duration(tc.want)*time.Millisecond {
			t.Errorf("median of %v is %v with p99 %v, want the whole round of %v", tc.cpu, got.cpu, got.p99, tc.want)
		}
	}
}

func TestTablesRatiosAndGoals(t *testing.T) {
	tb := &tables{
		list: entriesOf("haproxy-rs256", "G1-rs256", "G7-flood", "G2-public"),
		results: map[string][]round{
			"haproxy-rs256": rounds(50, 40, 60),
			"G1-rs256":      rounds(30, 20, 40),
			"G7-flood":      rounds(45),
		},
		singles: []single{{"start-large", "start", 301, "ms"}, {"start-revoked", "start", 1000, "ms"}},
		missing: map[string]string{"caddy": "no\nsuch module"},
		machine: "MACHINE\n\n", rounds: 3, length: 4 * time.Second,
	}
	text := tb.markdown()
	for _, want := range []string{
		"MACHINE\n\nMedians of 3 rounds of 4s; the ratio is that of CPU time per request to haproxy-rs256.",
		"| haproxy-rs256 | 1.00 | 50.0 | 40.0–60.0 | 20000 | 100 %, 0 % | 1.00 | 50.00 |  | about haproxy-rs256 |",
		"| G1-rs256 | 0.60 | 30.0 | 20.0–40.0 | 33333 |",
		"caddy was not measured: it could not be built here (no such module).",
		"| G1 | warm, RS256: to HAProxy RS256 | ≤ 0.50 | 0.60 | **missed** |",
		"| G1 | warm, RS256: requests a second on a core | ≥ 40000 | 33333 | **missed** |",
		"| G7 | p99 of good requests beside as many bad signatures: to alone | ≤ 2.00 | 1.50 | met |",
		"| G10 | start, 2000 routes and 10 000 clients | ≤ 300 ms | 301 ms | **missed** |",
		"| G10 | start, a million revocations in the journal | ≤ 1000 ms | 1000 ms | met |",
		"| start | 301.0 ms |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	for _, none := range []string{"| G2-public |", "| G2 |", "| G8 |", "÷"} {
		if strings.Contains(text, none) {
			t.Errorf("the report has %q, which was not measured", none)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestPaired(t *testing.T) {
	for _, tc := range []struct {
		a, b []float64
		want float64
	}{{[]float64{10}, []float64{5}, 0.5}, {[]float64{10, 40}, []float64{5, 30}, 0.625}, {[]float64{10, 20, 40}, []float64{11, 20, 20}, 1}} {
		if got := paired(rounds(tc.a...), rounds(tc.b...)); got != tc.want {
			t.Errorf("%v to %v is %v, want %v", tc.b, tc.a, got, tc.want)
		}
	}
}

func TestTwoBinariesAreCompared(t *testing.T) {
	tb := &tables{
		list:    entriesOf("G1-rs256@old", "G1-rs256@new", "haproxy-rs256"),
		results: map[string][]round{"G1-rs256@old": rounds(40, 42, 41), "G1-rs256@new": rounds(21, 30, 20), "haproxy-rs256": rounds(50)},
	}
	text := tb.markdown()
	for _, want := range []string{
		"| Scenario | new ÷ old | lowest ÷ lowest | CPU µs/request of old, each round | of new |",
		"| G1-rs256 | 0.525 | 0.500 | 40.00, 42.00, 41.00 | 21.00, 30.00, 20.00 |",
		"| G1 | warm, RS256: CPU a request | ≤ 25.0 µs | 41.0 µs | **missed** |", // goals are the first binary's
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

// Each goal reads what some scenario or single figure gives: a name that is misspelt would never be measured.
func TestGoalsCanBeMeasured(t *testing.T) {
	tb := &tables{results: map[string][]round{}}
	for _, s := range scenarios() {
		tb.list = append(tb.list, &entry{scenario: s, label: s.name})
		tb.results[s.name] = rounds(10)
	}
	for _, key := range []string{"rss", "conn", "revoked", "soak", "start-large", "start-revoked"} {
		tb.singles = append(tb.singles, single{key, key, 1, ""})
	}
	for _, g := range goals() {
		if _, ok := g.value(tb); !ok {
			t.Errorf("%s, %s: nothing measures it", g.id, g.what)
		}
	}
	if len(goals()) == 0 {
		t.Error("there are no goals")
	}
}

func TestScenariosAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios() {
		if seen[s.name] || s.about == "" || s.load == nil || (s.shape == nil) == (s.start == nil) || (s.shape == nil) != (s.peer != "") {
			t.Errorf("%s comes twice or is not whole", s.name)
		}
		seen[s.name] = true
	}
}

func TestSplice(t *testing.T) {
	for _, tc := range []struct{ name, old, want string }{
		{"nothing before", "", beginMark + "\nNEW\n" + endMark + "\n"},
		{"no markers", "text", beginMark + "\nNEW\n" + endMark + "\n"},
		{"half a marker", "text " + beginMark, beginMark + "\nNEW\n" + endMark + "\n"},
		{"between", "before\n" + beginMark + "\nold\n" + endMark + "\nafter\n", "before\n" + beginMark + "\nNEW\n" + endMark + "\nafter\n"},
	} {
		if got := splice(tc.old, "NEW\n"); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestParseStarts(t *testing.T) {
	const out = `goos: linux
BenchmarkStart/small-2         	       7	        20.00 ms-best	        24.00 ms-cpu	        22.00 ms-median
BenchmarkStart/million_revocations-2 	       7	       164.0 ms-best	       188.0 ms-cpu	       168.0 ms-median
BenchmarkStart/2000_routes,_10000_clients-2         	       7	       332.0 ms-best	       432.0 ms-cpu	       340.0 ms-median
PASS
`
	got, err := parseStarts(out)
	want := []single{{"start-small", "start until ready: small", 22, "ms"}, {"start-revoked", "start until ready: million revocations", 168, "ms"},
		{"start-large", "start until ready: 2000 routes, 10000 clients", 340, "ms"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := parseStarts("PASS\n"); err == nil {
		t.Errorf("got %v of nothing, want an error", got)
	}
}
