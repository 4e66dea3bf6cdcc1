package token_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

var algorithms = []token.Algorithm{token.ES256, token.RS256, token.PS256, token.EdDSA}

// keyOf returns the one key of alg that these tests sign with: RSA keys are slow to make.
var keyOf = func() func(t testing.TB, alg token.Algorithm) *token.PrivateKey {
	var mu sync.Mutex
	made := map[token.Algorithm]*token.PrivateKey{}
	return func(t testing.TB, alg token.Algorithm) *token.PrivateKey {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if made[alg] == nil {
			made[alg] = tokentest.Key(t, alg)
		}
		return made[alg]
	}
}()

const claims = `{"iss":"https://gate.example","exp":2000000000}`

// kindOf is the kind of a refusal, which must be an *Error.
func kindOf(t *testing.T, err error) token.ErrorKind {
	t.Helper()
	var e *token.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want an *Error", err, err)
	}
	return e.Kind
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// parts splits a compact token.
func parts(raw string) (header, payload, signature string) {
	p := strings.Split(raw, ".")
	return p[0], p[1], p[2]
}

// Ensure Parse takes what other issuers may send, and tells what the header says.
func TestParseAccepts(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.ES256)
	for _, c := range []struct {
		name, header string
		want         token.Token
	}{
		{"alg alone", `{"alg":"ES256"}`, token.Token{Algorithm: "ES256"}},
		{"ours", `{"alg":"ES256","kid":"k","typ":"at+jwt"}`, token.Token{Algorithm: "ES256", KeyID: "k", Type: "at+jwt"}},
		{"keys in the header", `{"alg":"ES256","jku":"https://evil.example","jwk":{"kty":"EC"},"x5u":"x","x5c":[]}`,
			token.Token{Algorithm: "ES256", ExtraHeader: true}},
		{"another case is another member", `{"alg":"ES256","Kid":"x"}`, token.Token{Algorithm: "ES256", ExtraHeader: true}},
		{"space", " {\r\n \"alg\" : \"ES256\" }\n", token.Token{Algorithm: "ES256"}},
	} {
		got, err := token.Parse(tokentest.Sign(t, k, c.header, claims))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Algorithm != c.want.Algorithm || got.KeyID != c.want.KeyID || got.Type != c.want.Type || got.ExtraHeader != c.want.ExtraHeader {
			t.Errorf("%s: got %q %q %q %v", c.name, got.Algorithm, got.KeyID, got.Type, got.ExtraHeader)
		}
		if got.UnverifiedIssuer() != "https://gate.example" {
			t.Errorf("%s: UnverifiedIssuer() = %q", c.name, got.UnverifiedIssuer())
		}
		if _, err := got.Verify(k.Public()); err != nil {
			t.Errorf("%s: Verify: %v", c.name, err)
		}
	}
}

