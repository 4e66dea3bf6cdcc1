package tokenep_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"gatehouse/internal/revoke"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

func newPost(t testing.TB, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// revoke sends the body and returns what the store got because of it.
func (f *fixture) revoke(t *testing.T, body, authorization string) (answer, []revoke.Entry) {
	t.Helper()
	before := len(f.store.revoked())
	a := f.post("/oauth/revoke", body, "Authorization", authorization)
	return a, f.store.revoked()[before:]
}

func accepted(t *testing.T, a answer) {
	t.Helper()
	if a.status != 200 || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("answer %d %q, headers %v", a.status, a.body, a.header)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	own := f.ask("c-basic").text(t, "access_token")
	asBasic := basic("c-basic", f.secrets["c-basic"])
	send := f.revoke
	t.Run("REV-001", func(t *testing.T) {
		a, entries := send(t, form("token", own), asBasic)
		accepted(t, a)
		p, _, _ := f.options.Verifier.Verify(own, f.clock.Now().Unix())
		if len(entries) != 1 || entries[0].Kind != revoke.Token || entries[0].ID != revoke.TokenID("local", p.TokenID) || entries[0].Expires != p.Expires {
			t.Errorf("entries %+v", entries)
		}
		a, entries = send(t, form("token", own), "")
		if refused(t, a, 401, "invalid_client"); len(entries) != 0 {
			t.Error("revoked without authentication")
		}
		a, entries = send(t, form("token", own), basic("c-basic", "wrong"))
		if refused(t, a, 401, "invalid_client"); len(entries) != 0 {
			t.Error("revoked with a wrong secret")
		}
	})
	t.Run("REV-002", func(t *testing.T) {
		stranger := tokentest.Key(t, token.ES256)
		forged, err := stranger.Issue(token.Issue{Issuer: issuerURL, Client: "c-basic", Audience: apiA, ID: "x",
			IssuedAt: f.clock.Now().Unix(), Expires: f.clock.Now().Unix() + 60, Dialect: token.RFC9068})
		if err != nil {
			t.Fatal(err)
		}
		expired, err := f.signers[token.RS256].Issue(token.Issue{Issuer: issuerURL, Client: "c-basic", Audience: apiA, ID: "x",
			IssuedAt: f.clock.Now().Unix() - 60, Expires: f.clock.Now().Unix(), Dialect: token.RFC9068})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"garbage", forged, expired, strings.Repeat("x", 20000)} {
			a, entries := send(t, form("token", text), asBasic)
			if accepted(t, a); len(entries) != 0 {
				t.Errorf("%.20q was revoked", text)
			}
		}
	})
	t.Run("REV-003", func(t *testing.T) {
		a, entries := send(t, form("token", own), basic("c-multi", f.secrets["c-multi"]))
		if accepted(t, a); len(entries) != 0 {
			t.Error("another client's token was revoked")
		}
	})
	t.Run("REV-005", func(t *testing.T) {
		for _, hint := range []string{"refresh_token", "access_token", "nonsense"} {
			a, entries := send(t, form("token", own, "token_type_hint", hint), asBasic)
			if accepted(t, a); len(entries) != 1 {
				t.Errorf("hint %s: %d entries", hint, len(entries))
			}
		}
	})
}

func TestRevokeRefused(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	own := f.ask("c-basic").text(t, "access_token")
	asBasic := basic("c-basic", f.secrets["c-basic"])
	send := f.revoke
	t.Run("REV-006", func(t *testing.T) {
		for _, body := range []string{"", "token=", "token=a&token=b", "token_type_hint=access_token"} {
			a, _ := send(t, body, asBasic)
			refused(t, a, 400, "invalid_request")
		}
		a, _ := send(t, "token="+strings.Repeat("a", 1<<17), asBasic)
		refused(t, a, 413, "invalid_request")
	})
	t.Run("only POST", func(t *testing.T) {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			r, _ := http.NewRequest(method, f.url+"/oauth/revoke?"+form("token", own), nil)
			r.Header.Set("Authorization", asBasic)
			if a := f.do(r); a.status != 405 || a.header.Get("Allow") != "POST" {
				t.Errorf("%s: %d, headers %v", method, a.status, a.header)
			}
		}
	})
	t.Run("never from the query", func(t *testing.T) {
		a := f.post("/oauth/revoke?"+form("token", own), "", "Authorization", asBasic)
		refused(t, a, 400, "invalid_request")
	})
	t.Run("REV-009", func(t *testing.T) {
		f.store.mu.Lock()
		f.store.err = errors.New("write state/gatehouse.db: no space left on device")
		f.store.mu.Unlock()
		a, _ := send(t, form("token", own), asBasic)
		if refused(t, a, 503, "temporarily_unavailable"); strings.Contains(a.body, "gatehouse.db") {
			t.Errorf("body %s", a.body)
		}
	})
}
