package keyring

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/redisx"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"

	"go.etcd.io/bbolt"
)

const ringKey = "gh:{ring}:keys"

var seal = secret.Hide(strings.Repeat("k", SealKeySize))

func connect(t *testing.T, s *redistest.Server) *redisx.Client {
	t.Helper()
	c := redisx.Open(redisx.Options{Addrs: []string{s.Addr()}, Prefix: "gh"})
	t.Cleanup(func() { c.Close() })
	return c
}

// member is the options of a node with a directory of its own.
func member(t *testing.T, s *redistest.Server) Options {
	t.Helper()
	return Options{DB: openDB(t, t.TempDir()), Redis: connect(t, s), Seal: seal, Issuer: "https://issuer.example"}
}

// start is Open, until the test ends.
func start(t *testing.T, o Options, use Use) *Ring {
	t.Helper()
	r, err := Open(t.Context(), o, use)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func signer(r *Ring) string {
	s := r.Signer(token.ES256)
	if s == nil {
		return ""
	}
	return s.Public().ID()
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// Five nodes that start at once on an empty Redis agree on one key; so do five that rotate at once, and five emergencies.
func TestFleetAgrees(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rings := make([]*Ring, 5)
	options := make([]Options, 5)
	for i := range options {
		options[i] = member(t, s)
	}
	all := func(do func(i int)) {
		var wg sync.WaitGroup
		for i := range rings {
			wg.Go(func() { do(i) })
		}
		wg.Wait()
	}
	all(func(i int) {
		r, err := Open(t.Context(), options[i], Use{Algorithms: es})
		if err != nil {
			t.Error(err)
			return
		}
		rings[i] = r
		t.Cleanup(r.Close)
	})
	agreed := func() bool {
		for _, r := range rings {
			if signer(r) == "" || signer(r) != signer(rings[0]) || !bytes.Equal(r.JWKS(), rings[0].JWKS()) {
				return false
			}
		}
		return true
	}
	eventually(t, 10*time.Second, "one key", agreed)
	first := signer(rings[0])
	if n := len(rings[4].Keys()); n != 1 {
		t.Errorf("%d keys", n)
	}

	out := make([]Rotation, 5)
	all(func(i int) {
		var err error
		for range 10 { // on a machine that is busy, Redis may take longer than a call waits
			if out[i], err = rings[i].Rotate(t.Context(), token.ES256, 0); err == nil {
				return
			}
		}
		t.Error(err)
	})
	for _, o := range out {
		if o.New != out[0].New || o.Old != first || o.New == first {
			t.Errorf("one rotation made %s, another %s", o.New, out[0].New)
		}
	}
	eventually(t, 10*time.Second, "one next key", func() bool { return agreed() && len(rings[0].Keys()) == 2 })

	text := strings.Builder{}
	for _, value := range s.Client().HGetAll(t.Context(), ringKey).Val() {
		text.WriteString(value)
	}
	if strings.Contains(text.String(), "PRIVATE") {
		t.Error("a private key lies open in redis")
	}

	if _, err := rings[3].Revoke(t.Context(), token.ES256); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Second, "the emergency is known everywhere", func() bool {
		return agreed() && signer(rings[0]) != first && rings[0].Key(first) == nil && rings[0].Key(out[0].New) == nil
	})
}

// A node that was offline, or a Redis that came back empty, gets everything back; a node starts without Redis from what it
// kept, and one that kept nothing waits.
func TestFleetWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := member(t, s)
	r, err := Open(t.Context(), o, Use{Algorithms: es})
	if err != nil {
		t.Fatal(err)
	}
	var first string
	eventually(t, 10*time.Second, "it has a key", func() bool { first = signer(r); return first != "" }) // a busy machine asks Redis twice
	r.Close()
	s.Stop()

	r = start(t, o, Use{Algorithms: es})
	if signer(r) != first || r.Missing() != nil {
		t.Fatalf("signs with %q, wanted %q", signer(r), first)
	}
	empty := start(t, member(t, s), Use{Algorithms: es})
	if signer(empty) != "" || empty.JWKS() != nil || len(empty.Missing()) != 1 {
		t.Error("a node with nothing made a key of its own")
	}
	if _, err := r.Rotate(t.Context(), token.ES256, 0); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Rotate: %v", err)
	}
	if err := r.Ensure(t.Context(), Use{Algorithms: []token.Algorithm{token.EdDSA}}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ensure: %v", err)
	}
	if err := r.Ensure(t.Context(), Use{Algorithms: es}); err != nil {
		t.Errorf("Ensure: %v", err)
	}
	s.Restart(false)
	eventually(t, 10*time.Second, "the ring is offered to the empty redis", func() bool { return signer(empty) == first })
	for range 3 {
		s.Client().FlushAll(t.Context())
		eventually(t, 10*time.Second, "offered again", func() bool { return s.Client().HLen(t.Context(), ringKey).Val() == 2 })
	}
	if len(r.Keys()) != 1 || len(empty.Keys()) != 1 {
		t.Errorf("keys %v, %v", r.Keys(), empty.Keys())
	}
}

