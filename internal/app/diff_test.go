package app

import (
	"testing"

	"gatehouse/internal/config"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	route := func(match string, cost int64, line int) config.Route {
		return config.Route{Match: match, Cost: cost, Pos: config.Pos{Line: line}}
	}
	before := &config.Config{Hash: "a",
		APIs:    []config.API{{Name: "orders", Audience: "x", Routes: []config.Route{route("GET /a", 1, 5), route("GET /b", 1, 6)}}},
		Clients: []config.Client{{ID: "billing"}, {ID: "gone"}},
	}
	tests := []struct {
		name   string
		after  config.Config
		result string
	}{
		{"nothing", *before, "nothing changed"},
		{"a setting", config.Config{Hash: "b", APIs: before.APIs, Clients: before.Clients}, "settings changed"},
		{"moved", config.Config{Hash: "b", Clients: before.Clients, APIs: []config.API{{Name: "orders", Audience: "x", Pos: config.Pos{Line: 9},
			Routes: []config.Route{route("GET /b", 1, 15), route("GET /a", 1, 16)}}}}, "settings changed"},
		{"an API alone", config.Config{Hash: "b", Clients: before.Clients, APIs: []config.API{{Name: "orders", Audience: "y", Routes: before.APIs[0].Routes}}},
			"~1 API (orders)"},
		{"all kinds", config.Config{Hash: "b", Clients: []config.Client{{ID: "billing", Disabled: true}, {ID: "new"}},
			APIs: []config.API{{Name: "users", Routes: []config.Route{route("GET /u", 1, 1)}}, {Name: "orders", Audience: "x", Routes: []config.Route{route("GET /a", 2, 5)}}}},
			"+1 API (users) +1 route -1 route ~1 route +1 client (new) -1 client (gone) ~1 client (billing)"},
	}
	for _, tc := range tests {
		if got := diff(before, &tc.after); got != tc.result {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.result)
		}
	}
}
