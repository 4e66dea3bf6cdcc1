package app

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/logs"
	"gatehouse/internal/revoke"
	"gatehouse/internal/secret"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// deletionWorld is one App whose configuration is replaced again and again, and all that is asked of each.
type deletionWorld struct {
	app    *App
	dir    string
	files  map[string]string // path → content
	env    map[string]string
	cfg    *config.Config
	keys   map[string]*token.PrivateKey // of the client that signs, by algorithm
	secret string
	held   []credential
	calls  []probe
	served int // requests so far

	others     *others
	everywhere map[string]bool // the acts that the fixture allows, whatever the host
}

// probe is one request to an API by somebody.
type probe struct {
	name string // host and act
	act  string // who asks for what
	host string
	target
	credential
}

type target struct{ method, path string }

type credential struct{ who, header string }

// newDeletionWorld copies a fixture and starts an App with it.
func newDeletionWorld(t *testing.T, fixture string) *deletionWorld {
	t.Helper()
	w := &deletionWorld{dir: t.TempDir(), files: map[string]string{}, secret: secret.New(), keys: map[string]*token.PrivateKey{}, others: newOthers(t)}
	sum := secret.Sum(w.secret)
	up := newUpstream(t)
	w.env = map[string]string{"UPSTREAM": up.URL, "UPSTREAM2": newUpstream(t).URL, "UPSTREAM_TLS": w.tlsUpstream(t, up.Config.Handler), "SECRET": fmt.Sprintf("%x", sum), "AUTHORITY": w.others.url,
		"HOOK": hookWithout(t, "orders:admin")}
	from := filepath.Join("testdata/deletion", fixture)
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(from, path)
		w.files[filepath.Join(w.dir, name)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range w.files {
		writeFile(t, path, content)
	}
	writeFile(t, filepath.Join(w.dir, "watched.openapi.yaml"), "openapi: 3.1.0\n") // which gives and takes nothing
	writeFile(t, filepath.Join(w.dir, "hook.key"), strings.Repeat("k", 32))
	w.writeKeys(t)
	out := logs.Open(&syncBuffer{}, "error", "json")
	t.Cleanup(func() { out.Close() })
	load := func() (*config.Config, error) {
		return config.Load(filepath.Join(w.dir, "config.yaml"), config.Options{Getenv: w.getenv})
	}
	w.app, err = New(context.Background(), Options{Load: load, Version: "test", Log: out, KeepLog: true, Public: listener(t), Admin: listener(t), Watch: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.app.Close() })
	w.cfg = w.app.Config()
	for _, issuer := range []string{"local", "corp"} {
		_, err = w.app.revocations.Revoke(t.Context(), revoke.Entry{Kind: revoke.Client, Issuer: issuer, Name: "revoked"})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.plan(t)
	return w
}

// tlsUpstream is an upstream that wants a certificate, and has one that nobody else trusts. It returns its URL.
func (w *deletionWorld) tlsUpstream(t *testing.T, h http.Handler) string {
	t.Helper()
	pair, cert, key := selfSigned(t)
	up := httptest.NewUnstartedServer(h)
	up.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	up.Config.ErrorLog = log.New(io.Discard, "", 0)
	up.StartTLS()
	t.Cleanup(up.Close)
	writeFile(t, filepath.Join(w.dir, "up.crt"), cert)
	writeFile(t, filepath.Join(w.dir, "up.key"), key)
	return up.URL
}

func (w *deletionWorld) getenv(name string) (string, bool) { v, ok := w.env[name]; return v, ok }

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *deletionWorld) writeKeys(t *testing.T) {
	t.Helper()
	writeFile(t, filepath.Join(w.dir, "admin.token"), "0123456789abcdef")
	var public []*token.PublicKey
	for alg, name := range map[token.Algorithm]string{token.ES256: "a", token.EdDSA: "b"} {
		pem, err := tokentest.Key(t, alg).PEM()
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(w.dir, "keys", name+".pem"), string(pem))
		w.keys[string(alg)] = tokentest.Key(t, alg)
		public = append(public, w.keys[string(alg)].Public())
	}
	set, err := token.MarshalJWKS(public)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(w.dir, "signs.json"), string(set))
}

// plan makes the calls: every credential to every path on every host.
func (w *deletionWorld) plan(t *testing.T) {
	hosts := []string{w.cfg.Server.PublicURL.Host, "watched.example", "orders.example"}
	var targets []target
	for _, path := range []string{"/a/1", "/a/1%2F2", "/a/1;v=2", "/open", "/w/seen", "/w/kept", "/w/also", "/nowhere"} {
		targets = append(targets, target{"GET", path})
	}
	targets = append(targets, target{"POST", "/a/1"}, target{"DELETE", "/a/1"}, target{"PUT", "/a/b"}, target{"PUT", "/a/b/c"})
	w.held = w.credentials(t)
	for _, c := range w.held {
		for _, to := range targets {
			for _, host := range hosts {
				act := to.method + " " + to.path + " by " + c.who
				w.calls = append(w.calls, probe{host + " " + act, act, host, to, c})
			}
		}
	}
	if len(w.cfg.Issuers) == 0 {
		return
	}
	for _, c := range w.others.credentials(t, w.cfg.Server.Issuer) {
		for to, host := range map[target]string{{"GET", "/a/1"}: "orders.example", {"POST", "/a/1"}: "orders.example", {"PUT", "/a/b"}: "orders.example", {"GET", "/p/1"}: "partner.example"} {
			act := to.method + " " + to.path + " by " + c.who
			w.calls = append(w.calls, probe{host + " " + act, act, host, to, c})
		}
	}
}

