package tokenep_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/authz"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	send := func(authorization, extra string) answer {
		return f.post("/oauth/token", grant+"&"+extra, "Authorization", authorization)
	}
	good := f.secrets["c-basic"]
	t.Run("AUT-002", func(t *testing.T) { f.issued(t, send(basic(oddID, oddSecret), "")) })
	t.Run("AUT-003", func(t *testing.T) {
		f.issued(t, send(rawBasic("c-basic:"+good), ""))
		f.issued(t, send(rawBasic("c-raw:"+rawSecret), ""))
		f.issued(t, send(basic("c-raw", rawSecret), ""))
		refused(t, send(rawBasic("c-raw:p q r"), ""), 401, "invalid_client")
	})
	t.Run("AUT-004", func(t *testing.T) { refused(t, send(rawBasic("a%zz:x"), ""), 401, "invalid_client") })
	t.Run("AUT-005", func(t *testing.T) { refused(t, send(rawBasic("c-basic:x:"+good), ""), 401, "invalid_client") })
	t.Run("AUT-006", func(t *testing.T) {
		for _, header := range []string{"Basic", "Basic ", "Basic !!!", "Basic a", rawBasic("c-basic"), rawBasic(":" + good), rawBasic("c-basic:"),
			rawBasic(":"), rawBasic("c-basic:"+good) + " x", "Basic  " + strings.TrimPrefix(rawBasic("c-basic:"+good), "Basic "),
			rawBasic("c-basic:" + good + "\n"), rawBasic("c-basic\x00:" + good), rawBasic("c-basic:" + good + "%00"), "basic"} {
			refused(t, send(header, ""), 401, "invalid_client")
		}
		f.issued(t, send("bAsIc "+strings.TrimPrefix(rawBasic("c-basic:"+good), "Basic "), ""))
	})
	t.Run("AUT-007", func(t *testing.T) {
		refused(t, send(basic("c-basic", good), form("client_secret", good)), 400, "invalid_request")
		refused(t, send(basic("c-basic", good), form("client_id", "c-basic", "client_secret", good)), 400, "invalid_request")
	})
	t.Run("AUT-008", func(t *testing.T) {
		refused(t, send(basic("c-basic", good), "client_assertion=x"), 400, "invalid_request")
		refused(t, send("", form("client_id", "c-basic", "client_secret", good, "client_assertion", "x")), 400, "invalid_request")
		refused(t, send("", "client_assertion=x"), 400, "invalid_request") // without client_assertion_type
	})
	t.Run("AUT-009", func(t *testing.T) {
		f.issued(t, send(basic("c-basic", good), "client_id=c-basic"))
		f.issued(t, send(basic(oddID, oddSecret), form("client_id", oddID)))
		f.issued(t, send(basic("c-basic", good), "client_id=&client_secret="))
	})
	t.Run("AUT-010", func(t *testing.T) {
		refused(t, send(basic("c-basic", good), "client_id=c-post"), 400, "invalid_request")
	})
	t.Run("AUT-011", func(t *testing.T) {
		refused(t, send(basic("c-post", f.secrets["c-post"]), ""), 401, "invalid_client")
		refused(t, send("", form("client_id", "c-only-basic", "client_secret", f.secrets["c-only-basic"])), 401, "invalid_client")
		f.issued(t, send(basic("c-only-basic", f.secrets["c-only-basic"]), ""))
		f.issued(t, send("", form("client_id", "c-post", "client_secret", f.secrets["c-post"])))
		f.issued(t, send("", form("client_id", "c-basic", "client_secret", good)))
	})
	t.Run("AUT-012", func(t *testing.T) {
		for _, secret := range []string{good[:len(good)-1], good + "x", strings.ToUpper(good), good + strings.Repeat("x", 100), f.secrets["c-rot"], "x"} {
			refused(t, send(basic("c-basic", secret), ""), 401, "invalid_client")
		}
	})
	t.Run("AUT-013", func(t *testing.T) {
		f.issued(t, send(basic("c-rot", f.secrets["c-rot"]), ""))
		f.issued(t, send(basic("c-rot", f.secrets["c-rot2"]), ""))
	})
	t.Run("AUT two headers", func(t *testing.T) {
		r := newPost(t, f.url+"/oauth/token", grant)
		r.Header.Add("Authorization", basic("c-basic", good))
		r.Header.Add("Authorization", basic("c-basic", good))
		refused(t, f.do(r), 400, "invalid_request")
	})
}