// Ensure what is not one strict compact JWS never gets as far as a key.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.ES256)
	good := tokentest.Sign(t, k, `{"alg":"ES256"}`, claims)
	h, p, s := parts(good)
	header := func(h string) string { return tokentest.Sign(t, k, h, claims) }
	payload := func(p string) string { return tokentest.Sign(t, k, `{"alg":"ES256"}`, p) }
	var many string // 40 members
	for i := range 40 {
		many += fmt.Sprintf(`,"m%d":1`, i)
	}
	for _, c := range []struct {
		name, raw string
		kind      token.ErrorKind
	}{
		{"nothing", "", token.Malformed},
		{"one part", h, token.Malformed},
		{"two parts", h + "." + p, token.Malformed},
		{"four parts", good + "." + s, token.Malformed},
		{"JWE's five parts", good + ".." + s, token.Malformed},
		{"trailing dot", good + ".", token.Malformed},
		{"leading dot", "." + good, token.Malformed},
		{"8 KiB of dots", strings.Repeat(".", 8<<10), token.Malformed},
		{"1 MB of dots", strings.Repeat(".", 1<<20), token.Malformed},
		{"over 8 KiB", payload(`{"a":"` + strings.Repeat("x", 7000) + `"}`), token.Malformed},
		{"no header", "." + p + "." + s, token.Malformed},
		{"no payload", h + ".." + s, token.Malformed},
		{"no signature", h + "." + p + ".", token.Malformed},
		{"flattened JSON", `{"payload":"` + p + `","protected":"` + h + `","signature":"` + s + `"}`, token.Malformed},
		{"general JSON", `{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`, token.Malformed},
		{"JSON without protected", `{"signatures":[{}],"payload":""}`, token.Malformed},
		{"JSON with dots", `{"a":"` + good + `"}`, token.Malformed},
		{"leading space", " " + good, token.Malformed},
		{"trailing space", good + " ", token.Malformed},
		{"trailing newline", good + "\n", token.Malformed},
		{"newline within", h + "." + p[:4] + "\n" + p[4:] + "." + s, token.Malformed},
		{"carriage return within", h + "." + p + "." + s[:4] + "\r" + s[4:], token.Malformed},
		{"padding", h + "." + p + "." + s + "==", token.Malformed},
		{"standard base64", h + "." + p + ".+/" + s[2:], token.Malformed},
		{"NUL", h + "." + p + "." + s[:85] + "\x00", token.Malformed},
		{"not ASCII", h + "." + p + "." + s[:84] + "é", token.Malformed},
		{"a character too many", h + "." + p + "." + s + "AAA", token.Malformed},

		{"header not JSON", header("alg"), token.Malformed},
		{"header an array", header(`[{"alg":"ES256"}]`), token.Malformed},
		{"no alg", header(`{"kid":"k"}`), token.Malformed},
		{"Alg for alg", header(`{"Alg":"ES256"}`), token.Malformed},
		{"alg twice", header(`{"alg":"none","alg":"ES256"}`), token.Malformed},
		{"alg twice by an escape", header(`{"alg":"ES256","\u0061lg":"ES256"}`), token.Malformed},
		{"alg empty", header(`{"alg":""}`), token.Malformed},
		{"alg null", header(`{"alg":null}`), token.Malformed},
		{"alg a list", header(`{"alg":["ES256"]}`), token.Malformed},
		{"kid a number", header(`{"alg":"ES256","kid":1}`), token.Malformed},
		{"kid null", header(`{"alg":"ES256","kid":null}`), token.Malformed},
		{"typ an object", header(`{"alg":"ES256","typ":{}}`), token.Malformed},
		{"unknown crit", header(`{"alg":"ES256","crit":["foo"],"foo":1}`), token.Malformed},
		{"empty crit", header(`{"alg":"ES256","crit":[]}`), token.Malformed},
		{"b64", header(`{"alg":"ES256","b64":false}`), token.Malformed},
		{"crit b64", header(`{"alg":"ES256","crit":["b64"],"b64":true}`), token.Malformed},
		{"zip", header(`{"alg":"ES256","zip":"DEF"}`), token.Malformed},
		{"enc", header(`{"alg":"ES256","enc":"A256GCM"}`), token.Malformed},

		{"payload not JSON", payload("foo"), token.Malformed},
		{"payload a token", payload(good), token.Malformed},
		{"payload a string", payload(`"x"`), token.Malformed},
		{"claim twice", payload(`{"aud":"a","aud":"b"}`), token.Malformed},
		{"claim twice by an escape", payload(`{"exp":1,"e\u0078p":2}`), token.Malformed},
		{"trailing JSON", payload(claims + claims), token.Malformed},
		{"NUL in jti", payload(`{"jti":"a\u0000b"}`), token.Malformed},
		{"invalid UTF-8", payload("{\"jti\":\"\xff\"}"), token.Malformed},
		{"deep", payload(strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)), token.Malformed},
		{"more than 64 in all", tokentest.Sign(t, k, `{"alg":"ES256"`+many+"}", `{"a":1`+many+"}"), token.Malformed},

		{"none", b64(`{"alg":"none"}`) + "." + p + ".", token.UnsupportedAlg},
		{"none with a signature", header(`{"alg":"none"}`), token.UnsupportedAlg},
		{"None", b64(`{"alg":"None"}`) + "." + p + ".", token.UnsupportedAlg},
		{"nOnE", header(`{"alg":"nOnE"}`), token.UnsupportedAlg},
		{"HS256", header(`{"alg":"HS256"}`), token.UnsupportedAlg},
		{"ES512", header(`{"alg":"ES512"}`), token.UnsupportedAlg},
		{"RS512", header(`{"alg":"RS512"}`), token.UnsupportedAlg},
		{"es256", header(`{"alg":"es256"}`), token.UnsupportedAlg},
		{"alg with a space", header(`{"alg":"ES256 "}`), token.UnsupportedAlg},
		{"PBES2", header(`{"alg":"PBES2-HS256+A128KW","p2c":2147483647}`), token.UnsupportedAlg},
	} {
		got, err := token.Parse(c.raw)
		if err == nil || got != nil {
			t.Errorf("%s: Parse took it", c.name)
			continue
		}
		if kind := kindOf(t, err); kind != c.kind {
			t.Errorf("%s: kind %d (%v), want %d", c.name, kind, err, c.kind)
		}
	}
}

