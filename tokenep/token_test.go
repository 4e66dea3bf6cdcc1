package tokenep_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"gatehouse/internal/exchange"
	"gatehouse/internal/token"
	"gatehouse/tokenep"
)

const grant = "grant_type=client_credentials"

func TestRequest(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	asBasic := basic("c-basic", f.secrets["c-basic"])
	send := func(body string, header ...string) answer {
		return f.post("/oauth/token", body, append([]string{"Authorization", asBasic}, header...)...)
	}
	t.Run("TOK-001", func(t *testing.T) {
		a := f.ask("c-basic", "audience", apiA)
		f.issued(t, a)
		if a.text(t, "token_type") != "Bearer" {
			t.Errorf("body %s", a.body)
		}
	})
	t.Run("TOK-002", func(t *testing.T) {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"} {
			req, _ := http.NewRequest(method, f.url+"/oauth/token?"+grant, nil)
			req.Header.Set("Authorization", asBasic)
			a := f.do(req)
			if a.status != 405 || a.header.Get("Allow") != "POST" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d, headers %v", method, a.status, a.header)
			}
		}
	})
	t.Run("TOK-003", func(t *testing.T) {
		query := "?" + form("client_id", "c-post", "client_secret", f.secrets["c-post"], "grant_type", "client_credentials")
		refused(t, f.post("/oauth/token"+query, ""), 401, "invalid_client")
	})
	t.Run("TOK-004", func(t *testing.T) {
		refused(t, f.post("/oauth/token?"+grant, "x=1", "Authorization", asBasic), 400, "invalid_request")
		a := f.post("/oauth/token?scope=read%3Aa", grant, "Authorization", asBasic)
		if _, claims := f.issued(t, a); claims["scope"] != "read:a write:a" {
			t.Errorf("scope %v was taken from the query", claims["scope"])
		}
	})
	t.Run("TOK-005", func(t *testing.T) {
		a := send("scope=read:a")
		refused(t, a, 400, "invalid_request")
		if !strings.Contains(a.text(t, "error_description"), "grant_type") {
			t.Errorf("%s does not name the parameter", a.body)
		}
	})
	t.Run("TOK-006-008", func(t *testing.T) {
		for _, g := range []string{"foo", "password", "implicit", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS",
			"client_credentials ", " client_credentials", "client_credentials password"} {
			refused(t, send(form("grant_type", g)), 400, "unsupported_grant_type")
		}
	})
	t.Run("TOK-009-010", func(t *testing.T) {
		for _, extra := range []string{grant, "scope=read:a&scope=read:a", "audience=x&audience=x", "client_id=c-basic&client_id=c-basic",
			"client_secret=a&client_secret=b", "foo=1&foo=2", "scope=&scope=read:a"} {
			refused(t, send(grant+"&"+extra), 400, "invalid_request")
		}
	})
	t.Run("TOK-011", func(t *testing.T) { f.issued(t, send(grant+"&foo=bar&foo2=")) })
	t.Run("TOK-012", func(t *testing.T) {
		a := send(grant + "&scope=&resource=&audience=" + url.QueryEscape(apiA))
		if _, claims := f.issued(t, a); claims["scope"] != "read:a write:a" {
			t.Errorf("scope %v", claims["scope"])
		}
		refused(t, send("grant_type="), 400, "invalid_request")
	})
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	asBasic := basic("c-basic", f.secrets["c-basic"])
	send := func(body string, header ...string) answer {
		return f.post("/oauth/token", body, append([]string{"Authorization", asBasic}, header...)...)
	}
	t.Run("TOK-013", func(t *testing.T) {
		refused(t, f.post("/oauth/token", grant+"&client_id=c-pub"), 401, "invalid_client")
		refused(t, f.post("/oauth/token", grant+"&client_id=c-pub&client_secret=x"), 401, "invalid_client")
		refused(t, f.post("/oauth/token", grant+"&client_id=c-pub&client_secret="), 401, "invalid_client")
	})
	t.Run("TOK-014", func(t *testing.T) { refused(t, f.ask("c-nogrant"), 400, "unauthorized_client") })
	t.Run("TOK-015", func(t *testing.T) {
		for _, media := range []string{"", "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/jsonx", "x",
			"application/x-www-form-urlencoded; charset=latin1"} {
			refused(t, send(grant, "Content-Type", media), 400, "invalid_request")
		}
		refused(t, send(grant, "Content-Encoding", "gzip"), 400, "invalid_request")
		f.issued(t, send(grant, "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"))
	})
	t.Run("TOK-016", func(t *testing.T) {
		a := send(grant + "&scope=read%3Aa+write%3Aa&audience=" + url.QueryEscape(apiA))
		if _, claims := f.issued(t, a); claims["scope"] != "read:a write:a" {
			t.Errorf("scope %v", claims["scope"])
		}
	})
	t.Run("TOK-017", func(t *testing.T) { refused(t, send(grant+"&scope=%zz"), 400, "invalid_request") })
	t.Run("TOK-018", func(t *testing.T) { refused(t, send(grant+";scope=x"), 400, "invalid_request") })
	t.Run("TOK-019", func(t *testing.T) {
		refused(t, send(grant+"&x="+strings.Repeat("a", 1<<20)), 413, "invalid_request")
		f.issued(t, send(grant+"&x="+strings.Repeat("a", 64<<10-len(grant)-3)))
		refused(t, send(grant+"&x="+strings.Repeat("a", 64<<10-len(grant)-2)), 413, "invalid_request")
	})
	t.Run("TOK-023", func(t *testing.T) {
		if _, claims := f.issued(t, f.ask("c-multi", "audience", apiB)); claims["aud"] != apiB {
			t.Errorf("aud %v", claims["aud"])
		}
	})
	t.Run("TOK-024", func(t *testing.T) {
		refused(t, f.ask("c-basic", "audience", strings.TrimSuffix(apiA, "/")), 400, "invalid_target")
		refused(t, f.ask("c-basic", "audience", strings.ToUpper(apiA)), 400, "invalid_target")
	})
	t.Run("TOK-025", func(t *testing.T) {
		var members map[string]any
		if err := json.Unmarshal([]byte(f.ask("c-basic").body), &members); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, []string{"access_token", "expires_in", "scope", "token_type"}) {
			t.Errorf("members %v", got)
		}
	})
}

