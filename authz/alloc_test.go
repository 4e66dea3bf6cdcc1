//go:build !race

package authz

import (
	"testing"

	"gatehouse/internal/alloctest"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// What a token costs when it is seen for the first time, and every time after.
func TestAllocations(t *testing.T) {
	var all []alloctest.Stage
	for alg, allocs := range map[token.Algorithm]float64{token.ES256: 35, token.RS256: 23, token.EdDSA: 13} {
		k := tokentest.Key(t, alg)
		iss := issuer(newRing(k))
		iss.Algorithms = []token.Algorithm{alg}
		cold, warm := verifier(t, 0, iss), verifier(t, 100, iss)
		text := issue(t, k, "one")
		all = append(all,
			alloctest.Stage{Name: "verify, cold, " + string(alg), Allocs: allocs, Run: func() {
				if _, hit, f := cold.Verify(text, testNow); hit || f != nil {
					t.Fatal("hit or refused")
				}
			}},
			alloctest.Stage{Name: "verify, warm, " + string(alg), Allocs: 0, Run: func() {
				if _, _, f := warm.Verify(text, testNow); f != nil {
					t.Fatal("refused")
				}
			}})
	}
	k := tokentest.Key(t, token.ES256)
	v := verifier(t, 100, issuer(newRing(k)))
	p, pol, st, values := principal(nil), policy(), State{Ready: true, Client: Enabled}, []string{"Bearer a.b.c"}
	refused := func(text string) func() {
		return func() {
			if _, _, f := v.Verify(text, testNow); f == nil {
				t.Fatal("accepted")
			}
		}
	}
	alloctest.Exactly(t, append(all,
		alloctest.Stage{Name: "bearer", Allocs: 0, Run: func() { Bearer(values) }},
		alloctest.Stage{Name: "decide", Allocs: 0, Run: func() { Decide(p, pol, st, testNow) }},
		alloctest.Stage{Name: "verify, unknown key", Allocs: 5, Run: refused(raw(t, tokentest.Key(t, token.ES256), object{"kid": "nobody"}, nil))},
		alloctest.Stage{Name: "verify, forged", Allocs: 34, Run: refused(raw(t, tokentest.Key(t, token.ES256), object{"kid": k.Public().ID()}, nil))},
	))
}
