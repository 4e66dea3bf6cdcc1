package app

import (
	"fmt"
	"strings"
	"testing"

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