// Ensure every token has one spelling: whichever other last character decodes to the same bytes is refused.
func TestOneSpelling(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	k := keyOf(t, token.EdDSA)
	raw := tokentest.Sign(t, k, `{"alg":"EdDSA"}`, claims)
	for _, end := range []int{strings.Index(raw, "."), strings.LastIndex(raw, "."), len(raw)} {
		last := end - 1
		for _, c := range alphabet {
			other := raw[:last] + string(c) + raw[end:]
			if other == raw {
				continue
			}
			if got, err := token.Parse(other); err == nil {
				if _, err := got.Verify(k.Public()); err == nil {
					t.Errorf("a second spelling verifies: %q at %d", c, last)
				}
			}
		}
	}
}

// Ensure each algorithm verifies what its own key signed, and nothing that differs in a single bit.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		k := keyOf(t, alg)
		raw := tokentest.Sign(t, k, `{"alg":"`+string(alg)+`"}`, claims)
		tok, err := token.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tok.Verify(k.Public())
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if iss, ok := got.Text("iss"); !ok || iss != "https://gate.example" {
			t.Errorf("%s: iss = %q, %v", alg, iss, ok)
		}
		if _, err := tok.Verify(tokentest.Key(t, alg).Public()); err == nil || kindOf(t, err) != token.BadSignature {
			t.Errorf("%s: another key: %v, want BadSignature", alg, err)
		}
		if _, err := tok.Verify(nil); err == nil {
			t.Errorf("%s: no key verifies", alg)
		}
		h, p, s := parts(raw)
		sig, _ := base64.RawURLEncoding.DecodeString(s)
		for i := range sig {
			flipped := slices.Clone(sig)
			flipped[i] ^= 1
			refused(t, h+"."+p+"."+b64(string(flipped)), k, token.BadSignature, string(alg)+": a flipped bit of the signature")
		}
		refused(t, h+"."+b64(claims+" ")+"."+s, k, token.BadSignature, string(alg)+": other claims")
		refused(t, b64(`{"alg":"`+string(alg)+`" }`)+"."+p+"."+s, k, token.BadSignature, string(alg)+": another header")
		for _, bad := range [][]byte{sig[:len(sig)-1], append(slices.Clone(sig), 0), make([]byte, len(sig)), {0}, bytes.Repeat([]byte{0xff}, len(sig))} {
			refused(t, h+"."+p+"."+b64(string(bad)), k, token.BadSignature, string(alg)+": a wrong signature")
		}
	}
}

// refused checks that raw parses and that k refuses it with kind.
func refused(t *testing.T, raw string, k *token.PrivateKey, kind token.ErrorKind, what string) {
	t.Helper()
	tok, err := token.Parse(raw)
	if err != nil {
		t.Errorf("%s: Parse: %v", what, err)
		return
	}
	got, err := tok.Verify(k.Public())
	if err == nil {
		t.Errorf("%s verifies", what)
		return
	}
	if k := kindOf(t, err); k != kind {
		t.Errorf("%s: kind %d (%v), want %d", what, k, err, kind)
	}
	if got.Has("iss") {
		t.Errorf("%s: claims with an error", what)
	}
}

// Ensure a signature counts only under the algorithm that the header names and the key is for.
func TestAlgorithmIsTheKeys(t *testing.T) {
	t.Parallel()
	for _, keys := range algorithms {
		for _, says := range algorithms {
			if keys == says {
				continue
			}
			raw := tokentest.Sign(t, keyOf(t, keys), `{"alg":"`+string(says)+`"}`, claims)
			refused(t, raw, keyOf(t, keys), token.UnsupportedAlg, "alg "+string(says)+" under a key for "+string(keys))
		}
	}
	// The same RSA key for the other padding is another key.
	text, err := keyOf(t, token.RS256).PEM()
	if err != nil {
		t.Fatal(err)
	}
	pss, err := token.ParsePrivatePEM(text, token.PS256)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, tokentest.Sign(t, keyOf(t, token.RS256), `{"alg":"PS256"}`, claims), pss, token.BadSignature, "PKCS #1 v1.5 as PSS")
}

