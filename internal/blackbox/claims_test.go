package blackbox

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// The access token: RFC 9068, RFC 7519, RFC 8725, and the auth0 dialect.
var jwtRows = []row{
	{"JWT-001", func(c *call) {
		for _, id := range []string{"c-basic", "c-narrow"} {
			if j := c.token(id); j.header["typ"] != "at+jwt" {
				c.Errorf("%s: typ %v", id, j.header["typ"])
			}
		}
	}},
	{"JWT-002", func(c *call) {
		j := c.token("c-c")
		if j.header["typ"] != "JWT" || j.text("azp") != "c-c" || j.text("gty") != "client-credentials" || j.text("sub") != "c-c@clients" ||
			j.text("scope") != "x" || j.text("aud") != apiC || j.text("jti") == "" {
			c.Errorf("header %v, claims %v", j.header, j.claims)
		}
		if _, has := j.claims["client_id"]; has {
			c.Errorf("client_id in %v", j.claims)
		}
		c.passes(c.nodes[0], "/c", j)
	}},
	{"JWT-003", func(c *call) {
		j := c.token("c-basic")
		for _, claim := range []string{"iss", "aud", "sub", "client_id", "jti"} {
			if j.text(claim) == "" {
				c.Errorf("%s is %v", claim, j.claims[claim])
			}
		}
		if got := slices.Sorted(maps.Keys(j.claims)); !slices.Equal(got, []string{"aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"}) {
			c.Errorf("claims %v", got)
		}
	}},
	{"JWT-004", func(c *call) {
		for i, n := range c.nodes {
			metadata := c.metadata(n, "/.well-known/oauth-authorization-server")
			if j := c.issuedBy(n, c.askOf(n, "c-basic")); j.text("iss") != metadata["issuer"] || j.text("iss") != c.issuer {
				c.Errorf("node %d: iss %q, issuer %v", i, j.text("iss"), metadata["issuer"])
			}
		}
	}},
	{"JWT-005", func(c *call) {
		for _, id := range []string{"c-basic", oddID} {
			if j := c.token(id); j.text("sub") != id || j.text("client_id") != id {
				c.Errorf("sub %q, client_id %q, want %q", j.text("sub"), j.text("client_id"), id)
			}
		}
	}},
	{"JWT-006", func(c *call) {
		for _, id := range []string{"c-basic", "c-c"} {
			if j := c.token(id); j.text("aud") == "" {
				c.Errorf("%s: aud is %v, want a string", id, j.claims["aud"])
			}
		}
	}},
	{"JWT-007", func(c *call) {
		for audience, alg := range map[string]string{apiA: "RS256", apiB: "ES256", apiP: "PS256", apiE: "EdDSA"} {
			if j := c.token("c-algs", "audience", audience); j.header["alg"] != alg {
				c.Errorf("%s: alg %v, want %s", audience, j.header["alg"], alg)
			}
		}
	}},
	{"JWT-008", func(c *call) {
		// c.token verifies by the key that kid names; here a change of any part must not verify.
		for _, audience := range []string{apiA, apiB, apiP, apiE} {
			j := c.token("c-algs", "audience", audience)
			keys := c.keys(c.nodes[0])
			parts := strings.Split(j.raw, ".")
			other := strings.Split(c.token("c-algs", "audience", audience).raw, ".")
			if _, err := verifyJWT(parts[0]+"."+other[1]+"."+parts[2], keys); err == nil {
				c.Errorf("%s: other claims verify", audience)
			}
			delete(keys, fmt.Sprint(j.header["kid"]))
			if _, err := verifyJWT(j.raw, keys); err == nil {
				c.Errorf("%s: it verifies without its key", audience)
			}
			if len(j.header) != 3 {
				c.Errorf("header %v", j.header)
			}
		}
	}},
	{"JWT-009", func(c *call) {
		for id, ttl := range map[string]int64{"c-basic": 600, "c-c": 300, "c-narrow": 600} {
			j := c.token(id)
			iat, exp := j.int(c, "iat"), j.int(c, "exp")
			if exp-iat != ttl || iat > time.Now().Unix()+1 {
				c.Errorf("%s: iat %d, exp %d", id, iat, exp)
			}
		}
	}},
	{"JWT-010", func(c *call) {
		lifetime := func(j jwt) int64 { return j.int(c, "exp") - j.int(c, "iat") }
		if got := lifetime(c.token("c-multi", "audience", apiB)); got != 60 {
			c.Errorf("API b: %d s", got)
		}
		if got := lifetime(c.token("c-ttl")); got != 30 {
			c.Errorf("c-ttl: %d s", got)
		}
		if got := lifetime(c.token("c-long")); got != 600 {
			c.Errorf("c-long, which asks for more than its API gives: %d s", got)
		}
	}},
	{"JWT-011", func(c *call) {
		for from, to := range map[string]string{"ttl: 600s": "ttl: 87600h", "ttl: 60s": "ttl: 24h1s", "tokens: {": "tokens: {ttl: 25h, "} {
			c.refusedConfig(from, to, "24h")
		}
		if got := c.token("c-narrow"); got.int(c, "exp")-got.int(c, "iat") > 3600 {
			c.Error("the default is more than an hour")
		}
	}},
	{"JWT-012", uniqueIDs},
	{"JWT-013", func(c *call) {
		if j := c.token("c-basic"); j.claims["scope"] != "read:a write:a" {
			c.Errorf("scope %v", j.claims["scope"])
		}
	}},
	{"JWT-017", func(c *call) {
		j := c.token("c-multi", "audience", apiA)
		if j.claims["aud"] != apiA {
			c.Errorf("aud %v", j.claims["aud"])
		}
		c.passes(c.nodes[0], "/a", j)
		c.denied(c.nodes[0], "/b", j, "wrong_audience")
	}},
}

