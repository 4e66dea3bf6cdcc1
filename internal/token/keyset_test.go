package token_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/token"
)

// jwkOf is k as a JWK, with members changed; null removes one.
func jwkOf(t testing.TB, k *token.PrivateKey, change map[string]any) string {
	t.Helper()
	doc, err := token.MarshalJWKS([]*token.PublicKey{k.Public()})
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(doc, &set); err != nil {
		t.Fatal(err)
	}
	for name, v := range change {
		set.Keys[0][name] = v
		if v == nil {
			delete(set.Keys[0], name)
		}
	}
	out, err := json.Marshal(set.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestParseKeySet(t *testing.T) {
	t.Parallel()
	ec, rs, ps, ed := keyOf(t, token.ES256), keyOf(t, token.RS256), keyOf(t, token.PS256), keyOf(t, token.EdDSA)
	m := func(pairs ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i].(string)] = pairs[i+1]
		}
		return out
	}
	short := strings.Repeat("A", 170) + "Q" // 1024 bits
	for _, tt := range []struct {
		name string
		jwks []string
		want string // kid and alg of each key
		left string // what is left out, each by its mark and a part of the error
	}{
		{"none", nil, "", ""},
		{"all kinds", []string{jwkOf(t, ec, m("kid", "e")), jwkOf(t, rs, m("kid", "r")), jwkOf(t, ps, m("kid", "p")), jwkOf(t, ed, m("kid", "d"))},
			"e ES256,r RS256,p PS256,d EdDSA", ""},
		{"without alg", []string{jwkOf(t, ec, m("kid", "e", "alg", nil)), jwkOf(t, rs, m("kid", "r", "alg", nil, "use", nil))},
			"e ES256,r RS256,r PS256", ""},
		{"without kid", []string{jwkOf(t, ec, m("kid", nil)), jwkOf(t, ec, m("kid", ""))}, " ES256, ES256", ""},
		{"a kid twice", []string{jwkOf(t, ec, m("kid", "k")), jwkOf(t, keyOf(t, token.ES256), m("kid", "k")), jwkOf(t, ed, m("kid", "k"))},
			"k ES256,k EdDSA", "1 kid and alg"},
		{"another use", []string{jwkOf(t, ec, m("use", "enc")), jwkOf(t, ec, m("use", 1)), jwkOf(t, ec, m("use", nil, "key_ops", []string{"encrypt"}))},
			"", "0f use,1f use,2f key_ops"},
		{"key_ops of one who signs too", []string{jwkOf(t, ec, m("kid", "k", "key_ops", []string{"sign", "verify"}))}, "k ES256", ""},
		{"private", []string{jwkOf(t, ec, m("d", "x")), jwkOf(t, rs, m("p", "x")), `{"kty":"oct","k":"c2VjcmV0","kid":"h","alg":"HS256"}`},
			"", "0p private,1p private,2p symmetric"},
		{"other algorithms", []string{jwkOf(t, ec, m("alg", "ES384")), jwkOf(t, rs, m("alg", "none")), jwkOf(t, rs, m("alg", "HS256")), jwkOf(t, rs, m("alg", nil, "kty", "XYZ")), jwkOf(t, ec, m("alg", nil, "crv", "P-384"))},
			"", "0f alg,1f alg,2f alg,3f neither,4f neither"},
		{"an algorithm of another type", []string{jwkOf(t, ec, m("alg", "RS256")), jwkOf(t, rs, m("alg", "ES256"))}, "", "0 EC key is for,1 RSA key is for"},
		{"weak", []string{jwkOf(t, rs, m("n", short)), jwkOf(t, rs, m("e", "AQ")), jwkOf(t, ec, m("x", "AA"))}, "", "0 bits,1 exponent,2 x of"},
		{"off the curve", []string{jwkOf(t, ec, m("y", strings.Repeat("A", 43)))}, "", "0 "},
		{"no objects", []string{"1", "null", `"x"`, `[]`, `{}`, fmt.Sprintf("%q", jwkOf(t, ec, nil))}, "", "0 not a,1 not a,2 not a,3 not a,4f neither,5 not a"},
		{"kid is no string", []string{jwkOf(t, ec, m("kid", 1))}, "", "0 kid"},
		{"others stay", []string{"1", jwkOf(t, ec, m("kid", "k"))}, "k ES256", "0 not a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, left, err := token.ParseKeySet([]byte(`{"keys":[` + strings.Join(tt.jwks, ",") + `],"x":1}`))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range keys {
				got = append(got, k.Name+" "+string(k.Algorithm()))
			}
			if s := strings.Join(got, ","); s != tt.want {
				t.Errorf("keys %q, want %q", s, tt.want)
			}
			wants := strings.Split(tt.left, ",")
			if tt.left == "" {
				wants = nil
			}
			if len(left) != len(wants) {
				t.Fatalf("left out %v, want %q", left, wants)
			}
			for i, u := range left {
				mark := fmt.Sprint(u.Index)
				if u.Private {
					mark += "p"
				}
				if u.Foreign {
					mark += "f"
				}
				wantMark, part, _ := strings.Cut(wants[i], " ")
				if mark != wantMark || !strings.Contains(u.Error(), part) {
					t.Errorf("left out %s %v, want %q", mark, u, wants[i])
				}
			}
		})
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	t.Parallel()
	k := jwkOf(t, keyOf(t, token.ES256), nil)
	for doc, want := range map[string]string{
		"":                       "not a JSON object",
		"[]":                     "not a JSON object",
		k:                        "no JWK Set",
		`{"keys":{}}`:            "no JWK Set",
		`{"keys":[],"keys":[]}`:  "twice",
		`{"keys":[` + k + `]} x`: "go on",
		`{"keys":[` + strings.Replace(k, "{", `{"kty":"RSA",`, 1) + `]}`: "twice",
		`{"keys":[` + k: "",
		`{"keys":[` + strings.Repeat("1,", 100) + `1]}`:                          "101 keys",
		`{"keys":[` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `]}`: "8 deep",
		`{"keys":[` + strings.Repeat("1,", 300) + `1]}`:                          "256",
		"{\"keys\":[\"\xff\"]}":                                                  "UTF-8",
	} {
		keys, left, err := token.ParseKeySet([]byte(doc))
		if err == nil || len(keys)+len(left) != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseKeySet(%.60q) = %v, %v, %v, want %q", doc, keys, left, err, want)
		}
	}
}

