package authz

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// len counts the entries and checks that the bookkeeping of each shard adds up.
func (c *cache) len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		var bytes int64
		for place, e := range s.ring {
			bytes += e.size()
			if e.place != place || s.slots[e.slot] != e {
				panic("ring and slots disagree")
			}
		}
		if bytes != s.bytes || len(s.slots) != len(s.ring) || len(s.ring) > s.maxEntries || bytes > s.maxBytes {
			panic(fmt.Sprintf("%d bytes counted as %d of %d, %d slots, %d in the ring of %d",
				bytes, s.bytes, s.maxBytes, len(s.slots), len(s.ring), s.maxEntries))
		}
		n += len(s.ring)
		s.mu.Unlock()
	}
	return n
}

func TestCacheHit(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	v := verifier(t, 100, issuer(newRing(k)))
	text := issue(t, k, "one")
	first, hit, _ := v.Verify(text, testNow)
	if hit {
		t.Fatal("a new token is a hit")
	}
	again, hit, f := v.Verify(strings.Clone(text), testNow)
	if !hit || f != nil || again != first {
		t.Errorf("second look = %p, hit %v, %+v, want %p", again, hit, f, first)
	}
	if _, hit, f := v.Verify(text[:len(text)-1], testNow); hit || f == nil {
		t.Error("a shortened token is a hit")
	}
}

func TestCacheHitAllocates(t *testing.T) {
	k := tokentest.Key(t, token.ES256)
	v := verifier(t, 100, issuer(newRing(k)))
	text := issue(t, k, "one")
	v.Verify(text, testNow)
	if n := testing.AllocsPerRun(100, func() {
		if _, hit, _ := v.Verify(text, testNow); !hit {
			t.Fatal("missed")
		}
	}); n != 0 {
		t.Errorf("a hit costs %v allocations, want 0", n)
	}
}

func TestCacheExpiry(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	v := verifier(t, 100, issuer(newRing(k)))
	text := issue(t, k, "one")
	v.Verify(text, testNow)
	if _, hit, _ := v.Verify(text, testNow+599); !hit {
		t.Error("not remembered until it expires")
	}
	p, hit, f := v.Verify(text, testNow+600)
	if hit || f != nil || p == nil {
		t.Errorf("expired: hit %v, %+v", hit, f)
	}
	if n := v.cache.len(); n != 0 {
		t.Errorf("%d entries after the token expired, want 0", n)
	}
}

func TestCacheGeneration(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	keys := newRing(k)
	v := verifier(t, 100, issuer(keys))
	text := issue(t, k, "one")
	v.Verify(text, testNow)
	keys.generation.Add(1) // a key was added: the token is verified anew, and then remembered again
	if _, hit, f := v.Verify(text, testNow); hit || f != nil {
		t.Errorf("after a change of keys: hit %v, %+v", hit, f)
	}
	if _, hit, _ := v.Verify(text, testNow); !hit {
		t.Error("not remembered under the new generation")
	}
	keys.withdraw()
	if p, hit, f := v.Verify(text, testNow); p != nil || hit || f == nil || f.Reason != UnknownKey {
		t.Errorf("after the key was withdrawn: %+v, hit %v, %+v", p, hit, f)
	}
}

// slowKeys withdraws the key while the verification that asked for it is under way.
type slowKeys struct{ *ring }

func (k slowKeys) Key(kid string, alg token.Algorithm) *token.PublicKey {
	key := k.ring.Key(kid, alg)
	k.ring.withdraw()
	return key
}

func TestCacheWithdrawalDuringVerification(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	v := verifier(t, 100, issuer(slowKeys{newRing(k)}))
	text := issue(t, k, "one")
	if p, _, f := v.Verify(text, testNow); p == nil {
		t.Fatalf("the verification that was under way is refused: %+v", f)
	}
	if p, hit, f := v.Verify(text, testNow); p != nil || hit || f == nil || f.Reason != UnknownKey {
		t.Errorf("it planted an entry: %+v, hit %v, %+v", p, hit, f)
	}
}