// What was withdrawn stays so, also where Redis comes back with an old copy of it.
func TestWithdrawnStaysWithdrawn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := start(t, member(t, s), Use{Algorithms: es}), start(t, member(t, s), Use{Algorithms: es})
	first := signer(a)
	eventually(t, 10*time.Second, "one key", func() bool { return first != "" && signer(b) == first })
	old := s.Client().HGet(t.Context(), ringKey, first).Val()
	out, err := a.Revoke(t.Context(), token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Second, "withdrawn", func() bool { return b.Key(first) == nil && signer(b) == out.New })
	s.Client().HSet(t.Context(), ringKey, first, old)
	eventually(t, 10*time.Second, "withdrawn again", func() bool { return s.Client().HGet(t.Context(), ringKey, first).Val() != old })
	if a.Key(first) != nil || b.Key(first) != nil || b.Fetch(first) != nil {
		t.Error("an old copy brought the key back")
	}
}

// A token that was signed before this node saw the key passes, whatever strangers send meanwhile.
func TestFetch(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := start(t, member(t, s), Use{Algorithms: es}), start(t, member(t, s), Use{Algorithms: es})
	eventually(t, 10*time.Second, "one key", func() bool { return signer(a) != "" && signer(a) == signer(b) })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					b.Fetch(strings.Repeat("x", kidLength))
				}
			}
		})
	}
	for range 10 {
		out, err := a.Revoke(t.Context(), token.ES256)
		if errors.Is(err, ErrUnavailable) {
			continue // a busy machine
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.Key(out.New) == nil && b.Fetch(out.New) == nil {
			t.Error("the other node refused the new key")
		}
	}
	close(stop)
	wg.Wait()
	if b.Fetch("") != nil || b.Fetch("short") != nil {
		t.Error("found what there is not")
	}
}

// A node that has heard of a key's end signs with no key that is withdrawn, whenever it looked last.
func TestSignerSince(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := start(t, member(t, s), Use{Algorithms: es}), start(t, member(t, s), Use{Algorithms: es})
	for range 10 {
		out, err := a.Revoke(t.Context(), token.ES256)
		if errors.Is(err, ErrUnavailable) {
			continue // a busy machine
		}
		if err != nil {
			t.Fatal(err)
		}
		if k := b.SignerSince(token.ES256, time.Now().Add(time.Second)); k == nil || k.Public().ID() != out.New {
			t.Fatalf("the other node signs with %v, wanted %s", k, out.New)
		}
	}
	begin := time.Now()
	for range 1000 {
		a.SignerSince(token.ES256, time.Unix(0, 0))
	}
	if took := time.Since(begin); took > fetchWait {
		t.Errorf("it waits without a reason: %s", took)
	}
}

