package app

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/token"
)

// side is one of two sites that get the same traffic.
type side struct {
	*site
	n          *node
	corp, dead *authority // dead does not answer
}

func newSide(t *testing.T, redis *redistest.Server, observe bool) *side {
	t.Helper()
	s, corp, dead := newSite(t, redis), newAuthority(t), newAuthority(t)
	s.limit = `[{requests: 20, per: 1h, by: client}, {requests: 60, per: 1h, by: ip}, {requests: 7, per: 1h, by: "claim:org"}]`
	s.clients = map[string]string{"gone": "grants: {orders: [orders:read]}\n    disabled: true",
		"small": "grants: {orders: [orders:read]}\n    rate_limit: {requests: 3, per: 1h}"}
	s.extra = "      - {match: \"GET /costly\", scopes: [orders:read], cost: 3, rate_limit: {requests: 6, per: 1h, by: route}}\n"
	s.writeClients()
	s.accept(map[string]string{"corp": corp.entry(""), "dead": dead.entry("")})
	if observe {
		path := filepath.Join(s.dir, "config.yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		audience := "    audience: https://api.example.com/orders\n"
		s.file("config.yaml", strings.Replace(string(text), audience, audience+"    mode: observe\n", 1))
	}
	dead.Close()
	side := &side{site: s, n: s.start(), corp: corp, dead: dead}
	t.Cleanup(func() { side.n.stop() })
	return side
}

// request is one of the traffic, by the reason that is expected where no limit says no.
type request struct {
	reason, path string
	token        func(s *side) string // "": none
}

// requests are of every kind: passing, and refused for each reason that observe mode waives.
func requests(t *testing.T) []request {
	ours := func(change func(*token.Issue)) func(*side) string {
		return func(s *side) string { return s.forge(change, s.key) }
	}
	theirs := func(header, claims map[string]any) func(*side) string {
		return func(s *side) string { return s.corp.token(t, header, claims) }
	}
	stranger, err := token.Generate(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	now, one := time.Now().Unix(), "/orders/1"
	plain := func(*token.Issue) {}
	return []request{
		{"", one, ours(plain)},
		{"", one, ours(func(i *token.Issue) { i.Client = "writer" })},
		{"", one, ours(func(i *token.Issue) { i.Client = "small" })},
		{"", "/costly", ours(plain)},
		{"", "/open/x", func(*side) string { return "" }},
		{"", one, theirs(nil, map[string]any{"org": "a"})},
		{"", one, theirs(nil, map[string]any{"org": "b", "azp": "other"})},
		{"missing_token", one, func(*side) string { return "" }},
		{"malformed_token", one, func(*side) string { return "a.b.c" }},
		{"malformed_token", one, theirs(nil, map[string]any{"exp": now + 100_000})},
		{"unsupported_alg", one, theirs(map[string]any{"alg": "none"}, nil)},
		{"unknown_key", one, func(s *side) string { return s.forge(plain, stranger) }},
		{"bad_signature", one, func(s *side) string { raw := s.forge(plain, s.key); return raw[:len(raw)-8] + "AAAAAAAA" }},
		{"wrong_issuer", one, ours(func(i *token.Issue) { i.Issuer = "https://nobody.example" })},
		{"expired", one, ours(func(i *token.Issue) { i.IssuedAt, i.Expires = now-100, now-50 })},
		{"not_yet_valid", one, ours(func(i *token.Issue) { i.IssuedAt, i.Expires = now+3000, now+3100 })},
		{"revoked", one, func(s *side) string {
			raw := s.forge(func(i *token.Issue) { i.IssuedAt = now - 10 }, s.key)
			if got := s.revoke(s.n, "reader", raw); got != 200 {
				t.Errorf("revocation: %d", got)
			}
			return raw
		}},
		{"client_disabled", one, ours(func(i *token.Issue) { i.Client = "gone" })},
		{"client_disabled", one, ours(func(i *token.Issue) { i.Client = "nobody" })},
		{"wrong_audience", one, ours(func(i *token.Issue) { i.Audience = "https://api.example.com/users" })},
		{"insufficient_scope", one, ours(func(i *token.Issue) { i.Scopes = token.NewScopes("orders:write") })},
		{"state_unavailable", one, func(s *side) string { return s.dead.token(t, nil, nil) }},
		{"insufficient_scope", "/costly", theirs(nil, map[string]any{"scp": ""})},
	}
}

var decision = regexp.MustCompile(`(?m)^gatehouse_decisions_total\{api="orders",decision="(\w+)",reason="(\w+)"\} (\d+)$`)

// decisions are the counts above 0 by reason, and how many were refused.
func (s *side) decisions() (byReason map[string]int, denied int) {
	s.t.Helper()
	_, text := s.n.adminBody("GET", "/metrics")
	byReason = map[string]int{}
	for _, m := range decision.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[3])
		if n > 0 {
			byReason[m[2]] += n
		}
		if m[1] == "deny" {
			denied += n
		}
	}
	return byReason, denied
}

// TestObserveParity sends the same mixed traffic to an API in each mode: the same is counted for the same reasons, and where
// it is observed nothing is refused and every request reaches the upstream.
func TestObserveParity(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		var second *redistest.Server
		if redis != nil {
			second = redistest.Start(t) // limits are not to be shared
		}
		enforced, observed := newSide(t, redis, false), newSide(t, second, true)
		all := requests(t)
		seen, asked := map[string]bool{}, 0
		order := rand.New(rand.NewPCG(1, 2))
		for range 8 {
			for _, i := range order.Perm(len(all)) {
				q := all[i]
				asked++
				var got [2]answer
				for k, s := range []*side{enforced, observed} {
					got[k] = s.n.call("GET", q.path, q.token(s))
				}
				if got[1].status != 200 {
					t.Errorf("%s %s: %d where it is observed", q.reason, q.path, got[1].status)
				}
				if limited := got[0].status == http.StatusTooManyRequests; (got[0].status == 200) != (q.reason == "") && !(limited && q.reason == "") {
					t.Errorf("%s %s: %d where it is enforced", q.reason, q.path, got[0].status)
				}
				if a, b := got[0].header.Get("RateLimit"), got[1].header.Get("RateLimit"); cutTime(a) != cutTime(b) {
					t.Errorf("%s %s: limits %q and %q", q.reason, q.path, a, b)
				}
				seen[q.reason] = true
			}
		}
		var a, b map[string]int
		var denied int
		eventually(t, 10*time.Second, "the last record", func() bool {
			a, _ = enforced.decisions()
			b, denied = observed.decisions()
			return sum(a) == asked && sum(b) == asked
		})
		if !maps.Equal(a, b) || denied != 0 {
			t.Errorf("enforced %v\nobserved %v, of which %d were refused", a, b, denied)
		}
		for reason := range seen {
			if reason == "" {
				reason = "ok"
			}
			if a[reason] == 0 {
				t.Errorf("nothing was counted as %s: %v", reason, a)
			}
		}
		if a["rate_limited"] == 0 || int(observed.upstream.seen.Load()) != asked {
			t.Errorf("%d were over a limit; the upstream saw %d of %d", a["rate_limited"], observed.upstream.seen.Load(), asked)
		}
	})
}

// cutTime leaves out t, which runs on.
func cutTime(limit string) string { text, _, _ := strings.Cut(limit, ";t="); return text }

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