// TestSecretTimes is AUT-014.
func TestSecretTimes(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	f.issued(t, f.ask("c-soon"))
	refused(t, f.ask("c-later"), 401, "invalid_client")
	f.clock.advance(3 * time.Second)
	refused(t, f.ask("c-soon"), 401, "invalid_client")
	f.issued(t, f.ask("c-later"))
}

// TestAlike is ERR-002, 003 and 009: who fails to authenticate learns nothing of why.
func TestAlike(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	want := f.post("/oauth/token", grant, "Authorization", basic("c-basic", "wrong"))
	refused(t, want, 401, "invalid_client")
	for name, header := range map[string]string{
		"unknown":      basic("c-nobody", "wrong"),
		"disabled":     basic("c-off", f.secrets["c-off"]),
		"expired":      basic("c-exp", f.secrets["c-exp"]),
		"not yet":      basic("c-later", f.secrets["c-later"]),
		"wrong method": basic("c-post", f.secrets["c-post"]),
		"no secret":    basic("c-pub", "wrong"),
	} {
		got := f.post("/oauth/token", grant, "Authorization", header)
		for _, a := range []answer{got, want} {
			a.header.Del("Date")
		}
		if got.status != want.status || got.body != want.body || !sameHeader(got, want) {
			t.Errorf("%s: %d %v %s, want %d %v %s", name, got.status, got.header, got.body, want.status, want.header, want.body)
		}
	}
	t.Run("ERR-004", func(t *testing.T) {
		got := f.post("/oauth/token", grant+"&client_id=c-post&client_secret=wrong")
		if refused(t, got, 401, "invalid_client"); got.body != want.body {
			t.Errorf("body %s, want %s", got.body, want.body)
		}
	})
	t.Run("ERR-005", func(t *testing.T) { refused(t, f.post("/oauth/token", grant), 401, "invalid_client") })
	t.Run("ERR-006-007", func(t *testing.T) {
		for _, bad := range []string{"\"\\é<zqx>", "zqx%00zqx"} {
			for _, name := range []string{"scope", "audience", "resource", "grant_type", "client_id", bad} {
				body := form(name, bad)
				if name != "grant_type" {
					body = grant + "&" + body
				}
				a := f.post("/oauth/token", body, "Authorization", basic("c-basic", f.secrets["c-basic"]))
				if name == bad {
					f.issued(t, a) // a parameter that means nothing
					continue
				}
				if refused(t, a, 400, a.text(t, "error")); strings.Contains(a.body, "zqx") {
					t.Errorf("%s: %s", name, a.body)
				}
			}
		}
		a := f.post("/oauth/token", "zqx=1&zqx=2")
		if refused(t, a, 400, "invalid_request"); strings.Contains(a.body, "zqx") {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("ERR-010", func(t *testing.T) {
		for _, header := range []string{"Bearer x", "Digest username=x", "x"} {
			body := grant + "&" + form("client_id", "c-post", "client_secret", f.secrets["c-post"])
			refused(t, f.post("/oauth/token", body, "Authorization", header), 401, "invalid_client")
		}
	})
}

func sameHeader(a, b answer) bool {
	if len(a.header) != len(b.header) {
		return false
	}
	for name := range a.header {
		if strings.Join(a.header[name], ",") != strings.Join(b.header[name], ",") {
			return false
		}
	}
	return true
}

func TestStatus(t *testing.T) {
	t.Parallel()
	clients := start(t, nil).options.Clients
	for _, tt := range []struct {
		issuer, id string
		want       authz.ClientStatus
	}{
		{"local", "c-basic", authz.Enabled},
		{"local", "c-off", authz.Disabled},
		{"local", "c-nobody", authz.Unknown},
		{"local", "", authz.Unknown},
		{"local", "?", authz.Unknown},
		{"corp", "c-basic", authz.Unknown},
	} {
		if got := clients.Status(tt.issuer, tt.id); got != tt.want {
			t.Errorf("Status(%q, %q) = %v, want %v", tt.issuer, tt.id, got, tt.want)
		}
	}
}
