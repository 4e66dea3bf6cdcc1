package lockout

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/ratelimit"
	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("192.0.2.2")
)

// engine makes stores that share their counts where there is a Redis.
type engine struct {
	redis *redistest.Server
}

func (e engine) store(t *testing.T) *Store {
	if e.redis == nil {
		return NewStore(nil)
	}
	c := redisx.Open(redisx.Options{Addrs: []string{e.redis.Addr()}, Prefix: "gh", Budget: 10 * time.Second})
	t.Cleanup(func() { c.Close() })
	return NewStore(ratelimit.New(ratelimit.Options{Redis: c}))
}

func onBoth(t *testing.T, test func(*testing.T, engine)) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, engine{}) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, engine{redistest.Start(t)}) })
}

// fail fails n times and wants each answered as what it is.
func fail(t *testing.T, l *Lockout, source netip.Addr, id string, n int) {
	t.Helper()
	for i := range n {
		if wait := l.Failed(context.Background(), source, id); wait != 0 {
			t.Fatalf("failure %d of %d: locked for %s", i+1, n, wait)
		}
	}
}

func TestLocks(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		l := New(e.store(t), 10, time.Hour)
		ctx := context.Background()
		fail(t, l, here, "billing", 9)
		if wait := l.Locked(ctx, here, "billing"); wait != 0 {
			t.Errorf("locked for %s after 9 failures", wait)
		}
		fail(t, l, here, "billing", 1)
		for range 3 {
			if wait := l.Locked(ctx, here, "billing"); wait < 59*time.Minute || wait > time.Hour {
				t.Errorf("locked for %s after 10 failures, want an hour", wait)
			}
			if wait := l.Failed(ctx, here, "billing"); wait < 59*time.Minute || wait > time.Hour {
				t.Errorf("a failure while locked: %s, want what is left of an hour", wait)
			}
		}
		if wait := l.Locked(ctx, here, "other", "billing"); wait == 0 {
			t.Error("one of two ids is locked, and neither is")
		}
		for _, p := range []struct {
			source netip.Addr
			id     string
		}{{there, "billing"}, {here, "other"}, {here, "billing "}, {here, ""}, {netip.Addr{}, "billing"}} {
			if wait := l.Locked(ctx, p.source, p.id); wait != 0 {
				t.Errorf("%s %q is locked too", p.source, p.id)
			}
		}
	})
}

// Ensure that a lock ends when it says so, and that the failures before it are then forgotten.
func TestLockEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		l := New(e.store(t), 3, time.Second)
		fail(t, l, here, "a", 3)
		wait := l.Locked(context.Background(), here, "a")
		if wait <= 0 || wait > time.Second {
			t.Fatalf("locked for %s", wait)
		}
		for end := time.Now().Add(10 * time.Second); l.Locked(context.Background(), here, "a") > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("still locked")
			}
		}
		fail(t, l, here, "a", 2)
		if wait := l.Locked(context.Background(), here, "a"); wait != 0 {
			t.Errorf("locked for %s by two failures after a lock", wait)
		}
	})
}

// Ensure that failures at the same moment are counted one by one (Keycloak CVE-2024-4629).
func TestAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		l := New(e.store(t), 10, time.Hour)
		var answered atomic.Int64
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				if l.Failed(context.Background(), here, "a") == 0 {
					answered.Add(1)
				}
			})
		}
		all.Wait()
		if got := answered.Load(); got != 10 {
			t.Errorf("%d of 500 failures were answered as such, want 10", got)
		}
	})
}

func TestFleetShares(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	one, two := New(e.store(t), 4, time.Hour), New(e.store(t), 4, time.Hour)
	fail(t, one, here, "a", 2)
	fail(t, two, here, "a", 2)
	if one.Locked(context.Background(), here, "a") == 0 || two.Locked(context.Background(), here, "a") == 0 {
		t.Error("four failures on two nodes lock nobody")
	}
	keys := e.redis.Client().Keys(context.Background(), "*").Val()
	for _, key := range keys {
		if ttl := e.redis.Client().TTL(context.Background(), key).Val(); ttl <= 0 || ttl > time.Hour {
			t.Errorf("%s is kept for %s", key, ttl)
		}
	}
	if len(keys) < 2 {
		t.Errorf("Redis holds %q", keys)
	}
}

// Ensure that a node counts by itself while Redis is away.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	l := New(e.store(t), 4, time.Hour)
	e.redis.Kill()
	fail(t, l, here, "a", 4)
	if l.Locked(context.Background(), here, "a") == 0 || l.Failed(context.Background(), here, "a") == 0 {
		t.Error("without Redis nobody is locked out")
	}
	if wait := l.Locked(context.Background(), there, "a"); wait != 0 {
		t.Errorf("another address is locked for %s", wait)
	}
}

// Ensure that made-up ids neither fill the memory nor change what is known of another pair.
func TestMadeUpIDs(t *testing.T) {
	t.Parallel()
	s := NewStore(nil)
	l := New(s, 10, 24*time.Hour)
	fail(t, l, there, "billing", 10)
	const ids = 200_000
	for i := range ids {
		l.Failed(context.Background(), here, fmt.Sprint("made-up-", i))
	}
	if got := s.Keys(); got > 2*65536+64 {
		t.Errorf("%d counters after %d made-up ids of one address", got, ids)
	}
	if l.Locked(context.Background(), there, "billing") == 0 {
		t.Error("the lock of another pair is gone")
	}
	if wait := l.Locked(context.Background(), there, "payments"); wait != 0 {
		t.Errorf("a client at another address is locked for %s", wait)
	}
}

// IPv6 callers have a /64 each (RFC 4291 section 2.5.4), so it counts as one address.
func TestIPv6(t *testing.T) {
	t.Parallel()
	l := New(NewStore(nil), 2, time.Hour)
	fail(t, l, netip.MustParseAddr("2001:db8::1"), "a", 1)
	fail(t, l, netip.MustParseAddr("2001:db8::ffff:2"), "a", 1)
	if l.Locked(context.Background(), netip.MustParseAddr("2001:db8::3"), "a") == 0 {
		t.Error("addresses of one /64 count apart")
	}
	if l.Locked(context.Background(), netip.MustParseAddr("2001:db8:0:1::1"), "a") != 0 {
		t.Error("addresses of two /64 count as one")
	}
}

// Ensure that a stranger who fills the memory from a few addresses locks nobody out elsewhere.
func TestFullMemoryLocksNobodyElse(t *testing.T) {
	t.Parallel()
	store := &Store{local: ratelimit.New(ratelimit.Options{MaxKeys: 4096})}
	l, ctx := New(store, 5, 10*time.Minute), context.Background()
	for i := range 20_000 {
		l.Failed(ctx, netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i%16)), fmt.Sprint(i))
	}
	if l.Locked(ctx, netip.MustParseAddr("2001:db8::1"), "billing") == 0 {
		t.Fatal("there was no lack of room")
	}
	locked := 0
	for i := range 1000 {
		if l.Locked(ctx, netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), "billing") > 0 {
			locked++
		}
	}
	if locked > 20 {
		t.Errorf("%d of 1000 other addresses are locked out, wanted none but by chance", locked)
	}
}