// Ensure no public key serves as the secret of an HMAC, whichever way it is written.
func TestHMACConfusion(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		k := keyOf(t, alg).Public()
		set, err := token.MarshalJWKS([]*token.PublicKey{k})
		if err != nil {
			t.Fatal(err)
		}
		private, err := keyOf(t, alg).PEM()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range [][]byte{set, []byte(k.ID()), private, {}} {
			for _, says := range []string{"HS256", string(alg)} {
				input := b64(`{"alg":"`+says+`"}`) + "." + b64(claims)
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(input))
				tok, err := token.Parse(input + "." + b64(string(mac.Sum(nil))))
				if err != nil {
					continue
				}
				if _, err := tok.Verify(k); err == nil {
					t.Errorf("%s: an HMAC verifies", alg)
				}
			}
		}
	}
}

// Ensure ES256 takes no signature but two numbers of 32 bytes that are right (CVE-2022-21449 and its like).
func TestECDSAEdges(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.ES256)
	input := b64(`{"alg":"ES256"}`) + "." + b64(claims)
	sig := tokentest.Signature(t, k, input)
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	n := elliptic.P256().Params().N
	zero, one := new(big.Int), big.NewInt(1)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	pair := func(r, s *big.Int) []byte {
		out := make([]byte, 64)
		new(big.Int).Mod(r, new(big.Int).Lsh(one, 256)).FillBytes(out[:32])
		new(big.Int).Mod(s, new(big.Int).Lsh(one, 256)).FillBytes(out[32:])
		return out
	}
	for name, bad := range map[string][]byte{
		"zeros":       make([]byte, 64),
		"r zero":      pair(zero, s),
		"s zero":      pair(r, zero),
		"ones":        pair(one, one),
		"r = n":       pair(n, s),
		"s = n":       pair(r, n),
		"both n":      pair(n, n),
		"r + n":       pair(new(big.Int).Add(r, n), s),
		"n - 1":       pair(new(big.Int).Sub(n, one), new(big.Int).Sub(n, one)),
		"all ones":    bytes.Repeat([]byte{0xff}, 64),
		"swapped":     pair(s, r),
		"DER":         der,
		"63 bytes":    sig[:63],
		"65 bytes":    append(slices.Clone(sig), 0),
		"zero before": append([]byte{0}, sig...),
		"96 bytes":    make([]byte, 96),
		"one byte":    {0},
	} {
		refused(t, input+"."+b64(string(bad)), k, token.BadSignature, name)
	}
	if _, err := token.Parse(input + "." + b64(string(pair(r, s)))); err != nil {
		t.Fatal(err)
	}
}

// Ensure a key that the token brings along is never used.
func TestKeyInHeader(t *testing.T) {
	t.Parallel()
	theirs := tokentest.Key(t, token.ES256)
	set, err := token.MarshalJWKS([]*token.PublicKey{theirs.Public()})
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	raw := tokentest.Sign(t, theirs, `{"alg":"ES256","jwk":`+string(doc.Keys[0])+`,"jku":"http://127.0.0.1:1/"}`, claims)
	refused(t, raw, keyOf(t, token.ES256), token.BadSignature, "a token with its own key")
}

// Ensure no token of the public corpora is accepted under a key of ours, and none makes us panic.
func TestCorpora(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var corpus struct {
		Vectors []struct{ ID, Token string }
	}
	if err := json.Unmarshal(data, &corpus); err != nil {
		t.Fatal(err)
	}
	if len(corpus.Vectors) < 700 {
		t.Fatalf("%d vectors", len(corpus.Vectors))
	}
	var reached int
	for _, v := range corpus.Vectors {
		spellings := []string{v.Token}
		// Most payloads there are no claims; with ours in their place, header and signature get as far as a key.
		if p := strings.Split(v.Token, "."); len(p) == 3 {
			spellings = append(spellings, p[0]+"."+b64(claims)+"."+p[2])
		}
		for _, raw := range spellings {
			tok, err := token.Parse(raw)
			if err != nil {
				kindOf(t, err)
				continue
			}
			reached++
			for _, alg := range algorithms {
				if _, err := tok.Verify(keyOf(t, alg).Public()); err == nil {
					t.Errorf("%s: accepted under a key for %s", v.ID, alg)
				}
			}
		}
	}
	if reached < 100 {
		t.Errorf("only %d tokens reached a key", reached)
	}
}

