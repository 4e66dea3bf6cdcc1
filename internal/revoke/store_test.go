package revoke

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

func TestRevokedStaysRevoked(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		dir := t.TempDir()
		n := e.start(t, dir).synced()
		n.mustRevoke(live("a"))
		n.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "billing"})
		n.mustRevoke(Entry{Kind: Key, Issuer: "local", Name: "old"})
		n.mustRevoke(Entry{Kind: All, Issuer: "corp"})
		before := n.Now().Unix() - 1
		check := func(n *node, when string) {
			t.Helper()
			for _, target := range []*Target{
				{Issuer: "local", TokenID: "a", IssuedAt: before + 100},
				{Issuer: "local", Client: "billing", IssuedAt: before},
				{Issuer: "local", Key: "old", IssuedAt: before},
				{Issuer: "corp", IssuedAt: before},
			} {
				if !n.Revoked(target) {
					t.Errorf("%s: %+v passes", when, *target)
				}
			}
			if n.refuses("b") {
				t.Errorf("%s: a token that was not revoked is refused", when)
			}
		}
		check(n, "at once")
		n.stop()
		n = e.start(t, dir)
		check(n, "after a restart, before anything was heard")
		n.stop()
		if e.server != nil {
			e.server.Restart(false)
			check(e.start(t, dir).synced(), "after a restart with Redis emptied")
		}
	})
}

func TestResultSaysWhatIsTrue(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		n := e.start(t, t.TempDir()).synced()
		want := Result{Local: true, Shared: e.server != nil, Applied: 1, Live: 1}
		for _, entry := range []Entry{live("a"), live("a"), {Kind: Client, Issuer: "local", Name: "c"}} {
			if got := n.mustRevoke(entry); got != want {
				t.Errorf("Revoke(%s) = %+v, wanted %+v", entry.Kind, got, want)
			}
		}
		s := n.Stats()
		if s.Tokens != 1 || s.Rules != 1 || s.Revoked["token"] != 2 || s.Revoked["client"] != 1 || s.Outbox != 0 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

func TestWhatIsNoRevocationIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		n := e.start(t, t.TempDir())
		if res, err := n.Revoke(t.Context(), Entry{}); err == nil || res != (Result{}) {
			t.Errorf("Revoke of nothing = %+v, %v, wanted an error", res, err)
		}
	})
}

func TestExpiredTokenWritesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		n := e.start(t, t.TempDir()).synced()
		past := token("a", time.Now().Add(-Skew-time.Second).Unix())
		if res := n.mustRevoke(past); !res.Local || res.Applied != res.Live {
			t.Errorf("Revoke = %+v", res)
		}
		if s := n.Stats(); s.Tokens != 0 || s.Outbox != 0 {
			t.Errorf("Stats = %+v, wanted nothing", s)
		}
		if entries, queue := load(t, n.journal, 0); len(entries)+len(queue) != 0 {
			t.Errorf("journalled %+v, queue %+v", entries, queue)
		}
	})
}

func TestNoEntryOutlivesAnyToken(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		n := e.start(t, t.TempDir()).synced()
		n.mustRevoke(token("a", time.Now().Add(1000*time.Hour).Unix()))
		last := time.Now().Add(24*time.Hour + Skew).Unix()
		for entry := range n.set.All() {
			if entry.Expires > last {
				t.Errorf("kept until %d, wanted at most %d", entry.Expires, last)
			}
		}
	})
}

// TestIssueAfterRevoke holds that a token asked for right after a revocation works, and that the next one ends it.
func TestIssueAfterRevoke(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		n := e.start(t, t.TempDir()).synced()
		for _, entry := range []Entry{
			{Kind: Client, Issuer: "local", Name: "billing"},
			{Kind: Key, Issuer: "local", Name: "kid"},
			{Kind: All, Issuer: "local"},
			{Kind: Client, Issuer: "local", Name: "billing"},
		} {
			old := n.issue("billing")
			n.mustRevoke(entry)
			if !n.Revoked(old) {
				t.Errorf("a token issued before the revocation by %s passes", entry.Kind)
			}
			if fresh := n.issue("billing"); n.Revoked(fresh) {
				t.Errorf("a token issued after the revocation by %s is refused", entry.Kind)
			}
		}
	})
}

func TestRuleWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := engine{}.start(t, t.TempDir(), func(_ *Options, p *pace) { *p = usualPace })
		rule := Entry{Kind: Client, Issuer: "local", Name: "c"}
		begin := time.Now()
		for i := range int64(6) {
			n.mustRevoke(rule)
			want := begin.Unix() + 1 + i
			if got := n.NotBefore("local", "c", ""); got != want {
				t.Errorf("T number %d is %d, wanted %d", i, got, want)
			}
			if ahead := time.Until(time.Unix(want, 0)); ahead > 2*time.Second {
				t.Errorf("T number %d was made %v ahead, wanted at most 2 s", i, ahead)
			}
		}
		if waited := time.Since(begin); waited != 4*time.Second {
			t.Errorf("six revocations took %v, wanted 4 s", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := n.Revoke(ctx, rule); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a revocation that could not wait: %v, wanted the deadline's error", err)
		}
		if got, want := n.NotBefore("local", "c", ""), begin.Unix()+6; got != want {
			t.Errorf("the revocation that gave up left T at %d, wanted %d", got, want)
		}
		n.stop()
	})
}

func TestExpiredIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := engine{}.start(t, t.TempDir(), func(_ *Options, p *pace) { *p = usualPace })
		n.mustRevoke(live("a"))
		n.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: "c"})
		n.mustRevoke(token("b", time.Now().Add(20*time.Hour).Unix()))
		for _, tt := range []struct {
			after         time.Duration
			tokens, rules int
		}{{9 * time.Minute, 2, 1}, {2 * time.Hour, 1, 1}, {23 * time.Hour, 0, 0}} {
			time.Sleep(tt.after)
			synctest.Wait()
			s := n.Stats()
			if s.Tokens != tt.tokens || s.Rules != tt.rules {
				t.Errorf("after %v more: %d tokens and %d rules, wanted %d and %d", tt.after, s.Tokens, s.Rules, tt.tokens, tt.rules)
			}
		}
		if entries, _ := load(t, n.journal, 0); len(entries) != 0 {
			t.Errorf("the journal still has %+v", entries)
		}
		n.stop()
	})
}

// TestJournalNotWritable holds that such a revocation is an error, and counts here and in the fleet all the same.
func TestJournalNotWritable(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		n := e.start(t, t.TempDir()).synced()
		other := n
		if e.server != nil {
			other = e.start(t, t.TempDir()).synced()
		}
		n.db.Close()
		res, err := n.Revoke(t.Context(), live("a"))
		if err == nil || res.Local || res.Shared != (e.server != nil) {
			t.Errorf("Revoke = %+v, %v", res, err)
		}
		if !n.refuses("a") || n.Stats().JournalErrors == 0 {
			t.Errorf("refused %v, journal errors %d", n.refuses("a"), n.Stats().JournalErrors)
		}
		other.sees("a")
	})
}

// TestStoreAgreesWithModel revokes, issues and restarts at random, and compares with plain maps.
func TestStoreAgreesWithModel(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		r := rand.New(rand.NewPCG(3, 4))
		dir := t.TempDir()
		n := e.start(t, dir).synced()
		tokens, ended := make(map[string]bool), make(map[string]int64) // client → T
		for step := range 150 {
			client := fmt.Sprintf("client %d", r.IntN(20))
			jti := fmt.Sprintf("token %d", r.IntN(200))
			switch r.IntN(10) {
			case 0:
				n.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: client})
				ended[client] = n.NotBefore("local", client, "")
			case 1:
				n.stop()
				if e.server != nil && r.IntN(2) == 0 {
					e.server.Restart(false)
				}
				n = e.start(t, dir)
			default:
				n.mustRevoke(live(jti))
				tokens[jti] = true
			}
			iat := time.Now().Unix() - int64(r.IntN(3))
			target := &Target{Issuer: "local", TokenID: jti, Client: client, IssuedAt: iat}
			if got, want := n.Revoked(target), tokens[jti] || iat < ended[client]; got != want {
				t.Fatalf("step %d: Revoked(%+v) = %v, wanted %v", step, *target, got, want)
			}
		}
	})
}

// TestAnsweredIsOnTheDisk opens a copy of the file after each answer, as the next process would if this one were killed then.
func TestAnsweredIsOnTheDisk(t *testing.T) {
	onBoth(t, func(t *testing.T, e engine) {
		dir := t.TempDir()
		n := e.start(t, dir).synced()
		for i := range 10 {
			n.mustRevoke(live(fmt.Sprintf("token %d", i)))
			n.mustRevoke(Entry{Kind: Client, Issuer: "local", Name: fmt.Sprintf("client %d", i)})
			copied := t.TempDir()
			err := n.db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(filepath.Join(copied, "gatehouse.db"), 0o600) })
			if err != nil {
				t.Fatal(err)
			}
			after := engine{}.start(t, copied)
			for k := range i + 1 {
				if jti := fmt.Sprintf("token %d", k); !after.refuses(jti) {
					t.Errorf("killed after revocation %d: %s passes", i, jti)
				}
				if client := fmt.Sprintf("client %d", k); after.NotBefore("local", client, "") == 0 {
					t.Errorf("killed after revocation %d: the rule of %s is lost", i, client)
				}
			}
			after.stop()
		}
	})
}

func TestOpenUnderEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{DB: openDB(t, t.TempDir())}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open under an ended context: %v", err)
	}
}

func TestEmbeddedIsNeverStale(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{DB: openDB(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Staleness() != 0 || !s.Ready() || s.Nodes() != 1 {
		t.Errorf("Staleness %v, Ready %v, Nodes %d, wanted 0, true, 1", s.Staleness(), s.Ready(), s.Nodes())
	}
}

func BenchmarkRevoke(b *testing.B) {
	n := engine{}.start(b, b.TempDir(), func(o *Options, _ *pace) { o.Log = nil })
	expires := time.Now().Add(time.Hour).Unix()
	b.ReportAllocs()
	for i := uint64(1); b.Loop(); i++ {
		if _, err := n.Revoke(b.Context(), Entry{Kind: Token, ID: id(i), Expires: expires}); err != nil {
			b.Fatal(err)
		}
	}
}
