package blackbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// failure is one way to be refused, with what it sent that must not come back.
type failure struct {
	name    string
	status  int
	word    string
	secrets []string
	answer  answer
}

// failures are a request for every error of the endpoints that needs no state of its own.
func (c *call) failures() []failure {
	c.Helper()
	good, wrong := c.secrets["c-basic"], c.plant(newSecret())
	header := []string{"Authorization", basic("c-basic", good)}
	list := []failure{
		{"no credentials", 401, "invalid_client", nil, c.post(tokenPath, grantType)},
		{"wrong secret, Basic", 401, "invalid_client", []string{wrong}, c.cc("c-basic", wrong)},
		{"wrong secret, body", 401, "invalid_client", []string{wrong}, c.post(tokenPath, grantType+"&"+form("client_id", "c-post", "client_secret", wrong))},
		{"unknown client", 401, "invalid_client", []string{wrong}, c.cc("c-nobody", wrong)},
		{"another scheme", 401, "invalid_client", []string{wrong}, c.post(tokenPath, grantType, "Authorization", "Bearer "+wrong)},
		{"broken base64", 401, "invalid_client", []string{wrong}, c.post(tokenPath, grantType, "Authorization", "Basic !"+wrong)},
		{"two mechanisms", 400, "invalid_request", []string{good}, c.post(tokenPath, grantType+"&"+form("client_secret", good), header...)},
		{"twice", 400, "invalid_request", []string{wrong}, c.post(tokenPath, grantType+"&"+form("client_secret", wrong, "client_secret", wrong))},
		{"no grant type", 400, "invalid_request", []string{good}, c.post(tokenPath, "", header...)},
		{"another grant type", 400, "unsupported_grant_type", []string{good, wrong}, c.post(tokenPath, form("grant_type", wrong), header...)},
		{"bad encoding", 400, "invalid_request", []string{wrong}, c.post(tokenPath, "client_secret="+wrong+"%zz")},
		{"bad JSON", 400, "invalid_request", []string{wrong}, c.json(`{"client_secret":"` + wrong)},
		{"too long", 413, "invalid_request", []string{wrong}, c.post(tokenPath, "client_secret="+wrong+strings.Repeat("x", 1<<17))},
		{"bad media type", 400, "invalid_request", []string{wrong}, c.do(c.nodes[0], "POST", tokenPath, "client_secret="+wrong)},
		{"no grant of the type", 400, "unauthorized_client", []string{c.secrets["c-nogrant"]}, c.ask("c-nogrant")},
		{"malformed scope", 400, "invalid_scope", []string{good}, c.ask("c-basic", "scope", `"`)},
		{"scope not granted", 400, "invalid_scope", []string{good, wrong}, c.ask("c-basic", "scope", wrong)},
		{"no such API", 400, "invalid_target", []string{good, wrong}, c.ask("c-basic", "audience", wrong)},
		{"no grant, auth0", 403, "access_denied", []string{good}, c.ask("c-basic", "audience", apiC)},
		{"revoke: no token", 400, "invalid_request", []string{good}, c.post(revokePath, "", header...)},
		{"revoke: wrong secret", 401, "invalid_client", []string{wrong}, c.post(revokePath, "token=x", "Authorization", basic("c-basic", wrong))},
		{"assertion that is none", 401, "invalid_client", []string{wrong}, c.post(tokenPath, grantType+"&"+proofOf(wrong))},
	}
	return list
}

