package revoke

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// named gives a node a name.
func named(name string) func(*Options, *pace) {
	return func(o *Options, _ *pace) { o.Name, o.Version = name, "v1.2.3" }
}

// TestFleetIsNamed: each node knows who else is there, by name, and how far they are; one of an older version has no name,
// and counts like the others.
func TestFleetIsNamed(t *testing.T) {
	t.Parallel()
	e, _ := fleet(t, 0)
	c := e.server.Client()
	a := e.start(t, t.TempDir(), named("web-1:8080")).synced()
	b := e.start(t, t.TempDir(), named("web-2:8080\x1b[2Jé"+strings.Repeat("x", 200))).synced()
	old := e.start(t, t.TempDir()).synced()
	a.mustRevoke(live("first"))
	for _, n := range []*node{a, b, old} {
		n.sees("first")
		eventually(t, "all three are known, and are up to date", func() bool {
			got := n.Fleet().Nodes
			return len(got) == 3 && got[0].Behind == 0 && got[1].Behind == 0 && got[2].Behind == 0
		})
	}
	got := a.Fleet().Nodes
	if got[0].Name != "" || got[0].Version != "" || len(got[0].ID) != 26 || got[0].Self || !got[0].Live {
		t.Errorf("a node without a name: %+v", got[0])
	}
	if got[1].Name != "web-1:8080" || got[1].Version != "v1.2.3" || !got[1].Self || !got[1].Live || got[1].Applied != a.Fleet().Head {
		t.Errorf("this node: %+v", got[1])
	}
	if name := got[2].Name; !strings.HasPrefix(name, "web-2:8080?[2J") || len(name) != maxName || got[2].Self {
		t.Errorf("a node with an odd name: %+v", got[2])
	}
	if res := old.mustRevoke(live("second")); res.Applied != 3 || res.Live != 3 {
		t.Errorf("a node without a name says %+v", res)
	}

	stuck := fmt.Sprintf("%d 1-0", time.Now().Add(30*time.Second).UnixMilli()) // of a Redis whose clock was ahead
	if err := c.HSet(t.Context(), a.feed.keys.nodes, "gone 1 stuck", stuck, "gone 2 odd", "x y").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a node far behind is seen", func() bool {
		for _, m := range a.Fleet().Nodes {
			if m.Name == "stuck" {
				return m.Behind > time.Hour && !m.Live
			}
		}
		return false
	})
	b.stop()
	eventually(t, "a node that left is gone", func() bool { return !strings.Contains(fmt.Sprint(a.Fleet()), "web-2") })

	e.server.Stop()
	before := a.Fleet()
	eventually(t, "what is known ages", func() bool { return a.Fleet().Age > before.Age+100*time.Millisecond })
	if after := a.Fleet(); len(after.Nodes) < 2 {
		t.Errorf("with Redis away: %+v", after)
	}
}

func TestFleetOfOne(t *testing.T) {
	if f := (engine{}).start(t, t.TempDir(), named("web-1:8080")).Fleet(); len(f.Nodes) != 0 {
		t.Errorf("a node without Redis knows %+v", f)
	}
}

func TestBehind(t *testing.T) {
	head := streamID{5000, 2}
	for applied, want := range map[string]time.Duration{"5000-2": 0, "5000-3": 0, "5000-1": time.Millisecond, "4000-9": time.Second, "0-0": math.MaxInt64, "": math.MaxInt64,
		"5000-2 web-1": math.MaxInt64} {
		if got := behind(head, applied); got != want {
			t.Errorf("behind(%q) = %v, want %v", applied, got, want)
		}
	}
	if got := behind(streamID{}, "0-0"); got != 0 {
		t.Errorf("an empty log: %v", got)
	}
}
