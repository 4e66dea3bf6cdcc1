package blackbox

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Revocation: RFC 7009.
var revRows = []row{
	{"REV-001", func(c *call) {
		j := c.token("c-basic")
		c.passes(c.nodes[0], "/a", j)
		c.refused(c.post(revokePath, form("token", j.raw)), 401, "invalid_client")
		c.refused(c.post(revokePath, form("token", j.raw), "Authorization", basic("c-basic", newSecret())), 401, "invalid_client")
		if a := c.do(c.nodes[0], "GET", revokePath+"?"+form("token", j.raw), "", "Authorization", basic("c-basic", c.secrets["c-basic"])); a.status != 405 {
			c.Errorf("GET: %d", a.status)
		}
		c.passes(c.nodes[0], "/a", j)
		c.revoke(c.nodes[0], "c-basic", j)
		c.denied(c.nodes[0], "/a", j, "revoked")
	}},
	{"REV-002", func(c *call) {
		expired := c.token("c-brief")
		foreign := signJWT(c, c.partners.keys["c-pk"], `{"alg":"ES256","typ":"at+jwt"}`, `{"iss":"https://other.example","sub":"c-basic","exp":9999999999}`)
		eventually(c, "the token expires", func() bool { return time.Now().Unix() > expired.int(c, "exp") })
		for _, token := range []string{"x", "a.b.c", foreign, expired.raw, strings.Repeat("x", 10000), "é\n"} {
			if a := c.post(revokePath, form("token", token), "Authorization", basic("c-brief", c.secrets["c-brief"])); a.status != 200 || a.body != "" {
				c.Errorf("%.20q: %d %s", token, a.status, a.body)
			}
		}
	}},
	{"REV-003", func(c *call) {
		j := c.token("c-basic")
		if a := c.post(revokePath, form("token", j.raw, "client_id", "c-post", "client_secret", c.secrets["c-post"])); a.status != 200 && a.status != 400 {
			c.Errorf("another client: %d %s", a.status, a.body)
		}
		for _, n := range c.nodes {
			c.passes(n, "/a", j)
		}
	}},
	{"REV-004", func(c *call) {
		for i := range c.nodes {
			j := c.token("c-basic")
			for _, n := range c.nodes {
				c.passes(n, "/a", j) // and each has verified it before
			}
			c.revoke(c.nodes[i], "c-basic", j)
			c.denied(c.nodes[i], "/a", j, "revoked")
			for _, n := range c.nodes {
				c.endsWithin(n, "/a", j, time.Second, "revoked")
			}
		}
	}},
	{"REV-005", func(c *call) {
		for _, hint := range []string{"refresh_token", "access_token", "nonsense", ""} {
			j := c.token("c-basic")
			if a := c.post(revokePath, form("token", j.raw, "token_type_hint", hint), "Authorization", basic("c-basic", c.secrets["c-basic"])); a.status != 200 {
				c.Errorf("hint %q: %d %s", hint, a.status, a.body)
			}
			c.denied(c.nodes[0], "/a", j, "revoked")
		}
	}},
	{"REV-006", func(c *call) {
		header := []string{"Authorization", basic("c-basic", c.secrets["c-basic"])}
		c.refused(c.post(revokePath, "", header...), 400, "invalid_request")
		c.refused(c.post(revokePath, "token=", header...), 400, "invalid_request")
		c.refused(c.post(revokePath, "token=x&token=y", header...), 400, "invalid_request")
		c.refused(c.post(revokePath+"?token=x", "", header...), 400, "invalid_request")
	}},
	{"REV-007", revokedKeepsLittle},
	{"REV-008", func(c *call) {
		old, other := c.token("c-end"), c.token("c-basic")
		if r := c.gatehouse("revoke", "--client", "c-end", "--reason", "a test", "--yes"); r.code != 0 {
			c.Fatalf("revoke --client: %+v", r)
		}
		for _, n := range c.nodes {
			c.gone(n, "/a", old, time.Second)
			fresh := c.issuedBy(n, c.askOf(n, "c-end"))
			for _, m := range c.nodes {
				c.passes(m, "/a", fresh)
				c.passes(m, "/a", other)
			}
		}
	}},
	{"REV-009", revokeStoreAway},
	{"REV-010", func(c *call) {
		for range 20 {
			j := c.token("c-basic")
			c.revoke(c.nodes[0], "c-basic", j)
			c.denied(c.nodes[0], "/a", j, "revoked")
			if a := c.introspect(c.nodes[0], "rs-a", j.raw); a.object(c)["active"] != false {
				c.Errorf("introspection: %s", a.body)
			}
		}
		j := c.token("c-end")
		body := fmt.Sprintf(`{"token":%q,"reason":"a test"}`, j.raw)
		if a := c.adminPost(c.nodes[0], "/api/v1/revocations", body); a.status != 200 {
			c.Errorf("admin: %d %s", a.status, a.body)
		}
		c.denied(c.nodes[0], "/a", j, "revoked")
	}},
}

