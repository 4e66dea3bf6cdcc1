package redisx

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"gatehouse/internal/redistest"
)

func TestSlotOf(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", "0")
	keys := []string{"", "123456789", "gh:{rev}:jti", "gh:{ring}:keys", "{}", "{}a", "a{}{b}", "a{b", "a}b{c}d", "a{{b}}", "a{b}{c}", "\x00\xff{\xfe}"}
	for range 200 {
		keys = append(keys, fmt.Sprintf("gh:rl:{%s}:p", strconv.FormatUint(rand.Uint64(), 36)))
	}
	for _, key := range keys {
		want, err := s.Client().ClusterKeySlot(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := slotOf(key); int64(got) != want {
			t.Errorf("slotOf(%q) = %d, redis says %d", key, got, want)
		}
	}
}

func BenchmarkShard(b *testing.B) {
	c := &Client{}
	s := &server{name: "127.0.0.1:6379"}
	top := &topology{masters: []*server{s}, slots: make([]uint8, slots), known: true}
	for i := range top.slots {
		top.slots[i] = 1
	}
	c.top.Store(top)
	b.ReportAllocs()
	for b.Loop() {
		if c.Shard("gh:rl:{q3Zk0yWc5v8sYl2pXo1nUA}:orders GET /orders") == "" {
			b.Fatal("no shard")
		}
	}
}