// credentials are good tokens with every kind of scopes, and tokens that are wrong in one way each.
func (w *deletionWorld) credentials(t *testing.T) []credential {
	t.Helper()
	list := []credential{{"nobody", ""}}
	add := func(who string, api config.API, scopes string, change func(*token.Issue)) {
		t.Helper()
		now := time.Now().Unix()
		set, err := token.ParseScopes(scopes)
		if err != nil {
			t.Fatal(err)
		}
		i := token.Issue{Issuer: w.cfg.Server.Issuer, Client: "all", Audience: api.Audience, ID: token.NewID(), Scopes: set,
			IssuedAt: now, Expires: now + 3600, Dialect: token.Dialect(api.Dialect)}
		if change != nil {
			change(&i)
		}
		raw, err := w.app.current.Load().ring.Signer(token.Algorithm(api.Algorithm)).Issue(i)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, credential{fmt.Sprintf("%s with [%s] of %s", who, scopes, api.Name), "Bearer " + raw})
	}
	for _, api := range w.cfg.APIs {
		if !slices.Contains(api.Issuers, "local") {
			continue // a grant would be an error: nobody gets a token of ours for it
		}
		names := []string{""}
		for scope := range api.Scopes {
			for _, other := range names {
				names = append(names, strings.TrimSpace(other+" "+scope))
			}
		}
		for _, scopes := range names {
			add("all", api, scopes, nil)
		}
		if api.Name != "orders" {
			continue
		}
		scopes := names[len(names)-1]
		for _, client := range []string{"off", "revoked", "unknown"} {
			add(client, api, scopes, func(i *token.Issue) { i.Client = client; i.IssuedAt -= 60 })
		}
		add("all, in the other dialect,", api, scopes, func(i *token.Issue) {
			if i.Dialect = token.Auth0; api.Dialect == "auth0" {
				i.Dialect = token.RFC9068
			}
		})
		add("late", api, scopes, func(i *token.Issue) { i.IssuedAt -= 900; i.Expires = i.IssuedAt + 60 })
		add("foreign", api, scopes, func(i *token.Issue) { i.Issuer = "http://elsewhere.example" })
		add("posing as corp", api, scopes, func(i *token.Issue) { i.Issuer = w.others.url })
		add("stray", api, scopes, func(i *token.Issue) { i.Audience = "https://elsewhere.example" })
	}
	return list
}

// mustLoad is the access that the fixture gives, to what is known of it.
func (w *deletionWorld) mustLoad(t *testing.T) map[string]bool {
	t.Helper()
	got, err := w.access(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]bool{}
	w.everywhere = map[string]bool{}
	for name, act := range got {
		before[name], w.everywhere[act] = true, true
	}
	return before
}

// load is the access that is given once d is done, apart from the calls that were allowed before; an error where it does not
// load.
func (w *deletionWorld) load(t *testing.T, d deletion, before map[string]bool) (map[string]string, error) {
	t.Helper()
	for path, content := range w.files {
		if filepath.Base(path) == d.file {
			writeFile(t, path, d.text)
			defer writeFile(t, path, content)
		}
	}
	return w.access(t, before)
}

// access loads what is in the files, puts it in force, and tries everything: what is allowed, each with what was done in it
// whatever the host.
func (w *deletionWorld) access(t *testing.T, known map[string]bool) (map[string]string, error) {
	t.Helper()
	cfg, err := w.app.opts.Load()
	if err != nil {
		return nil, err
	}
	old := w.app.current.Load()
	next, err := w.app.build(t.Context(), cfg, old)
	if err != nil {
		return nil, err
	}
	w.app.install(next, "test")
	old.retire()
	for name, keys := range next.issuers.keys {
		eventually(t, 10*time.Second, "the keys of "+name, keys.Ready)
	}
	got := map[string]string{}
	for _, p := range w.calls {
		if !known[p.name] && w.serve(p.host, p.method, p.path, p.header, "").Header().Get("X-From-Upstream") != "" {
			got[p.name] = p.act
		}
	}
	for _, tried := range []map[string]string{w.tokens(t), w.pages(), w.adminAccess(cfg)} {
		maps.Copy(got, tried)
	}
	return got, nil
}

