package blackbox

import (
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const jwksPath = "/.well-known/jwks.json"

// Keys, key set, metadata: RFC 7517, RFC 7638, RFC 8414.
var keyRows = []row{
	{"KEY-001", func(c *call) {
		for _, n := range c.nodes {
			if a := c.do(n, "GET", jwksPath, ""); a.status != 200 || len(c.keys(n)) == 0 {
				c.Errorf("%d %s", a.status, a.body)
			}
			if a := c.do(n, "HEAD", jwksPath, ""); a.status != 200 || a.body != "" {
				c.Errorf("HEAD: %d %q", a.status, a.body)
			}
			if a := c.do(n, "POST", jwksPath, ""); a.status != 405 {
				c.Errorf("POST: %d", a.status)
			}
		}
	}},
	{"KEY-002", func(c *call) {
		public := []string{"kty", "use", "alg", "kid", "n", "e", "crv", "x", "y", "key_ops"}
		for kid, k := range c.keys(c.nodes[0]) {
			for member := range k {
				if !slices.Contains(public, member) {
					c.Errorf("key %s has a member %q", kid, member)
				}
			}
		}
	}},
	{"KEY-003", func(c *call) {
		var doc struct{ Keys []jwk }
		if err := json.Unmarshal([]byte(c.do(c.nodes[0], "GET", jwksPath, "").body), &doc); err != nil {
			c.Fatal(err)
		}
		seen := map[string]bool{}
		for _, k := range doc.Keys {
			if k.text("kty") == "" || k.text("use") != "sig" || k.text("alg") == "" || k.text("kid") == "" || seen[k.text("kid")] {
				c.Errorf("key %v", k)
			}
			seen[k.text("kid")] = true
		}
	}},
	{"KEY-004", func(c *call) {
		own := c.deploy(plan{keyDir: true, nodes: 1})
		if _, has := own.keys(own.nodes[0])["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]; !has {
			c.Error("the example of RFC 7638 has another kid than in the RFC")
		}
		for _, d := range []*call{c, own} {
			for kid, k := range d.keys(d.nodes[0]) {
				if kid != k.thumbprint() {
					c.Errorf("kid %s, thumbprint %s", kid, k.thumbprint())
				}
			}
		}
	}},
	{"KEY-006", func(c *call) {
		a := c.do(c.nodes[0], "GET", jwksPath, "")
		etag := a.header.Get("ETag")
		if maxAge(a) < 0 || etag == "" {
			c.Errorf("Cache-Control %q, ETag %q", a.header.Get("Cache-Control"), etag)
		}
		same := c.do(c.nodes[0], "GET", jwksPath, "", "If-None-Match", etag)
		if same.status != 304 || same.body != "" || same.header.Get("ETag") != etag {
			c.Errorf("If-None-Match: %d %q", same.status, same.body)
		}
		if other := c.do(c.nodes[0], "GET", jwksPath, "", "If-None-Match", `"x"`); other.status != 200 {
			c.Errorf("another ETag: %d", other.status)
		}
		c.shrinkingAge()
	}},
	{"KEY-007", publishedFirst},
	{"KEY-008", func(c *call) {
		own := c.deploy(plan{ring: true, tokens: "rotation: {every: 720h, publish_before: 1s}"})
		before := own.token("c-basic")
		own.rotate()
		for _, n := range own.nodes {
			own.verify(n, before.raw)
			own.passes(n, "/a", before)
		}
		own.rotate()
		for _, n := range own.nodes {
			own.verify(n, before.raw)
			own.passes(n, "/a", before)
		}
	}},
	{"KEY-010", func(c *call) {
		own := c.deploy(plan{ring: true, tokens: "rotation: {every: 720h, publish_before: 1s}"})
		old := own.token("c-basic")
		for _, n := range own.nodes {
			own.passes(n, "/a", old)
		}
		if r := own.gatehouse("keys", "rotate", "--revoke", "--yes"); r.code != 0 {
			c.Fatalf("keys rotate --revoke: %+v", r)
		}
		for _, n := range own.nodes {
			own.gone(n, "/a", old, 2*time.Second)
			if _, listed := own.keys(n)[fmt.Sprint(old.header["kid"])]; listed {
				c.Errorf("%s still publishes the key", n.config)
			}
		}
		for _, n := range own.nodes {
			fresh := own.issuedBy(n, own.askOf(n, "c-basic"))
			for _, m := range own.nodes {
				own.passes(m, "/a", fresh)
			}
		}
	}},
	{"KEY-011", rotationsUnderLoad},
	{"KEY-012", func(c *call) {
		weak := newRSA(c, 1024)
		for name, key := range map[string]string{
			"1024 bits":           pemOf(c, weak),
			"another curve":       pemOf(c, newEC(c, elliptic.P384())),
			"d of another":        regexp.MustCompile(`"d":"[^"]*"`).ReplaceAllString(ecJWK(c), `"d":"`+b64(random(32))+`"`),
			"alg of another kind": strings.Replace(ecJWK(c), `"ES256"`, `"RS256"`, 1),
			"a symmetric key":     `{"kty":"oct","alg":"HS256","k":"` + b64(random(32)) + `"}`,
			"no key":              "nonsense",
		} {
			own := &call{T: c.T, deployment: &deployment{t: c.T, plan: plan{engine: embedded, keyDir: true}, dir: c.T.TempDir(), issuer: "http://127.0.0.1:1",
				upstream: c.upstream, partners: c.partners, secrets: map[string]string{}}}
			own.writeKeys()
			own.writeClients()
			own.write("keys/zz", key)
			own.write("config.yaml", own.configText(&node{url: "http://127.0.0.1:1", admin: "http://127.0.0.1:2", state: own.dir + "/state"}))
			r := command(c, nil, "run", "-c", own.dir+"/config.yaml")
			if r.code == 0 || !strings.Contains(r.stderr, "zz") || strings.Contains(r.stderr, "PRIVATE") {
				c.Errorf("%s: exit %d, %s", name, r.code, r.stderr)
			}
		}
	}},
	{"KEY-014", func(c *call) {
		own := c.deploy(plan{path: "/t1", nodes: 1})
		n := own.nodes[0]
		m := own.metadata(n, "/.well-known/oauth-authorization-server/t1")
		if m["issuer"] != own.issuer || m["token_endpoint"] != own.issuer+tokenPath || m["jwks_uri"] != own.issuer+jwksPath {
			c.Errorf("metadata %v", m)
		}
		if a := own.do(n, "GET", "/.well-known/oauth-authorization-server", ""); a.status != 404 {
			c.Errorf("the metadata of another issuer: %d", a.status)
		}
		own.issued(own.post("/t1"+tokenPath, grantType, "Authorization", basic("c-basic", own.secrets["c-basic"])))
	}},
	{"KEY-015", func(c *call) {
		for _, n := range c.nodes {
			if m := c.metadata(n, "/.well-known/oauth-authorization-server"); m["issuer"] != c.issuer {
				c.Errorf("issuer %v, want %s", m["issuer"], c.issuer)
			}
		}
	}},
	{"KEY-016", func(c *call) {
		for _, bad := range []string{"http://auth.example", "https://auth.example?x=1", "https://auth.example/#x", "ftp://auth.example", "auth.example", "https://u:p@auth.example"} {
			c.refusedConfig("public_url: "+c.issuer, "public_url: '"+bad+"'", "public_url")
		}
	}},
	{"KEY-017", func(c *call) {
		m := c.metadata(c.nodes[0], "/.well-known/oauth-authorization-server")
		if fmt.Sprint(m["grant_types_supported"]) != "[client_credentials]" || m["token_endpoint"] != c.issuer+tokenPath || m["jwks_uri"] != c.issuer+jwksPath ||
			m["revocation_endpoint"] != c.issuer+revokePath || m["introspection_endpoint"] != c.issuer+introspectPath {
			c.Errorf("metadata %v", m)
		}
	}},
	{"KEY-018", func(c *call) {
		m := c.metadata(c.nodes[0], "/.well-known/oauth-authorization-server")
		want := "[client_secret_basic client_secret_post private_key_jwt]" // each is tried by AUT-001, TOK-010 and JCA-001
		for _, endpoint := range []string{"token", "revocation", "introspection"} {
			methods, _ := m[endpoint+"_endpoint_auth_methods_supported"].([]any)
			slices.SortFunc(methods, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			algs, _ := m[endpoint+"_endpoint_auth_signing_alg_values_supported"].([]any)
			if fmt.Sprint(methods) != want || len(algs) == 0 || !slices.Contains(algs, any("ES256")) || !slices.Contains(algs, any("RS256")) {
				c.Errorf("%s: methods %v, algorithms %v", endpoint, methods, algs)
			}
			for _, alg := range algs {
				if !slices.Contains([]string{"ES256", "RS256", "PS256", "EdDSA"}, fmt.Sprint(alg)) {
					c.Errorf("%s: algorithm %v", endpoint, alg)
				}
			}
		}
		c.token("c-pk")
		c.token("c-post")
		c.token("c-basic")
		token := c.token("c-pk").raw
		if a := c.post(revokePath, form("token", token)+"&"+c.proof("c-pk", nil, nil)); a.status != 200 {
			c.Errorf("revocation by private_key_jwt: %d %s", a.status, a.body)
		}
	}},
	{"KEY-019", func(c *call) {
		a := c.do(c.nodes[0], "GET", "/.well-known/oauth-authorization-server", "")
		if list, ok := a.object(c)["response_types_supported"].([]any); !ok || len(list) != 0 {
			c.Errorf("response_types_supported in %s", a.body)
		}
	}},
	{"KEY-020", func(c *call) {
		oauth, openid := c.metadata(c.nodes[0], "/.well-known/oauth-authorization-server"), c.metadata(c.nodes[0], "/.well-known/openid-configuration")
		for member := range oauth {
			if fmt.Sprint(oauth[member]) != fmt.Sprint(openid[member]) {
				c.Errorf("%s: %v and %v", member, oauth[member], openid[member])
			}
		}
		if openid["issuer"] != c.issuer {
			c.Errorf("issuer %v", openid["issuer"])
		}
	}},
	{"KEY-021", func(c *call) {
		for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			want := c.do(c.nodes[0], "GET", path, "")
			for _, header := range [][]string{{"Host", "evil.example"}, {"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Proto", "https"}, {"Forwarded", "host=evil.example;proto=https"}, {"X-Forwarded-Prefix", "/evil"}} {
				if a := c.do(c.nodes[0], "GET", path, "", header...); a.status != 200 || a.body != want.body {
					c.Errorf("%v: %d %s", header, a.status, a.body)
				}
			}
		}
		a := c.post(tokenPath, grantType, "Authorization", basic("c-basic", c.secrets["c-basic"]), "Host", "evil.example", "X-Forwarded-Host", "evil.example")
		if j := c.issued(a); j.text("iss") != c.issuer {
			c.Errorf("iss %q", j.text("iss"))
		}
	}},
}

func ecJWK(c *call) string {
	k := newEC(c, elliptic.P256())
	d, err := k.Bytes()
	if err != nil {
		c.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		c.Fatal(err)
	}
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","alg":"ES256","x":%q,"y":%q,"d":%q}`, b64(point[1:33]), b64(point[33:]), b64(d))
}

// metadata is a metadata document of a node.
func (c *call) metadata(n *node, path string) map[string]any {
	c.Helper()
	a := c.do(n, "GET", path, "")
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		c.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return a.object(c)
}

// maxAge is how long a cache may keep the answer, in seconds; -1 where it does not say public and max-age.
func maxAge(a answer) int {
	m := regexp.MustCompile(`^public, max-age=([0-9]+)$`).FindStringSubmatch(a.header.Get("Cache-Control"))
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// shrinkingAge holds that before a key is taken by schedule, no cache is told to keep the set for longer than until then.
func (c *call) shrinkingAge() {
	c.Helper()
	own := c.deploy(plan{ring: true, tokens: "rotation: {every: 12s, publish_before: 5s}", nodes: 1})
	n := own.nodes[0]
	type look struct {
		at   time.Time
		age  int
		kids string
	}
	var looks []look
	first := fmt.Sprint(own.token("c-basic").header["kid"])
	eventually(c, "the key is changed by schedule", func() bool {
		a := own.do(n, "GET", jwksPath, "")
		set, _ := parseSet(a.body)
		looks = append(looks, look{time.Now(), maxAge(a), strings.Join(slices.Sorted(maps.Keys(set)), " ")})
		return fmt.Sprint(own.token("c-basic").header["kid"]) != first
	})
	taken, next := time.Now(), fmt.Sprint(own.token("c-basic").header["kid"])
	for _, l := range looks {
		if l.age < 0 || l.age > 5 {
			c.Errorf("max-age %d, and a key is published 5 s before it signs", l.age)
		}
		if !strings.Contains(l.kids, next) && l.at.Add(time.Duration(l.age)*time.Second).After(taken.Add(time.Second)) {
			c.Errorf("a set without the next key was good for %d s, %s before it signed", l.age, taken.Sub(l.at))
		}
	}
}

// rotate takes a new key and waits until every node signs with it.
func (c *call) rotate() {
	c.Helper()
	signing := func(n *node) string { return fmt.Sprint(c.issuedBy(n, c.askOf(n, "c-basic")).header["kid"]) }
	old := signing(c.nodes[0])
	if r := c.gatehouse("keys", "rotate"); r.code != 0 {
		c.Fatalf("keys rotate: %+v", r)
	}
	for _, n := range c.nodes {
		eventually(c, "the new key signs", func() bool { return signing(n) != old })
	}
}

// verifier is a program of somebody else that keeps the key set for as long as it is told.
type verifier struct {
	mu    sync.Mutex
	keys  map[string]jwk
	until time.Time
}

func (v *verifier) verify(c *call, n *node, raw string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := time.Now(); now.After(v.until) {
		a, err := c.try(n, "GET", jwksPath, "")
		if err != nil {
			return err
		}
		keys, err := parseSet(a.body)
		if err != nil || maxAge(a) < 0 {
			return fmt.Errorf("%d %v %s", a.status, a.header, a.body)
		}
		v.keys, v.until = keys, now.Add(time.Duration(maxAge(a))*time.Second)
	}
	_, err := verifyJWT(raw, v.keys)
	return err
}

func publishedFirst(c *call) {
	own := c.deploy(plan{ring: true, tokens: "rotation: {every: 720h, publish_before: 2s}"})
	v := &verifier{}
	old := fmt.Sprint(own.token("c-basic").header["kid"])
	if err := v.verify(own, own.nodes[0], own.token("c-basic").raw); err != nil {
		c.Fatal(err)
	}
	if r := own.gatehouse("keys", "rotate"); r.code != 0 {
		c.Fatalf("keys rotate: %+v", r)
	}
	for _, n := range own.nodes {
		eventually(c, "the new key signs", func() bool {
			a := own.askOf(n, "c-basic")
			if err := v.verify(own, n, a.text(c, "access_token")); err != nil {
				c.Fatalf("who keeps the key set for its max-age meets %v", err)
			}
			return fmt.Sprint(own.issuedBy(n, a).header["kid"]) != old
		})
	}
}

// rotationsUnderLoad takes twenty keys while callers get and use tokens on every node: none is refused, and a verifier of
// somebody else never meets a kid that it has not.
func rotationsUnderLoad(c *call) {
	own := c.deploy(plan{ring: true, tokens: "rotation: {every: 720h, publish_before: 1s}"})
	var done atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	load := func(f func(issuer, gateway *node)) {
		wg.Go(func() {
			for i := 0; !done.Load() && !c.Failed(); i++ {
				f(own.nodes[i%len(own.nodes)], own.nodes[i/2%len(own.nodes)])
			}
		})
	}
	v := &verifier{}
	for range 2 {
		load(func(issuer, gateway *node) {
			a, err := own.try(issuer, "POST", tokenPath, grantType+"&audience=https%3A%2F%2Fapi.b.example%2F", "Authorization", basic("c-multi", own.secrets["c-multi"]),
				"Content-Type", "application/x-www-form-urlencoded")
			if err != nil || a.status != 200 {
				c.Errorf("no token: %v %d %s", err, a.status, a.body)
				return
			}
			raw := a.text(c, "access_token")
			if err := v.verify(own, gateway, raw); err != nil {
				c.Errorf("who keeps the key set for its max-age meets %v", err)
			}
			if a, err = own.try(gateway, "GET", "/b", "", "Authorization", "Bearer "+raw); err != nil || a.status != http.StatusOK {
				c.Errorf("a good token was refused: %v %d %s", err, a.status, a.body)
			}
			calls.Add(1)
		})
	}
	for range 20 {
		own.rotate()
		if c.Failed() {
			break
		}
	}
	done.Store(true)
	wg.Wait()
	if calls.Load() < 100 {
		c.Errorf("only %d calls", calls.Load())
	}
}
