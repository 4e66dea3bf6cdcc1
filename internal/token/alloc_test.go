//go:build !race

package token_test

import (
	"strings"
	"testing"

	"gatehouse/internal/alloctest"
	"gatehouse/internal/token"
)

func TestAllocations(t *testing.T) {
	k := keyOf(t, token.ES256)
	raw, err := k.Issue(issue)
	if err != nil {
		t.Fatal(err)
	}
	nonsense := strings.Repeat(".", 8<<10)
	alloctest.Exactly(t, []alloctest.Stage{
		{Name: "parse", Allocs: 4, Run: func() { token.Parse(raw) }},
		{Name: "parse, nonsense", Allocs: 1, Run: func() { token.Parse(nonsense) }},
		{Name: "issue", Allocs: 82, Run: func() { k.Issue(issue) }},
		{Name: "scopes", Allocs: 2, Run: func() { token.ParseScopes("orders:read orders:write") }},
	})
}
