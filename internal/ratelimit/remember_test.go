package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

func remembering(t testing.TB) *rig { return engines["remembered"](t) }

// A flood over the limit costs Redis nothing until the bucket could have room, or a second has passed.
func TestAFloodOverTheLimitCostsNoCall(t *testing.T) {
	t.Parallel()
	r := remembering(t)
	p := &Policy{Name: "p", Requests: 10, Per: time.Second, Burst: 3, OnError: Closed} // one each 100 ms
	for range 3 {
		r.take("a", 1, p)
	}
	before := r.Stats().Calls
	for i := range 100 {
		d := r.take("a", 1, p)
		left := 100*time.Millisecond - time.Duration(i)*time.Millisecond
		if d.OK || d.Source != Remembered || d.Policy != p || d.RetryAfter != left || d.Reset != left+200*time.Millisecond || d.Remaining != 0 {
			t.Fatalf("request %d: %+v, wanted a refusal for %s that is remembered", i, d, left)
		}
		r.advance(time.Millisecond)
	}
	if calls := r.Stats().Calls - before; calls != 0 {
		t.Errorf("%d calls for 100 refusals", calls)
	}
	if d := r.take("a", 1, p); !d.OK || d.Source != Redis {
		t.Errorf("once there is room: %+v, wanted a pass", d)
	}
	hour := &Policy{Name: "hour", Requests: 1, Per: time.Hour, Burst: 1, OnError: Closed}
	r.take("a", 1, hour)
	r.advance(time.Second)
	if d := r.take("a", 1, hour); d.OK || d.Source != Redis || d.RetryAfter != time.Hour-time.Second {
		t.Errorf("after a second: %+v, wanted Redis asked again", d)
	}
}

// What refuses a high cost lets a lower one through where there is room for it.
func TestARefusalIsOfItsCost(t *testing.T) {
	t.Parallel()
	r := remembering(t)
	p := hourly(10)[0]
	p.OnError = Closed
	r.take("a", 6, p)
	for _, row := range []struct {
		cost   int64
		ok     bool
		source Source
		left   int64
	}{
		{5, false, Remembered, 4}, {9, false, Remembered, 4}, {4, true, Redis, 0}, {1, false, Remembered, 0}, {0, true, Redis, 0},
	} {
		if d := r.take("a", row.cost, p); d.OK != row.ok || d.Source != row.source || d.Remaining != row.left {
			t.Errorf("cost %d: %+v, wanted %+v", row.cost, d, row)
		}
	}
}

// A bucket that was emptied in Redis, or a policy that a reload changed, is seen.
func TestARefusalIsForgotten(t *testing.T) {
	t.Parallel()
	r := remembering(t)
	p := hourly(1)[0]
	p.OnError = Closed
	r.take("a", 1, p)
	raised := *p
	raised.Burst = 2
	if d := r.take("a", 1, &raised); !d.OK {
		t.Errorf("a raised burst: %+v, wanted a pass", d)
	}
	if d := r.take("a", 1, p); d.OK || d.RetryAfter != time.Hour {
		t.Errorf("%+v, wanted a refusal", d)
	}
	r.redis.Del(t.Context(), "gh:rl:{"+tagOf(Subject{ByClient, "local", "a"})+"}:p")
	if d := r.take("a", 1, p); d.OK || d.Source != Remembered {
		t.Errorf("%+v, wanted a refusal that is remembered", d)
	}
	r.advance(time.Second)
	if d := r.take("a", 1, p); !d.OK {
		t.Errorf("a second after the bucket was emptied: %+v, wanted a pass", d)
	}
	r.exact = true
	if d := r.take("a", 1, p); d.OK || d.Source != Redis {
		t.Errorf("an exact charge: %+v, wanted Redis asked", d)
	}
}

// A refusal stands until there is room, and for 5 ms at least, or a quarter of what the bucket takes to refill where that is
// less. A lower cost is not held up.
func TestARefusalStandsForAMoment(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p     Policy
		still time.Duration
	}{
		{Policy{Name: "p", Requests: 10_000, Per: time.Second, Burst: 5000, OnError: Closed}, 5 * time.Millisecond},
		{Policy{Name: "p", Requests: 10_000, Per: time.Second, Burst: 100, OnError: Closed}, 2500 * time.Microsecond},
		{Policy{Name: "p", Requests: 100, Per: time.Second, Burst: 100, OnError: Closed}, 20 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(tt.p.Requests, " with ", tt.p.Burst), func(t *testing.T) {
			t.Parallel()
			r := onRedis(t, tuning{remember: tuned.remember, quiet: tuned.quiet}, Redis, Remembered)
			r.take("a", tt.p.Burst, &tt.p)
			if d := r.take("a", 2, &tt.p); d.OK {
				t.Fatalf("%+v, wanted a refusal", d)
			}
			r.advance(tt.still / 2)
			if d := r.take("a", 2, &tt.p); d.OK || d.RetryAfter != tt.still-tt.still/2 || d.Remaining >= 2 {
				t.Errorf("%+v, wanted a refusal for %s more", d, tt.still-tt.still/2)
			}
			if d := r.take("a", 1, &tt.p); !d.OK {
				t.Errorf("a lower cost: %+v, wanted a pass", d)
			}
			r.advance(tt.still - tt.still/2 - time.Microsecond)
			if d := r.take("a", 2, &tt.p); d.OK {
				t.Errorf("a microsecond early: %+v, wanted a refusal", d)
			}
			r.advance(time.Microsecond + 10*time.Millisecond) // 10 ms for the lower cost that passed
			if d := r.take("a", 2, &tt.p); !d.OK {
				t.Errorf("in time: %+v, wanted a pass", d)
			}
		})
	}
}

// A million subjects that are each seen once take no more room than there is; nobody is refused for it.
func TestWhatIsKnownIsBounded(t *testing.T) {
	t.Parallel()
	r := remembering(t)
	r.fleet.known.max = 4
	p := hourly(1)[0]
	p.OnError = Closed
	for n := range 2000 {
		if d := r.take(fmt.Sprint(n), 1, p); !d.OK {
			t.Fatalf("subject %d: %+v, wanted a pass", n, d)
		}
		if d := r.take(fmt.Sprint(n), 1, p); d.OK {
			t.Fatalf("subject %d again: %+v, wanted a refusal", n, d)
		}
	}
	st := r.Stats()
	if st.Known > 4*shards || st.Known < 2*shards || st.Unknown == 0 {
		t.Errorf("%+v, wanted at most %d known and some without room", st, 4*shards)
	}
	r.advance(2 * time.Second) // nothing is refused from memory any more
	for n := range 1000 {
		r.take(fmt.Sprint("later ", n), 0, p)
	}
	if more := r.Stats().Unknown - st.Unknown; more > 900 {
		t.Errorf("%d of 1000 found no room where the rest was of no use any more", more)
	}
}
