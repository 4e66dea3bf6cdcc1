package revoke

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// id is a token id made from n, spread like a hash.
func id(n uint64) (out [16]byte) {
	r := rand.New(rand.NewPCG(n, 7))
	binary.LittleEndian.PutUint64(out[:], r.Uint64())
	binary.LittleEndian.PutUint64(out[8:], r.Uint64())
	return out
}

func token(jti string, expires int64) Entry {
	return Entry{Kind: Token, ID: TokenID("local", jti), Expires: expires}
}

func TestZeroSetRevokesNothing(t *testing.T) {
	t.Parallel()
	var s Set
	if s.Revoked(&Target{Issuer: "local", TokenID: "a", Client: "c", Key: "k"}) {
		t.Error("an empty set refuses a token")
	}
	if got := s.NotBefore("local", "c", "k"); got != 0 {
		t.Errorf("NotBefore = %d, wanted 0", got)
	}
	s.Add()
	s.Drop(1 << 40)
	if tokens, rules := s.Len(); tokens != 0 || rules != 0 {
		t.Errorf("Len = %d, %d, wanted 0, 0", tokens, rules)
	}
}

// TestEachKindAlone holds that each kind refuses by itself, and no other token than those it names.
func TestEachKindAlone(t *testing.T) {
	t.Parallel()
	target := Target{Issuer: "local", TokenID: "jti", Client: "billing", Key: "kid", IssuedAt: 99}
	entries := map[string]Entry{
		"token":  token("jti", 5000),
		"client": {Kind: Client, Issuer: "local", Name: "billing", NotBefore: 100, Expires: 5000},
		"key":    {Kind: Key, Issuer: "local", Name: "kid", NotBefore: 100, Expires: 5000},
		"all":    {Kind: All, Issuer: "local", NotBefore: 100, Expires: 5000},
	}
	changes := []struct {
		name   string
		change func(*Target)
		spared string // kinds that let the changed token pass
	}{
		{"itself", func(*Target) {}, ""},
		{"another token", func(t *Target) { t.TokenID = "jti2" }, "token"},
		{"without jti", func(t *Target) { t.TokenID = "" }, "token"},
		{"of another client", func(t *Target) { t.Client = "billing2" }, "client"},
		{"without client", func(t *Target) { t.Client = "" }, "client"},
		{"of another key", func(t *Target) { t.Key = "kid2" }, "key"},
		{"without key", func(t *Target) { t.Key = "" }, "key"},
		{"of another issuer", func(t *Target) { t.Issuer = "corp" }, "token client key all"},
		{"issued at T", func(t *Target) { t.IssuedAt = 100 }, "client key all"},
		{"without iat", func(t *Target) { t.IssuedAt = 0 }, ""},
		{"with a negative iat", func(t *Target) { t.IssuedAt = -5 }, ""},
		{"client named like the key", func(t *Target) { t.Client, t.Key = "kid", "billing" }, "client key"},
	}
	for kind, e := range entries {
		var s Set
		s.Add(e)
		for _, c := range changes {
			changed := target
			c.change(&changed)
			spared := false
			for _, k := range strings.Fields(c.spared) {
				spared = spared || k == kind
			}
			if got := s.Revoked(&changed); got == spared {
				t.Errorf("entry by %s, token %s: Revoked = %v, wanted %v", kind, c.name, got, !spared)
			}
		}
	}
}

func TestTokenIDKeepsPartsApart(t *testing.T) {
	t.Parallel()
	seen := make(map[[16]byte]string)
	for _, p := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"", "abc"}, {"abc", ""}, {"a", "b"}, {"local", string(make([]byte, 4000))}} {
		got := TokenID(p[0], p[1])
		if other, ok := seen[got]; ok {
			t.Errorf("TokenID(%q) is that of %s", p, other)
		}
		seen[got] = fmt.Sprintf("%q", p)
	}
}