// Ensure that a key of a set verifies what its owner signed, under both algorithms where it names none.
func TestSetKeyVerifies(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		k := keyOf(t, alg)
		keys, _, err := token.ParseKeySet([]byte(`{"keys":[` + jwkOf(t, k, map[string]any{"alg": nil, "kid": "mine"}) + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := k.Issue(token.Issue{Issuer: "i", Client: "c", Audience: "a", ID: token.NewID(), IssuedAt: 1, Expires: 2, Dialect: token.RFC9068})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := token.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		verified := 0
		for _, key := range keys {
			if _, err := tok.Verify(key.PublicKey); err == nil {
				verified++
			}
		}
		if verified != 1 {
			t.Errorf("%s: %d of %d keys verify", alg, verified, len(keys))
		}
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + jwkOf(f, keyOf(f, token.ES256), nil) + `,` + jwkOf(f, keyOf(f, token.RS256), map[string]any{"alg": nil}) + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},1,null,"x",{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, left, err := token.ParseKeySet(data)
		if err != nil && len(keys)+len(left) > 0 {
			t.Fatal("keys beside an error")
		}
		for _, k := range keys {
			if !k.Algorithm().Known() || k.ID() == "" {
				t.Fatalf("key %+v", k)
			}
		}
	})
}
