package app

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/canary"
	"gatehouse/internal/config"
	"gatehouse/internal/redistest"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
)

// leaky is a site with secrets in every place that has one, and all that came out of it.
type leaky struct {
	*site
	*canary.Nest
	n *node
}

// heard keeps what an answer of ours said: the refusals, and whatever else is no token.
func (l *leaky) heard(what string, a answer) {
	l.t.Helper()
	l.Check(l.t, what, fmt.Sprintf("%d %v %s", a.status, a.header, a.body))
	_, status := l.n.adminBody("GET", "/api/v1/status") // holds the last few denials
	l.Check(l.t, "the status after "+what, status)
}

// ask sends a request with a body and header pairs to one of our listeners.
func (l *leaky) ask(method, url, body string, header ...string) answer {
	l.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	a, err := send(req)
	if err != nil {
		l.t.Fatal(err)
	}
	return a
}

// refuse sends what must not be accepted, and checks the answer.
func (l *leaky) refuse(what, method, path, body string, header ...string) {
	l.t.Helper()
	a := l.ask(method, "http://"+l.n.Addr().String()+path, body, header...)
	if a.status < 400 {
		l.t.Errorf("%s: %d %s", what, a.status, a.body)
	}
	l.heard(what, a)
}

// Ensure that no secret, assertion or token that goes in comes out again in a log, a metric, an error, the audit trail, a
// file of the state, Redis or a dump of the configuration, at the log level debug and on both engines.
func TestNothingSecretComesOut(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		l := &leaky{site: newSite(t, redis), Nest: &canary.Nest{}}
		l.site.client("rs", "introspect: [orders]")
		l.site.client("limited", "grants: {orders: [orders:read]}\n    quota: {tokens: 1, per: 1h}")
		l.site.client("off", "grants: {orders: [orders:read]}\n    disabled: true")
		for id, plain := range l.secrets {
			l.Plant("the secret of "+id, plain)
		}
		l.Plant("the signing key", strings.Split(l.read("keys/a.pem"), "\n")[1])
		l.n = l.start()
		l.tokenEndpoint()
		l.tokensOfClients()
		l.calls()
		l.explanations()
		l.reloads()

		_, metrics := l.n.adminBody("GET", "/metrics")
		l.Check(t, "the metrics", metrics)
		l.CheckValue(t, "the configuration", l.n.Config())
		if redis != nil {
			l.Check(t, "Redis", dump(t, redis))
		}
		l.n.stop()
		if log := l.n.log.String(); strings.Count(log, "\n") < 20 {
			t.Errorf("the log says too little to be a test of it:\n%s", log)
		} else {
			l.Check(t, "the log", log)
		}
		if lines := l.trail(); len(lines) < 20 {
			t.Errorf("the trail has %d lines", len(lines))
		}
		l.CheckDir(t, filepath.Join(l.dir, "state"))
	})
}