// revoke ends a token in the name of its client.
func (c *call) revoke(n *node, id string, j jwt) {
	c.Helper()
	if a := c.postTo(n, revokePath, form("token", j.raw), "Authorization", basic(id, c.secrets[id])); a.status != 200 || a.body != "" {
		c.Fatalf("revoke: %d %s", a.status, a.body)
	}
}

// gone is endsWithin for whatever reason the gateway gives.
func (c *call) gone(n *node, path string, j jwt, limit time.Duration) {
	c.Helper()
	began := time.Now()
	for {
		asked := time.Now()
		a := c.api(n, path, j.raw)
		if a.status == 401 {
			return
		}
		if asked.Sub(began) > limit {
			c.Fatalf("%s let the token through %s after its end: %d", n.config, asked.Sub(began), a.status)
		}
	}
}

// revokedKeepsLittle looks at what is kept of a revoked token: a hash, once, and nothing of a token that has expired. That
// an entry is dropped at its end shows hours later, and is left to the tests of the set.
func revokedKeepsLittle(c *call) {
	own := c.deploy(plan{})
	n := own.nodes[0]
	entries := func() string { return n.metric(`gatehouse_revoked_entries{kind="token"}`) }
	j := own.token("c-basic")
	before := entries()
	own.revoke(n, "c-basic", j)
	one := entries()
	own.revoke(n, "c-basic", j) // a second time is nothing new
	if two := entries(); one == before || two != one {
		c.Errorf("entries: %s, after one revocation %s, after the same again %s", before, one, two)
	}
	expired := own.token("c-brief")
	eventually(c, "the token expires", func() bool { return time.Now().Unix() > expired.int(c, "exp") })
	own.post(revokePath, form("token", expired.raw), "Authorization", basic("c-brief", own.secrets["c-brief"]))
	if after := entries(); after != one {
		c.Errorf("an expired token was remembered: %s entries, then %s", one, after)
	}
	filepath.WalkDir(n.state, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && filepath.Base(path) != "audit.log" {
			if data, _ := os.ReadFile(path); strings.Contains(string(data), j.text("jti")) {
				c.Errorf("%s holds the jti", path)
			}
		}
		return nil
	})
	if own.redis != nil {
		own.sharedEntry(j)
	}
}

// sharedEntry holds that Redis has one member for the token: the first 16 bytes of SHA-256 over issuer and jti, until it
// would have expired and a little longer.
func (c *call) sharedEntry(j jwt) {
	c.Helper()
	var list []redis.Z
	eventually(c, "the revocation is shared", func() bool {
		var err error
		list, err = c.redis.Client().ZRangeWithScores(c.Context(), "gh:{rev}:jti", 0, -1).Result()
		return err == nil && len(list) > 0
	})
	want := ""
	for _, part := range []string{"local", j.text("jti")} {
		want += string(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) + part
	}
	sum := sha256.Sum256([]byte(want))
	end := float64(j.int(c, "exp"))
	if member, _ := list[0].Member.(string); len(list) != 1 || member != string(sum[:16]) || list[0].Score < end || list[0].Score > end+120 {
		c.Errorf("members %v, want %x alone, which ends soon after %.0f", list, sum[:16], end)
	}
}

// revokeStoreAway: with Redis away a revocation that is safe on this node is a success, and the others have it once Redis
// is back; one that is safe nowhere is not.
func revokeStoreAway(c *call) {
	own := c.deploy(plan{})
	n := own.nodes[0]
	if own.redis != nil {
		j := own.token("c-basic")
		own.redis.Stop()
		own.revoke(n, "c-basic", j)
		own.denied(n, "/a", j, "revoked")
		own.redis.Restart(false)
		for _, m := range own.nodes {
			eventually(c, "the other node hears of it", func() bool { return own.api(m, "/a", j.raw).status == 401 })
		}
	}
	j := own.token("c-basic")
	own.fillDisk(n)
	a := own.post(revokePath, form("token", j.raw), "Authorization", basic("c-basic", own.secrets["c-basic"]))
	own.refused(a, 503, "temporarily_unavailable")
	own.freeDisk(n)
	eventually(c, "revocation works again", func() bool {
		return own.post(revokePath, form("token", j.raw), "Authorization", basic("c-basic", own.secrets["c-basic"])).status == 200
	})
	own.denied(n, "/a", j, "revoked")
}
