package ratelimit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// In a Cluster, requests that wait for one master hold up none whose buckets are on another; and when it answers again, they
// are answered, each charged once.
func TestAMasterThatHangsHoldsUpItsOwn(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	c := redisx.Open(redisx.Options{Mode: redisx.Cluster, Addrs: cluster.Addrs(), Prefix: "gh", Budget: patience})
	t.Cleanup(func() { c.Close() })
	l := New(Options{Redis: c})
	p := slow("p", 100)
	var there, elsewhere []string
	until(t, func() bool { return check(l, "first", 0, p).Source == Redis })
	home := func(who string) string { return "gh:rl:{" + tagOf(Subject{ByClient, "local", who}) + "}:p" }
	for i := 0; len(there) < 10 || len(elsewhere) < 50; i++ {
		if who := fmt.Sprint("client ", i); c.Shard(home(who)) == c.Shard(home("first")) {
			there = append(there, who)
		} else {
			elsewhere = append(elsewhere, who)
		}
	}
	for _, who := range elsewhere[:10] { // both other masters have been asked, and know the script
		until(t, func() bool { return check(l, who, 0, p).Source == Redis })
	}
	master := cluster.Master(home("first"))
	master.Pause()
	var all sync.WaitGroup
	for _, who := range there[:10] {
		all.Go(func() {
			// Where the machine is so busy that the breaker opened meanwhile, its policy has refused it.
			if d := check(l, who, 1, p); !d.Unavailable && (!d.OK || d.Source != Redis || d.Remaining != 99) {
				t.Errorf("one that waited: %+v", d)
			}
		})
	}
	until(t, func() bool { return l.fleet.waiting.Load() == 10 })
	begin := time.Now()
	for _, who := range elsewhere {
		if d := check(l, who, 1, p); !d.OK || d.Source != Redis {
			t.Fatalf("beside a master that hangs, after %s: %+v", time.Since(begin), d)
		}
	}
	if l.fleet.waiting.Load() == 0 {
		t.Error("nobody waits for the master that hangs")
	}
	master.Resume()
	all.Wait()
	until(t, func() bool { return check(l, "first", 0, p).Source == Redis })
	for _, who := range there[:10] {
		if d := check(l, who, 0, p); d.Remaining < 99 {
			t.Errorf("%s: %+v, wanted 99 remaining", who, d)
		}
	}
}
