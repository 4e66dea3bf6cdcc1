package ratelimit

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// TestLookForetellsCheck: what Look says is what Check does next, and to look changes nothing.
func TestLookForetellsCheck(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		random := rand.New(rand.NewPCG(1, 2))
		a := &Policy{Name: "a", Requests: 10, Per: time.Second, Burst: 10}
		b := &Policy{Name: "b", Requests: 60, Per: time.Minute, Burst: 20}
		c := &Policy{Name: "c", Requests: 3, Per: time.Second, Burst: 7}
		refused := 0
		for i := range 300 {
			charges := []Charge{{Subject: Subject{ByIP, "", "192.0.2.1"}, Policies: []*Policy{a, c}}, {Subject: Subject{ByClient, "local", "x"}, Policies: []*Policy{b}}}[:1+random.IntN(2)]
			cost := int64(random.IntN(4))
			for range 3 {
				r.Look(context.Background(), charges, cost)
			}
			look := r.Look(context.Background(), charges, cost)
			check := r.Check(context.Background(), charges, cost)
			if look.OK != check.OK || !look.OK && (look.Policy != check.Policy || look.RetryAfter <= 0) {
				t.Fatalf("step %d, cost %d: looked %+v, checked %+v", i, cost, look, check)
			}
			if !check.OK {
				refused++
			}
			r.advance(time.Duration(random.IntN(150)) * time.Millisecond)
		}
		if refused < 20 || refused > 280 {
			t.Errorf("%d of 300 were refused: too few or too many to tell", refused)
		}
		if d := r.Look(context.Background(), nil, 1); !d.OK || d.Policy != nil {
			t.Errorf("nothing to look at: %+v", d)
		}
		if d := r.Look(context.Background(), []Charge{{Policies: []*Policy{{Name: "none"}}}}, 1); d.OK {
			t.Errorf("a policy that is none: %+v", d)
		}
	})
}