// tokenEndpoint sends secrets in every right and wrong way.
func (l *leaky) tokenEndpoint() {
	const path = "/oauth/token"
	grant := "grant_type=client_credentials"
	basic := func(id, plain string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(plain))
		return r.Header.Get("Authorization")
	}
	good, wrong, imported := l.secrets["reader"], l.Plant("a wrong secret", secret.New()), l.New("a secret of another form")
	stranger, err := token.Generate(token.ES256)
	if err != nil {
		l.t.Fatal(err)
	}
	assertion := l.Token("an assertion", l.forge(func(i *token.Issue) { i.Issuer = "reader" }, stranger))
	for name, plain := range map[string]string{"a wrong secret": wrong, "a secret of another form": imported, "an assertion as secret": assertion} {
		l.refuse(name+" by Basic", "POST", path, grant, "Authorization", basic("reader", plain))
		l.refuse(name+" in the body", "POST", path, grant+"&client_id=reader&client_secret="+url.QueryEscape(plain))
		l.refuse(name+" in JSON", "POST", path, `{"grant_type":"client_credentials","client_id":"reader","client_secret":"`+plain+`"}`, "Content-Type", "application/json")
		l.refuse(name+" of nobody", "POST", path, grant, "Authorization", basic("nobody", plain))
		l.refuse(name+" in the query", "POST", path+"?client_id=reader&client_secret="+url.QueryEscape(plain), grant)
		l.refuse(name+" as the scheme's rest", "POST", path, grant, "Authorization", "Bearer "+plain)
		l.refuse(name+" as Basic, not encoded", "POST", path, grant, "Authorization", "Basic "+plain)
	}
	l.refuse("id and secret changed round", "POST", path, grant, "Authorization", basic(good, "reader"))
	l.refuse("id and secret changed round in the body", "POST", path, grant+"&client_secret=reader&client_id="+good)
	l.refuse("a secret of a client that is off", "POST", path, grant, "Authorization", basic("off", l.secrets["off"]))
	l.refuse("the right secret in two ways", "POST", path, grant+"&client_secret="+good, "Authorization", basic("reader", good))
	l.refuse("the right secret twice", "POST", path, grant+"&client_id=reader&client_secret="+good+"&client_secret="+good)
	l.refuse("the right secret in GET", "GET", path+"?"+grant+"&client_id=reader&client_secret="+good, "")
	l.refuse("the right secret as grant_type", "POST", path, "grant_type="+good, "Authorization", basic("reader", good))
	l.refuse("the right secret as scope", "POST", path, grant+"&scope="+good, "Authorization", basic("reader", good))
	l.refuse("the right secret as audience", "POST", path, grant+"&audience="+good, "Authorization", basic("reader", good))
	l.refuse("an assertion", "POST", path, grant+"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion="+assertion)
	l.refuse("an assertion beside a secret", "POST", path, grant+"&client_assertion="+assertion+"&client_id=reader&client_secret="+good)
	l.refuse("a body that is the secret", "POST", path, good)
	l.refuse("JSON that is the secret", "POST", path, `"`+good+`"`, "Content-Type", "application/json")
	l.refuse("a content type that is the secret", "POST", path, grant, "Content-Type", good)

	ok := func(what string, a answer) {
		l.t.Helper()
		var body struct {
			Access string `json:"access_token"`
		}
		decode(l.t, a.body, &body)
		if a.status != 200 {
			l.t.Fatalf("%s: %d %s", what, a.status, a.body)
		}
		l.Token("a token", body.Access)
	}
	ok("Basic", l.site.post(l.n, path, "reader", clientCredentials))
	ok("a parameter that is the secret", l.site.post(l.n, path, "reader", url.Values{"grant_type": {"client_credentials"}, good: {"1"}, "x": {good}}))
	ok("one within the quota", l.site.post(l.n, path, "limited", clientCredentials))
	l.heard("one over the quota", l.site.post(l.n, path, "limited", clientCredentials))
}

// tokensOfClients sends tokens to the endpoints that take them.
func (l *leaky) tokensOfClients() {
	raw := l.Token("a token of reader", l.token(l.n, "reader"))
	garbage := l.New("a token that is none")
	for _, path := range []string{"/oauth/revoke", "/oauth/introspect"} {
		for _, text := range []string{raw, garbage, raw[:len(raw)-4] + "AAAA"} {
			l.heard(path, l.site.post(l.n, path, "rs", url.Values{"token": {text}}))
			l.heard(path+" as a parameter", l.site.post(l.n, path, "rs", url.Values{text: {"token"}}))
			l.refuse(path+" without authentication", "POST", path, "token="+text)
			l.refuse(path+" as the secret", "POST", path, "token=x&client_id=rs&client_secret="+text)
			l.refuse(path+" as Bearer", "POST", path, "token=x", "Authorization", "Bearer "+text)
			l.refuse(path+" by GET", "GET", path+"?token="+text, "")
		}
	}
	l.heard("introspection", l.site.post(l.n, "/oauth/introspect", "rs", url.Values{"token": {raw}}))
	l.heard("revocation", l.site.post(l.n, "/oauth/revoke", "reader", url.Values{"token": {raw}}))
}

