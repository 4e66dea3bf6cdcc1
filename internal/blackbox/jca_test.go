package blackbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// JWT client assertions: RFC 7521, RFC 7523.
var jcaRows = []row{
	{"JCA-001", func(c *call) {
		for _, id := range []string{"c-pk", "c-pkrs"} {
			if j := c.token(id, "audience", apiA); j.text("client_id") != id {
				c.Errorf("a token for %q", j.text("client_id"))
			}
		}
		c.issued(c.post(tokenPath, grantType+"&"+c.proof("c-pk", members{"kid": nil}, members{"iat": nil})))
	}},
	{"JCA-002", func(c *call) {
		c.issued(c.post(tokenPath, grantType+"&client_id=c-pk&"+c.proof("c-pk", nil, nil)))
		for _, id := range []string{"c-pk2", "c-basic", "c-nobody"} {
			a := c.post(tokenPath, grantType+"&client_id="+id+"&"+c.proof("c-pk", nil, nil))
			if a.status == 400 {
				c.refused(a, 400, "invalid_request")
				continue
			}
			c.refused(a, 401, "invalid_client")
		}
	}},
	{"JCA-003", func(c *call) {
		good := func() string { return form("client_assertion", c.assertion("c-pk", nil, nil)) }
		for _, kind := range []string{"", "client_assertion_type=x&", form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer") + "&",
			form("client_assertion_type", strings.ToUpper(assertionType)) + "&"} {
			a := c.post(tokenPath, grantType+"&"+kind+good())
			if a.status == 400 {
				c.refused(a, 400, "invalid_request")
				continue
			}
			c.refused(a, 401, "invalid_client")
		}
	}},
	{"JCA-004", func(c *call) {
		for _, claims := range []members{{"iss": "c-pk2"}, {"sub": "c-pk2"}, {"iss": nil}, {"sub": nil}, {"iss": "c-pk2", "sub": "c-pk2"}, {"iss": "", "sub": ""},
			{"iss": []string{"c-pk"}}, {"sub": 1}} {
			c.refusedProof("c-pk", nil, claims)
		}
	}},
	{"JCA-005", func(c *call) {
		c.issued(c.post(tokenPath, grantType+"&"+c.proof("c-pk", nil, members{"aud": c.issuer})))
		c.issued(c.post(tokenPath, grantType+"&"+c.proof("c-pk", nil, members{"aud": []string{c.issuer}})))
		for _, aud := range []any{nil, c.issuer + tokenPath, []string{c.issuer, "https://other.example"}, []string{c.issuer + tokenPath}, c.issuer + "/", "", []string{}, 1,
			[]string{c.issuer, c.issuer}} {
			c.refusedProof("c-pk", nil, members{"aud": aud})
		}
	}},
	{"JCA-007", func(c *call) {
		now := time.Now().Unix()
		for _, exp := range []any{nil, now - 60, fmt.Sprint(now + 60), 0, -1, float64(now) + 60.5} {
			c.refusedProof("c-pk", nil, members{"exp": exp, "iat": nil})
		}
	}},
	{"JCA-008", func(c *call) {
		c.refusedProof("c-pk", nil, members{"exp": time.Now().Unix() + 3600})
		c.refusedProof("c-pk", nil, members{"exp": json.Number("9007199254740993000")})
		c.issued(c.post(tokenPath, grantType+"&"+c.proof("c-pk", nil, members{"exp": time.Now().Unix() + 280})))
	}},
	{"JCA-009", func(c *call) {
		c.refusedProof("c-pk", nil, members{"nbf": time.Now().Unix() + 60 + int64(patience.Seconds())})
		c.issued(c.post(tokenPath, grantType+"&"+c.proof("c-pk", nil, members{"nbf": time.Now().Unix() - 5})))
	}},
	{"JCA-011", func(c *call) {
		c.refusedProof("c-pk", nil, members{"jti": nil})
		c.refusedProof("c-pk", nil, members{"jti": ""})
		for first := range c.nodes {
			once := grantType + "&" + c.proof("c-pk", nil, nil)
			c.issuedBy(c.nodes[first], c.postTo(c.nodes[first], tokenPath, once))
			for _, n := range c.nodes {
				c.refused(c.postTo(n, tokenPath, once), 401, "invalid_client")
			}
		}
	}},
	{"JCA-012", func(c *call) {
		good := c.assertion("c-pk", nil, nil)
		cut := strings.LastIndexByte(good, '.') + 1
		flipped := byte('A')
		if good[cut] == flipped {
			flipped = 'B'
		}
		c.refused(c.post(tokenPath, grantType+"&"+proofOf(good[:cut]+string(flipped)+good[cut+1:])), 401, "invalid_client")
		jti := b64(random(16))
		c.refusedProof("c-pk", nil, members{"jti": jti, "aud": "https://other.example"})
		c.refusedProof("c-pk", nil, members{"jti": jti, "exp": time.Now().Unix() - 60})
		c.issued(c.post(tokenPath, grantType+"&"+proofOf(good)))
		c.issued(c.post(tokenPath, grantType+"&"+c.proof("c-pk", nil, members{"jti": jti})))
	}},
	{"JCA-014", func(c *call) {
		claims := merged(members{"iss": "c-pk", "sub": "c-pk", "aud": c.issuer, "exp": time.Now().Unix() + 60, "jti": b64(random(16))}, nil)
		none := b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(claims))
		var public struct{ Keys []json.RawMessage }
		json.Unmarshal([]byte(c.partners.set("c-pk")), &public)
		tokens := []string{none + ".", none + ".AA",
			signJWT(c, c.partners.keys["c-pkrs"], `{"alg":"RS256","kid":"c-pk"}`, claims),
			signJWT(c, c.partners.keys["c-pkrs"], `{"alg":"ES256","kid":"c-pk"}`, claims),
			signJWT(c, c.partners.keys["c-pk"], `{"alg":"ES384","kid":"c-pk"}`, claims),
			signJWT(c, c.partners.keys["c-pk"], `{"kid":"c-pk"}`, claims)}
		for _, secret := range []string{c.partners.set("c-pk"), string(public.Keys[0]), ""} {
			input := b64([]byte(`{"alg":"HS256","kid":"c-pk"}`)) + "." + b64([]byte(claims))
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(input))
			tokens = append(tokens, input+"."+b64(mac.Sum(nil)))
		}
		for i, raw := range tokens {
			one := &call{T: c.T, deployment: c.deployment, from: newSource()}
			if a := one.post(tokenPath, grantType+"&"+proofOf(raw)); a.status != 401 || a.text(c, "error") != "invalid_client" {
				c.Errorf("token %d: %d %s", i, a.status, a.body)
			}
		}
	}},
	{"JCA-015", func(c *call) {
		c.refusedProof("c-pk", members{"crit": []string{"foo"}}, nil)
		c.refusedProof("c-pk", members{"crit": []string{"foo"}, "foo": 1}, nil)
		c.refusedProof("c-pk", members{"crit": []string{"b64"}, "b64": true}, nil)
	}},
	{"JCA-016", func(c *call) {
		key, now := c.partners.keys["c-pk"], time.Now().Unix()
		claims := func() string {
			return fmt.Sprintf(`{"iss":"c-pk","sub":"c-pk","aud":%q,"exp":%d,"jti":%q`, c.issuer, now+60, b64(random(16)))
		}
		c.issued(c.post(tokenPath, grantType+"&"+proofOf(signJWT(c, key, `{"alg":"ES256"}`, claims()+"}"))))
		for _, header := range []string{`{"alg":"none","alg":"ES256"}`, `{"alg":"ES256","alg":"ES256"}`, `{"\u0061lg":"none","alg":"ES256"}`} {
			c.refused(c.post(tokenPath, grantType+"&"+proofOf(signJWT(c, key, header, claims()+"}"))), 401, "invalid_client")
		}
		for _, twice := range []string{`,"iss":"c-pk"}`, `,"sub":"c-basic"}`, `,"exp":1}`, `,"\u006ati":"x"}`} {
			c.refused(c.post(tokenPath, grantType+"&"+proofOf(signJWT(c, key, `{"alg":"ES256"}`, claims()+twice))), 401, "invalid_client")
		}
	}},
	{"JCA-017", func(c *call) {
		parts := strings.Split(c.assertion("c-pk", nil, nil), ".")
		for _, raw := range []string{
			fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
			fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2]),
			strings.Join(parts, ".") + ".", " " + strings.Join(parts, "."), strings.Join(parts, ".") + "\n", strings.Join(parts, ".") + "="} {
			c.refused(c.post(tokenPath, grantType+"&"+proofOf(raw)), 401, "invalid_client")
		}
		c.issued(c.post(tokenPath, grantType+"&"+proofOf(strings.Join(parts, "."))))
	}},
	{"JCA-018", func(c *call) {
		evil := c.partners.URL + "/keys/c-pk2?from=" + c.from
		var set struct{ Keys []any }
		json.Unmarshal([]byte(c.partners.set("c-pk2")), &set)
		before := c.partners.asked("/keys/c-pk2")
		for _, header := range []members{{"jku": evil}, {"x5u": evil}, {"jwk": set.Keys[0]}, {"jku": evil, "kid": "c-pk2"}, {"x5c": []string{"AAAA"}}} {
			c.refused(c.post(tokenPath, grantType+"&"+c.proofBy("c-pk2", "c-pk", header)), 401, "invalid_client")
		}
		if after := c.partners.asked("/keys/c-pk2"); after != before {
			c.Errorf("%d requests for keys that a stranger named", after-before)
		}
	}},
	{"JCA-020", func(c *call) {
		for _, id := range []string{"c-pk", "c-pkrs", "c-basic"} {
			c.refused(c.post(tokenPath, grantType+"&"+proofOf(c.token(id).raw)), 401, "invalid_client")
		}
		c.refusedProof("c-pk", members{"typ": "at+jwt"}, nil)
	}},
}

// refusedProof sends an assertion with these changes, from an address of its own, and holds that it is refused.
func (c *call) refusedProof(id string, header, claims members) {
	c.Helper()
	one := &call{T: c.T, deployment: c.deployment, from: newSource()}
	a := one.post(tokenPath, grantType+"&"+c.proof(id, header, claims))
	if a.status != 401 || a.text(c, "error") != "invalid_client" {
		c.Errorf("header %v, claims %v: %d %s", header, claims, a.status, a.body)
		return
	}
	c.isError(a)
}

// proofBy is an assertion in the name of one client under the key of another.
func (c *call) proofBy(signer, id string, header members) string {
	c.Helper()
	whole := members{"kid": id}
	maps.Copy(whole, header)
	return c.proof(signer, whole, members{"iss": id, "sub": id})
}
