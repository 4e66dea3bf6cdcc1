package tokenep

import (
	"fmt"

	"gatehouse/internal/token"
)

// decoys are public keys whose private halves were never kept. What they verify authenticates nobody: they are there so
// that refusing a client that is not known takes as long as refusing one that is.
var decoys = map[token.Algorithm]*token.PublicKey{
	token.ES256: mustKey(`{"kty":"EC","crv":"P-256","alg":"ES256",` +
		`"x":"g39Y4buGcrdh2v-wLoP26RCIoWofdTxD-kMk1rf4lkI","y":"inmKyHsMTcwL7K8C58W_hkd33sxYsQrT0jXPFXN81TM"}`),
	token.EdDSA: mustKey(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"qa48NCl7HBezbJiZxT50G2U4zS_RebY3oIHGkubOGp0"}`),
	token.RS256: mustKey(`{"kty":"RSA","alg":"RS256",` + decoyRSA + `}`),
	token.PS256: mustKey(`{"kty":"RSA","alg":"PS256",` + decoyRSA + `}`),
}

const decoyRSA = `"e":"AQAB","n":"2e4HAbHMGGKbVePvvQrcKPKAL1aP1phjfq-5t5dATjtYtHIo522cfGiz83MGHaiAO36vyZhCxY4-DjqVqe8DPycmy2l8iB3FwCaZ` +
	`_LhfwavagpOIGG7leAk8NnHJrPKGHHWThDC6szizYrVsLCA5OyaDZvsE1bV6om8fGEIe-xIdvjfQvjQWxo40yYWlIS36bh92fsL0` +
	`Pm1V3o7-kxSHKfjLDzYZDCs0SDZNsbPO7iorZbwzYtPIXOpUjFgeU4EIYgQ7v1NGoBnCVCHcgMsGK1BG63h_XVb6hmlz1Aho8NDp` +
	`_60FWJ2sDUaBTESl5CRLqbW8gTkRVH8f-Fw3EqXPww"`

func decoy(alg token.Algorithm) *token.PublicKey { return decoys[alg] }

func mustKey(jwk string) *token.PublicKey {
	_, k, err := token.ParseKey([]byte(jwk))
	if err != nil {
		panic(fmt.Sprintf("decoy: %v", err))
	}
	return k
}