func TestNotBeforeIsTheLargest(t *testing.T) {
	t.Parallel()
	var s Set
	s.Add(Entry{Kind: Client, Issuer: "local", Name: "c", NotBefore: 100, Expires: 5000},
		Entry{Kind: Key, Issuer: "local", Name: "k", NotBefore: 300, Expires: 5000},
		Entry{Kind: All, Issuer: "local", NotBefore: 200, Expires: 5000})
	for _, tt := range []struct {
		issuer, client, key string
		want                int64
	}{{"local", "c", "x", 200}, {"local", "c", "k", 300}, {"local", "", "", 200}, {"corp", "c", "k", 0}} {
		if got := s.NotBefore(tt.issuer, tt.client, tt.key); got != tt.want {
			t.Errorf("NotBefore(%q, %q, %q) = %d, wanted %d", tt.issuer, tt.client, tt.key, got, tt.want)
		}
	}
}

func TestLastIssue(t *testing.T) {
	t.Parallel()
	var s Set
	s.Add(Entry{Kind: Client, Issuer: "local", Name: "a", NotBefore: 100, Expires: 5000},
		Entry{Kind: Client, Issuer: "local", Name: "b", NotBefore: 400, Expires: 5000},
		Entry{Kind: Key, Issuer: "local", Name: "k", NotBefore: 300, Expires: 5000},
		Entry{Kind: Key, Issuer: "local", Name: "l", NotBefore: 200, Expires: 5000},
		Entry{Kind: All, Issuer: "local", NotBefore: 50, Expires: 5000},
		Entry{Kind: All, Issuer: "corp", NotBefore: 900, Expires: 5000})
	for _, tt := range []struct {
		e    Entry
		want int64
	}{
		{Entry{Kind: Client, Issuer: "local", Name: "a"}, 300},
		{Entry{Kind: Client, Issuer: "local", Name: "b"}, 400},
		{Entry{Kind: Client, Issuer: "local", Name: "new"}, 300},
		{Entry{Kind: Key, Issuer: "local", Name: "l"}, 400},
		{Entry{Kind: All, Issuer: "local"}, 400},
		{Entry{Kind: All, Issuer: "corp"}, 900},
		{Entry{Kind: Client, Issuer: "other", Name: "a"}, 0},
	} {
		if got := s.lastIssue(&tt.e); got != tt.want {
			t.Errorf("lastIssue(%s %q of %s) = %d, wanted %d", tt.e.Kind, tt.e.Name, tt.e.Issuer, got, tt.want)
		}
	}
}

func TestRulesOnlyGrow(t *testing.T) {
	t.Parallel()
	var s Set
	rule := func(notBefore, expires int64) Entry {
		return Entry{Kind: Client, Issuer: "local", Name: "c", NotBefore: notBefore, Expires: expires}
	}
	s.Add(rule(190, 5000))
	s.Add(rule(100, 4900), rule(200, 4000), rule(150, 4999))
	for e := range s.All() {
		if e != rule(200, 5000) {
			t.Errorf("the rule is %+v, wanted %+v", e, rule(200, 5000))
		}
	}
	// A later T that is to be forgotten soon takes nothing with it.
	if s.Drop(4500); s.NotBefore("local", "c", "") != 200 {
		t.Error("the rule is gone before its latest expiry")
	}
	older, same, later := rule(100, 5000), rule(200, 5000), rule(200, 5001)
	if !s.Holds(&older) || !s.Holds(&same) || s.Holds(&later) {
		t.Errorf("Holds older, same, later expiry = %v %v %v, wanted true true false", s.Holds(&older), s.Holds(&same), s.Holds(&later))
	}
}

func TestLaterExpiryCounts(t *testing.T) {
	t.Parallel()
	const hour = bucketSeconds
	for _, expires := range [][]int64{{hour + 10, hour + 20}, {hour + 20, hour + 10}, {2*hour + 5, hour + 20}, {hour + 20, 2*hour + 5}} {
		var s Set
		s.Add(token("a", expires[0]))
		s.Add(token("a", expires[1]))
		last := max(expires[0], expires[1])
		now, next := token("a", last), token("a", last+1)
		if !s.Holds(&now) || s.Holds(&next) {
			t.Errorf("after expiries %v: Holds until %d = %v, one more = %v", expires, last, s.Holds(&now), s.Holds(&next))
		}
		s.Drop(min(expires[0], expires[1]) / hour * hour)
		if !s.Revoked(&Target{Issuer: "local", TokenID: "a", IssuedAt: 1}) {
			t.Errorf("after expiries %v the token passes before the last", expires)
		}
		s.Drop((last/hour + 1) * hour)
		if s.Revoked(&Target{Issuer: "local", TokenID: "a", IssuedAt: 1}) {
			t.Errorf("after expiries %v the token is refused after the last hour", expires)
		}
	}
}

