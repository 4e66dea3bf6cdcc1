package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// ParseKey reads one key as a file of key_dir holds it: a PEM block (PKCS #8, PKCS #1, SEC 1; PKIX or PKCS #1 for a
// public key) or a JWK that says its alg. A PEM's algorithm follows from its type: RS256, ES256 or EdDSA. pub is set
// whenever err is nil; priv is nil for a public key. The error says what was wanted and never quotes the key.
func ParseKey(data []byte) (priv *PrivateKey, pub *PublicKey, err error) {
	raw, alg, err := parseRaw(data)
	if err != nil {
		return nil, nil, err
	}
	if signer, ok := raw.(crypto.Signer); ok {
		priv, err = newPrivateKey(signer, alg)
		if err != nil {
			return nil, nil, err
		}
		return priv, priv.public, nil
	}
	pub, err = newPublicKey(raw, alg)
	return nil, pub, err
}

// ParsePrivatePEM reads a private key as PEM writes it, for alg.
func ParsePrivatePEM(data []byte, alg Algorithm) (*PrivateKey, error) {
	raw, err := parsePEM(data)
	if err != nil {
		return nil, err
	}
	signer, ok := raw.(crypto.Signer)
	if !ok {
		return nil, errors.New("a public key where a private one is wanted")
	}
	return newPrivateKey(signer, alg)
}

// parseRaw returns the key as the standard library has it, and the algorithm that it is for.
func parseRaw(data []byte) (raw any, alg Algorithm, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return parseJWK(data)
	}
	raw, err = parsePEM(data)
	if err != nil {
		return nil, "", err
	}
	switch raw.(type) {
	case *rsa.PrivateKey, *rsa.PublicKey:
		return raw, RS256, nil
	case *ecdsa.PrivateKey, *ecdsa.PublicKey:
		return raw, ES256, nil
	case ed25519.PrivateKey, ed25519.PublicKey:
		return raw, EdDSA, nil
	}
	return nil, "", fmt.Errorf("a key of type %T: want RSA, EC on P-256, or Ed25519", raw)
}

// parsePEM reads the one key of a PEM file. The curve's name, which openssl ecparam writes before the key, is passed over.
func parsePEM(data []byte) (any, error) {
	var key *pem.Block
	for block, rest := pem.Decode(data); ; block, rest = pem.Decode(rest) {
		if block == nil {
			break
		}
		if block.Type == "EC PARAMETERS" {
			continue
		}
		if key != nil {
			return nil, errors.New("more than one PEM block: want one key in a file")
		}
		key = block
	}
	if key == nil {
		return nil, errors.New("neither a PEM block nor a JWK")
	}
	if key.Headers["DEK-Info"] != "" {
		return nil, errors.New("an encrypted key: want it without a passphrase")
	}
	raw, err := parseBlock(key)
	if err != nil {
		return nil, fmt.Errorf("PEM block %q: %w", key.Type, err)
	}
	return raw, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("want it without a passphrase")
	}
	return nil, errors.New("want PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY or RSA PUBLIC KEY")
}

// parseJWK reads a JWK (RFC 7517). Our own scanner goes first: no name may stand twice.
func parseJWK(data []byte) (any, Algorithm, error) {
	members, err := scanObject(string(data), nil)
	if err != nil {
		return nil, "", fmt.Errorf("the JWK's bytes %w", err)
	}
	alg, err := jwkAlgorithm(Claims{members})
	if err != nil {
		return nil, "", err
	}
	raw, err := parseMaterial(Claims{members}, data)
	return raw, alg, err
}

// parseMaterial is the key of a JWK as the standard library has it. Our own scanner has passed over data before.
func parseMaterial(members Claims, data []byte) (raw any, err error) {
	if err := checkMaterial(members); err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	key, err := jwk.ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	if err := key.Raw(&raw); err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	return raw, nil
}

// jwkAlgorithm is the alg of a JWK that is meant for signatures.
func jwkAlgorithm(jwk Claims) (Algorithm, error) {
	if jwk.Has("keys") {
		return "", errors.New("a JWK Set: want one JWK in a file")
	}
	if kty, _ := jwk.Text("kty"); kty != "RSA" && kty != "EC" && kty != "OKP" {
		return "", fmt.Errorf("kty %q: want RSA, EC or OKP", kty)
	}
	if use, ok := jwk.Text("use"); jwk.Has("use") && (!ok || use != "sig") {
		return "", fmt.Errorf(`use %q: want "sig" or none`, use)
	}
	ops, ok := jwk.Texts("key_ops")
	if jwk.Has("key_ops") && !ok {
		return "", errors.New("key_ops: want a list of strings")
	}
	for _, op := range ops {
		if op != "sign" && op != "verify" {
			return "", fmt.Errorf(`key_ops %q: want "sign" and "verify" alone`, op)
		}
	}
	alg, ok := jwk.Text("alg")
	if !ok {
		return "", errors.New("a JWK without alg: want ES256, RS256, PS256 or EdDSA")
	}
	if !Algorithm(alg).Known() {
		return "", unknownAlgorithm(alg)
	}
	return Algorithm(alg), nil
}

// checkMaterial refuses what would not survive being read: another curve, coordinates that are not full-length (RFC 7518
// section 6.2.1), and an exponent or modulus too long for any key that we take.
func checkMaterial(jwk Claims) error {
	kty, _ := jwk.Text("kty")
	if kty == "RSA" {
		if err := checkLength(jwk, "e", 1, 4); err != nil {
			return err
		}
		return checkLength(jwk, "n", 1, maxRSA/8)
	}
	curve, names := "P-256", []string{"x", "y"}
	if kty == "OKP" {
		curve, names = "Ed25519", []string{"x"}
	}
	if crv, _ := jwk.Text("crv"); crv != curve {
		return fmt.Errorf("crv %q: want %s", crv, curve)
	}
	if jwk.Has("d") {
		names = append(names, "d")
	}
	for _, name := range names {
		if err := checkLength(jwk, name, 32, 32); err != nil {
			return err
		}
	}
	return nil
}

// checkLength refuses a member that is not shortest to longest bytes in base64url.
func checkLength(jwk Claims, name string, shortest, longest int) error {
	value, ok := jwk.Text(name)
	raw, err := strict.DecodeString(value)
	if !ok || err != nil {
		return fmt.Errorf("%s: want bytes in unpadded base64url", name)
	}
	if len(raw) < shortest || len(raw) > longest {
		return fmt.Errorf("%s of %d bytes: want %d to %d", name, len(raw), shortest, longest)
	}
	return nil
}
