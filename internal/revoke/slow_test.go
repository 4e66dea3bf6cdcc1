package revoke

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// TestSlowNetwork: where an answer takes 200 ms, which no request would wait for, a node that begins, and one that has lost every
// connection, gets and gives all the same, and is not stale.
func TestSlowNetwork(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	near := e.start(t, t.TempDir()).synced()
	for i := range 3 {
		near.mustRevoke(live(fmt.Sprintf("near/%d", i)))
	}
	proxy := redistest.StartProxy(t, e.server.Addr())
	proxy.Set(redistest.Slow(100 * time.Millisecond))
	far := e.start(t, t.TempDir(), func(o *Options, p *pace) {
		slow := redisx.Open(redisx.Options{Addrs: []string{proxy.Addr()}, Prefix: "gh"})
		t.Cleanup(func() { slow.Close() })
		o.Redis, p.block, p.beat = slow, 500*time.Millisecond, time.Second
	}).synced()
	far.sees("near/0", "near/1", "near/2")
	for i := range 3 {
		proxy.Cut()
		jti := fmt.Sprintf("far/%d", i)
		far.mustRevoke(live(jti))
		near.sees(jti)
		eventually(t, "the outbox is empty", func() bool { return far.Stats().Outbox == 0 })
		jti = fmt.Sprintf("near/%d", 3+i)
		near.mustRevoke(live(jti))
		far.sees(jti)
		eventually(t, "the far node is not stale", func() bool { return far.Staleness() < 1500*time.Millisecond })
	}
}
