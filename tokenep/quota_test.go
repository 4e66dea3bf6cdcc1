package tokenep_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/ratelimit"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
	"gatehouse/tokenep"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for i := range 3 {
		a := f.ask("c-q")
		f.issued(t, a)
		if got, want := a.header.Get("RateLimit"), `"quota";r=`+strconv.Itoa(2-i)+`;t=`+strconv.Itoa(1200*(i+1)); got != want || a.header.Get("RateLimit-Policy") != `"quota";q=3;w=3600` {
			t.Errorf("LIM-003: RateLimit %q, want %q; policy %q", got, want, a.header.Get("RateLimit-Policy"))
		}
		// LIM-004: what is refused for another reason costs nothing.
		refused(t, f.ask("c-q", "scope", "admin:a"), 400, "invalid_scope")
		refused(t, f.ask("c-q", "audience", "https://nope"), 400, "invalid_target")
		refused(t, f.post("/oauth/token", form("grant_type", "x"), "Authorization", basic("c-q", f.secrets["c-q"])), 400, "unsupported_grant_type")
		refused(t, f.post("/oauth/token", form("grant_type", "client_credentials"), "Authorization", basic("c-q", "wrong")), 401, "invalid_client")
	}
	a := f.ask("c-q")
	refused(t, a, 429, "too_many_requests")
	if a.header.Get("Retry-After") != "1200" || a.header.Get("RateLimit") != `"quota";r=0;t=3600` {
		t.Errorf("LIM-001, LIM-003: headers %v", a.header)
	}
	r := f.last()
	if r.Reason != "too_many_requests" || r.OAuthError != "too_many_requests" || r.Issued || len(r.Own.Quotas) != 1 || !r.Own.Quotas[0].Over || r.Own.Quotas[0].Mode != "enforce" {
		t.Errorf("record %+v", r)
	}
	f.issued(t, f.ask("c-basic")) // another client has its own
	f.clock.advance(20 * time.Minute)
	f.issued(t, f.ask("c-q"))
	refused(t, f.ask("c-q"), 429, "too_many_requests")
}

// A quota that is observed issues on, and tells of 60, 80 and 100 per cent once each.
func TestQuotaObserved(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	var reached []int
	over := 0
	for range 8 {
		a := f.ask("c-qo")
		f.issued(t, a)
		if a.header.Get("RateLimit-Policy") != `"quota";q=5;w=3600` {
			t.Errorf("headers %v", a.header)
		}
		r := f.last()
		q := r.Own.Quotas[0]
		reached = append(reached, q.Reached...)
		if len(r.Own.Quotas) != 1 || q.Mode != "observe" || q.Name != "quota" || len(q.Reached)+b2i(q.Over) != len(r.Own.Warnings) {
			t.Errorf("quotas %+v, warnings %q", r.Own.Quotas, r.Own.Warnings)
		}
		over += b2i(q.Over)
	}
	if len(reached) != 3 || reached[0] != 60 || reached[1] != 80 || reached[2] != 100 || over != 3 {
		t.Errorf("LIM-002: reached %v, over %d times", reached, over)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// An enforced quota that refuses leaves the observed one alone.
func TestQuotasTogether(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for i, over := range []bool{false, true} {
		f.issued(t, f.ask("c-q2"))
		if q := f.last().Own.Quotas; len(q) != 2 || q[0].Over || q[1].Over != over || q[1].Name != "quota#2" {
			t.Errorf("request %d: %+v", i, q)
		}
	}
	refused(t, f.ask("c-q2"), 429, "too_many_requests")
	if q := f.last().Own.Quotas; len(q) != 1 {
		t.Errorf("%+v", q)
	}
}

// Without a key that signs nothing is charged.
func TestQuotaWithoutKey(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	f := start(t, func(o *tokenep.Options) {
		signer := o.Signer
		o.Signer = func(a token.Algorithm) *token.PrivateKey {
			if away.Load() {
				return nil
			}
			return signer(a)
		}
	})
	away.Store(true)
	for range 5 {
		refused(t, f.ask("c-q"), 503, "temporarily_unavailable")
	}
	away.Store(false)
	for range 3 {
		f.issued(t, f.ask("c-q"))
	}
}

func TestQuotaExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	f := start(t, func(o *tokenep.Options) {
		o.Clients = tokenep.NewRegistry([]tokenep.Client{{ID: "c", Grants: map[string]token.Scopes{"b": {}}, GrantTypes: []string{"client_credentials"},
			Secrets: []tokenep.Secret{{SHA256: secret.Sum("s")}}, Quotas: []tokenep.Quota{quota(40)}}})
	})
	f.secrets["c"] = "s"
	var ok, refusals atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				switch f.ask("c").status {
				case 200:
					ok.Add(1)
				case 429:
					refusals.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if ok.Load() != 40 || refusals.Load() != 60 {
		t.Errorf("LIM-005: %d tokens and %d refusals, want 40 and 60", ok.Load(), refusals.Load())
	}
}

func TestQuotaNeedsCounter(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	o := f.options
	o.Quotas = nil
	if _, err := tokenep.New(o); err == nil {
		t.Error("a client's quota that nothing counts is accepted")
	}
	var _ tokenep.Quotas = (*ratelimit.Limiter)(nil)
}
