package tokenep_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/exchange"
	"gatehouse/internal/hashpool"
	"gatehouse/internal/lockout"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
	"gatehouse/tokenep"
)

// cheap keeps tests quick; BenchmarkAuthenticate has a cost of real life.
var cheap = secret.Argon2idCost{Memory: 64, Time: 1, Threads: 1}

func argon(t testing.TB, text string, cost secret.Argon2idCost) tokenep.Secret {
	t.Helper()
	phc, err := secret.HashArgon2id(text, cost)
	if err != nil {
		t.Fatal(err)
	}
	h, err := secret.ParseArgon2id(phc)
	if err != nil {
		t.Fatal(err)
	}
	return tokenep.Secret{Argon2id: h}
}

// counted is a pool that counts how often it is asked.
type counted struct {
	tokenep.SlowHashes
	asked atomic.Int64
}

func (c *counted) Do(ctx context.Context, source string, f func()) error {
	c.asked.Add(1)
	return c.SlowHashes.Do(ctx, source, f)
}

// startArgon runs the endpoints with clients whose secrets were imported, beside those of the fixture.
func startArgon(t testing.TB, cost secret.Argon2idCost, change func(o *tokenep.Options)) (*fixture, *counted) {
	t.Helper()
	pool, secrets := &counted{}, map[string]string{}
	f := start(t, func(o *tokenep.Options) {
		now := time.Unix(1_800_000_000, 0)
		imported := func(id string, s ...tokenep.Secret) tokenep.Client {
			return tokenep.Client{ID: id, Grants: map[string]token.Scopes{"b": token.NewScopes("read:b")}, GrantTypes: []string{"client_credentials"}, Secrets: s}
		}
		off, post := imported("i-off", argon(t, "imported", cost)), imported("i-post", argon(t, "imported", cost))
		off.Disabled, post.Auth = true, "client_secret_post"
		expired, later := argon(t, "imported", cost), argon(t, "imported", cost)
		expired.NotAfter, later.NotBefore = now, now.Add(time.Hour)
		o.Clients = tokenep.NewRegistry(append(clients(now, secrets), off, post,
			imported("i", argon(t, "imported", cost)),
			imported("i-two", argon(t, "first", cost), tokenep.Secret{SHA256: secret.Sum("by digest")}, argon(t, "second", cost)),
			imported("i-exp", expired), imported("i-later", later),
			imported(oddID+"i", argon(t, oddSecret, cost)),
		))
		pool.SlowHashes = o.SlowHashes
		o.SlowHashes = pool
		if change != nil {
			change(o)
		}
	})
	f.secrets = secrets
	return f, pool
}

func TestArgon2id(t *testing.T) {
	t.Parallel()
	f, _ := startArgon(t, cheap, nil)
	try := func(id, secret string) answer {
		return f.post("/oauth/token", grant, "Authorization", basic(id, secret))
	}
	for _, good := range [][2]string{{"i", "imported"}, {"i-two", "first"}, {"i-two", "second"}, {"i-two", "by digest"}, {oddID + "i", oddSecret},
		{"c-c", f.secrets["c-c"]}} {
		f.issued(t, try(good[0], good[1]))
	}
	f.issued(t, f.post("/oauth/token", grant+"&"+form("client_id", "i-post", "client_secret", "imported")))
	f.issued(t, f.post("/oauth/token", grant, "Authorization", rawBasic("i:imported")))
	want := try("i", "wrong")
	for _, bad := range [][2]string{{"i", "wrong"}, {"i", "imported "}, {"i", "importe"}, {"i", "imported" + strings.Repeat("x", 100)}, {"i", "first"},
		{"i-off", "imported"}, {"i-exp", "imported"}, {"i-later", "imported"}, {"i-post", "imported"}, {"c-nobody", "imported"}, {"i", secret.New()}, {"i-two", "third"}} {
		got := try(bad[0], bad[1])
		if refused(t, got, 401, "invalid_client"); got.body != want.body {
			t.Errorf("%v: %s, want %s", bad, got.body, want.body)
		}
	}
	f.clock.advance(2 * time.Hour)
	f.issued(t, try("i-later", "imported"))
}