// Errors: RFC 6749 section 5.2.
var errRows = []row{
	{"ERR-001", func(c *call) {
		for _, f := range c.failures() {
			c.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
				(&call{T: t, deployment: c.deployment}).refused(f.answer, f.status, f.word)
			})
		}
	}},
	{"ERR-002", func(c *call) {
		a := c.cc("c-basic", newSecret())
		c.refused(a, 401, "invalid_client")
		if got := a.header["Www-Authenticate"]; len(got) != 1 || !strings.HasPrefix(got[0], `Basic realm="`) {
			c.Errorf("WWW-Authenticate %q", got)
		}
	}},
	{"ERR-003", func(c *call) {
		want := c.cc("c-basic", newSecret())
		c.alike("an unknown client", c.cc("c-nobody", newSecret()), want)
		c.alike("an unknown client with another's secret", c.cc("c-nobody", c.secrets["c-basic"]), want)
		c.alike("a wrong secret that is not generated", c.cc("c-basic", "x"), want)
		c.alike("a client without a secret", c.cc("c-pub", newSecret()), want)
	}},
	{"ERR-004", func(c *call) {
		c.refused(c.post(tokenPath, grantType+"&"+form("client_id", "c-post", "client_secret", "wrong")), 401, "invalid_client")
	}},
	{"ERR-005", func(c *call) {
		c.refused(c.post(tokenPath, grantType), 401, "invalid_client")
		c.refused(c.post(tokenPath, grantType+"&client_id=c-basic"), 401, "invalid_client")
	}},
	{"ERR-006", func(c *call) {
		for _, f := range c.failures() {
			c.isError(f.answer)
		}
		for _, a := range c.hostile() {
			c.isError(a)
		}
	}},
	{"ERR-007", func(c *call) {
		for name, a := range c.hostile() {
			if strings.Contains(a.body, "zqx") || strings.Contains(fmt.Sprint(a.header), "zqx") {
				c.Errorf("%s comes back: %v %s", name, a.header, a.body)
			}
		}
	}},
	{"ERR-009", func(c *call) {
		want := c.cc("c-basic", newSecret())
		for _, id := range []string{"c-off", "c-exp", "c-early"} {
			c.alike(id+" with its secret", c.cc(id, c.secrets[id]), want)
			c.alike(id+" with a wrong one", c.cc(id, newSecret()), want)
		}
	}},
	{"ERR-010", func(c *call) {
		body := grantType + "&" + form("client_id", "c-post", "client_secret", c.secrets["c-post"])
		for _, header := range []string{"Bearer x", `Digest username="c-post"`, "Negotiate x", "x"} {
			c.refused(c.post(tokenPath, body, "Authorization", header), 401, "invalid_client")
		}
		// Two headers are refused by the gate that stands before every path, in its own words.
		if a := c.post(tokenPath, body, "Authorization", "Bearer x", "Authorization", "Bearer x"); a.status != 400 || strings.Contains(a.body, "access_token") {
			c.Errorf("two headers: %d %s", a.status, a.body)
		}
	}},
	{"ERR-012", func(c *call) {
		var last answer
		for range 4 {
			last = c.ask("c-q3")
		}
		c.refused(last, 429, "too_many_requests") // which holds Retry-After
	}},
	{"ERR-013", storeAway},
}

// hostile sends bytes that no error may give back, in every parameter.
func (c *call) hostile() map[string]answer {
	c.Helper()
	bad := "\"\\é<zqx>"
	all := map[string]answer{}
	for _, name := range []string{"scope", "audience", "resource", "client_id", "grant_type"} {
		body := form(name, bad)
		if name != "grant_type" {
			body = grantType + "&" + body
		}
		all[name] = c.post(tokenPath, body, "Authorization", basic("c-basic", c.secrets["c-basic"]))
	}
	all["a name"] = c.post(tokenPath, form(bad, "1", bad, "2"))
	all["a client"] = c.cc(bad, bad)
	all["an assertion"] = c.post(tokenPath, grantType+"&"+proofOf(bad))
	all["a token"] = c.post(revokePath, form("token", "", bad, bad), "Authorization", basic("c-basic", c.secrets["c-basic"]))
	return all
}

// storeAway takes away where the engine keeps things: Redis stops, or the disk is full. Tokens are issued and checked all
// the same, within the time that a request may wait.
func storeAway(c *call) {
	own := c.deploy(plan{budget: "25ms"})
	before := own.token("c-basic")
	if own.redis != nil {
		own.redis.Pause() // it hangs before it is gone
		own.servedAlone(before)
		own.redis.Resume()
	}
	own.breakStore()
	own.servedAlone(before)
	for _, n := range own.nodes {
		if status, body := fetch(n.admin + "/-/healthy"); status != http.StatusOK {
			c.Errorf("health: %d %s", status, body)
		}
	}
}

// servedAlone holds that every node issues and checks tokens, and that no answer takes longer than two seconds.
func (c *call) servedAlone(before jwt) {
	c.Helper()
	took := func(what string, f func()) {
		began := time.Now()
		if f(); time.Since(began) > 2*time.Second {
			c.Errorf("%s took %s", what, time.Since(began))
		}
	}
	for range 10 {
		for _, n := range c.nodes {
			var a answer
			took("a token", func() { a = c.askOf(n, "c-basic") })
			j := c.issuedBy(n, a)
			took("a call", func() { c.passes(n, "/a", j) })
			took("a call", func() { c.passes(n, "/a", before) })
			took("a refusal", func() {
				c.refused(c.postTo(n, tokenPath, grantType, "Authorization", basic("c-nobody", newSecret())), 401, "invalid_client")
			})
		}
		c.from = newSource()
	}
}

// breakStore takes away where the engine keeps things, for good: Redis in a fleet, else the disk.
func (c *call) breakStore() {
	c.Helper()
	if c.redis != nil {
		c.redis.Stop()
		return
	}
	c.fillDisk(c.nodes[0])
}
