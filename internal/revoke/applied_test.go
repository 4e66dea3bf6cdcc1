package revoke

import (
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
)

// through has a node reach its Redis by a network of its own.
func through(t *testing.T, p *redistest.Proxy) func(*Options, *pace) {
	return func(o *Options, _ *pace) {
		c := redisx.Open(redisx.Options{Addrs: []string{p.Addr()}, Prefix: "gh"})
		t.Cleanup(func() { c.Close() })
		o.Redis = c
	}
}

// hurried has a node wait for the others but a moment, and count them for long.
func hurried(_ *Options, p *pace) { p.confirm, p.silent = 100*time.Millisecond, time.Minute }

// TestAppliedIsTrue: a node counts among those that refuse once it does, and not before: not one that hears nothing, nor one that has
// just died, nor one that has just come and is still reading.
func TestAppliedIsTrue(t *testing.T) {
	t.Parallel()
	e := engine{redistest.Start(t)}
	asked := e.start(t, t.TempDir(), hurried).synced()
	network := redistest.StartProxy(t, e.server.Addr())
	far := e.start(t, t.TempDir(), through(t, network)).synced()
	eventually(t, "both count", func() bool { return asked.Nodes() == 2 })
	expires := time.Now().Add(10 * time.Minute).Unix() // of all, so that none that is revoked again is news
	says := func(jti string, applied, live int) {
		t.Helper()
		if res := asked.mustRevoke(token(jti, expires)); res != (Result{Local: true, Shared: true, Applied: applied, Live: live}) {
			t.Errorf("%s: Revoke = %+v, wanted it applied on %d of %d", jti, res, applied, live)
		}
	}

	network.Set(redistest.Swallowed)
	says("cut off", 1, 2)
	if far.refuses("cut off") {
		t.Error("a node that hears nothing has heard of it")
	}
	network.Heal()
	far.sees("cut off")
	eventually(t, "it reports that", func() bool { return asked.mustRevoke(token("cut off", expires)).Applied == 2 })

	// Killed: it neither leaves nor reports.
	network.Refuse()
	network.Cut()
	far.stop()
	says("dead", 1, 2)

	// One that beats and has applied nothing, as while it reads a million.
	beat := func(applied string) {
		t.Helper()
		script := "return redis.call('HSET', KEYS[1], 'young', redis.call('TIME')[1] .. '000 ' .. ARGV[1])"
		if err := e.server.Client().Eval(t.Context(), script, []string{"gh:{rev}:nodes"}, applied).Err(); err != nil {
			t.Fatal(err)
		}
	}
	beat("0-0")
	says("reads anew", 1, 3)
	behind := asked.feed.applied.Load().String()
	says("another", 1, 3)
	beat(behind)
	says("lies behind", 1, 3)
	eventually(t, "this node has its own entry", func() bool { return asked.Fleet().Head == asked.feed.applied.Load().String() })
	beat(asked.feed.applied.Load().String())
	eventually(t, "one has caught up", func() bool {
		res := asked.mustRevoke(token("lies behind", expires)) // hurried: a slow machine may ask too late
		return res.Applied == 2 && res.Live == 3
	})
}
