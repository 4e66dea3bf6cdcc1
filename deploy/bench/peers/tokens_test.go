package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func verifies(t *testing.T, key crypto.PublicKey, token string) bool {
	t.Helper()
	i := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.Strict().DecodeString(token[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token[:i]))
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], sig) == nil
	case *ecdsa.PublicKey:
		return len(sig) == 64 && ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	return false
}

func TestTokens(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256"} {
		dir := filepath.Join(t.TempDir(), "keys")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s, err := openSigner(dir, alg)
		if err != nil {
			t.Fatal(err)
		}
		again, err := openSigner(dir, alg)
		if err != nil || again.header != s.header {
			t.Errorf("%s: the key that was made is not the one that is read again: %v", alg, err)
		}
		list, err := s.tokens(&tokenSet{count: 20, audience: audRSA, scope: "rsa:read"})
		if err != nil {
			t.Fatal(err)
		}
		old, err := s.tokens(&tokenSet{count: 1, audience: audRSA, age: tokenLife, change: strings.ToUpper})
		if err != nil || len(old) != 1 || old[0] != strings.ToUpper(old[0]) {
			t.Errorf("%s: the change was not made: %q, %v", alg, old, err)
		}
		seen := map[string]bool{}
		for _, token := range list {
			if seen[token] || !verifies(t, s.key.Public(), token) {
				t.Fatalf("%s: a token came twice, or does not verify: %s", alg, token)
			}
			seen[token] = true
			if forged := forge(token); len(forged) != len(token) || verifies(t, s.key.Public(), forged) {
				t.Fatalf("%s: the forged token verifies, or has another form: %s", alg, forged)
			}
		}
		body, err := base64.RawURLEncoding.DecodeString(strings.Split(list[3], ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var p payload
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		if p.Issuer != issuer || p.Audience != audRSA || p.Client != "client-3" || p.Subject != p.Client || p.Scope != "rsa:read" || p.Expires-p.IssuedAt > 24*3600 || p.Expires < time.Now().Unix() {
			t.Errorf("%s: the token says %+v", alg, p)
		}
	}
}

// The thumbprint of the example key in RFC 7638 section 3.1.
func TestThumbprint(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	b, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		t.Fatal(err)
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(b), E: 65537}
	if got := thumbprint(key); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("got %s", got)
	}
}

func TestTokenFileIsUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	made := 0
	of := func(n int) func() ([]string, error) {
		return func() ([]string, error) { made++; return make([]string, n), nil }
	}
	for _, step := range []struct{ n, made int }{{3, 1}, {2, 1}, {4, 2}} {
		if err := tokenFile(path, step.n, of(step.n)); err != nil || made != step.made {
			t.Errorf("%d tokens: made %d times, %v, want %d", step.n, made, err, step.made)
		}
	}
	old := time.Now().Add(-reuseFor - time.Minute)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if err := tokenFile(path, 2, of(2)); err != nil || made != 3 {
		t.Errorf("tokens that are too old were used again: made %d times, %v", made, err)
	}
}

func TestSecretHasItsChecksum(t *testing.T) {
	s := newSecret()
	if len(s) != len("gatecs_")+43+1+6 || !strings.HasPrefix(s, "gatecs_") || s == newSecret() {
		t.Errorf("got %q", s)
	}
}
