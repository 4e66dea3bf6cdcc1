package blackbox

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Client authentication: RFC 6749 section 2.3, appendices A and B.
var autRows = []row{
	{"AUT-001", func(c *call) {
		c.token("c-basic", "audience", apiA)
		c.token("c-only")
	}},
	{"AUT-002", func(c *call) {
		c.token(oddID)
		c.token("c-phrase")
		c.issued(c.post(tokenPath, grantType+"&"+form("client_id", oddID, "client_secret", oddSecret)))
		c.issued(c.post(tokenPath, grantType, "Authorization", rawBasic("%63-basic:%67"+c.secrets["c-basic"][1:])))
	}},
	{"AUT-004", func(c *call) {
		c.refused(c.post(tokenPath, grantType, "Authorization", rawBasic("a%zz:x")), 401, "invalid_client")
		c.refused(c.post(tokenPath, grantType, "Authorization", rawBasic("c-basic:%")), 401, "invalid_client")
	}},
	{"AUT-005", func(c *call) {
		c.refused(c.post(tokenPath, grantType, "Authorization", rawBasic("c-basic:x:"+c.secrets["c-basic"])), 401, "invalid_client")
		c.issued(c.post(tokenPath, grantType, "Authorization", rawBasic("a%3Ab%25c%2Bd+e:p%2Bq%2Fr%3D%25:%26%22z"))) // a colon that is not encoded
	}},
	{"AUT-006", func(c *call) {
		good := "c-basic:" + c.secrets["c-basic"]
		for _, header := range []string{"Basic", "Basic ", "Basic !!!", "Basic " + base64.StdEncoding.EncodeToString([]byte(good))[1:], rawBasic("c-basic"),
			rawBasic(":" + c.secrets["c-basic"]), rawBasic(":"), rawBasic(good) + " x"} {
			c.refused(c.post(tokenPath, grantType, "Authorization", header), 401, "invalid_client")
		}
		c.refused(c.post(tokenPath, grantType, "Authorization", rawBasic("c-basic:")), 401, "invalid_client")
	}},
	{"AUT-007", func(c *call) {
		header := []string{"Authorization", basic("c-basic", c.secrets["c-basic"])}
		for _, body := range []string{form("client_secret", c.secrets["c-basic"]), form("client_id", "c-basic", "client_secret", c.secrets["c-basic"]), "client_secret=x"} {
			c.refused(c.post(tokenPath, grantType+"&"+body, header...), 400, "invalid_request")
			c.refused(c.post(revokePath, "token=x&"+body, header...), 400, "invalid_request")
		}
	}},
	{"AUT-008", func(c *call) {
		good := c.proof("c-pk", nil, nil)
		c.refused(c.post(tokenPath, grantType+"&"+good, "Authorization", basic("c-basic", c.secrets["c-basic"])), 400, "invalid_request")
		c.refused(c.post(tokenPath, grantType+"&"+good+"&"+form("client_id", "c-post", "client_secret", c.secrets["c-post"])), 400, "invalid_request")
		c.refused(c.post(tokenPath, grantType+"&"+good+"&client_secret=x"), 400, "invalid_request")
	}},
	{"AUT-009", func(c *call) {
		c.issued(c.cc("c-basic", c.secrets["c-basic"], "client_id", "c-basic"))
		c.issued(c.cc(oddID, oddSecret, "client_id", oddID))
	}},
	{"AUT-010", func(c *call) {
		c.refused(c.cc("c-basic", c.secrets["c-basic"], "client_id", "c-post"), 400, "invalid_request")
	}},
	{"AUT-011", func(c *call) {
		c.refused(c.cc("c-post", c.secrets["c-post"]), 401, "invalid_client")
		c.refused(c.post(tokenPath, grantType+"&"+form("client_id", "c-only", "client_secret", c.secrets["c-only"])), 401, "invalid_client")
		c.issued(c.post(tokenPath, grantType+"&"+form("client_id", "c-basic", "client_secret", c.secrets["c-basic"])))
		c.refused(c.cc("c-pk", c.plant(newSecret())), 401, "invalid_client")
		c.refused(c.post(tokenPath, grantType+"&"+proofOf(c.forged("c-basic"))), 401, "invalid_client")
	}},
	{"AUT-012", func(c *call) {
		good := c.secrets["c-basic"]
		for _, near := range []string{good[:len(good)-1], good + "x", good + " ", " " + good, strings.ToUpper(good), strings.TrimPrefix(good, "gatecs_"), c.secrets["c-rot"]} {
			c.refused(c.cc("c-basic", near), 401, "invalid_client")
		}
		for _, near := range []string{phrase[:72], phrase[:72] + strings.Repeat("x", len(phrase)-72), phrase + "x", phrase[:len(phrase)-1]} {
			c.refused(c.cc("c-phrase", near), 401, "invalid_client")
		}
	}},
	{"AUT-013", func(c *call) {
		c.issued(c.cc("c-rot", c.secrets["c-rot"]))
		c.issued(c.cc("c-rot", c.secrets["c-rot2"]))
	}},
	{"AUT-014", secretTimes},
	{"AUT-017", shownOnce},
	{"AUT-018", lockout},
	{"AUT-019", func(c *call) {
		attacker, good := &call{T: c.T, deployment: c.deployment, from: newSource()}, c.secrets["c-basic"]
		for range 100 {
			attacker.cc("c-basic", newSecret())
		}
		attacker.refused(attacker.cc("c-basic", good), 429, "too_many_requests")
		for _, n := range c.nodes {
			c.issuedBy(n, c.askOf(n, "c-basic"))
		}
	}},
	{"AUT-020", func(c *call) {
		own := c.deploy(plan{direct: true, nodes: 1})
		for range 10 {
			own.from = newSource()
			own.refused(own.cc("c-basic", newSecret()), 401, "invalid_client")
		}
		own.from = newSource()
		own.refused(own.cc("c-basic", own.secrets["c-basic"]), 429, "too_many_requests")
		own.token("c-rot")
	}},
}

