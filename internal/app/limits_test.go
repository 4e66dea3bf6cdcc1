package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/redistest"
	"gatehouse/internal/token"
)

// TestLimitsOfClaimsAndClients: the limits of the file on both engines, through a reload.
func TestLimitsOfClaimsAndClients(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s, corp := newSite(t, redis), newAuthority(t)
		s.limit = `[{requests: 1, per: 1h, by: client}, {requests: 2, per: 1h, by: "claim:org"}]`
		s.clients = map[string]string{"big": "grants: {orders: [orders:read], users: [users:read]}\n    rate_limit: {requests: 3, per: 1h}"}
		s.writeClients()
		s.accept(map[string]string{"corp": corp.entry("")})
		n := s.start()
		of := func(org, client string) string { return corp.token(t, nil, map[string]any{"org": org, "azp": client}) }
		big := func(api, scope string) string {
			return s.forge(func(i *token.Issue) {
				i.Client, i.Audience, i.Scopes = "big", "https://api.example.com/"+api, token.NewScopes(scope)
			}, s.key)
		}
		orders, users := big("orders", "orders:read"), big("users", "users:read")
		for i, tt := range []struct {
			path, raw, want string
		}{
			{"/orders/1", of("a", "1"), "200 "},
			{"/orders/1", of("a", "2"), "200 "},
			{"/orders/1", of("a", "3"), "429 orders#2"},
			{"/orders/1", of("b", "1"), "429 orders"},
			{"/orders/1", of("c", "big"), "200 "}, // corp's big is another
			{"/orders/1", orders, "200 "},
			{"/users", users, "200 "},
			{"/orders/1", s.token(n, "reader"), "200 "}, // has no org: counts by client, twice
			{"reload", "", ""},
			{"/orders/1", orders, "200 "},
			{"/orders/1", orders, "429 orders#2"}, // the claim's limit, which counts this client; its own says no, too, for a shorter time
			{"/users", users, "429 client"},
		} {
			if tt.path == "reload" {
				if _, err := n.Reload("api"); err != nil {
					t.Fatal(err)
				}
				continue
			}
			got := n.call("GET", tt.path, tt.raw)
			limit, _, _ := strings.Cut(got.header.Get("RateLimit"), ";")
			have := fmt.Sprint(got.status, " ")
			if got.status == 429 {
				have += strings.Trim(limit, `"`)
			}
			if have != tt.want {
				t.Errorf("step %d: GET %s is %s, want %s", i, tt.path, have, tt.want)
			}
		}
	})
}

// TestBusyLimits: a busy client lives on leases, one over its limit on what is remembered, and the metrics say so.
func TestBusyLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Start(t))
	s.limit = "{requests: 1000, per: 1h}"
	s.write()
	n := s.start()
	begin := time.Now()
	raw, last, seen := s.token(n, "reader"), 1000, map[int]int{}
	eventually(t, time.Minute, "the limit is used up, and more", func() bool {
		a := n.call("GET", "/orders/1", raw)
		seen[a.status]++
		var left int
		if _, err := fmt.Sscanf(a.header.Get("RateLimit"), `"orders";r=%d;`, &left); err != nil || left > last {
			t.Fatalf("RateLimit %q after %d left, %v", a.header.Get("RateLimit"), last, err)
		}
		last = left
		return seen[429] == 20
	})
	_, text := n.adminBody("GET", "/metrics")
	value := func(series string) (v float64) {
		_, after, ok := strings.Cut(text, "\ngatehouse_rate_limit_"+series+" ")
		if _, err := fmt.Sscan(after, &v); !ok || err != nil {
			t.Errorf("no gatehouse_rate_limit_%s: %v", series, err)
		}
		return v
	}
	of := func(source, result string) float64 {
		return value(fmt.Sprintf(`decisions_total{api="orders",result="%s",source="%s"}`, result, source))
	}
	passed, lost, held := float64(seen[200]), value("permits_lost_total"), value("leased_permits")
	if most := 1001 + 1000*time.Since(begin).Hours(); passed+lost+held > most || passed+lost+held < 1000 {
		t.Errorf("%v passed, %v permits lost, %v held, of %v", passed, lost, held, most)
	}
	if of("lease", "allow") < passed/2 || of("remembered", "deny") == 0 || of("lease", "allow")+of("redis", "allow") != passed {
		t.Errorf("of %v that passed: %v by lease, %v by redis; %v refusals remembered", passed, of("lease", "allow"), of("redis", "allow"), of("remembered", "deny"))
	}
	if leased := value("permits_leased_total"); leased != of("lease", "allow")+lost+held {
		t.Errorf("%v permits leased, wanted those spent, lost and held", leased)
	}
	if trips, calls := value("round_trips_total"), value("calls_total"); trips == 0 || trips > passed/2 || calls < trips {
		t.Errorf("%v calls in %v round trips for %v requests", calls, trips, passed)
	}
	for _, series := range []string{"known", "unknown_total", "merged_total", "crowded_total"} {
		value(series)
	}
}
