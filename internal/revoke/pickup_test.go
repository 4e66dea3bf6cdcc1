package revoke

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// TestPicksUp: a node that was restarted reads the log from where it was, and compares all only where the log no longer has that.
func TestPicksUp(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	dir := t.TempDir()
	redis, all := e.server.Client(), 0
	revoke := func(n *node) (jti string) {
		all++
		jti = strconv.Itoa(all)
		n.mustRevoke(live(jti))
		return jti
	}
	n := e.start(t, dir).synced()
	n.sees(revoke(nodes[0]))
	revoke(n)
	for _, tt := range []struct {
		name       string
		meanwhile  func(missed string)
		reconciles int64
	}{
		{"nothing happened", func(string) {}, 0},
		{"it goes on from there", func(string) {}, 0},
		{"the log was trimmed to what it missed", func(string) { redis.XTrimMaxLen(t.Context(), "gh:{rev}:log", 1) }, 1},
		{"the log is gone", func(string) { redis.Del(t.Context(), "gh:{rev}:log") }, 1},
		{"another log with later entries", func(string) {
			redis.Del(t.Context(), "gh:{rev}:log", "gh:{rev}:head")
			revoke(nodes[0])
			revoke(nodes[0])
		}, 1},
	} {
		n.stop()
		missed := ""
		if tt.name != "nothing happened" {
			missed = revoke(nodes[0])
		}
		tt.meanwhile(missed)
		n = e.start(t, dir).synced()
		for i := range all {
			n.sees(strconv.Itoa(i + 1))
		}
		if got := n.Stats().Reconciled; got != tt.reconciles {
			t.Errorf("%s: all was compared %d times, want %d", tt.name, got, tt.reconciles)
		}
		n.sees(revoke(nodes[0]))
		nodes[0].sees(revoke(n))
	}

	n.stop()
	nodes[0].stop()
	redis.FlushAll(t.Context())
	e.start(t, dir).synced()
	eventually(t, "an emptied Redis has all of them", func() bool { return members(t, redis) == int64(all) })
}

// TestPicksUpNothingThatIsOpen: where something that was read is not on the disk, or waits for its time, a restart compares all.
func TestPicksUpNothingThatIsOpen(t *testing.T) {
	t.Parallel()
	e, nodes := fleet(t, 1)
	n := e.start(t, t.TempDir(), func(_ *Options, p *pace) { p.settle = time.Hour }).synced()
	nodes[0].mustRevoke(live("a"))
	n.sees("a")
	kept := func() streamID {
		t.Helper()
		s, ok, err := n.journal.lastSync()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return s.applied
	}
	eventually(t, "the node keeps where it is", func() bool { return kept() == *nodes[0].feed.applied.Load() })

	eventually(t, "nothing is kept while the disk is owed an entry", func() bool {
		n.journal.mu.Lock()
		if len(n.journal.owed) == 0 { // the sweep has written it
			n.journal.owed = append(n.journal.owed, record{Entry: live("b")})
		}
		n.journal.mu.Unlock()
		return kept() == streamID{}
	})
	if err := n.journal.settle(time.Now().Unix()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "once all is on the disk, that is kept", func() bool { return kept() != streamID{} })

	far := time.Now().Add(time.Hour).Unix()
	if err := e.server.Client().HSet(t.Context(), "gh:{rev}:rule", "client 5:localc", fmt.Sprintf("%d %d", far, far+90000)).Err(); err != nil {
		t.Fatal(err)
	}
	n.feed.relink.Store(true)
	eventually(t, "a rule of the future is seen", func() bool { return n.Stats().Ignored > 0 })
	eventually(t, "the reader goes on, and nothing is kept", func() bool { return n.feed.applied.Load().ms > 0 && kept() == streamID{} })
}