// Ensure that whether a slow hash is computed depends on the form of what was presented alone (decision 15).
func TestSlowOnlyByForm(t *testing.T) {
	t.Parallel()
	f, pool := startArgon(t, cheap, nil)
	asked := func(id, secret string) int64 {
		before := pool.asked.Load()
		f.post("/oauth/token", grant, "Authorization", basic(id, secret))
		return pool.asked.Load() - before
	}
	whole := secret.New()
	broken := whole[:len(whole)-1] + string('0'+(whole[len(whole)-1]-'0'+1)%10)
	for _, id := range []string{"c-basic", "c-off", "c-exp", "c-nobody", "c-pub", "c-post", "i", "i-off", "i-exp", "i-two"} {
		if n := asked(id, whole); n != 0 {
			t.Errorf("%s: a whole secret was compared slowly %d times", id, n)
		}
		for _, other := range []string{"wrong", broken, "gatecs_x"} {
			if n := asked(id, other); n != 1 {
				t.Errorf("%s: %q was compared slowly %d times, want once", id, other, n)
			}
		}
	}
	if n := asked("c-basic", f.secrets["c-basic"]); n != 0 {
		t.Error("a good generated secret waits for slow hashes")
	}
	plain := start(t, func(o *tokenep.Options) { o.SlowHashes = noHashes{t} })
	refused(t, plain.post("/oauth/token", grant, "Authorization", basic("c-basic", "wrong")), 401, "invalid_client")
}

// noHashes is a pool that must not be asked, since nobody has an argon2id secret.
type noHashes struct{ t testing.TB }

func (n noHashes) Do(context.Context, string, func()) error {
	n.t.Error("a slow hash where nobody has one")
	return nil
}

// busyHashes is a pool that is always full.
type busyHashes struct{}

func (busyHashes) Do(context.Context, string, func()) error { return hashpool.ErrBusy }

func TestBusy(t *testing.T) {
	t.Parallel()
	f, _ := startArgon(t, cheap, func(o *tokenep.Options) {
		o.SlowHashes, o.Lockout = busyHashes{}, lockout.New(lockout.NewStore(nil), 3, time.Hour)
	})
	for range 5 { // not tried, and so not counted
		refused(t, f.post("/oauth/token", grant, "Authorization", basic("i", "imported")), 503, "temporarily_unavailable")
	}
	if rec := f.last(); rec.AuthFailure != "busy" {
		t.Errorf("failure %q", rec.AuthFailure)
	}
	f.issued(t, f.ask("c-basic"))
}

// TestLockout is AUT-018 and 019, on every endpoint and by every method.
func TestLockout(t *testing.T) {
	t.Parallel()
	f, pool := startArgon(t, cheap, func(o *tokenep.Options) { o.Lockout = lockout.New(lockout.NewStore(nil), 10, time.Hour) })
	from := func(source, path, id, secret string) answer {
		return f.post(path, grant+"&token=x", "Authorization", basic(id, secret), "X-Test-Remote", source)
	}
	locked := func(a answer) {
		t.Helper()
		if refused(t, a, 429, "too_many_requests"); a.header.Get("Retry-After") < "3590" || a.header.Get("Retry-After") > "3600" || len(a.header.Get("Retry-After")) != 4 {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
	}
	for i, id := range []string{"c-basic", "c-nobody", "c-off", "i", "c-pub"} {
		source := fmt.Sprintf("192.0.2.%d", i+1)
		for n := range 10 {
			path := []string{"/oauth/token", "/oauth/revoke"}[n%2]
			refused(t, from(source, path, id, "wrong"), 401, "invalid_client")
		}
		for _, path := range []string{"/oauth/token", "/oauth/revoke"} {
			for _, secret := range []string{"wrong", f.secrets[id], "imported", secret.New()} {
				if secret != "" {
					locked(from(source, path, id, secret))
				}
			}
		}
		if rec := f.last(); rec.AuthFailure != "locked_out" || rec.Client != "" {
			t.Errorf("record %+v", rec)
		}
	}
	before := pool.asked.Load()
	locked(from("192.0.2.4", "/oauth/token", "i", "wrong"))
	if pool.asked.Load() != before {
		t.Error("who is locked out takes a turn in the pool")
	}
	f.issued(t, from("198.51.100.1", "/oauth/token", "c-basic", f.secrets["c-basic"]))
	f.issued(t, from("192.0.2.1", "/oauth/token", "c-c", f.secrets["c-c"]))
}

// Ensure that another spelling of an id, and another method, count together.
func TestLockoutSpellings(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *tokenep.Options) { o.Lockout = lockout.New(lockout.NewStore(nil), 4, time.Hour) })
	for _, header := range []string{basic("c-basic", "wrong"), rawBasic("%63-basic:wrong"), rawBasic("c-%62asic:wrong%21")} {
		refused(t, f.post("/oauth/token", grant, "Authorization", header), 401, "invalid_client")
	}
	refused(t, f.post("/oauth/token", grant+"&client_id=c-basic&client_secret=wrong"), 401, "invalid_client")
	refused(t, f.ask("c-basic"), 429, "too_many_requests")
}

