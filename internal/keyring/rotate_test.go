package keyring

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/token"
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// manual is a ring that advances only when the test says so.
func manual(t *testing.T, o Options, use Use) *Ring {
	t.Helper()
	r, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ensure(t.Context(), use); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Ring) step(t *testing.T) {
	t.Helper()
	r.life.mu.Lock()
	defer r.life.mu.Unlock()
	if err := r.advance(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// states are the keys of a ring in words: slot by slot, with what each is.
func (r *Ring) states() string {
	r.life.mu.Lock()
	defer r.life.mu.Unlock()
	list := judge(r.life.entries, r.life.now(), r.life.use.Load().Every)
	slices.SortFunc(list, func(a, b standing) int { return bySlot(a.entry, b.entry) })
	out := ""
	for _, s := range list {
		out += fmt.Sprintf("%d:%s ", s.slot, s.state)
	}
	return out
}

var es = []token.Algorithm{token.ES256}

// A key is published before it signs, signs for its time, and verifies until what it signed has expired.
func TestSchedule(t *testing.T) {
	t.Parallel()
	c := newClock()
	db := openDB(t, t.TempDir())
	o := Options{DB: db, Now: c.now}
	use := Use{Algorithms: es, Every: time.Hour, PublishBefore: 10 * time.Minute, Lifetime: 20 * time.Minute}
	r := manual(t, o, use)
	first := r.Signer(token.ES256).Public().ID()
	for _, tt := range []struct {
		wait time.Duration
		want string
		age  time.Duration // of the JWKS
	}{
		{0, "1:current ", 595 * time.Second},
		{50*time.Minute - time.Millisecond, "1:current ", 595 * time.Second},
		{time.Millisecond, "1:current 2:next ", 595 * time.Second},
		{10*time.Minute - 1500*time.Millisecond, "1:current 2:next ", time.Second},
		{1500 * time.Millisecond, "1:retiring 2:current ", 595 * time.Second},
		{21 * time.Minute, "1:retiring 2:current ", 595 * time.Second},
		{time.Millisecond, "1:gone 2:current ", 595 * time.Second},
		{time.Minute, "2:current ", 595 * time.Second},
		{10 * time.Hour, "2:current 3:next ", 595 * time.Second}, // late, and published before it signs all the same
		{10 * time.Minute, "2:retiring 3:current ", 595 * time.Second},
	} {
		c.add(tt.wait)
		r.step(t)
		if got := r.states(); got != tt.want {
			t.Errorf("after %s: %s, want %s", tt.wait, got, tt.want)
		}
		consistent(t, r)
		if got := r.MaxAge(); got != tt.age {
			t.Errorf("after %s (%s): max-age %s, want %s", tt.wait, tt.want, got, tt.age)
		}
	}
	if r.Key(first) != nil {
		t.Error("the first key still verifies")
	}
	if what, until := r.Past(first); what != "retired" || until.After(c.now().Add(-10*time.Hour)) || until.Before(c.now().Add(-11*time.Hour)) {
		t.Errorf("the first key is %q since %s, hours after it retired", what, until)
	}
	if what, _ := r.Past(r.Signer(token.ES256).Public().ID()); what != "" {
		t.Errorf("the key that signs is %q", what)
	}
	again := manual(t, o, use)
	if got := again.states(); got != r.states() {
		t.Errorf("after a restart: %s, want %s", got, r.states())
	}
	if got := r.Stats().Rotations; got != 2 {
		t.Errorf("%d rotations", got)
	}
}

// A token may live as long as any configuration said while its key signed.
func TestLifetimeGrows(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := manual(t, Options{DB: openDB(t, t.TempDir()), Now: c.now}, Use{Algorithms: es, Lifetime: time.Hour})
	for _, life := range []time.Duration{3 * time.Hour, time.Minute} {
		if err := r.Ensure(t.Context(), Use{Algorithms: es, Lifetime: life}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := r.Rotate(t.Context(), token.ES256, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Until.Sub(out.Signs); got != 3*time.Hour+skew {
		t.Errorf("the old key verifies for %s", got)
	}
	c.add(time.Second)
	r.step(t)
	if k := r.Keys()[0]; k.State != Retiring || !k.Until.Equal(out.Until) || k.ID != out.Old {
		t.Errorf("%+v, want what the rotation said: %+v", k, out)
	}
}

// A forced rotation waits for the caches that lack the new key, and a second one joins it.
func TestRotate(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := manual(t, Options{DB: openDB(t, t.TempDir()), Now: c.now}, Use{Algorithms: es, PublishBefore: time.Minute})
	before := r.Signer(token.ES256)
	first, err := r.Rotate(t.Context(), token.ES256, time.Second)
	if err != nil || first.Signs.Sub(first.Published) != time.Second || first.Old != before.Public().ID() || r.Signer(token.ES256) != before {
		t.Fatalf("%+v, %v", first, err)
	}
	if second, err := r.Rotate(t.Context(), token.ES256, time.Minute); err != nil || second.New != first.New {
		t.Errorf("a second rotation made %+v, %v", second, err)
	}
	c.add(time.Second)
	r.step(t)
	if r.Signer(token.ES256).Public().ID() != first.New || r.Key(first.Old) == nil {
		t.Errorf("states %s", r.states())
	}
	handed := c.now().Add(r.MaxAge())
	third, err := r.Rotate(t.Context(), token.ES256, time.Second)
	if err != nil || third.Signs.Before(handed) {
		t.Errorf("%+v signs while a cache lacks it, until %s; %v", third, handed, err)
	}
	consistent(t, r)
	if _, err := r.Rotate(t.Context(), "none", 0); err == nil {
		t.Error("a key for none")
	}
}

// A key whose time came after the states were last judged is not waited for until the next look at the clock.
func TestOverdueKeyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := manual(t, Options{DB: openDB(t, t.TempDir()), Now: c.now}, Use{Algorithms: es})
	if _, err := r.Rotate(t.Context(), token.ES256, time.Second); err != nil {
		t.Fatal(err)
	}
	if wait := r.wait(); wait != time.Second {
		t.Errorf("waits %s for a key that signs in a second", wait)
	}
	c.add(time.Second + time.Millisecond)
	if wait := r.wait(); wait > fetchGap {
		t.Errorf("waits %s for a key that should sign", wait)
	}
	r.step(t)
	if wait := r.wait(); wait != lookEvery {
		t.Errorf("waits %s with nothing due", wait)
	}
}

// What was handed out before a restart is not known any more, and waited for all the same.
func TestRotateAfterRestart(t *testing.T) {
	t.Parallel()
	c := newClock()
	db, use := openDB(t, t.TempDir()), Use{Algorithms: es, PublishBefore: time.Minute}
	handed := c.now().Add(manual(t, Options{DB: db, Now: c.now}, use).MaxAge())
	c.add(5 * time.Second)
	r := manual(t, Options{DB: db, Now: c.now}, use)
	next, err := r.Rotate(t.Context(), token.ES256, time.Second)
	if err != nil || next.Signs.Before(handed) {
		t.Errorf("%+v signs while a cache lacks it, until %s; %v", next, handed, err)
	}
	c.add(2 * time.Minute)
	r.step(t)
	if next, err = r.Rotate(t.Context(), token.ES256, time.Second); err != nil || next.Signs.Sub(c.now()) != time.Second {
		t.Errorf("long after the restart, %+v; %v", next, err)
	}
}

// The emergency: the key that signed, and the one that would have, are refused at once, and a new one signs at once. They
// stay withdrawn over a restart.
func TestRevokeKey(t *testing.T) {
	t.Parallel()
	c := newClock()
	o := Options{DB: openDB(t, t.TempDir()), Now: c.now}
	r := manual(t, o, Use{Algorithms: es})
	plan, err := r.Rotate(t.Context(), token.ES256, 0)
	if err != nil {
		t.Fatal(err)
	}
	generation := r.Generation()
	out, err := r.Revoke(t.Context(), token.ES256)
	if err != nil || out.Old != plan.Old || !slices.Equal(out.Withdrawn, []string{plan.Old, plan.New}) || r.Signer(token.ES256).Public().ID() != out.New {
		t.Fatalf("%+v, %v", out, err)
	}
	if r.Key(plan.Old) != nil || r.Key(plan.New) != nil || r.Generation() == generation || len(r.Keys()) != 1 {
		t.Errorf("states %s", r.states())
	}
	if what, _ := r.Past(plan.Old); what != "withdrawn" {
		t.Errorf("the key that was withdrawn is %q", what)
	}
	consistent(t, r)
	c.add(100 * 24 * time.Hour)
	r.step(t)
	again := manual(t, o, Use{Algorithms: es})
	if got, want := again.states(), "1:revoked 2:revoked 3:current 4:next "; got != want || again.Key(plan.Old) != nil {
		t.Errorf("after a restart: %s, want %s", got, want)
	}
}

// Where every clock says that no key's time has come, the first one signs: a clock that was set back stops nothing.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := manual(t, Options{DB: openDB(t, t.TempDir()), Now: c.now}, Use{Algorithms: es})
	id := r.Signer(token.ES256).Public().ID()
	c.add(-48 * time.Hour)
	r.step(t)
	if s := r.Signer(token.ES256); s == nil || s.Public().ID() != id || len(r.Keys()) != 1 {
		t.Errorf("states %s", r.states())
	}
}

// Keys that the first version stored go on: the newest signs.
func TestKeysOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	db := openDB(t, t.TempDir())
	old, young := generate(t, token.ES256), generate(t, token.ES256)
	s := store{db, plainBucket, plainCodec{}}
	now := time.Now().UTC().Truncate(time.Second)
	for key, age := range map[*token.PrivateKey]time.Duration{old: time.Hour, young: time.Minute} {
		e := entry{id: key.Public().ID(), alg: token.ES256, private: key, created: now.Add(-age)}
		if err := s.write([]entry{e}, nil); err != nil {
			t.Fatal(err)
		}
	}
	r := manual(t, Options{DB: db}, Use{Algorithms: es})
	if r.Signer(token.ES256).Public().ID() != young.Public().ID() || r.Key(old.Public().ID()) == nil || r.states() != "1:retiring 2:current " {
		t.Errorf("states %s", r.states())
	}
}

// By the clock of the process, without being told.
func TestFollow(t *testing.T) {
	t.Parallel()
	r, err := Open(t.Context(), Options{DB: openDB(t, t.TempDir())}, Use{Algorithms: es, Every: 400 * time.Millisecond, PublishBefore: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	signed := map[string]bool{}
	for end := time.Now().Add(15 * time.Second); len(signed) < 4; time.Sleep(time.Millisecond) {
		id := r.Signer(token.ES256).Public().ID()
		signed[id] = true
		if r.Key(id) == nil {
			t.Fatal("a key signs that does not verify")
		}
		if time.Now().After(end) {
			t.Fatalf("%d keys signed: %s", len(signed), r.states())
		}
	}
	for id := range signed {
		if r.Key(id) == nil {
			t.Errorf("%s no longer verifies", id)
		}
	}
}

func TestWithdrawnFiles(t *testing.T) {
	t.Parallel()
	a, b := generate(t, token.ES256), generate(t, token.ES256)
	d := dir(t, map[string][]byte{"a.pem": pemOf(t, a), "b.pem": pemOf(t, b)})
	db := openDB(t, t.TempDir())
	if err := Withdraw(db, b.Public().ID(), time.Now()); err != nil {
		t.Fatal(err)
	}
	withdrawn, err := Withdrawn(db)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Load(d, map[token.Algorithm]string{token.ES256: "b.pem"}, es, withdrawn)
	if err != nil || r.Signer(token.ES256).Public().ID() != a.Public().ID() || r.Key(b.Public().ID()) != nil {
		t.Errorf("%v, %v", r, err)
	}
	withdrawn[a.Public().ID()] = true
	if _, err := Load(d, nil, es, withdrawn); err == nil {
		t.Error("loaded without a signer")
	}
	if _, err := r.Rotate(t.Context(), token.ES256, 0); err != ErrFiles {
		t.Errorf("Rotate: %v", err)
	}
	if r.MaxAge() != 5*time.Minute || r.Fetch(b.Public().ID()) != nil || r.Missing() != nil {
		t.Error("a ring of files")
	}
	r.Close()
}

// A process remembers the last keys that are gone, and not all that there ever were.
func TestPastIsBounded(t *testing.T) {
	t.Parallel()
	k := &keys{retired: map[string]time.Time{}}
	old := map[string]time.Time{}
	for i := range 3 * remembered {
		old[fmt.Sprint(i)] = time.Unix(int64(i), 0)
	}
	k.recall(old)
	if _, last := k.retired[fmt.Sprint(3*remembered-1)]; len(k.retired) != remembered || !last {
		t.Errorf("%d are remembered, the last one: %v", len(k.retired), last)
	}
}
