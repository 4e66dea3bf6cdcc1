package authz

import (
	"testing"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// A key that comes late is looked for once more; one that is withdrawn while that goes on is not used, and nothing that
// it verified is remembered. Where no key was ever read, the fault is the gateway's and not the token's.
func TestKeysThatComeLate(t *testing.T) {
	t.Parallel()
	k := tokentest.Key(t, token.ES256)
	full, keys := newRing(k), newRing()
	asked, read := 0, false
	iss := issuer(keys)
	iss.Ready = func() bool { return read }
	v := verifier(t, 10, iss)
	if _, _, f := v.Verify(issue(t, k, "a"), testNow); f == nil || f.Reason != StateUnavailable {
		t.Errorf("no keys yet: %+v", f)
	}
	read = true
	if _, _, f := v.Verify(issue(t, k, "a"), testNow); f == nil || f.Reason != UnknownKey {
		t.Errorf("no such key: %+v", f)
	}
	iss.Fetch = func(kid string, alg token.Algorithm) *token.PublicKey {
		asked++
		keys.keys.Store(full.keys.Load())
		keys.generation.Add(1)
		return keys.Key(kid, alg)
	}
	v = verifier(t, 10, iss)
	for range 2 {
		if p, _, f := v.Verify(issue(t, k, "b"), testNow); p == nil {
			t.Errorf("a key that came late: %+v", f)
		}
	}
	if asked != 1 {
		t.Errorf("looked %d times", asked)
	}
	keys.withdraw()
	iss.Fetch = func(string, token.Algorithm) *token.PublicKey { return k.Public() } // seen, and withdrawn before it was used
	if _, _, f := verifier(t, 10, iss).Verify(issue(t, k, "c"), testNow); f == nil || f.Reason != UnknownKey {
		t.Errorf("a withdrawn key: %+v", f)
	}
}
