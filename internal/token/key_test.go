package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/token"
)

// The key of RFC 7638 section 3.1.
const rfc7638 = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`

func TestThumbprintVector(t *testing.T) {
	t.Parallel()
	priv, pub, err := token.ParseKey([]byte(rfc7638))
	if err != nil {
		t.Fatal(err)
	}
	if priv != nil {
		t.Error("a public key came with a private one")
	}
	if got, want := pub.ID(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want {
		t.Errorf("ID() = %q, want %q, whatever kid the JWK has", got, want)
	}
	if pub.Algorithm() != token.RS256 {
		t.Errorf("Algorithm() = %q", pub.Algorithm())
	}
}

// Ensure the key set says what a verifier needs, and nothing that it must not know.
func TestMarshalJWKS(t *testing.T) {
	t.Parallel()
	want := map[token.Algorithm][]string{
		token.ES256: {"alg", "crv", "kid", "kty", "use", "x", "y"},
		token.RS256: {"alg", "e", "kid", "kty", "n", "use"},
		token.PS256: {"alg", "e", "kid", "kty", "n", "use"},
		token.EdDSA: {"alg", "crv", "kid", "kty", "use", "x"},
	}
	var keys []*token.PublicKey
	for _, alg := range algorithms {
		keys = append(keys, keyOf(t, alg).Public())
	}
	data, err := token.MarshalJWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != len(algorithms) {
		t.Fatalf("%d keys in %s", len(set.Keys), data)
	}
	for i, alg := range algorithms {
		k := set.Keys[i]
		if got := slices.Sorted(maps.Keys(k)); !slices.Equal(got, want[alg]) {
			t.Errorf("%s: members %q, want %q", alg, got, want[alg])
		}
		if k["alg"] != string(alg) || k["use"] != "sig" || k["kid"] != keys[i].ID() {
			t.Errorf("%s: alg %q, use %q, kid %q", alg, k["alg"], k["use"], k["kid"])
		}
		if got := thumbprint(t, k); got != keys[i].ID() {
			t.Errorf("%s: thumbprint %q, kid %q", alg, got, keys[i].ID())
		}
		one, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if priv, pub, err := token.ParseKey(one); err != nil || priv != nil || pub.ID() != keys[i].ID() {
			t.Errorf("%s: the published key reads back as %v, %v, %v", alg, priv, pub, err)
		}
	}
	if data, err := token.MarshalJWKS(nil); err != nil || string(data) != `{"keys":[]}` {
		t.Errorf("no keys: %s, %v", data, err)
	}
	if _, err := token.MarshalJWKS([]*token.PublicKey{nil}); err == nil {
		t.Error("a nil key is published")
	}
}

// thumbprint is RFC 7638 over again, with the standard library.
func thumbprint(t *testing.T, k map[string]string) string {
	t.Helper()
	required := map[string][]string{"EC": {"crv", "kty", "x", "y"}, "RSA": {"e", "kty", "n"}, "OKP": {"crv", "kty", "x"}}
	m := map[string]string{}
	for _, name := range required[k["kty"]] {
		m[name] = k[name]
	}
	doc, err := json.Marshal(m) // sorted by name
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(doc)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func block(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return block("PRIVATE KEY", der, err)
}

func pkix(key any) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	return block("PUBLIC KEY", der, err)
}

func b64b(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// material are raw keys to write into files.
type material struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
}

func newMaterial(t testing.TB) material {
	t.Helper()
	var m material
	raw := func(alg token.Algorithm) any {
		text, err := keyOf(t, alg).PEM()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := pem.Decode(text)
		key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	m.rsa, m.ec, m.ed = raw(token.RS256).(*rsa.PrivateKey), raw(token.ES256).(*ecdsa.PrivateKey), raw(token.EdDSA).(ed25519.PrivateKey)
	return m
}

func ecBytes(t testing.TB, k *ecdsa.PrivateKey) (x, y, d []byte) {
	t.Helper()
	d, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	n := (len(point) - 1) / 2
	return point[1 : 1+n], point[1+n:], d
}

func rsaJWK(k *rsa.PrivateKey, alg string) string {
	return fmt.Sprintf(`{"kty":"RSA","alg":%q,"use":"sig","n":%q,"e":"AQAB","d":%q,"p":%q,"q":%q,"dp":%q,"dq":%q,"qi":%q}`, alg,
		b64b(k.N.Bytes()), b64b(k.D.Bytes()), b64b(k.Primes[0].Bytes()), b64b(k.Primes[1].Bytes()),
		b64b(k.Precomputed.Dp.Bytes()), b64b(k.Precomputed.Dq.Bytes()), b64b(k.Precomputed.Qinv.Bytes()))
}

func TestParseKeyAccepts(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	x, y, d := ecBytes(t, m.ec)
	edX := b64b(m.ed.Public().(ed25519.PublicKey))
	sec1, err := x509.MarshalECPrivateKey(m.ec)
	ecBlock := block("EC PRIVATE KEY", sec1, err)
	params := block("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, nil)
	for _, c := range []struct {
		name    string
		data    []byte
		alg     token.Algorithm
		private bool
	}{
		{"PKCS #8 RSA", pkcs8(m.rsa), token.RS256, true},
		{"PKCS #8 EC", pkcs8(m.ec), token.ES256, true},
		{"PKCS #8 Ed25519", pkcs8(m.ed), token.EdDSA, true},
		{"PKCS #1", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(m.rsa), nil), token.RS256, true},
		{"SEC 1", ecBlock, token.ES256, true},
		{"SEC 1 after its parameters", append(params, ecBlock...), token.ES256, true},
		{"text around", append([]byte("made by hand\n"), append(pkcs8(m.ec), "\n"...)...), token.ES256, true},
		{"PKIX RSA", pkix(&m.rsa.PublicKey), token.RS256, false},
		{"PKIX EC", pkix(&m.ec.PublicKey), token.ES256, false},
		{"PKIX Ed25519", pkix(m.ed.Public()), token.EdDSA, false},
		{"PKCS #1 public", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&m.rsa.PublicKey), nil), token.RS256, false},
		{"JWK RS256", []byte(rsaJWK(m.rsa, "RS256")), token.RS256, true},
		{"JWK PS256", []byte(" " + rsaJWK(m.rsa, "PS256") + "\n"), token.PS256, true},
		{"JWK EC", fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","alg":"ES256","kid":"mine","key_ops":["sign"],"x":%q,"y":%q,"d":%q}`,
			b64b(x), b64b(y), b64b(d)), token.ES256, true},
		{"JWK EC public", fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","alg":"ES256","x":%q,"y":%q}`, b64b(x), b64b(y)), token.ES256, false},
		{"JWK Ed25519", fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":%q,"d":%q}`, edX, b64b(m.ed.Seed())), token.EdDSA, true},
		{"JWK Ed25519 public", fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":%q}`, edX), token.EdDSA, false},
	} {
		priv, pub, err := token.ParseKey(c.data)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if pub.Algorithm() != c.alg || (priv != nil) != c.private {
			t.Errorf("%s: %s, private %v", c.name, pub.Algorithm(), priv != nil)
		}
		same := c.alg
		if same == token.PS256 {
			same = token.RS256 // the same RSA key, for the other padding
		}
		if pub.ID() != keyOf(t, same).Public().ID() {
			t.Errorf("%s: ID() = %q", c.name, pub.ID())
		}
		if priv != nil {
			roundTrip(t, c.name, priv)
		}
	}
}

// roundTrip checks that what k issues verifies with its public half.
func roundTrip(t *testing.T, name string, k *token.PrivateKey) {
	t.Helper()
	raw, err := k.Issue(issue)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	tok, err := token.Parse(raw)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if _, err := tok.Verify(k.Public()); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	m := newMaterial(t)
	x, y, d := ecBytes(t, m.ec)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, _, otherD := ecBytes(t, other)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8192, 1), E: 65537}
	ec := func(x, y, d []byte) string {
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","alg":"ES256","x":%q,"y":%q,"d":%q}`, b64b(x), b64b(y), b64b(d))
	}
	ecPub := func(extra string) string {
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","alg":"ES256","x":%q,"y":%q%s}`, b64b(x), b64b(y), extra)
	}
	n := b64b(m.rsa.N.Bytes())
	for _, c := range []struct{ name, data, want string }{
		{"nothing", "", "neither a PEM block nor a JWK"},
		{"words", "see the vault", "neither a PEM block nor a JWK"},
		{"DER", string(x509.MarshalPKCS1PrivateKey(m.rsa)), "neither a PEM block nor a JWK"},
		{"two keys", string(pkcs8(m.ec)) + string(pkcs8(m.rsa)), "more than one PEM block"},
		{"a key and its public half", string(pkcs8(m.ec)) + string(pkix(&m.ec.PublicKey)), "more than one PEM block"},
		{"parameters alone", string(block("EC PARAMETERS", []byte{5, 0}, nil)), "neither a PEM block nor a JWK"},
		{"a certificate", string(block("CERTIFICATE", []byte{1}, nil)), `PEM block "CERTIFICATE"`},
		{"an encrypted key", string(block("ENCRYPTED PRIVATE KEY", []byte{1}, nil)), "without a passphrase"},
		{"an old encrypted key", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "passphrase"},
		{"garbage in PEM", string(block("PRIVATE KEY", []byte("garbage"), nil)), `PEM block "PRIVATE KEY"`},
		{"P-384 for ES256", string(pkcs8(p384)), "P-384"},
		{"P-224", string(pkcs8(p224)), "P-224"},
		{"RSA of 1024 bits", string(pkix(weak)), "1024 bits"},
		{"RSA of 8193 bits", string(pkix(huge)), "8193 bits"},
		{"RSA with exponent 1", fmt.Sprintf(`{"kty":"RSA","alg":"RS256","n":%q,"e":"AQ"}`, n), "exponent 1"},
		{"RSA with an even exponent", fmt.Sprintf(`{"kty":"RSA","alg":"RS256","n":%q,"e":"BA"}`, n), "exponent 4"},
		{"RSA with a long exponent", fmt.Sprintf(`{"kty":"RSA","alg":"RS256","n":%q,"e":"AQAAAAAAAQAB"}`, n), "e of 9 bytes"},
		{"RSA without primes", fmt.Sprintf(`{"kty":"RSA","alg":"RS256","n":%q,"e":"AQAB","d":"AQAB"}`, n), ""},
		{"RSA with foreign primes", strings.Replace(rsaJWK(m.rsa, "RS256"), `"p":"`, `"p":"B`, 1), ""},

		{"a JWK Set", `{"keys":[` + rfc7638 + `]}`, "a JWK Set"},
		{"a list", `[` + rfc7638 + `]`, "neither a PEM block nor a JWK"},
		{"half a JWK", `{"kty":`, "JWK"},
		{"a name twice", ecPub(`,"alg":"ES256"`), "the same name twice"},
		{"oct", `{"kty":"oct","alg":"HS256","k":"AAAA"}`, `kty "oct"`},
		{"no kty", `{"alg":"ES256"}`, `kty ""`},
		{"no alg", strings.Replace(ecPub(""), `"alg":"ES256",`, "", 1), "without alg"},
		{"HS256", strings.Replace(ecPub(""), "ES256", "HS256", 1), `"HS256"`},
		{"none", strings.Replace(ecPub(""), "ES256", "none", 1), `"none"`},
		{"ES384", strings.Replace(ecPub(""), "ES256", "ES384", 1), `"ES384"`},
		{"RS256 for an EC key", strings.Replace(ecPub(""), "ES256", "RS256", 1), "an EC key is for ES256"},
		{"ES256 for an RSA key", strings.Replace(rfc7638, "RS256", "ES256", 1), "an RSA key is for RS256 or PS256"},
		{"for encryption", ecPub(`,"use":"enc"`), `use "enc"`},
		{"use not a string", ecPub(`,"use":["sig"]`), "use"},
		{"key_ops for encryption", ecPub(`,"key_ops":["verify","encrypt"]`), `"encrypt"`},
		{"key_ops not a list of strings", ecPub(`,"key_ops":[1]`), "key_ops"},
		{"P-521", strings.Replace(ecPub(""), "P-256", "P-521", 1), `crv "P-521"`},
		{"X25519", fmt.Sprintf(`{"kty":"OKP","crv":"X25519","alg":"EdDSA","x":%q}`, b64b(x)), `crv "X25519"`},
		{"Ed25519 cut short", fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":%q}`, b64b(x[:31])), "x of 31 bytes"},
		{"Ed25519 with another seed", fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":%q,"d":%q}`, b64b(x), b64b(m.ed.Seed())), ""},
		{"EC of another private key", ec(x, y, otherD), "belongs to another private key"},
		{"EC with d zero", ec(x, y, make([]byte, 32)), ""},
		{"EC off the curve", ec(x, d, d), ""},
		{"EC at zero", ec(make([]byte, 32), make([]byte, 32), d), ""},
		{"EC with a long x", ec(append([]byte{1}, x...), y, d), "x of 33 bytes"},
		{"EC with a short y", ec(x, y[1:], d), "y of 31 bytes"},
		{"EC with a long d", ec(x, y, append([]byte{1}, d...)), "d of 33 bytes"},
		{"EC without y", strings.Replace(ecPub(""), `"y"`, `"z"`, 1), "y: want"},
		{"EC with padding", strings.Replace(ecPub(""), `","y"`, `=","y"`, 1), "x: want"},
		{"d null", ecPub(`,"d":null`), "d: want"},
	} {
		priv, pub, err := token.ParseKey([]byte(c.data))
		if err == nil || priv != nil || pub != nil {
			t.Errorf("%s: ParseKey took it", c.name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want it to say %q", c.name, err, c.want)
		}
		if strings.Contains(err.Error(), b64b(d)) {
			t.Errorf("%s: the error %q holds the private key", c.name, err)
		}
	}
}

func TestParsePrivatePEM(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		text, err := keyOf(t, alg).PEM()
		if err != nil {
			t.Fatal(err)
		}
		k, err := token.ParsePrivatePEM(text, alg)
		if err != nil {
			t.Fatal(err)
		}
		if k.Public().ID() != keyOf(t, alg).Public().ID() || k.Public().Algorithm() != alg {
			t.Errorf("%s: another key came back", alg)
		}
		for _, wrong := range []token.Algorithm{"", "none", "HS256", "ES384"} {
			if _, err := token.ParsePrivatePEM(text, wrong); err == nil {
				t.Errorf("%s: taken for %q", alg, wrong)
			}
		}
	}
	m := newMaterial(t)
	if _, err := token.ParsePrivatePEM(pkix(&m.ec.PublicKey), token.ES256); err == nil {
		t.Error("a public key was taken for a private one")
	}
	if _, err := token.ParsePrivatePEM(pkcs8(m.ec), token.RS256); err == nil {
		t.Error("an EC key was taken for RS256")
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		roundTrip(t, string(alg), keyOf(t, alg))
	}
	if bits := newMaterial(t).rsa.N.BitLen(); bits != 2048 {
		t.Errorf("an RSA key of %d bits", bits)
	}
	for _, alg := range []token.Algorithm{"", "none", "HS256", "es256"} {
		if _, err := token.Generate(alg); err == nil {
			t.Errorf("Generate(%q) made a key", alg)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	m := newMaterial(f)
	x, y, d := ecBytes(f, m.ec)
	f.Add([]byte(rfc7638))
	f.Add(pkcs8(m.ec))
	f.Add(pkix(m.ed.Public()))
	f.Add([]byte(rsaJWK(m.rsa, "PS256")))
	f.Add(fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","alg":"ES256","x":%q,"y":%q,"d":%q}`, b64b(x), b64b(y), b64b(d)))
	f.Fuzz(func(t *testing.T, data []byte) {
		priv, pub, err := token.ParseKey(data)
		if err != nil {
			if priv != nil || pub != nil {
				t.Fatal("a key with an error")
			}
			return
		}
		if len(pub.ID()) != 43 || !pub.Algorithm().Known() {
			t.Fatalf("id %q, algorithm %q", pub.ID(), pub.Algorithm())
		}
		if priv != nil {
			roundTrip(t, "private", priv)
		}
	})
}