func TestLockoutAssertions(t *testing.T) {
	t.Parallel()
	s := startSigner(t, token.ES256, func(o *tokenep.Options, _ *tokenep.Client) {
		o.Lockout = lockout.New(lockout.NewStore(nil), 3, time.Hour)
	})
	for range 3 {
		refused(t, s.send(s.sign("aud", "x")), 401, "invalid_client")
	}
	kept := s.sign()
	refused(t, s.send(kept), 429, "too_many_requests")
	a := s.post("/oauth/token", grant+"&"+form("client_assertion_type", jwtBearer, "client_assertion", kept), "X-Test-Remote", "192.0.2.9")
	if a.status != 200 {
		t.Errorf("an assertion that met a lock is used up: %d %s", a.status, a.body)
	}
}

// Ensure that of guesses sent all at once no more count than may (Keycloak CVE-2024-4629).
func TestLockoutAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *tokenep.Options) { o.Lockout = lockout.New(lockout.NewStore(nil), 10, time.Hour) })
	var wrong, locked atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			switch a := f.post("/oauth/token", grant, "Authorization", basic("c-basic", "wrong")); a.status {
			case 401:
				wrong.Add(1)
			case 429:
				locked.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() != 10 || locked.Load() != 190 {
		t.Errorf("%d answered 401 and %d 429, want 10 and 190", wrong.Load(), locked.Load())
	}
}

// BenchmarkAuthenticate compares what refusing takes: the rows of one form must not differ by more than noise.
func BenchmarkAuthenticate(b *testing.B) {
	real := secret.Argon2idCost{Memory: 19456, Time: 2, Threads: 1}
	plain := start(b, nil)
	slow, _ := startArgon(b, real, nil)
	signed := startSigner(b, token.ES256, nil)
	run := func(name string, f *fixture, header, body string) {
		b.Run(name, func(b *testing.B) {
			s, err := tokenep.New(f.options)
			if err != nil {
				b.Fatal(err)
			}
			h := s.Endpoints()["/oauth/token"]
			for b.Loop() {
				w, r := httptest.NewRecorder(), newPost(b, "/oauth/token", body)
				r.RequestURI = "" // served without a connection
				r.Header.Set("Authorization", header)
				if header == "" {
					r.Header.Del("Authorization")
				}
				h.ServeHTTP(w, r.WithContext(exchange.NewContext(r.Context(), &exchange.Record{})))
				if w.Code != http.StatusUnauthorized {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	whole := secret.New()
	for _, who := range []struct{ name, id string }{{"known", "c-basic"}, {"unknown", "c-nobody"}, {"disabled", "c-off"}, {"expired", "c-exp"}, {"two", "c-rot"}} {
		run("generated/"+who.name, plain, basic(who.id, whole), grant)
	}
	for _, who := range []struct{ name, id string }{{"known", "i"}, {"unknown", "c-nobody"}, {"disabled", "i-off"}, {"expired", "i-exp"}, {"two", "i-two"}, {"by_digest", "c-basic"}} {
		run("argon2id/"+who.name, slow, basic(who.id, "wrong"), grant)
	}
	for _, who := range []struct{ name, id string }{{"known", "c-pk"}, {"unknown", "c-nobody"}, {"disabled", "c-pk-off"}} {
		a := signed.sign("iss", who.id, "sub", who.id, "aud", "x")
		run("assertion/"+who.name, signed.fixture, "", grant+"&"+form("client_assertion_type", jwtBearer, "client_assertion", a))
	}
}