// forged is an assertion in the name of a client, under a key that it has not.
func (c *call) forged(id string) string {
	c.Helper()
	return c.assertion("c-pk2", members{"kid": nil}, members{"iss": id, "sub": id})
}

// secretTimes is a secret that ends and one that begins while the process runs.
func secretTimes(c *call) {
	own := c.deploy(plan{clients: "  c-times: {grants: {b: [read:b]}, secrets: [{sha256: {{sha256 \"c-times\"}}, not_after: 2000-01-01T00:00:00Z}, {sha256: {{sha256 \"c-later\"}}, not_before: 2100-01-01T00:00:00Z}]}"})
	text := own.read("clients.yaml")
	var change time.Time
	for margin := 4 * time.Second; ; margin *= 2 { // longer where the machine was too busy to look before the change
		change = time.Now().Add(margin).Truncate(time.Second)
		own.write("clients.yaml", regexp.MustCompile("2[01]00-01-01T00:00:00Z").ReplaceAllString(text, change.UTC().Format(time.RFC3339)))
		own.reload()
		if time.Now().Before(change.Add(-2 * time.Second)) {
			break
		}
	}
	own.issued(own.cc("c-times", own.secrets["c-times"]))
	own.refused(own.cc("c-times", own.secrets["c-later"]), 401, "invalid_client")
	time.Sleep(time.Until(change)) // the one thing that is waited for is the time itself
	for _, n := range own.nodes {
		own.refused(own.postTo(n, tokenPath, grantType, "Authorization", basic("c-times", own.secrets["c-times"])), 401, "invalid_client")
		own.issuedBy(n, own.postTo(n, tokenPath, grantType, "Authorization", basic("c-times", own.secrets["c-later"])))
	}
}