func TestRequestJSON(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	credentials := `"client_id":"c-post","client_secret":"` + f.secrets["c-post"] + `"`
	rest := `,"grant_type":"client_credentials",` + credentials
	send := func(body string) answer { return f.post("/oauth/token", body, "Content-Type", "application/json") }
	t.Run("TOK-020", func(t *testing.T) {
		_, claims := f.issued(t, send(`{"audience":"`+apiA+`","scope":""`+rest+`}`))
		if claims["aud"] != apiA || claims["client_id"] != "c-post" {
			t.Errorf("claims %v", claims)
		}
		f.issued(t, f.post("/oauth/token", ` { "resource" : "`+apiA+`"`+rest+"}\n", "Content-Type", "application/json; charset=utf-8"))
	})
	t.Run("TOK-021", func(t *testing.T) {
		refused(t, send(`{"grant_type":"x"`+rest+`}`), 400, "invalid_request")
		refused(t, send(`{"scope":"","scope":"read:a"`+rest+`}`), 400, "invalid_request")
		refused(t, send(`{"resource":"`+apiA+`","resource":"`+apiA+`"`+rest+`}`), 400, "invalid_request")
		refused(t, send(`{"scope":"read:a","\u0073cope":"read:a"`+rest+`}`), 400, "invalid_request")
	})
	t.Run("TOK-022", func(t *testing.T) {
		for _, body := range []string{"", "null", "[]", `"x"`, "1", "{", `{"a":1` + rest + "}", `{"a":null` + rest + "}", `{"a":true` + rest + "}",
			`{"a":["x"]` + rest + "}", `{"a":{"b":"c"}` + rest + "}", `{"a":"b"` + rest + "} x", `{"a":"b"` + rest + "}{}", `{"a":"b"` + rest + ",}",
			"\xef\xbb\xbf" + `{"a":"b"` + rest + "}", `{"a":"` + "\xff" + `"` + rest + "}", `{"a":` + strings.Repeat("[", 20000) + rest + "}",
			`{'a':'b'` + rest + "}", `{a:"b"` + rest + "}", grant} {
			refused(t, send(body), 400, "invalid_request")
		}
	})
}

