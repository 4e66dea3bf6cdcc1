package faults

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"gatehouse/internal/lockout"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// TestBigMillionKeys: callers without end, each new, while Redis is away. What a node keeps of them is bounded and counted, nobody
// is let through for it, and guessing at a secret still locks. GATEHOUSE_BIG=1 has more than a million come to a limiter of the
// usual size; else there are fewer, and less room.
func TestBigMillionKeys(t *testing.T) {
	t.Parallel()
	most, more, guesses := 1<<16, 1<<16+1<<14, 10_000
	if os.Getenv("GATEHOUSE_BIG") != "" {
		most, more, guesses = 1<<20, 1<<20+1<<18, 200_000
	}
	server := redistest.Start(t)
	client := redisx.Open(redisx.Options{Addrs: []string{server.Addr()}, Prefix: "gh"})
	t.Cleanup(func() { client.Close() })
	limiter := ratelimit.New(ratelimit.Options{Redis: client, Nodes: func() int { return nodes }, MaxKeys: most})
	server.Kill()
	policy := &ratelimit.Policy{Name: "keys", Requests: 1, Per: time.Hour, Burst: nodes}
	check := func(key string) ratelimit.Decision {
		return limiter.Check(t.Context(), []ratelimit.Charge{{Subject: ratelimit.Subject{Kind: ratelimit.ByIP, Value: key}, Policies: []*ratelimit.Policy{policy}}}, 1)
	}
	await(t)("the limiter does without Redis", func() bool { check("first"); return client.Stats().Open })

	before := memory()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range more {
		var key [16]byte
		binary.NativeEndian.PutUint64(key[:], rng.Uint64())
		binary.NativeEndian.PutUint64(key[8:], rng.Uint64())
		check(string(key[:]))
	}
	s := limiter.Stats()
	used := int64(memory()) - int64(before)
	t.Logf("seed %d: of %d callers %d are kept, %d counted as too many, in %d MiB", seed, more, s.Keys, s.Overflowed, used>>20)
	if os.Getenv("GATEHOUSE_BIG") != "" && used > 160<<20 { // alone in the process, as make big has it; else others use memory, too
		t.Errorf("a million keys take %d MiB, wanted at most 160", used>>20)
	}
	if s.Keys > most+64*1024 { // and the buckets in common, which are as many as there are slots
		t.Errorf("%d keys are kept, wanted at most %d", s.Keys, most+64*1024)
	}
	if s.Overflowed == 0 {
		t.Error("none of the callers was counted as one too many")
	}
	// One that was never seen has no more than a share.
	passed := 0
	for range 3 * nodes {
		if check("late").OK {
			passed++
		}
	}
	if passed > 1 {
		t.Errorf("a late caller passed %d times, wanted a node's share of one at most", passed)
	}

	// Lock-out, on the limiter that has seen a million keys: strangers guess without end, and a guess at a client still locks.
	store := lockout.NewStore(limiter)
	guard := lockout.New(store, 10, time.Minute)
	for i := range guesses {
		guard.Failed(context.Background(), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), fmt.Sprint("guess ", i))
	}
	t.Logf("%d counters of failures are kept", store.Keys())
	victim := netip.MustParseAddr("192.0.2.1")
	for range 11 {
		guard.Failed(context.Background(), victim, "billing")
	}
	if guard.Locked(context.Background(), victim, "billing") == 0 {
		t.Error("eleven wrong secrets did not lock")
	}
	if wait := guard.Locked(context.Background(), netip.MustParseAddr("192.0.2.2"), "billing"); wait != 0 {
		t.Errorf("another address is locked out for %s", wait)
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestLockoutWithoutRedis: the same at a whole gateway: wrong secrets lock at the node that sees them, while Redis is away.
func TestLockoutWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newFleet(t, server, budget)
	server.Kill()
	n := f.nodes[0]
	wrong := f.secrets[1]
	locked := false
	for range 15 {
		_, status := n.tokenWith(0, wrong, "lax")
		locked = locked || status == 429
	}
	if !locked {
		t.Error("15 wrong secrets did not lock")
	}
	if _, status := n.token(0, "lax"); status != 429 {
		t.Errorf("the right secret got %d where it is locked, wanted 429", status)
	}
	if _, status := n.token(1, "lax"); status != 200 {
		t.Errorf("another client got %d, wanted 200", status)
	}
}
