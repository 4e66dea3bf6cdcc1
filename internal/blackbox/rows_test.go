package blackbox

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// row is one requirement of testdata/p0.txt. The rows of an engine share a deployment and run at once; one that changes
// what others would see gets a deployment of its own by c.deploy.
type row struct {
	id  string
	run func(c *call)
}

// rows are all that is seen here, in the order of testdata/p0.txt.
var rows = slices.Concat(tokRows, rspRows, errRows, autRows, jcaRows, resRows, jwtRows, keyRows, revRows, intRows, limRows)

// unseen are the rows that can't be seen from outside, each with the reason.
var unseen = map[string]string{}

// TestRows runs every row on both engines.
func TestRows(t *testing.T) {
	for _, engine := range []string{embedded, fleet} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, plan{engine: engine})
			for _, r := range rows {
				t.Run(r.id, func(t *testing.T) {
					t.Parallel()
					r.run(&call{T: t, deployment: d, from: newSource()})
				})
			}
		})
	}
}

// deploy starts a deployment for this row alone.
func (c *call) deploy(p plan) *call {
	c.Helper()
	p.engine = c.plan.engine
	return &call{T: c.T, deployment: deploy(c.T, p), from: newSource()}
}

// TestEveryRowIsTold fails where a requirement is neither tested nor said to be unseen, or is told twice.
func TestEveryRowIsTold(t *testing.T) {
	told := map[string]int{}
	for _, r := range rows {
		told[r.id]++
	}
	for id, why := range unseen {
		told[id]++
		if why == "" {
			t.Errorf("%s is unseen without a reason", id)
		}
	}
	list, err := os.ReadFile("testdata/p0.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		count++
		id, _, _ := strings.Cut(line, " ")
		if told[id] != 1 {
			t.Errorf("%s is told %d times, want once", id, told[id])
		}
		delete(told, id)
	}
	for id := range told {
		t.Errorf("%s is not in testdata/p0.txt", id)
	}
	if count != 150 {
		t.Errorf("testdata/p0.txt lists %d rows, want 150", count)
	}
}