// TestSetAgreesWithModel runs random operations on a set and on a plain map.
func TestSetAgreesWithModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s Set
		model := make(map[[16]byte]int64) // id → end of the last hour in which it is kept
		rules := make(map[ruleKey]rule)
		now := int64(bucketSeconds)
		for range 3000 {
			switch n := r.IntN(100); {
			case n < 70:
				e := Entry{Kind: Token, ID: id(r.Uint64N(500)), Expires: now + 1 + r.Int64N(5*bucketSeconds)}
				s.Add(e)
				model[e.ID] = max(model[e.ID], (e.Expires/bucketSeconds+1)*bucketSeconds)
			case n < 90:
				e := Entry{Kind: Client + Kind(r.IntN(2)), Issuer: "local", Name: string(rune('a' + r.IntN(5))),
					NotBefore: r.Int64N(1000) + 1, Expires: now + 1 + r.Int64N(5*bucketSeconds)}
				s.Add(e)
				key, next := e.rule()
				old := rules[key]
				rules[key] = rule{max(old.notBefore, next.notBefore), max(old.expires, next.expires)}
			default:
				now += r.Int64N(bucketSeconds)
				s.Drop(now)
				for k, end := range model {
					if end <= now {
						delete(model, k)
					}
				}
				for k, old := range rules {
					if old.expires <= now {
						delete(rules, k)
					}
				}
			}
			compare(t, &s, model, rules)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func compare(t *testing.T, s *Set, model map[[16]byte]int64, rules map[ruleKey]rule) {
	t.Helper()
	got := make(map[[16]byte]bool)
	seen := 0
	for e := range s.All() {
		if e.Kind == Token {
			got[e.ID] = true
			continue
		}
		seen++
		if key, r := e.rule(); rules[key] != r {
			t.Errorf("rule %v is %+v, wanted %+v", key, r, rules[key])
		}
	}
	if len(got) != len(model) || seen != len(rules) {
		t.Errorf("%d tokens and %d rules, wanted %d and %d", len(got), seen, len(model), len(rules))
	}
	for k := range model {
		if !got[k] {
			t.Errorf("token %x is missing", k)
		}
	}
}

// TestReadersNeverMissWhatWasAdded has readers look up, again and again, what the writer says it has added.
func TestReadersNeverMissWhatWasAdded(t *testing.T) {
	t.Parallel()
	const total = 5000
	var s Set
	var added atomic.Int64
	jti := func(n int64) string { return fmt.Sprintf("token %d", n) }
	var readers sync.WaitGroup
	for seed := range uint64(4) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 2))
			for n := added.Load(); n < total; n = added.Load() {
				if n == 0 {
					continue
				}
				if i := r.Int64N(n); !s.Revoked(&Target{Issuer: "local", TokenID: jti(i), IssuedAt: 1 << 40}) {
					t.Errorf("token %d of %d passes", i, n)
					return
				}
				if s.Revoked(&Target{Issuer: "local", TokenID: jti(total + n), IssuedAt: 1 << 40}) {
					t.Error("a token that was not revoked is refused")
					return
				}
			}
		})
	}
	for n := range int64(total) {
		s.Add(token(jti(n), bucketSeconds*(1+n%3)+n%7))
		added.Store(n + 1)
		if n%100 == 0 {
			s.Add(Entry{Kind: Client, Issuer: "local", Name: "c", NotBefore: n + 1, Expires: 1 << 30})
			s.Drop(0)
		}
	}
	readers.Wait()
}