// serve has the App answer a request, from an address of its own so that no lockout and no limit meets another.
func (w *deletionWorld) serve(host, method, path, authorization, form string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://"+host+path, strings.NewReader(form))
	r.RequestURI = path
	if form == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w.served++
	r.RemoteAddr = fmt.Sprintf("198.%d.%d.%d:1", 18+w.served>>16&1, w.served>>8&0xff, w.served&0xff)
	rec := httptest.NewRecorder()
	w.app.ServeHTTP(rec, r)
	return rec
}

// tokens asks for tokens, as each client in each way to authenticate, and for the state of those that were given: who gets
// which scope of which API, and who is told of whose tokens.
func (w *deletionWorld) tokens(t *testing.T) map[string]string {
	got := map[string]string{}
	wants := [][2]string{{"", ""}, {"", "orders:read"}, {"https://api.example/orders", ""}, {"https://api.example/orders", "orders:read orders:write"},
		{"https://api.example/users", ""}, {"https://api.example/users", "users:read"}, {"watched", "orders:admin watched:read"}}
	ask := func(who, authorization string, extra url.Values) {
		for _, want := range wants {
			form := url.Values{"grant_type": {"client_credentials"}}
			maps.Copy(form, extra)
			if sign, ok := extra["sign"]; ok {
				form.Del("sign")
				form.Set("client_assertion", w.assertion(t, sign[0]))
			}
			for i, name := range []string{"audience", "scope"} {
				if want[i] != "" {
					form.Set(name, want[i])
				}
			}
			for name := range w.issued(t, w.serve(w.cfg.Server.PublicURL.Host, "POST", "/oauth/token", authorization, form.Encode())) {
				got["token for "+who+" with "+name] = ""
			}
		}
	}
	basic := func(id string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(id, w.secret)
		return r.Header.Get("Authorization")
	}
	for _, id := range []string{"all", "reader", "idle", "off", "late", "early", "signs", "nobody"} {
		ask(id+" by Basic", basic(id), nil)
		ask(id+" by post", "", url.Values{"client_id": {id}, "client_secret": {w.secret}})
	}
	wants = wants[:1] // an assertion that is good is written to the disk
	for alg := range w.keys {
		ask("signs by "+alg, "", url.Values{"sign": {alg}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
	}
	for _, id := range []string{"all", "reader", "off"} {
		for _, p := range w.held {
			raw, ok := strings.CutPrefix(p.header, "Bearer ")
			if !ok || !strings.HasPrefix(p.who, "all ") {
				continue
			}
			rec := w.serve(w.cfg.Server.PublicURL.Host, "POST", "/oauth/introspect", basic(id), url.Values{"token": {raw}}.Encode())
			if strings.Contains(rec.Body.String(), `"active":true`) {
				got[id+" is told of a token of "+p.who] = ""
			}
		}
	}
	return got
}

// issued is what a token says that was issued: its audience, and its scopes there.
func (w *deletionWorld) issued(t *testing.T, rec *httptest.ResponseRecorder) map[string]bool {
	got := map[string]bool{}
	var answer struct {
		Access string `json:"access_token"`
	}
	if rec.Code != http.StatusOK {
		return got
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.Access, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Aud, Scope string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	got[claims.Aud] = true
	for _, s := range strings.Fields(claims.Scope) {
		got[claims.Aud+" "+s] = true
	}
	return got
}

// assertion is one that the client signs makes with its key of an algorithm.
func (w *deletionWorld) assertion(t *testing.T, alg string) string {
	now := time.Now().Unix()
	k := w.keys[alg]
	return tokentest.Sign(t, k, fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, k.Public().ID()),
		fmt.Sprintf(`{"iss":"signs","sub":"signs","aud":%q,"jti":%q,"iat":%d,"exp":%d}`, w.cfg.Server.Issuer, token.NewID(), now, now+60))
}

// adminAccess asks the admin listener, from this machine and, where it listens for others, from another.
func (w *deletionWorld) adminAccess(cfg *config.Config) map[string]string {
	got := map[string]string{}
	handler := w.app.adminServer(cfg).Handler
	name, _, err := net.SplitHostPort(cfg.Admin.Listen)
	loopback := err == nil && net.ParseIP(name).IsLoopback()
	for _, from := range []string{"here", "elsewhere"} {
		for _, host := range []string{"127.0.0.1", "admin.internal", "evil.example"} {
			for who, authorization := range map[string]string{"nobody": "", "a stranger": "Bearer x", "the operator": "Bearer 0123456789abcdef"} {
				for _, path := range []string{"/api/v1/keys", "/debug/pprof/symbol"} {
					r := httptest.NewRequest("GET", "http://"+host+path, nil)
					if authorization != "" {
						r.Header.Set("Authorization", authorization)
					}
					rec := httptest.NewRecorder()
					if from == "here" || !loopback {
						handler.ServeHTTP(rec, r)
					}
					if rec.Code == http.StatusOK && rec.Body.Len() > 0 {
						got["admin "+path+" for "+who+" from "+from+" as "+host] = ""
					}
				}
			}
		}
	}
	return got
}