// A record that does not unseal counts as absent and alarms: whoever holds its key puts it right, and a node that holds
// nothing and can read nothing does not sign with a key that nobody else knows.
func TestUnsealable(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	log := &lines{}
	o := member(t, s)
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	a := start(t, o, Use{Algorithms: es})
	first := signer(a)
	stranger := member(t, s)
	stranger.Seal = secret.Hide(strings.Repeat("x", SealKeySize))
	b := start(t, stranger, Use{Algorithms: es})
	eventually(t, 10*time.Second, "the stranger notices", func() bool { return b.Stats().Unsealable == 1 })
	if signer(b) != "" || len(b.Missing()) != 1 {
		t.Error("a node with another ring key signs")
	}
	b.Close()
	for field, value := range map[string]string{first: "c4n4ry", strings.Repeat("z", 43): "{}"} {
		s.Client().HSet(t.Context(), ringKey, field, value)
	}
	eventually(t, 10*time.Second, "the alarm", func() bool { return strings.Contains(log.String(), "does not unseal") })
	eventually(t, 10*time.Second, "the record is put right", func() bool { return a.Stats().Unsealable == 1 && signer(a) == first })
	if strings.Contains(log.String(), "c4n4ry") {
		t.Error("the log quotes what it could not read")
	}
	c := start(t, member(t, s), Use{Algorithms: es})
	eventually(t, 10*time.Second, "a new node reads the rest", func() bool { return signer(c) == first })
}

// A slot that somebody made up in Redis does not use up the numbers of the keys to come.
func TestMadeUpSlot(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := member(t, s)
	a := start(t, o, Use{Algorithms: es})
	for _, slot := range []string{"2", "9007199254740991", "9007199254740990", "4611686018427387904", "-1", "x"} {
		s.Client().HSet(t.Context(), ringKey, "ES256:"+slot, "nobody")
	}
	for range 3 {
		eventually(t, 10*time.Second, "the key is withdrawn", func() bool {
			out, err := a.Revoke(t.Context(), token.ES256)
			return err == nil && signer(a) == out.New
		})
	}
	a.Close()
	if b := start(t, o, Use{Algorithms: es}); signer(b) != signer(a) {
		t.Errorf("after a restart %q signs, wanted %q", signer(b), signer(a))
	}
}

// Every part of a record's place is bound, so that Redis can't pass one off as another.
func TestSealBinds(t *testing.T) {
	t.Parallel()
	c, err := newSealedCodec([]byte(seal.Reveal()), "gh", "https://issuer.example")
	if err != nil {
		t.Fatal(err)
	}
	k := generate(t, token.ES256)
	now := time.Now().UTC().Truncate(time.Millisecond)
	e := entry{id: k.Public().ID(), alg: token.ES256, public: k.Public(), private: k, slot: 3, created: now, signs: now, life: time.Hour}
	value, err := c.encode(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.decode(e.id, value); err != nil || got.slot != 3 || got.private == nil || !got.signs.Equal(now) || got.life != time.Hour {
		t.Fatalf("%+v, %v", got, err)
	}
	other := generate(t, token.ES256).Public().ID()
	for name, broken := range map[string]func() error{
		"kid": func() error { _, err := c.decode(other, value); return err },
		"slot": func() error {
			_, err := c.decode(e.id, bytes.Replace(value, []byte(`"slot":3`), []byte(`"slot":4`), 1))
			return err
		},
		"state": func() error {
			_, err := c.decode(e.id, bytes.Replace(value, []byte(`"live"`), []byte(`"revoked"`), 1))
			return err
		},
		"algorithm": func() error {
			_, err := c.decode(e.id, bytes.Replace(value, []byte("ES256"), []byte("EdDSA"), 1))
			return err
		},
		"prefix": func() error { c := *c; c.prefix = "hg"; _, err := c.decode(e.id, value); return err },
		"issuer": func() error { c := *c; c.issuer += "/"; _, err := c.decode(e.id, value); return err },
		"boundary": func() error {
			c := *c
			c.prefix, c.issuer = "ghh", "ttps://issuer.example"
			_, err := c.decode(e.id, value)
			return err
		},
		"nothing": func() error { _, err := c.decode(e.id, nil); return err },
	} {
		if broken() == nil {
			t.Errorf("another %s unseals", name)
		}
	}
	if _, err := newSealedCodec([]byte("short"), "", ""); err == nil {
		t.Error("a short key seals")
	}
}

// A node that ran on its own brings its keys with it, and leaves none of them open on its disk.
func TestJoinFleet(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := member(t, s)
	alone := o
	alone.Redis = nil
	r := start(t, alone, Use{Algorithms: es})
	first := signer(r)
	r.Close()
	r = start(t, o, Use{Algorithms: es})
	other := start(t, member(t, s), Use{Algorithms: es})
	eventually(t, 10*time.Second, "the fleet takes the key", func() bool { return signer(r) == first && signer(other) == first })
	o.DB.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(_, value []byte) error {
				if bytes.Contains(value, []byte("PRIVATE")) {
					t.Errorf("a private key lies open in bucket %s", name)
				}
				return nil
			})
		})
	})
}

