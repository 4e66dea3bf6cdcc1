package blackbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
)

// Limits, quotas, operations.
var limRows = []row{
	{"LIM-001", func(c *call) {
		for i := range 3 { // nodes count together
			n := c.nodes[i%len(c.nodes)]
			c.issuedBy(n, c.askOf(n, "c-q"))
		}
		for _, n := range c.nodes {
			c.refused(c.askOf(n, "c-q"), 429, "too_many_requests")
		}
	}},
	{"LIM-002", func(c *call) {
		own := c.deploy(plan{})
		for i := range 8 { // 5 an hour
			n := own.nodes[i%len(own.nodes)]
			own.issuedBy(n, own.askOf(n, "c-qo"))
		}
		warned := regexp.MustCompile(`"level":"WARN"[^\n]*quota[^\n]*c-qo|"level":"WARN"[^\n]*c-qo[^\n]*quota`)
		eventually(c, "a warning at 60, 80 and 100 % of the quota", func() bool {
			log := ""
			for _, n := range own.nodes {
				log += n.log.String()
			}
			return len(warned.FindAllString(log, -1)) >= 3
		})
		counted := regexp.MustCompile(`(?m)^gatehouse_\w*quota\w*\{[^}]*"c-qo"[^}]*\} [1-9]`)
		eventually(c, "a metric of the quota of c-qo", func() bool {
			_, metrics := fetch(own.nodes[0].admin + "/metrics")
			return counted.MatchString(metrics)
		})
	}},
	{"LIM-004", func(c *call) {
		for range 5 {
			c.refused(c.ask("c-q2", "scope", "admin:a"), 400, "invalid_scope")
			c.refused(c.ask("c-q2", "audience", apiB), 400, "invalid_target")
			c.refused(c.cc("c-q2", c.secrets["c-q2"], "grant_type", "x"), 400, "invalid_request")
		}
		for range 5 {
			c.refused(c.cc("c-q2", newSecret()), 401, "invalid_client")
		}
		for i := range 3 {
			n := c.nodes[i%len(c.nodes)]
			c.issuedBy(n, c.askOf(n, "c-q2"))
		}
		c.refused(c.ask("c-q2"), 429, "too_many_requests")
	}},
	{"LIM-005", func(c *call) {
		var good, over, other atomic.Int64
		together(200, 16, func(i int) {
			switch a := c.askOf(c.nodes[i%len(c.nodes)], "c-q100"); a.status {
			case 200:
				good.Add(1)
			case 429:
				over.Add(1)
			default:
				other.Add(1)
			}
		})
		if good.Load() != 100 || over.Load() != 100 {
			c.Errorf("200 requests at a quota of 100: %d tokens, %d refused, %d else", good.Load(), over.Load(), other.Load())
		}
	}},
	{"LIM-006", func(c *call) {
		own := c.deploy(plan{nodes: 1})
		n := own.nodes[0]
		own.token("c-basic")
		own.cc("c-nobody", newSecret())
		before := own.series(n)
		many := 1000
		if os.Getenv("GATEHOUSE_BLACKBOX") == "long" {
			many = 10_000
		}
		together(many, 8, func(int) {
			id := b64(random(12))
			own.post(tokenPath, grantType+"&"+form("audience", id, "scope", id, id, id), "Authorization", basic(id, newSecret()))
		})
		if after := own.series(n); after > before+3 {
			c.Errorf("%d series, and %d after %d clients that nobody knows", before, after, many)
		}
		issued, refused := n.metric(`gatehouse_tokens_issued_total{client="c-basic"}`), n.metric(`gatehouse_token_requests_total{result="invalid_client"}`)
		if issued != "1" || refused != fmt.Sprint(many+1) {
			c.Errorf("%q tokens of c-basic, %q refused", issued, refused)
		}
	}},
	{"LIM-007", audit},
	{"LIM-009", redisAway},
	{"LIM-012", func(c *call) {
		own := c.deploy(plan{nodes: 1})
		n := own.nodes[0]
		good, err := os.ReadFile(n.config)
		if err != nil {
			c.Fatal(err)
		}
		own.write(n.config, strings.Replace(string(good), "ttl: 600s", "ttl: 300s", 1)+"  broken: [\n")
		n.signal(syscall.SIGHUP)
		eventually(c, "the refused reload is counted", func() bool { return n.metric("gatehouse_config_last_reload_successful") == "0" })
		if j := own.token("c-basic"); j.int(c, "exp")-j.int(c, "iat") != 600 {
			c.Error("half of a broken file is in force")
		}
		if a := own.adminPost(n, "/api/v1/reload", ""); a.status != 422 || !strings.Contains(a.body, filepath.Base(n.config)) || !strings.Contains(a.body, `"line":`) {
			c.Errorf("reload: %d %s", a.status, a.body)
		}
		if !strings.Contains(n.log.String(), n.config+":") {
			c.Error("the log does not name the file and line")
		}
		own.write(n.config, strings.Replace(string(good), "ttl: 600s", "ttl: 300s", 1))
		n.signal(syscall.SIGHUP)
		eventually(c, "the mended file is in force", func() bool { j := own.token("c-basic"); return j.int(c, "exp")-j.int(c, "iat") == 300 })
	}},
	{"LIM-013", func(c *call) {
		for _, change := range []struct{ from, to, want string }{
			{"ttl: 600s", "tll: 600s", `did you mean "ttl"?`},
			{"scopes: [write:a]", "scopes: [wirte:a]", `did you mean "write:a"?`},
			{"audience: urn:n", "audience: urn:c", "urn:c"},
			{"log: {level: debug}", "log: {level: debug, level: info}", "twice"},
		} {
			c.refusedConfig(change.from, change.to, change.want)
		}
		for _, change := range []struct{ from, to, want string }{
			{"  c-post:", "  c-basic:", "twice"},
			{"sha256: ", "secret: " + c.plant(newSecret()) + ", sha256: ", "secret"},
			{"[read:a, write:a]", "[read:a, wirte:a]", `did you mean "write:a"?`},
			{"c-basic: {grants: {a:", "c-basic: {grants: {aa:", `unknown API "aa"`},
		} {
			c.refusedClients(change.from, change.to, change.want)
		}
		inline := c.plant(newSecret())
		c.refusedClients(regexp.MustCompile(`sha256: [0-9a-f]{64}`).FindString(c.read("clients.yaml")), "sha256: "+inline, "SHA-256")
	}},
}