// Ensure a refusal does not carry what it refuses into a log.
func TestErrorsHoldNoToken(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	k := keyOf(t, token.ES256)
	for _, raw := range []string{
		canary,
		canary + "." + canary + "." + canary,
		tokentest.Sign(t, k, `{"alg":"`+canary+`"}`, claims),
		tokentest.Sign(t, k, `{"alg":"ES256","`+canary+`":1,"`+canary+`":2}`, claims),
		tokentest.Sign(t, k, `{"alg":"ES256"}`, `{"`+canary+`"}`),
		tokentest.Sign(t, k, `{"alg":"ES256"}`, `{"a":`+canary+`}`),
	} {
		_, err := token.Parse(raw)
		if err == nil || err.Error() == "" {
			t.Errorf("Parse(%q) = %v", raw, err)
			continue
		}
		if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), b64(canary)) {
			t.Errorf("the error %q holds what was sent", err)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	k := keyOf(t, token.EdDSA)
	tok, err := token.Parse(tokentest.Sign(t, k, `{"alg":"EdDSA"}`, `{
		"text":"a\u0041","empty":"","null":null,"true":true,"obj":{"text":"inner"},
		"int":17,"neg":-17,"zero":0,"max":9223372036854775807,"over":9223372036854775808,"exact":9007199254740993,
		"float":1.0,"exp10":1e3,"huge":1e999999999,"digits":`+strings.Repeat("9", 400)+`,"string":"17",
		"list":["a","\u00e9"],"none":[],"mixed":["a",1],"nested":[["a"]],"Exp":5}`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := tok.Verify(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"text": "aA", "empty": "", "string": "17"} {
		if got, ok := c.Text(name); !ok || got != want {
			t.Errorf("Text(%q) = %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"null", "true", "obj", "int", "list", "absent", "inner", "Text", ""} {
		if got, ok := c.Text(name); ok || got != "" {
			t.Errorf("Text(%q) = %q, %v", name, got, ok)
		}
	}
	for name, want := range map[string]int64{"int": 17, "neg": -17, "zero": 0, "max": 1<<63 - 1, "exact": 9007199254740993} {
		if got, present, ok := c.Int(name); !present || !ok || got != want {
			t.Errorf("Int(%q) = %d, %v, %v", name, got, present, ok)
		}
	}
	for _, name := range []string{"over", "float", "exp10", "huge", "digits", "string", "null", "true", "list", "obj"} {
		if got, present, ok := c.Int(name); !present || ok || got != 0 {
			t.Errorf("Int(%q) = %d, %v, %v", name, got, present, ok)
		}
	}
	if _, present, ok := c.Int("exp"); present || ok {
		t.Error(`Int("exp") found "Exp"`)
	}
	for name, want := range map[string][]string{"list": {"a", "é"}, "text": {"aA"}, "none": {}} {
		if got, ok := c.Texts(name); !ok || !slices.Equal(got, want) {
			t.Errorf("Texts(%q) = %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"mixed", "nested", "int", "null", "obj", "absent"} {
		if got, ok := c.Texts(name); ok || got != nil {
			t.Errorf("Texts(%q) = %q, %v", name, got, ok)
		}
	}
	if !c.Has("null") || c.Has("absent") || (token.Claims{}).Has("null") {
		t.Error("Has is wrong")
	}
}

func FuzzParse(f *testing.F) {
	k := keyOf(f, token.ES256)
	good := tokentest.Sign(f, k, `{"alg":"ES256","kid":"k","typ":"at+jwt"}`, claims)
	h, p, s := parts(good)
	for _, raw := range []string{good, h + "." + p + ".", h + ".." + s, "..", good + ".x", b64(`{"alg":"none"}`) + "." + p + ".", `{"payload":"x"}`} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		tok, err := token.Parse(raw)
		if err != nil {
			if tok != nil {
				t.Fatal("a token with an error")
			}
			kindOf(t, err)
			return
		}
		if !token.Algorithm(tok.Algorithm).Known() {
			t.Fatalf("alg %q", tok.Algorithm)
		}
		// What was taken has one spelling, and encoding/json reads the same issuer.
		h, p, s := parts(raw)
		for _, part := range []string{h, p, s} {
			plain, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || base64.RawURLEncoding.EncodeToString(plain) != part {
				t.Fatalf("part %q is not canonical", part)
			}
		}
		payload, _ := base64.RawURLEncoding.DecodeString(p)
		var doc map[string]any
		if err := json.Unmarshal(payload, &doc); err != nil {
			t.Fatalf("payload %q: %v", payload, err)
		}
		if iss, _ := doc["iss"].(string); iss != tok.UnverifiedIssuer() {
			t.Fatalf("iss %q, encoding/json has %q", tok.UnverifiedIssuer(), iss)
		}
		if _, err := tok.Verify(k.Public()); err == nil && h+"."+p != good[:len(h)+1+len(p)] {
			t.Fatalf("%q verifies", raw)
		}
	})
}