func TestCacheConcurrentWithdrawal(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	for range 20 {
		keys := newRing(k)
		v := verifier(t, 100, issuer(keys))
		texts := []string{issue(t, k, "a"), issue(t, k, "b"), issue(t, k, "c")}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 8 {
			wg.Go(func() {
				<-start
				for j := range 20 {
					v.Verify(texts[(i+j)%len(texts)], testNow)
				}
			})
		}
		wg.Go(func() {
			<-start
			keys.withdraw()
		})
		close(start)
		wg.Wait()
		for _, text := range texts {
			if p, hit, _ := v.Verify(text, testNow); p != nil || hit {
				t.Fatal("a token passes after its key was withdrawn")
			}
		}
	}
}

func TestCacheBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		entries int
		bytes   int64
		token   int // length
		most    int
	}{
		{"by count", 100, 1 << 20, 100, 100},
		{"by bytes", 1 << 20, 256 << 10, 1000, 256 << 10 / (2000 + overhead)},
		{"one", 1, 1 << 20, 100, 1},
		{"no entries", 0, 1 << 20, 100, 0},
		{"no bytes", 100, 0, 100, 0},
		{"many shards", 4096, 64 << 20, 100, 4096},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, keys := newCache(tt.entries, tt.bytes), newRing()
			for i := range 3 * (tt.most + 1) {
				text := fmt.Sprintf("%0*d", tt.token, i)
				c.put(text, &Principal{Expires: testNow + 1}, keys, 0)
				if tt.most > 0 && c.get(text, testNow) == nil {
					t.Fatalf("entry %d is not there right after it was put", i)
				}
			}
			if n := c.len(); n > tt.most || n < tt.most*9/10 {
				t.Errorf("%d entries, want at most %d and not many fewer", n, tt.most)
			}
		})
	}
}

// TestCacheKeepsUsed floods a full cache with tokens that are used once: one that is in use stays.
func TestCacheKeepsUsed(t *testing.T) {
	t.Parallel()
	c, keys := newCache(16, 1<<20), newRing()
	c.put("busy", &Principal{Expires: testNow + 1}, keys, 0)
	for i := range 1000 {
		if c.get("busy", testNow) == nil {
			t.Fatalf("pushed out by %d tokens that were used once", i)
		}
		c.put(id(i), &Principal{Expires: testNow + 1}, keys, 0)
	}
}

func TestCacheCollision(t *testing.T) {
	t.Parallel()
	c, keys := newCache(16, 1<<20), newRing()
	one, two := &Principal{Client: "one", Expires: testNow + 1}, &Principal{Client: "two", Expires: testNow + 1}
	c.put("one", one, keys, 0)
	// Move the entry into the slot of another token, as two tokens with one hash would share it.
	s := &c.shards[0]
	e := s.slots[s.ring[0].slot]
	probe := newCache(16, 1<<20)
	probe.seed = c.seed
	probe.put("two", two, keys, 0)
	delete(s.slots, e.slot)
	e.slot = probe.shards[0].ring[0].slot
	s.slots[e.slot] = e
	if p := c.get("two", testNow); p != nil {
		t.Fatalf("the token of client two got the Principal of client %q", p.Client)
	}
	c.put("two", two, keys, 0)
	if p := c.get("two", testNow); p != two || c.len() != 1 {
		t.Errorf("after the slot was taken over: %+v, %d entries", p, c.len())
	}
}

func TestCacheConcurrent(t *testing.T) {
	t.Parallel()
	c, keys := newCache(64, 1<<20), newRing()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				name := id((i*7 + g) % 200)
				p := c.get(name, testNow+int64(i%3))
				if p != nil && p.Client != name {
					t.Errorf("%q got the Principal of %q", name, p.Client)
				}
				if p == nil {
					c.put(name, &Principal{Client: name, Expires: testNow + 2}, keys, 0)
				}
			}
		})
	}
	wg.Wait()
	c.len()
}