// refusedClients is refusedConfig for a change of clients.yaml.
func (c *call) refusedClients(from, to, want string) {
	c.Helper()
	text := c.read("clients.yaml")
	changed := strings.Replace(text, from, to, 1)
	if changed == text {
		c.Fatalf("clients.yaml has no %q", from)
	}
	name := c.besideConfig(changed)
	config := c.configText(&node{url: "http://127.0.0.1:1", admin: "http://127.0.0.1:2", state: c.T.TempDir()})
	config = c.besideConfig(strings.Replace(config, "clients_file: clients.yaml", "clients_file: "+name, 1))
	r := command(c, nil, "run", "-c", config)
	if r.code != 3 || !strings.Contains(r.stderr, name+":") || !strings.Contains(r.stderr, want) {
		c.Errorf("%s → %s: exit %d, %q, want 3 and %q", from, to, r.code, r.stderr, want)
	}
	if m := secretText.FindString(r.stderr + r.stdout); m != "" {
		c.Errorf("the message holds the secret %s", m)
	}
}

// series is how many series /metrics shows.
func (c *call) series(n *node) (count int) {
	_, text := fetch(n.admin + "/metrics")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "gatehouse_") {
			count++
		}
	}
	return count
}

// audited waits for a line of the node's audit log that the condition takes.
func (c *call) audited(n *node, ok func(map[string]any) bool) (found map[string]any) {
	c.Helper()
	eventually(c, "the audit line", func() bool {
		text, err := os.ReadFile(filepath.Join(n.state, "audit.log"))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(text)) {
			var m map[string]any
			if json.Unmarshal([]byte(line), &m) == nil && ok(m) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// tells reports whether any value of the line holds the text.
func tells(line map[string]any, texts ...string) bool {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(line)) {
		values = append(values, fmt.Sprint(line[name]))
	}
	whole := strings.Join(values, "\n")
	return !slices.ContainsFunc(texts, func(t string) bool { return !strings.Contains(whole, t) })
}

// audit holds that every decision has its line, that the lines are a chain, and that a change of one breaks it.
func audit(c *call) {
	own := c.deploy(plan{nodes: 1})
	n := own.nodes[0]
	good := own.token("c-basic", "audience", apiA, "scope", "read:a")
	line := own.audited(n, func(m map[string]any) bool { return tells(m, "c-basic", apiA, "read:a") })
	if !tells(line, own.from, "client_secret_basic") || line["time"] == nil {
		c.Errorf("the line of a token: %v", line)
	}
	for name, send := range map[string]func() answer{
		"invalid_client":      func() answer { return own.cc("c-basic", own.plant(newSecret())) },
		"invalid_scope":       func() answer { return own.ask("c-post", "scope", "admin:a") },
		"invalid_target":      func() answer { return own.ask("c-multi") },
		"unauthorized_client": func() answer { return own.ask("c-nogrant") },
		"unsupported_grant_type": func() answer {
			return own.post(tokenPath, "grant_type=x", "Authorization", basic("c-rot", own.secrets["c-rot"]))
		},
	} {
		send()
		own.audited(n, func(m map[string]any) bool { return tells(m, name, own.from) })
	}
	own.revoke(n, "c-basic", good)
	own.audited(n, func(m map[string]any) bool { return tells(m, "revoke", "c-basic") })
	own.introspect(n, "rs-a", good.raw)
	own.audited(n, func(m map[string]any) bool { return tells(m, "introspect", "rs-a") })

	path := filepath.Join(n.state, "audit.log")
	text, err := os.ReadFile(path)
	if err != nil {
		c.Fatal(err)
	}
	whole := filepath.Join(c.T.TempDir(), "audit.log")
	own.write(whole, string(text[:strings.LastIndexByte(string(text), '\n')+1]))
	if r := command(c, nil, "audit", "verify", whole); r.code != 0 {
		c.Errorf("audit verify: %+v", r)
	}
	for name, changed := range map[string]string{"a changed word": strings.Replace(string(text), "invalid_scope", "invalid_sc0pe", 1),
		"a missing line": regexp.MustCompile(`\n[^\n]*invalid_scope[^\n]*\n`).ReplaceAllString(string(text), "\n")} {
		own.write(whole, changed)
		if r := command(c, nil, "audit", "verify", whole); r.code != 4 {
			c.Errorf("audit verify after %s: %+v", name, r)
		}
	}
}

// redisAway: quotas and lock-out go on by themselves, an assertion can't be taken once and is refused, revocation follows
// its own rule. Without Redis it is the disk that is away, and only what must be kept is refused.
func redisAway(c *call) {
	own := c.deploy(plan{})
	before := own.token("c-basic")
	own.breakStore()
	n := own.nodes[0]
	issued := 0
	for range 10 {
		switch a := own.ask("c-q"); a.status {
		case 200:
			issued++
		case 429:
			own.refused(a, 429, "too_many_requests")
		default:
			c.Errorf("a token within the quota: %d %s", a.status, a.body)
		}
	}
	if issued == 0 || issued > 3 {
		c.Errorf("%d tokens of a quota of 3", issued)
	}
	wrong := &call{T: c.T, deployment: own.deployment, from: newSource()}
	for range 10 {
		wrong.cc("c-rot", newSecret())
	}
	wrong.refused(wrong.cc("c-rot", own.secrets["c-rot"]), 429, "too_many_requests")
	own.issued(own.ask("c-rot")) // from elsewhere
	if own.redis != nil {
		own.refused(own.ask("c-pk"), 503, "temporarily_unavailable")
	}
	own.passes(n, "/a", before)
}