// calls are requests to APIs with secrets in them.
func (l *leaky) calls() {
	query, cookie, body, key := l.New("the query"), l.New("a cookie"), l.New("a body"), l.New("an API key")
	revoked := l.Token("a token that is revoked", l.token(l.n, "reader"))
	l.revoke(l.n, "reader", revoked)
	expired := l.Token("a token that has expired", l.forge(func(i *token.Issue) { i.IssuedAt, i.Expires = 1_700_000_000, 1_700_000_060 }, l.key))
	for name, bearer := range map[string]string{"no token": "", "a token that is none": l.New("a bearer token that is none"), "a revoked token": revoked, "an expired token": expired} {
		for _, path := range []string{"/orders/1", "/orders/..%2f" + query, "/nowhere", "/orders/1?access_token=" + query} {
			header := []string{"Cookie", "session=" + cookie, "X-Api-Key", key}
			if bearer != "" {
				header = append(header, "Authorization", "Bearer "+bearer)
			}
			if strings.Contains(path, "..") { // the path itself is logged, where it is canonical
				path = "/orders/..%2f?q=" + query
			}
			l.refuse(name, "GET", path, "", header...)
			l.refuse(name, "POST", path, body, header...)
		}
	}
	good := l.Token("a token that is good", l.token(l.n, "reader"))
	l.refuse("without the scope", "POST", "/orders?secret="+query, body, "Authorization", "Bearer "+good, "Cookie", cookie)
	l.refuse("two schemes", "GET", "/orders/1?q="+query, "", "Authorization", "Basic "+good)
	if a := l.n.call("GET", "/orders/1?secret="+query, good, "Cookie", cookie, "X-Api-Key", key); a.status != 200 {
		l.t.Errorf("the good call: %d", a.status)
	}
	l.upstream.CloseClientConnections()
	l.upstream.Listener.Close()
	l.refuse("no upstream", "GET", "/orders/1?secret="+query, "", "Authorization", "Bearer "+good, "Cookie", cookie)
}

// explanations are of everything that was refused, and of questions with secrets in them.
func (l *leaky) explanations() {
	var list []adminapi.Denial
	if status := l.n.adminCall("GET", "/api/v1/denials?limit=1000", nil, &list); status != 200 || len(list) < 40 {
		l.t.Fatalf("%d: %d denials", status, len(list))
	}
	for _, d := range list {
		_, body := l.n.adminBody("GET", "/api/v1/denials/"+d.ID)
		var one adminapi.Denial
		decode(l.t, body, &one)
		if one.Trace == nil {
			l.t.Fatalf("no trace in %s", body)
		}
		l.Check(l.t, "a denial of "+d.Reason, body)
		l.Check(l.t, "its text", one.Trace.Text(true))
	}
	admin := "http://" + l.n.AdminAddr().String() + "/api/v1/explain"
	token, query, stray := l.Token("a token that is asked about", l.token(l.n, "reader")), l.New("a query that is asked about"), l.Plant("a secret in the wrong place", secret.New())
	for _, q := range []adminapi.ExplainRequest{{URL: "/orders/1?q=" + query, Token: token}, {URL: "/orders/1", Token: token[:len(token)-4] + "AAAA"},
		{URL: "http://user:" + query + "@x/orders/1", Token: token}, {URL: "/orders/" + stray, Client: "reader"}, {URL: "/orders/1", Client: stray},
		{URL: "/orders/1", Client: "reader", Scopes: []string{stray}}, {URL: "/orders/1", Client: "reader", Audience: stray}, {URL: "/orders/1", Client: "reader", Issuer: stray},
		{URL: "/orders/1", Client: "reader", Scopes: []string{"a b", stray}}, {Method: stray, URL: "/orders/1"}, {URL: "/orders/1", Token: stray}, {URL: "/orders/1", Token: token, Client: "reader"}} {
		body, _ := json.Marshal(q)
		l.heard("an answer", l.ask("POST", admin, string(body)))
	}
	l.heard("a broken question", l.ask("POST", admin, `{"token":"`+token))
	l.heard("an unknown member", l.ask("POST", admin, `{"x":"`+token+`"}`))
}

// reloads read files with secrets in the wrong place, and the admin listener gets some too.
func (l *leaky) reloads() {
	inline := l.Plant("a secret in the clients file", secret.New())
	admin := "http://" + l.n.AdminAddr().String()
	for _, text := range []string{
		"version: 1\nclients:\n  a:\n    secrets: [{sha256: " + inline + "}]\n",
		"version: 1\nclients:\n  a:\n    secrets:\n      - sha256: [" + inline + "\n",
	} {
		l.file("clients.yaml", text)
		l.heard("a reload", l.ask("POST", admin+"/api/v1/reload", ""))
	}
	l.writeClients()
	l.heard("a reload", l.ask("POST", admin+"/api/v1/reload", "", "Authorization", "Bearer "+inline))
	l.pages()
	for _, path := range []string{"/-/ready", "/-/healthy", "/api/v1/clients", "/api/v1/nothing"} {
		l.heard(path, l.ask("GET", admin+path+"?token="+inline, "", "Authorization", "Bearer "+inline, "Cookie", inline))
	}
}

