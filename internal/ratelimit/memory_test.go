package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func hourly(burst int64) []*Policy {
	return []*Policy{{Name: "p", Requests: 1, Per: time.Hour, Burst: burst}}
}

func client(n int) *Subject { return &Subject{ByClient, "local", fmt.Sprint(n)} }

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const perShard = 4
	m, policies := newMemory(perShard*shards), hourly(1)
	for n := range 20_000 {
		m.take(start, client(n), policies, 1)
	}
	own := 0
	for i := range m.shard {
		own += len(m.shard[i].buckets)
		if got := len(m.shard[i].overflow); got > slots {
			t.Errorf("%d buckets in common in one shard, wanted at most %d", got, slots)
		}
	}
	if own > perShard*shards || m.keys() < own {
		t.Errorf("%d buckets, %d with those in common, wanted at most %d", own, m.keys(), perShard*shards)
	}
	if m.shared.Load() == 0 || m.dropped.Load() != 0 {
		t.Errorf("%d charges in common and %d dropped, wanted some and none", m.shared.Load(), m.dropped.Load())
	}
	shared, later := m.shared.Load(), start+3600*second
	for n := range 32 {
		if d := m.take(later, client(100_000+n), policies, 1); !d.OK {
			t.Errorf("client %d: %+v, wanted a pass in the place of a bucket that is full again", n, d)
		}
	}
	if m.dropped.Load() == 0 || m.shared.Load() != shared {
		t.Errorf("%d dropped and %d more in common, wanted some and none", m.dropped.Load(), m.shared.Load()-shared)
	}
}

// Whatever is dropped or counted in common, nobody gets more than with buckets for all.
func TestLackOfRoomNeverLetsMorePass(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	m, all, policies := newMemory(2*shards), model{}, hourly(3)
	policies[0].Requests = 20 // full again after nine minutes; each client asks every eight
	now, admitted := start, 0
	for range 50_000 {
		now += r.Int64N(second)
		n := r.IntN(1000)
		if !m.take(now, client(n), policies, 1).OK {
			continue
		}
		admitted++
		if d := all.take(now, fmt.Sprint(n), 1, policies); !d.OK {
			t.Fatalf("client %d was let pass and should wait %v", n, d.RetryAfter)
		}
	}
	if admitted == 0 || m.shared.Load() == 0 || m.dropped.Load() == 0 {
		t.Errorf("%d admitted, %d in common, %d dropped: the test met no lack of room", admitted, m.shared.Load(), m.dropped.Load())
	}
}

// Subjects of one value, however many, leave those of other values alone.
func TestLackOfRoomStaysWithWhoMadeIt(t *testing.T) {
	t.Parallel()
	m, policies := newMemory(16*shards), hourly(1)
	for n := range 20_000 {
		m.take(start, &Subject{ByIP, fmt.Sprint(n), "2001:db8::/64"}, policies, 1)
	}
	if m.shared.Load() == 0 {
		t.Fatal("there was no lack of room")
	}
	refused := 0
	for n := range 1000 {
		if !m.take(start, client(n), policies, 0).OK || !m.take(start, client(n), policies, 1).OK {
			refused++
		}
	}
	if refused > 10 {
		t.Errorf("%d of 1000 others are refused, wanted none but by chance", refused)
	}
}

func TestFullBucketsAreNotKept(t *testing.T) {
	t.Parallel()
	m := newMemory(1 << 20)
	m.take(start, client(1), hourly(1), 0) // costs nothing
	m.take(start, client(2), hourly(1), 2) // refused
	if n := m.keys(); n != 0 {
		t.Errorf("%d buckets are held, wanted none", n)
	}
}

func TestAClockSetBackHealsTheCommonBucket(t *testing.T) {
	t.Parallel()
	m, policies := newMemory(1), hourly(1)
	now := start + 100*3600*second
	for n := range 1000 {
		m.take(now, client(n), policies, 1)
	}
	refused := 0
	for n := range 1000 {
		if !m.take(start, client(5000+n), policies, 1).OK {
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("nobody is counted in common")
	}
	passed := 0
	for n := range 1000 {
		if m.take(start+3600*second, client(9000+n), policies, 1).OK {
			passed++
		}
	}
	if passed == 0 {
		t.Error("all are refused an interval after the clock was set back")
	}
}
