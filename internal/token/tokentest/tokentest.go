// Package tokentest makes tokens for tests that the production code would never make: any header, any claims, signed
// by a key of ours with the standard library alone, so that a test does not prove jwx with jwx.
package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"

	"gatehouse/internal/token"
)

// Key returns a new key for alg.
func Key(t testing.TB, alg token.Algorithm) *token.PrivateKey {
	t.Helper()
	k, err := token.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Sign returns the compact form of the given header and payload with k's signature. Neither is checked: they need not even
// be JSON, and the header may name another algorithm than k's, which is the one that signs.
func Sign(t testing.TB, k *token.PrivateKey, header, payload string) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return input + "." + base64.RawURLEncoding.EncodeToString(Signature(t, k, input))
}

// Signature returns k's signature over input.
func Signature(t testing.TB, k *token.PrivateKey, input string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch key := raw(t, k).(type) {
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, key, sum[:])
		if signErr != nil {
			t.Fatal(signErr)
		}
		sig = make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, []byte(input))
	case *rsa.PrivateKey:
		if k.Public().Algorithm() == token.PS256 {
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// raw is the key as the standard library has it.
func raw(t testing.TB, k *token.PrivateKey) any {
	t.Helper()
	text, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