// A node that ran on its own, and has the wrong key file, neither signs with keys that the fleet can't read nor spoils them: with the
// right file it brings them along.
func TestJoinWithTheWrongKey(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := member(t, s)
	alone := o
	alone.Redis = nil
	r := start(t, alone, Use{Algorithms: es})
	own := signer(r)
	r.Close()
	a := start(t, member(t, s), Use{Algorithms: es})
	first := signer(a)

	wrong := o
	wrong.Seal = secret.Hide(strings.Repeat("x", SealKeySize))
	r = start(t, wrong, Use{Algorithms: es})
	eventually(t, 10*time.Second, "it tries on", func() bool { return r.Stats().Failures >= 2 })
	if signer(r) != "" || r.JWKS() != nil || len(r.Missing()) != 1 {
		t.Errorf("a node that can't read the ring signs with %q", signer(r))
	}
	if has, err := s.Client().HExists(t.Context(), ringKey, own).Result(); has || err != nil {
		t.Errorf("its key in the ring: %v, %v", has, err)
	}
	r.Close()

	r = start(t, o, Use{Algorithms: es})
	eventually(t, 10*time.Second, "both know both keys, and sign with one", func() bool {
		return signer(r) == signer(a) && signer(a) != "" && a.Key(own) != nil && r.Key(first) != nil
	})
}

// A node that ran on its own and joins a fleet whose Redis is away signs once that is back.
func TestJoinWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := member(t, s)
	alone := o
	alone.Redis = nil
	r := start(t, alone, Use{Algorithms: es})
	own := signer(r)
	r.Close()
	s.Kill()
	r = start(t, o, Use{Algorithms: es})
	if signer(r) != "" {
		t.Error("it signs before it knows whether the fleet can read its keys")
	}
	s.Restart(false)
	eventually(t, 10*time.Second, "its key signs", func() bool { return signer(r) == own })
}

// lines is a log that tests read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Nodes whose clocks differ by two seconds switch at different moments, and each knows every key that the other signs with.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	use := Use{Algorithms: es, PublishBefore: 3 * time.Second}
	early, late := member(t, s), member(t, s)
	early.Now = func() time.Time { return time.Now().Add(2 * time.Second) }
	a, b := start(t, early, use), start(t, late, use)
	eventually(t, 10*time.Second, "one key", func() bool { return signer(a) != "" && signer(a) == signer(b) })
	for _, r := range []*Ring{a, b} {
		var out Rotation
		var err error
		eventually(t, 10*time.Second, "a rotation", func() bool {
			out, err = r.Rotate(t.Context(), token.ES256, 0)
			return err == nil
		})
		eventually(t, 20*time.Second, "both have switched", func() bool {
			if a.Key(signer(b)) == nil || b.Key(signer(a)) == nil {
				t.Error("a node signs with a key that another does not know")
			}
			return signer(a) == out.New && signer(b) == out.New
		})
	}
}

// A node that can't write its disk follows the fleet all the same: it would refuse good tokens, and take bad ones.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := member(t, s)
	a, b := start(t, member(t, s), Use{Algorithms: es}), start(t, o, Use{Algorithms: es})
	first := signer(a)
	eventually(t, 10*time.Second, "one key", func() bool { return first != "" && signer(b) == first })
	o.DB.Close()
	out, err := a.Revoke(t.Context(), token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "withdrawn", func() bool { return b.Key(first) == nil && signer(b) == out.New })
	eventually(t, 10*time.Second, "the failure is counted", func() bool { return b.Stats().Failures > 0 })
}