// uniqueIDs draws many tokens from all nodes: no id comes twice, and each of its bits is as good as a coin.
func uniqueIDs(c *call) {
	n := 2000
	if os.Getenv("GATEHOUSE_BLACKBOX") == "long" {
		n = 100_000
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	ones := make([]int, 128)
	together(n, 8, func(i int) {
		a := c.askOf(c.nodes[i%len(c.nodes)], "c-many")
		_, rest, _ := strings.Cut(a.text(c, "access_token"), ".")
		body, _, _ := strings.Cut(rest, ".")
		claims, _ := base64.RawURLEncoding.DecodeString(body)
		jti := answer{body: string(claims)}.text(c, "jti")
		id, err := base64.RawURLEncoding.DecodeString(jti)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || len(id) < 16 || seen[jti] {
			c.Errorf("jti %q: %v, seen %v", jti, err, seen[jti])
			return
		}
		seen[jti] = true
		for bit := range ones {
			ones[bit] += int(id[bit/8] >> (bit % 8) & 1)
		}
	})
	for bit, count := range ones {
		// Six standard deviations: sqrt(n)/2 each.
		if d := count - n/2; d*d > 9*n {
			c.Errorf("bit %d of jti is set in %d of %d", bit, count, n)
		}
	}
}

// refusedConfig holds that the configuration with a change keeps gatehouse from starting, and that the message names the
// file, a line, and what was wanted.
func (c *call) refusedConfig(from, to, want string) {
	c.Helper()
	n := &node{url: "http://127.0.0.1:1", admin: "http://127.0.0.1:2", state: c.T.TempDir()}
	text := c.configText(n)
	changed := strings.Replace(text, from, to, 1)
	if changed == text {
		c.Fatalf("the configuration has no %q", from)
	}
	name := c.besideConfig(changed)
	r := command(c, nil, "run", "-c", name)
	if r.code != 3 || !strings.Contains(r.stderr, name+":") || !strings.Contains(r.stderr, want) {
		c.Errorf("%s → %s: exit %d, %q, want 3 and %q", from, to, r.code, r.stderr, want)
	}
}

// besideConfig writes another config.yaml into the deployment's folder.
func (c *call) besideConfig(text string) string {
	c.Helper()
	f, err := os.CreateTemp(c.dir, "other-*.yaml")
	if err != nil {
		c.Fatal(err)
	}
	f.Close()
	c.write(f.Name(), text)
	return f.Name()
}