// TestLookupsDoNotAllocate looks for a token that is there, one that is not, and one that a rule refuses, among a million.
func TestLookupsDoNotAllocate(t *testing.T) {
	s := million(24)
	s.Add(token("revoked", bucketSeconds*9), Entry{Kind: Client, Issuer: "local", Name: "ended", NotBefore: 100, Expires: 5000})
	for name, want := range lookups {
		if got := s.Revoked(&name); got != want {
			t.Errorf("Revoked(%+v) = %v", name, got)
		}
		if n := testing.AllocsPerRun(100, func() { s.Revoked(&name) }); n != 0 {
			t.Errorf("a lookup of %+v allocates %v times, wanted 0", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.NotBefore("local", "billing", "kid") }); n != 0 {
		t.Errorf("NotBefore allocates %v times, wanted 0", n)
	}
}

// lookups are tokens, and whether the set of TestLookupsDoNotAllocate refuses them.
var lookups = map[Target]bool{
	{Issuer: "local", TokenID: "revoked", Client: "billing", Key: "kid", IssuedAt: 200}:                true,
	{Issuer: "local", TokenID: "Zm9vYmFyYmF6cXV4MTIzNA", Client: "billing", Key: "kid", IssuedAt: 200}: false,
	{Issuer: "local", TokenID: "Zm9vYmFyYmF6cXV4MTIzNA", Client: "ended", Key: "kid", IssuedAt: 99}:    true,
}

// million returns a set of a million tokens that expire within the given number of hours.
func million(hours int64) *Set {
	s := new(Set)
	batch := make([]Entry, 0, 1000)
	for n := range uint64(1_000_000) {
		e := Entry{Kind: Token, ID: id(n), Expires: bucketSeconds*(1+int64(n)%hours) + int64(n%3000) + 1}
		if batch = append(batch, e); len(batch) == cap(batch) {
			s.Add(batch...)
			batch = batch[:0]
		}
	}
	return s
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMillionEntriesStaySmall takes one hour, and so one table, which has the most room to spare.
func TestMillionEntriesStaySmall(t *testing.T) {
	before := heap()
	s := million(1)
	grown := int64(heap()) - int64(before)
	if tokens, _ := s.Len(); tokens != 1_000_000 {
		t.Fatalf("%d tokens, wanted 1000000", tokens)
	}
	if grown >= 100<<20 {
		t.Errorf("a million entries take %d MiB, wanted less than 100", grown>>20)
	}
}

// BenchmarkRevokedMany looks for as many tokens in turn as find no room in the processor's first caches, none of which is revoked.
func BenchmarkRevokedMany(b *testing.B) {
	targets := make([]Target, 4096)
	for i := range targets {
		targets[i] = Target{Issuer: "local", TokenID: fmt.Sprint("token", i), Client: "billing", Key: "kid", IssuedAt: 1 << 40}
	}
	for _, hours := range []int64{1, 24} {
		set := million(hours)
		b.Run(fmt.Sprint("million in hours: ", hours), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if set.Revoked(&targets[i%len(targets)]) {
					b.Fatal("revoked")
				}
			}
		})
	}
}

func BenchmarkRevoked(b *testing.B) {
	miss := Target{Issuer: "local", TokenID: "Zm9vYmFyYmF6cXV4MTIzNA", Client: "billing", Key: "kid", IssuedAt: 1 << 40}
	hit, ended := miss, miss
	hit.TokenID, ended.Client, ended.IssuedAt = "revoked", "c", 99
	rule := Entry{Kind: Client, Issuer: "local", Name: "c", NotBefore: 100, Expires: 5000}
	rules, hour, day, both := new(Set), million(1), million(24), million(24)
	rules.Add(rule)
	both.Add(rule, token("revoked", bucketSeconds*9))
	for _, bm := range []struct {
		name   string
		set    *Set
		target Target
		want   bool
	}{{"empty", new(Set), miss, false}, {"rules, miss", rules, miss, false}, {"million in one hour, miss", hour, miss, false}, {"million in 24 hours, miss", day, miss, false},
		{"million in 24 hours and a rule, miss", both, miss, false}, {"million in 24 hours, hit", both, hit, true}, {"million in 24 hours, hit by a rule", both, ended, true}} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if bm.set.Revoked(&bm.target) != bm.want {
					b.Fatal("another answer")
				}
			}
		})
	}
}

// BenchmarkMillion says what a million entries take: time to add them, and bytes that stay.
func BenchmarkMillion(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		before := heap()
		s := million(24)
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		runtime.KeepAlive(s)
	}
}
