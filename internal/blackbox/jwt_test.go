package blackbox

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
)

// jwt is a token whose signature was verified here, with the standard library and the published keys alone.
type jwt struct {
	raw            string
	header, claims map[string]any // numbers are json.Number
}

func (j jwt) int(t testing.TB, claim string) int64 {
	t.Helper()
	n, ok := j.claims[claim].(json.Number)
	v, err := strconv.ParseInt(string(n), 10, 64)
	if !ok || err != nil {
		t.Fatalf("%s is %v, want an integer", claim, j.claims[claim])
	}
	return v
}

func (j jwt) text(claim string) string {
	s, _ := j.claims[claim].(string)
	return s
}

// jwk is one published key.
type jwk map[string]any

func (k jwk) text(member string) string {
	s, _ := k[member].(string)
	return s
}

func (k jwk) bytes(member string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(k.text(member))
	if err != nil {
		return nil
	}
	return b
}

// thumbprint is RFC 7638's.
func (k jwk) thumbprint() string {
	members := map[string][]string{"RSA": {"e", "kty", "n"}, "EC": {"crv", "kty", "x", "y"}, "OKP": {"crv", "kty", "x"}}[k.text("kty")]
	var parts []string
	for _, m := range members {
		parts = append(parts, fmt.Sprintf("%q:%q", m, k.text(m)))
	}
	sum := sha256.Sum256([]byte("{" + strings.Join(parts, ",") + "}"))
	return b64(sum[:])
}

// keys are the published keys by kid.
func (c *call) keys(n *node) map[string]jwk {
	c.Helper()
	set, _ := parseSet(c.do(n, "GET", c.plan.path+"/.well-known/jwks.json", "").body)
	if set == nil {
		c.Fatal("no key set")
	}
	return set
}

func parseSet(text string) (map[string]jwk, error) {
	var doc struct{ Keys []jwk }
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	set := map[string]jwk{}
	for _, k := range doc.Keys {
		set[k.text("kid")] = k
	}
	return set, nil
}

// verify checks a token by the key set that the node publishes.
func (c *call) verify(n *node, raw string) jwt {
	c.Helper()
	j, err := verifyJWT(raw, c.keys(n))
	if err != nil {
		c.Fatalf("the token does not verify: %v", err)
	}
	return j
}

func verifyJWT(raw string, keys map[string]jwk) (jwt, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return jwt{}, fmt.Errorf("%d parts", len(parts))
	}
	j := jwt{raw: raw}
	for i, into := range []*map[string]any{&j.header, &j.claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return jwt{}, err
		}
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			return jwt{}, err
		}
	}
	kid, _ := j.header["kid"].(string)
	key, ok := keys[kid]
	if !ok {
		return jwt{}, fmt.Errorf("no key has the kid %q", kid)
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return jwt{}, err
	}
	if alg := j.header["alg"]; alg != key["alg"] || !key.verifies([]byte(parts[0]+"."+parts[1]), sig) {
		return jwt{}, fmt.Errorf("the signature is not that of the key %s (alg %v)", kid, alg)
	}
	return j, nil
}

// verifies checks a signature of the key's own algorithm (RFC 7518 section 3, RFC 8037).
func (k jwk) verifies(input, sig []byte) bool {
	sum := sha256.Sum256(input)
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(k.bytes("n")), E: int(new(big.Int).SetBytes(k.bytes("e")).Int64())}
	switch k.text("alg") {
	case "RS256":
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], sig) == nil
	case "PS256":
		return rsa.VerifyPSS(public, crypto.SHA256, sum[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case "ES256":
		point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, k.bytes("x")...), k.bytes("y")...))
		return err == nil && len(sig) == 64 && ecdsa.Verify(point, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case "EdDSA":
		return len(k.bytes("x")) == ed25519.PublicKeySize && ed25519.Verify(k.bytes("x"), input, sig)
	}
	return false
}

// signJWT signs header and claims, given as JSON.
func signJWT(t testing.TB, key crypto.Signer, header, claims string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	return input + "." + b64(signature(t, key, input))
}

func signature(t testing.TB, key crypto.Signer, input string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	switch k := key.(type) {
	case *rsa.PrivateKey:
		sig, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return sig
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return sig
	}
	t.Fatalf("no signature with %T", key)
	return nil
}

// members are the header or the claims of an assertion; a nil value leaves a member out.
type members map[string]any

// assertion is a good client assertion of the client, but for what is changed.
func (c *call) assertion(id string, header, claims members) string {
	c.Helper()
	now := time.Now().Unix()
	h := members{"alg": "ES256", "kid": id}
	if id == "c-pkrs" {
		h["alg"] = "RS256"
	}
	p := members{"iss": id, "sub": id, "aud": c.issuer, "iat": now, "exp": now + 60, "jti": b64(random(16))}
	return signJWT(c, c.partners.keys[id], merged(h, header), merged(p, claims))
}

func merged(base, change members) string {
	maps.Copy(base, change)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(base)
	if err != nil {
		panic(err)
	}
	return string(text)
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// proof is the parameters by which the client authenticates.
func (c *call) proof(id string, header, claims members) string {
	c.Helper()
	return proofOf(c.assertion(id, header, claims))
}

func proofOf(assertion string) string {
	return form("client_assertion_type", assertionType, "client_assertion", assertion)
}
