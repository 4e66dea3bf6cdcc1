package faults

import (
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func (n *node) ready() bool {
	status, _ := n.f.get(*n.admin.Load() + "/-/ready")
	return status == 200
}

func (f *fleet) get(url string) (int, string) {
	res, err := f.http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// metrics are the node's series, each under its name with its labels as they stand in the text.
func (n *node) metrics() map[string]float64 {
	_, text := n.f.get(*n.admin.Load() + "/metrics")
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if value != "" {
			name += "}"
		} else {
			name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = v
		}
	}
	return out
}

// metric is the value of one series; -1 where it is not there.
func (n *node) metric(series string) float64 {
	if v, ok := n.metrics()[series]; ok {
		return v
	}
	return -1
}

// well reports whether the node and its Redis are on terms, and it knows of so many nodes.
func (n *node) well(fleet int) bool { return len(n.ails(fleet)) == 0 }

// ails is what a node that is not well lacks.
func (n *node) ails(fleet int) map[string]bool {
	m, out := n.metrics(), map[string]bool{}
	for what, good := range map[string]bool{
		"no heartbeat":          m["gatehouse_redis_up"] == 1,
		"an open breaker":       m["gatehouse_redis_breaker_open"] == 0,
		"waiting revocations":   m["gatehouse_revocation_outbox_entries"] == 0,
		"old revocations":       m["gatehouse_revocation_staleness_seconds"] < 1.5,
		"another size of fleet": m["gatehouse_fleet_nodes"] == float64(fleet),
	} {
		if !good {
			out[what] = true
		}
	}
	return out
}

func (n *node) staleness() time.Duration {
	return time.Duration(n.metric("gatehouse_revocation_staleness_seconds") * float64(time.Second))
}

// stacks is what each goroutine does, but for those of the networks.
func stacks() (out []string) {
	all := make([]byte, 8<<20)
	for one := range strings.SplitSeq(string(all[:runtime.Stack(all, true)]), "\n\n") {
		if !strings.Contains(one, "gatehouse/internal/redistest") {
			out = append(out, one)
		}
	}
	return out
}

// settle waits until every node is well, and returns how long that took. On a machine that is busy enough, a call misses its budget
// now and then, and the breaker opens for a moment: so each thing that makes a node well needs to be seen once.
func (f *fleet) settle() time.Duration {
	f.t.Helper()
	start := time.Now()
	seen := map[string]int{}
	for _, n := range f.nodes {
		for left := n.ails(len(f.nodes)); len(left) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > patience {
				f.t.Fatalf("%s is not well after %s, it has %v; its log:\n%s\nwhat all nodes do:\n%s", n.name, patience, left, n.log, strings.Join(stacks(), "\n\n"))
			}
			now := n.ails(len(f.nodes))
			for what := range left {
				seen[what]++
				if !now[what] {
					delete(left, what)
				}
			}
		}
	}
	took := time.Since(start)
	if took > slowHeal {
		f.t.Logf("it took %s until all were well; how often they were seen to have what: %v", took, seen)
	}
	return took
}
