package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// The RSA keys that are taken, in bits: shorter ones are weak, longer ones are a way to keep a server busy.
const (
	minRSA = 2048
	maxRSA = 8192
)

// PublicKey verifies signatures of one algorithm. It is immutable and may be shared between goroutines.
type PublicKey struct {
	id       string
	alg      Algorithm
	raw      crypto.PublicKey
	verifier jws.Verifier
	jwk      []byte
}

// ID is the key's kid: its RFC 7638 thumbprint, SHA-256 in base64url.
func (k *PublicKey) ID() string { return k.id }

// Algorithm is the one algorithm that the key is used with.
func (k *PublicKey) Algorithm() Algorithm { return k.alg }

// Is reports whether k is that key of crypto/ecdsa, crypto/rsa or crypto/ed25519.
func (k *PublicKey) Is(raw crypto.PublicKey) bool {
	own, ok := k.raw.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(raw)
}

// PrivateKey signs the tokens that we issue. It is immutable and may be shared between goroutines.
type PrivateKey struct {
	public  *PublicKey
	raw     crypto.Signer
	signer  jws.Signer
	headers map[Dialect]string // the encoded header of each dialect, with its dot
}

// Public is the key that verifies what k signs.
func (k *PrivateKey) Public() *PublicKey { return k.public }

// PEM is the private key in PKCS #8. It does not say the algorithm, which for RSA may be either of two.
func (k *PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.raw)
	if err != nil {
		return nil, fmt.Errorf("private key in PKCS #8: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Generate makes a new key: on P-256, of 2048 bits for RSA, or Ed25519.
func Generate(alg Algorithm) (*PrivateKey, error) {
	var raw crypto.Signer
	var err error
	switch alg {
	case ES256:
		raw, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256, PS256:
		raw, err = rsa.GenerateKey(rand.Reader, minRSA)
	case EdDSA:
		_, raw, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, unknownAlgorithm(string(alg))
	}
	if err != nil {
		return nil, fmt.Errorf("a new %s key: %w", alg, err)
	}
	return newPrivateKey(raw, alg)
}

func unknownAlgorithm(alg string) error {
	return fmt.Errorf("algorithm %q: want ES256, RS256, PS256 or EdDSA", alg)
}

// newPrivateKey checks that raw is a good key for alg and that its public half is its own.
func newPrivateKey(raw crypto.Signer, alg Algorithm) (*PrivateKey, error) {
	public, err := newPublicKey(raw.Public(), alg)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(raw); err != nil {
		return nil, err
	}
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, fmt.Errorf("algorithm %q: %w", alg, err)
	}
	k := &PrivateKey{public: public, raw: raw, signer: signer, headers: map[Dialect]string{}}
	for _, d := range []Dialect{RFC9068, Auth0} {
		header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, alg, public.id, d.Type())
		k.headers[d] = base64.RawURLEncoding.EncodeToString([]byte(header)) + "."
	}
	return k, nil
}

// checkPrivate refuses a private half that does not belong to the public one.
func checkPrivate(raw crypto.Signer) error {
	switch key := raw.(type) {
	case *rsa.PrivateKey:
		if err := key.Validate(); err != nil {
			return fmt.Errorf("RSA key: %w", err)
		}
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		if err != nil {
			return fmt.Errorf("EC key: %w", err)
		}
		own, err := ecdsa.ParseRawPrivateKey(key.Curve, d)
		if err != nil {
			return fmt.Errorf("EC key: %w", err)
		}
		if !own.PublicKey.Equal(&key.PublicKey) {
			return errors.New("EC key: its public half belongs to another private key")
		}
	}
	return nil
}

// newPublicKey checks that raw is a good key for alg.
func newPublicKey(raw crypto.PublicKey, alg Algorithm) (*PublicKey, error) {
	if err := checkPublic(raw, alg); err != nil {
		return nil, err
	}
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, fmt.Errorf("algorithm %q: %w", alg, err)
	}
	key, err := jwk.FromRaw(raw)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	id, err := thumbprint(key)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{jwk.KeyIDKey: id, jwk.AlgorithmKey: string(alg), jwk.KeyUsageKey: "sig"} {
		if err := key.Set(name, value); err != nil {
			return nil, fmt.Errorf("public key: %w", err)
		}
	}
	doc, err := json.Marshal(key)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return &PublicKey{id: id, alg: alg, raw: raw, verifier: verifier, jwk: doc}, nil
}

func thumbprint(key jwk.Key) (string, error) {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// checkPublic refuses a key that is not of alg's type, is on another curve, or is too weak or too large.
func checkPublic(raw crypto.PublicKey, alg Algorithm) error {
	if !alg.Known() {
		return unknownAlgorithm(string(alg))
	}
	switch key := raw.(type) {
	case *rsa.PublicKey:
		return checkRSA(key, alg)
	case *ecdsa.PublicKey:
		return checkEC(key, alg)
	case ed25519.PublicKey:
		if alg != EdDSA {
			return fmt.Errorf("an Ed25519 key is for EdDSA, not %s", alg)
		}
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("an Ed25519 key of %d bytes: want %d", len(key), ed25519.PublicKeySize)
		}
		return nil
	}
	return fmt.Errorf("a key of type %T: want RSA, EC on P-256, or Ed25519", raw)
}

func checkRSA(key *rsa.PublicKey, alg Algorithm) error {
	if alg != RS256 && alg != PS256 {
		return fmt.Errorf("an RSA key is for RS256 or PS256, not %s", alg)
	}
	if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
		return fmt.Errorf("an RSA key of %d bits: want %d to %d", bits, minRSA, maxRSA)
	}
	if key.E < 3 || key.E%2 == 0 || key.E > 1<<31-1 {
		return fmt.Errorf("an RSA key with exponent %d: want an odd one from 3 to 2147483647", key.E)
	}
	return nil
}

func checkEC(key *ecdsa.PublicKey, alg Algorithm) error {
	if alg != ES256 {
		return fmt.Errorf("an EC key is for ES256, not %s", alg)
	}
	if key.Curve != elliptic.P256() {
		return fmt.Errorf("an EC key on %s: ES256 wants P-256", key.Curve.Params().Name)
	}
	if _, err := key.ECDH(); err != nil { // checks that the point is on the curve
		return fmt.Errorf("EC key: %w", err)
	}
	return nil
}

// MarshalJWKS is the JWK Set (RFC 7517 section 5) of keys, in their order: kty, use, alg, kid and the public material of
// each, and nothing else. No keys make an empty set.
func MarshalJWKS(keys []*PublicKey) ([]byte, error) {
	docs := make([]json.RawMessage, len(keys))
	for i, k := range keys {
		if k == nil {
			return nil, errors.New("a key set with a nil key")
		}
		docs[i] = k.jwk
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	if err := enc.Encode(map[string][]json.RawMessage{"keys": docs}); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}