// reload has every node read its configuration again.
func (c *call) reload() {
	c.Helper()
	for _, n := range c.nodes {
		if a := c.adminPost(n, "/api/v1/reload", ""); a.status != 200 {
			c.Fatalf("reload: %d %s", a.status, a.body)
		}
	}
}

// adminPost sends JSON to the admin listener of a node.
func (c *call) adminPost(n *node, path, body string) answer {
	c.Helper()
	return c.do(&node{url: n.admin}, "POST", path, body, "Content-Type", "application/json")
}

// shownOnce makes a client and looks for its secret in all that is shown later. The log, the metrics and the state are
// searched when the deployment ends.
func shownOnce(c *call) {
	own := c.deploy(plan{nodes: 1})
	made := own.gatehouse("client", "create", "c-new", "--grant", "a:read:a")
	secret := secretText.FindString(made.stdout)
	if made.code != 0 || secret == "" || strings.Contains(made.stderr, secret) {
		c.Fatalf("client create: %+v", made)
	}
	own.plant(secret)
	own.reload()
	own.issued(own.cc("c-new", secret))
	own.refused(own.cc("c-new", own.plant(newSecret())), 401, "invalid_client")
	own.post(revokePath, form("token", secret), "Authorization", basic("c-new", secret))
	own.post(tokenPath, "client_secret="+secret+"%zz")
	own.api(own.nodes[0], "/a", secret)
	own.do(own.nodes[0], "GET", "/nowhere?secret="+secret, "", "Cookie", "secret="+secret, "X-Client-Id", secret)
	shown := fmt.Sprintf("%+v", own.adminPost(own.nodes[0], "/api/v1/reload", ""))
	for _, args := range [][]string{{"check"}, {"check", "-o", "json"}, {"client", "list"}, {"client", "show", "c-new"}, {"client", "list", "-o", "json"}} {
		shown += fmt.Sprintf("%+v", own.gatehouse(args...))
	}
	filepath.WalkDir(own.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			data, _ := os.ReadFile(path)
			shown += string(data)
		}
		return nil
	})
	if strings.Contains(shown, secret) {
		c.Error("the secret is shown a second time")
	}
}

// lockout is ten failures a minute for each client and source, told to nobody but by the answer.
func lockout(c *call) {
	for _, id := range []string{"c-basic", "c-nobody-at-all"} {
		for _, path := range []string{tokenPath, revokePath, introspectPath} {
			one := &call{T: c.T, deployment: c.deployment, from: newSource()}
			wrong := basic(id, newSecret())
			for i := range 10 {
				n := one.nodes[i%len(one.nodes)] // nodes count together
				one.refused(one.postTo(n, path, "token=x&"+grantType, "Authorization", wrong), 401, "invalid_client")
			}
			for _, n := range one.nodes {
				one.refused(one.postTo(n, path, "token=x&"+grantType, "Authorization", wrong), 429, "too_many_requests")
				one.refused(one.postTo(n, path, "token=x&"+grantType, "Authorization", basic(id, c.secrets["c-basic"])), 429, "too_many_requests")
			}
			one.token("c-rot") // another client from there
		}
	}
	one := &call{T: c.T, deployment: c.deployment, from: newSource()}
	for range 20 { // good ones do not count
		one.ask("c-basic")
	}
	own := c.deploy(plan{tokens: "lockout: {failures: 3, per: 2s}"})
	for range 3 {
		own.refused(own.cc("c-basic", newSecret()), 401, "invalid_client")
	}
	locked := own.ask("c-basic")
	own.refused(locked, 429, "too_many_requests")
	if wait := locked.header.Get("Retry-After"); !regexp.MustCompile("^[12]$").MatchString(wait) {
		c.Errorf("Retry-After %q", wait)
	}
	eventually(c, "the lock ends", func() bool { return own.ask("c-basic").status == 200 })
}