// pages are all of the status page, after all that was refused; and its forms, with secrets in them.
func (l *leaky) pages() {
	base := "http://" + l.n.AdminAddr().String()
	var list []adminapi.Denial
	l.n.adminCall("GET", "/api/v1/denials?limit=1000", nil, &list)
	paths := []string{"/", "/routes", "/denials?n=1000", "/clients", "/clients/one?id=reader", "/clients/one?id=limited", "/keys"}
	for _, d := range list {
		paths = append(paths, "/denials/"+d.ID)
	}
	form := ""
	for _, path := range paths {
		a := l.ask("GET", base+path, "")
		if a.status != 200 {
			l.t.Errorf("%s: %d", path, a.status)
		}
		l.Check(l.t, "the page "+path, a.body)
		if _, rest, ok := strings.Cut(a.body, `name="form" value="`); ok {
			form, _, _ = strings.Cut(rest, `"`)
		}
	}
	token, stray := l.Token("a token that is asked about on the page", l.token(l.n, "reader")), l.Plant("a secret in a form", secret.New())
	for _, q := range []url.Values{{"url": {"/orders/1"}, "token": {token}}, {"url": {"/orders/1"}, "token": {"Bearer " + token[:len(token)-4] + "AAAA"}}, {"url": {"/orders/" + stray}, "client": {"reader"}},
		{"url": {"/orders/1"}, "token": {stray}}, {"url": {"/orders/1"}, "token": {token}, "client": {"reader"}}} {
		q.Set("form", form)
		if a := l.ask("POST", base+"/routes/try", q.Encode()); a.status != 200 {
			l.t.Errorf("try: %d %s", a.status, a.body)
		} else {
			l.Check(l.t, "what a form answers", a.body)
		}
	}
	l.heard("a login", l.ask("POST", base+"/login", url.Values{"token": {stray}}.Encode()))
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// dump is all that a Redis holds, as text.
func dump(t *testing.T, s *redistest.Server) string {
	t.Helper()
	c, ctx := s.Client(), t.Context()
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d keys in Redis: %v", len(keys), err)
	}
	var b strings.Builder
	for _, key := range keys {
		b.WriteString(key + "\n")
		fmt.Fprintf(&b, "%q %q %q %q %q %q\n", c.Get(ctx, key).Val(), c.HGetAll(ctx, key).Val(), c.ZRange(ctx, key, 0, -1).Val(),
			fmt.Sprint(c.XRange(ctx, key, "-", "+").Val()), c.LRange(ctx, key, 0, -1).Val(), c.SMembers(ctx, key).Val())
	}
	return b.String()
}

// Ensure that what the configuration itself holds in secret does not come out when it is printed.
func TestConfigurationPrintsNoSecret(t *testing.T) {
	var n canary.Nest
	s := newSite(t, nil)
	s.file("admin.token", n.Plant("the admin token", rand.Text()))
	s.file("redis.password", n.Plant("the password of Redis", rand.Text()))
	text := strings.Replace(s.read("config.yaml"), "  listen: 127.0.0.1:1\n", "  listen: 127.0.0.1:1\n  token_file: admin.token\n", 1)
	s.file("sentinel.password", n.Plant("the password of the Sentinels", rand.Text()))
	text = strings.Replace(text, "  dir: state\n", "  dir: state\n  redis: {mode: sentinel, master_name: m, addrs: [\"127.0.0.1:1\"], password_file: redis.password, sentinel_password_file: sentinel.password}\n", 1)
	s.file("config.yaml", text)
	cfg, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Admin.Token.Empty() || cfg.State.Redis.Password.Empty() || cfg.State.Redis.SentinelPassword.Empty() {
		t.Fatal("the secrets were not read")
	}
	n.CheckValue(t, "the configuration", *cfg)
	n.CheckValue(t, "the admin section", cfg.Admin)
	n.CheckValue(t, "the Redis section", cfg.State.Redis)
	t.Setenv("CANARY", n.New("a variable of the environment"))
	s.file("bad.yaml", text+"log: {level: \"${CANARY}\"}\nlimits: ${CANARY}\n")
	if _, err := config.Load(filepath.Join(s.dir, "bad.yaml"), config.Options{Getenv: os.LookupEnv}); err == nil {
		t.Error("it loads")
	} else {
		n.Check(t, "the loader's error", err.Error())
	}
}