func TestResponse(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	a := f.ask("c-basic")
	_, claims := f.issued(t, a)
	t.Run("RSP-001-003", func(t *testing.T) {
		if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
			t.Errorf("headers %v", a.header)
		}
	})
	t.Run("RSP-005-006", func(t *testing.T) {
		var body struct {
			ExpiresIn int64 `json:"expires_in"`
		}
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatal(err)
		}
		if body.ExpiresIn != 600 || claims["exp"].(float64)-claims["iat"].(float64) != 600 {
			t.Errorf("expires_in %d, claims %v", body.ExpiresIn, claims)
		}
	})
	t.Run("RSP-007-008", func(t *testing.T) {
		if got := a.text(t, "scope"); got != "read:a write:a" || claims["scope"] != got {
			t.Errorf("scope %q, claim %v", got, claims["scope"])
		}
		none := f.ask("c-noscope")
		if _, claims := f.issued(t, none); strings.Contains(none.body, "scope") || claims["scope"] != nil {
			t.Errorf("a token without scopes: %s, %v", none.body, claims)
		}
	})
	t.Run("RSP-010", func(t *testing.T) {
		a := f.post("/oauth/token", grant, "Authorization", basic("c-basic", f.secrets["c-basic"]), "Origin", "https://evil.example")
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("Access-Control-Allow-Origin %q", got)
		}
	})
	t.Run("RSP-011", func(t *testing.T) {
		for _, secret := range []string{f.secrets["c-basic"], "Sup3r-wrong"} {
			a := f.post("/oauth/token", grant+"&scope=nope", "Authorization", basic("c-basic", secret))
			if a.status == 200 || strings.Contains(a.body, secret) {
				t.Errorf("answer %d %s", a.status, a.body)
			}
		}
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	now := f.clock.Now().Unix()
	header, claims := f.issued(t, f.ask("c-basic"))
	t.Run("JWT-001", func(t *testing.T) {
		if header["typ"] != "at+jwt" || header["alg"] != "RS256" || header["kid"] != f.signers[token.RS256].Public().ID() {
			t.Errorf("header %v", header)
		}
	})
	t.Run("JWT-002", func(t *testing.T) {
		header, claims := f.issued(t, f.ask("c-c"))
		if header["typ"] != "JWT" || claims["azp"] != "c-c" || claims["gty"] != "client-credentials" || claims["sub"] != "c-c@clients" || claims["client_id"] != nil {
			t.Errorf("header %v, claims %v", header, claims)
		}
	})
	t.Run("JWT-003-006", func(t *testing.T) {
		got := slices.Sorted(maps.Keys(claims))
		if want := []string{"aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"}; !slices.Equal(got, want) {
			t.Errorf("claims %v, want %v", got, want)
		}
		if claims["iss"] != issuerURL || claims["sub"] != "c-basic" || claims["client_id"] != "c-basic" || claims["aud"] != apiA {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("JWT-008", func(t *testing.T) {
		p, _, failed := f.options.Verifier.Verify(f.ask("c-basic").text(t, "access_token"), now)
		if failed != nil || p.Client != "c-basic" || p.Scopes.String() != "read:a write:a" {
			t.Errorf("principal %+v, failure %+v", p, failed)
		}
	})
	t.Run("JWT-009", func(t *testing.T) {
		if claims["iat"] != float64(now) || claims["exp"] != float64(now+600) {
			t.Errorf("iat %v, exp %v at %d", claims["iat"], claims["exp"], now)
		}
	})
	t.Run("JWT-010", func(t *testing.T) {
		for id, want := range map[string]string{"c-multi": "60", "c-ttl": "30", "c-long": "600"} {
			audience := apiA
			if id == "c-multi" {
				audience = apiB
			}
			a := f.ask(id, "audience", audience)
			if !strings.Contains(a.body, `"expires_in":`+want+",") {
				t.Errorf("%s: %s, want %s", id, a.body, want)
			}
		}
	})
	t.Run("JWT-012", func(t *testing.T) {
		seen := map[any]bool{}
		for range 50 {
			_, claims := f.issued(t, f.ask("c-multi", "audience", apiB))
			seen[claims["jti"]] = true
		}
		if len(seen) != 50 {
			t.Errorf("%d different jti in 50 tokens", len(seen))
		}
	})
}

// TestIssuedAfterRevocation has a revocation rule ahead of the clock: the token's iat reaches it.
func TestIssuedAfterRevocation(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	now := f.clock.Now().Unix()
	for _, tt := range []struct{ notBefore, want int64 }{{0, now}, {now - 5, now}, {now + 1, now + 1}, {now + 2, now + 2}} {
		f.store.mu.Lock()
		f.store.notBefore = tt.notBefore
		f.store.mu.Unlock()
		if _, claims := f.issued(t, f.ask("c-basic")); claims["iat"] != float64(tt.want) || claims["exp"] != float64(tt.want+600) {
			t.Errorf("not before %d: iat %v, exp %v, want iat %d", tt.notBefore, claims["iat"], claims["exp"], tt.want)
		}
	}
}

func TestScopesAndTargets(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for _, tt := range []struct {
		name, client string
		params       []string
		status       int
		want         string // the error, or audience and scopes
	}{
		{"RES-001", "c-basic", []string{"scope", "admin:a"}, 400, "invalid_scope"},
		{"RES-002 refuse", "c-basic", []string{"scope", "read:a admin:a"}, 400, "invalid_scope"},
		{"RES-002 narrow", "c-narrow", []string{"scope", "n1 n3"}, 200, apiN + " n1"},
		{"RES-002 narrow, undeclared", "c-narrow", []string{"scope", "n2 nope"}, 200, apiN + " n2"},
		{"RES-002 narrowed to nothing", "c-narrow", []string{"scope", "n3"}, 400, "invalid_scope"},
		{"RES-003", "c-basic", nil, 200, apiA + " read:a write:a"},
		{"RES-004 unknown resource", "c-basic", []string{"resource", "https://nope/"}, 400, "invalid_target"},
		{"RES-004 not granted", "c-basic", []string{"audience", apiB}, 400, "invalid_target"},
		{"RES-004 not granted, auth0", "c-basic", []string{"audience", apiC}, 403, "access_denied"},
		{"RES-004 no grant at all, auth0", "c-noapi", []string{"audience", apiC}, 403, "access_denied"},
		{"RES-004 unknown audience", "c-c", []string{"audience", "urn:nope"}, 400, "invalid_target"},
		{"RES-005 relative", "c-basic", []string{"resource", "foo"}, 400, "invalid_target"},
		{"RES-005 fragment", "c-basic", []string{"resource", apiA + "#x"}, 400, "invalid_target"},
		{"RES-005 empty fragment", "c-basic", []string{"resource", apiA + "#"}, 400, "invalid_target"},
		{"RES-005 no URI", "c-basic", []string{"resource", "http://[::1"}, 400, "invalid_target"},
		{"RES-006", "c-multi", []string{"resource", apiA, "resource", apiB}, 400, "invalid_target"},
		{"RES-006 one is empty", "c-multi", []string{"resource", "", "resource", apiB}, 200, apiB + " read:b"},
		{"RES-007", "c-multi", []string{"resource", apiA, "audience", apiB}, 400, "invalid_target"},
		{"RES-007 the same", "c-multi", []string{"resource", apiB, "audience", apiB}, 200, apiB + " read:b"},
		{"RES-008", "c-multi", []string{"resource", apiA}, 200, apiA + " read:a"},
		{"RES-008 a URN", "c-c", []string{"resource", apiC}, 200, apiC + " x"},
		{"RES-009", "c-multi", nil, 400, "invalid_target"},
		{"RES-009 by scope", "c-multi", []string{"scope", "read:b"}, 200, apiB + " read:b"},
		{"RES-009 by a scope that is not granted", "c-multi", []string{"scope", "admin:a"}, 400, "invalid_scope"},
		{"RES-009 by a scope of two", "c-shared", []string{"scope", "read:b"}, 400, "invalid_target"},
		{"RES-009 by a scope of one", "c-shared", []string{"scope", "read:d"}, 200, apiD + " read:d"},
		{"RES-009 by a scope of one beside one of two", "c-shared", []string{"scope", "read:b read:d"}, 400, "invalid_target"},
		{"RES-010", "c-multi", []string{"scope", "read:a read:b"}, 400, "invalid_target"},
		{"RES-010 a scope of none", "c-multi", []string{"scope", "read:a nope"}, 400, "invalid_target"},
		{"RES-011", "c-multi", []string{"audience", apiA, "scope", "read:b"}, 400, "invalid_scope"},
		{"RES-012 quote", "c-basic", []string{"scope", `a"b`}, 400, "invalid_scope"},
		{"RES-012 backslash", "c-basic", []string{"scope", `a\b`}, 400, "invalid_scope"},
		{"RES-012 tab", "c-basic", []string{"scope", "read:a\twrite:a"}, 400, "invalid_scope"},
		{"RES-012 non-ASCII", "c-basic", []string{"scope", "é"}, 400, "invalid_scope"},
		{"RES-012 two spaces", "c-basic", []string{"scope", "read:a  write:a"}, 400, "invalid_scope"},
		{"RES-012 space before", "c-basic", []string{"scope", " read:a"}, 400, "invalid_scope"},
		{"RES-012 space after", "c-basic", []string{"scope", "read:a "}, 400, "invalid_scope"},
		{"RES-012 only a space", "c-basic", []string{"scope", " "}, 400, "invalid_scope"},
		{"RES-012 NUL", "c-basic", []string{"scope", "read:a\x00"}, 400, "invalid_scope"},
		{"RES-013", "c-basic", []string{"scope", "READ:A"}, 400, "invalid_scope"},
		{"RES-015", "c-basic", []string{"scope", "write:a read:a write:a"}, 200, apiA + " read:a write:a"},
		{"RES-016", "c-noapi", nil, 400, "invalid_target"},
		{"RES-016 by audience", "c-noapi", []string{"audience", apiA}, 400, "invalid_target"},
		{"RES-016 by scope", "c-noapi", []string{"scope", "read:a"}, 400, "invalid_target"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := f.ask(tt.client, tt.params...)
			if tt.status != 200 {
				refused(t, a, tt.status, tt.want)
				return
			}
			_, claims := f.issued(t, a)
			if got := claims["aud"].(string) + " " + claims["scope"].(string); got != tt.want {
				t.Errorf("token for %q, want %q", got, tt.want)
			}
			if a.text(t, "scope") != claims["scope"] {
				t.Errorf("scope %q in the body, %q in the token", a.text(t, "scope"), claims["scope"])
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	t.Run("not ready", func(t *testing.T) {
		f := start(t, nil)
		f.store.notReady = true
		refused(t, f.ask("c-basic"), 503, "temporarily_unavailable")
	})
	t.Run("no key", func(t *testing.T) {
		f := start(t, func(o *tokenep.Options) { o.Signer = func(token.Algorithm) *token.PrivateKey { return nil } })
		refused(t, f.ask("c-basic"), 503, "temporarily_unavailable")
	})
}

func TestRecord(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	f.ask("c-basic", "scope", "read:a")
	if r := <-f.records; r.Endpoint != "token" || r.OAuthError != "ok" || !r.Issued || r.Client != "c-basic" || r.Issuer != "local" ||
		r.Verdict != exchange.Allow || r.Scopes != "read:a" || r.Reason != "" || r.Detail != "" {
		t.Errorf("record of a token: %+v", r)
	}
	t.Run("RES-014", func(t *testing.T) {
		f.ask("c-basic", "scopes", "read:a")
		if r := <-f.records; !strings.Contains(r.Detail, `"scopes"`) || r.Scopes != "read:a write:a" {
			t.Errorf("record of a mistyped parameter: %+v", r)
		}
	})
	f.post("/oauth/token", grant, "Authorization", basic("c-basic", "wrong-Secret"))
	if r := <-f.records; r.OAuthError != "invalid_client" || r.Reason != "invalid_client" || r.Issued || r.Client != "" ||
		r.Verdict != exchange.Deny || !strings.Contains(r.Detail, "c-basic") || strings.Contains(r.Detail, "wrong-Secret") {
		t.Errorf("record of a wrong secret: %+v", r)
	}
	f.post("/oauth/token", grant, "Authorization", basic("wrong-Client", "x"))
	if r := <-f.records; strings.Contains(r.Detail, "wrong-Client") || r.Client != "" {
		t.Errorf("record of an unknown client: %+v", r)
	}
	f.ask("c-basic", "scope", "admin:a")
	if r := <-f.records; r.OAuthError != "invalid_scope" || r.Client != "c-basic" || r.Issued {
		t.Errorf("record of a refused scope: %+v", r)
	}
	f.post("/oauth/revoke", "")
	if r := <-f.records; r.Endpoint != "revoke" || r.OAuthError != "" || r.Reason != "invalid_client" {
		t.Errorf("record of a revocation: %+v", r)
	}
	for _, word := range []string{"invalid_client", "invalid_scope", "invalid_request", "invalid_target", "temporarily_unavailable"} {
		if !slices.Contains(tokenep.Errors(), word) {
			t.Errorf("Errors lacks %s", word)
		}
	}
}

// TestRealClient has golang.org/x/oauth2 ask for a token, in both of its styles.
func TestRealClient(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for _, id := range []string{"c-basic", oddID, "c-raw"} {
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams, oauth2.AuthStyleAutoDetect} {
			config := clientcredentials.Config{ClientID: id, ClientSecret: f.secrets[id], TokenURL: f.url + "/oauth/token",
				Scopes: []string{"read:a"}, EndpointParams: url.Values{"audience": {apiA}}, AuthStyle: style}
			got, err := config.Token(context.Background())
			if err != nil {
				t.Fatalf("%s, style %d: %v", id, style, err)
			}
			if got.Type() != "Bearer" || got.Extra("scope") != "read:a" || time.Until(got.Expiry) < 590*time.Second {
				t.Errorf("%s, style %d: token %+v", id, style, got)
			}
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := start(t, nil).options
	for name, change := range map[string]func(o *tokenep.Options){
		"no issuer":      func(o *tokenep.Options) { o.Issuer = "" },
		"no URL":         func(o *tokenep.Options) { o.PublicURL = nil },
		"no clients":     func(o *tokenep.Options) { o.Clients = nil },
		"no signer":      func(o *tokenep.Options) { o.Signer = nil },
		"no key set":     func(o *tokenep.Options) { o.JWKS = nil },
		"no verifier":    func(o *tokenep.Options) { o.Verifier = nil },
		"no revocations": func(o *tokenep.Options) { o.Revocations = nil },
		"no lockout":     func(o *tokenep.Options) { o.Lockout = nil },
		"no slow hashes": func(o *tokenep.Options) { o.SlowHashes = nil },
		"no replays":     func(o *tokenep.Options) { o.Replays = nil },
		"API of a grant": func(o *tokenep.Options) { o.APIs = o.APIs[1:] },
		"name twice":     func(o *tokenep.Options) { o.APIs[1].Name = "a" },
		"audience twice": func(o *tokenep.Options) { o.APIs[1].Audience = apiA },
		"no audience":    func(o *tokenep.Options) { o.APIs[0].Audience = "" },
		"no lifetime":    func(o *tokenep.Options) { o.APIs[0].TTL = 0 },
		"no algorithm":   func(o *tokenep.Options) { o.APIs[0].Algorithm = "" },
		"no dialect":     func(o *tokenep.Options) { o.APIs[0].Dialect = "" },
	} {
		o := good
		o.APIs = apis()
		change(&o)
		if _, err := tokenep.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkToken(b *testing.B) {
	ask := asking(b)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

// asking returns what asks for a token, without a socket.
func asking(t testing.TB) func() {
	f := start(t, nil)
	s, err := tokenep.New(f.options)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Endpoints()["/oauth/token"]
	body := form("grant_type", "client_credentials", "audience", apiB)
	auth := basic("c-multi", f.secrets["c-multi"])
	return func() {
		r, _ := http.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(body))
		r.Header.Set("Authorization", auth)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := &discard{header: http.Header{}}
		if h.ServeHTTP(w, r); w.status != 200 {
			t.Fatal(w.status)
		}
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
