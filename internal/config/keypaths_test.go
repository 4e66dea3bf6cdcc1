package config

import (
	"slices"
	"testing"
)

func TestKeyPaths(t *testing.T) {
	t.Parallel()
	config, clients := KeyPaths()
	for _, want := range []string{"version", "server.listen", "tokens.signing.*", "defaults.rate_limit[].requests", "apis.*.scopes.*",
		"apis.*.routes", "apis.*.routes[]", "apis.*.routes[].scopes[]", "apis.*.routes[].scopes.any[][]"} {
		if !slices.Contains(config, want) {
			t.Errorf("%s is missing among %v", want, config)
		}
	}
	for _, want := range []string{"version", "clients.*", "clients.*.grants.*[]", "clients.*.secrets[].sha256"} {
		if !slices.Contains(clients, want) {
			t.Errorf("%s is missing among %v", want, clients)
		}
	}
}
