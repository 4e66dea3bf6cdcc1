package blackbox

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Introspection: RFC 7662.
var intRows = []row{
	{"INT-001", func(c *call) {
		token := form("token", c.token("c-basic").raw)
		c.refused(c.post(introspectPath, token), 401, "invalid_client")
		c.refused(c.post(introspectPath, token, "Authorization", basic("rs-a", newSecret())), 401, "invalid_client")
		c.refused(c.post(introspectPath, token, "Authorization", "Bearer "+c.token("c-basic").raw), 401, "invalid_client")
		if a := c.do(c.nodes[0], "GET", introspectPath+"?"+token, "", "Authorization", basic("rs-a", c.secrets["rs-a"])); a.status != 405 || a.header.Get("Allow") != "POST" {
			c.Errorf("GET: %d %v", a.status, a.header)
		}
		c.refused(c.post(introspectPath, "", "Authorization", basic("rs-a", c.secrets["rs-a"])), 400, "invalid_request")
		c.refused(c.post(introspectPath, token+"&"+token, "Authorization", basic("rs-a", c.secrets["rs-a"])), 400, "invalid_request")
	}},
	{"INT-002", func(c *call) {
		j := c.token("c-basic")
		for _, n := range c.nodes {
			a := c.introspect(n, "rs-a", j.raw)
			m := a.object(c)
			if m["active"] != true || m["token_type"] != "Bearer" || m["scope"] != "read:a write:a" {
				c.Errorf("%s", a.body)
			}
			for _, claim := range []string{"client_id", "exp", "iat", "sub", "aud", "iss", "jti"} {
				if m[claim] == nil || fmt.Sprint(m[claim]) != fmt.Sprint(j.claims[claim]) {
					c.Errorf("%s is %v, in the token %v", claim, m[claim], j.claims[claim])
				}
			}
		}
	}},
	{"INT-003", func(c *call) {
		expired, revoked := c.token("c-brief"), c.token("c-basic")
		c.revoke(c.nodes[0], "c-basic", revoked)
		foreign := signJWT(c, c.partners.keys["c-pk"], `{"alg":"ES256","typ":"at+jwt","kid":"c-pk"}`, strings.Replace(mustClaims(revoked), c.issuer, "https://other.example", 1))
		eventually(c, "the token expires", func() bool { return time.Now().Unix() > expired.int(c, "exp") })
		c.inactive("rs-b", expired.raw)
		for _, token := range []string{"x", "a.b.c", revoked.raw + "x", foreign, revoked.raw, newSecret()} {
			c.inactive("rs-a", token)
		}
	}},
	{"INT-004", func(c *call) {
		a, b := c.token("c-basic"), c.token("c-multi", "audience", apiB)
		c.inactive("rs-b", a.raw)
		c.inactive("rs-a", b.raw)
		c.inactive("c-basic", a.raw) // its own, and it may introspect none
		if m := c.introspect(c.nodes[0], "rs-b", b.raw).object(c); m["active"] != true {
			c.Errorf("%v", m)
		}
	}},
	{"INT-005", func(c *call) {
		j, other := c.token("c-basic"), c.token("c-basic")
		parts, from := strings.Split(j.raw, "."), strings.Split(other.raw, ".")
		c.inactive("rs-a", parts[0]+"."+parts[1]+"."+from[2])
		c.inactive("rs-a", parts[0]+"."+from[1]+"."+parts[2])
		c.inactive("rs-a", parts[0]+"."+parts[1]+".")
		c.inactive("rs-a", signJWT(c, c.partners.keys["c-pk"], fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q}`, j.header["kid"]), mustClaims(j)))

		own := c.deploy(plan{nodes: 1})
		ending := own.token("c-post")
		if m := own.introspect(own.nodes[0], "rs-a", ending.raw).object(c); m["active"] != true {
			c.Errorf("%v", m)
		}
		if r := own.gatehouse("client", "disable", "c-post"); r.code != 0 {
			c.Fatalf("client disable: %+v", r)
		}
		own.reload()
		own.inactive("rs-a", ending.raw)
		own.denied(own.nodes[0], "/a", ending, "client_disabled")
	}},
	{"INT-006", func(c *call) {
		c.notStored(c.introspect(c.nodes[0], "rs-a", c.token("c-basic").raw))
		c.notStored(c.introspect(c.nodes[0], "rs-a", "x"))
	}},
}

func (c *call) introspect(n *node, id, token string) answer {
	c.Helper()
	a := c.postTo(n, introspectPath, form("token", token), "Authorization", basic(id, c.secrets[id]))
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		c.Fatalf("introspection: %d %s", a.status, a.body)
	}
	return a
}

// inactive holds that the answer says that the token is not good, and nothing else, on every node.
func (c *call) inactive(id, token string) {
	c.Helper()
	for _, n := range c.nodes {
		var a answer
		within := until(time.Second) // another node may hear of a revocation a moment later
		for a = c.introspect(n, id, token); a.object(c)["active"] != false && within(); a = c.introspect(n, id, token) {
		}
		if m := a.object(c); len(m) != 1 || m["active"] != false {
			c.Errorf("%s: %s", id, a.body)
		}
	}
}

// mustClaims are the claims of a token as they were signed.
func mustClaims(j jwt) string {
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(j.raw, ".")[1])
	if err != nil {
		panic(err) // it was verified
	}
	return string(claims)
}
