package blackbox

import (
	"slices"
	"strings"
	"time"
)

// The token response: RFC 6749 section 5.1.
var rspRows = []row{
	{"RSP-001", func(c *call) {
		a := c.ask("c-basic")
		if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
			c.Errorf("%d, Content-Type %q", a.status, a.header.Get("Content-Type"))
		}
	}},
	{"RSP-002", func(c *call) {
		if got := c.ask("c-basic").header["Cache-Control"]; !slices.Equal(got, []string{"no-store"}) {
			c.Errorf("Cache-Control %q", got)
		}
	}},
	{"RSP-003", func(c *call) {
		if got := c.ask("c-basic").header["Pragma"]; !slices.Equal(got, []string{"no-cache"}) {
			c.Errorf("Pragma %q", got)
		}
	}},
	{"RSP-004", func(c *call) {
		for _, f := range c.failures() {
			c.notStored(f.answer)
		}
	}},
	{"RSP-005", func(c *call) {
		for id, want := range map[string]string{"c-basic": `"expires_in":600`, "c-c": `"expires_in":300`, "c-ttl": `"expires_in":30`} {
			if a := c.ask(id); !strings.Contains(a.body, want+",") && !strings.Contains(a.body, want+"}") {
				c.Errorf("%s: no %s in %s", id, want, a.body)
			}
		}
	}},
	{"RSP-006", func(c *call) { // c.issued holds that expires_in is exp - iat
		before := time.Now().Unix()
		a := c.ask("c-basic")
		after := time.Now().Unix()
		if exp := c.issued(a).int(c, "exp"); exp < before+598 || exp > after+602 {
			c.Errorf("asked between %d and %d, exp is %d and expires_in 600", before, after, exp)
		}
	}},
	{"RSP-007", func(c *call) {
		for asked, want := range map[string]string{"read:n admin:n": "read:n", "": "read:n write:n", "write:n read:n": "read:n write:n"} {
			a := c.ask("c-narrow", "scope", asked)
			if got := a.text(c, "scope"); got != want {
				c.Errorf("asked %q, answered %q, want %q", asked, got, want)
			}
			c.issued(a)
		}
		if got := c.ask("c-basic").text(c, "scope"); got != "read:a write:a" {
			c.Errorf("asked nothing, answered %q", got)
		}
	}},
	{"RSP-008", func(c *call) {
		a := c.ask("c-basic", "scope", "read:a")
		if got := a.text(c, "scope"); got != "read:a" || c.issued(a).text("scope") != got {
			c.Errorf("scope %q in %s", got, a.body)
		}
	}},
	{"RSP-009", func(c *call) {
		if got := c.ask("c-basic").text(c, "token_type"); got != "Bearer" {
			c.Errorf("token_type %q", got)
		}
	}},
	{"RSP-011", func(c *call) {
		for _, f := range c.failures() {
			whole := strings.ToLower(f.answer.body)
			for name, values := range f.answer.header {
				whole += "\n" + strings.ToLower(name+": "+strings.Join(values, ","))
			}
			for _, secret := range f.secrets {
				if strings.Contains(whole, strings.ToLower(secret)) {
					c.Errorf("%s: the response holds %q: %s", f.name, secret, whole)
				}
			}
			for _, inner := range []string{".go:", "goroutine", "runtime", "bbolt", "redis:", "dial tcp", "json:", "strconv", "asn1", "crypto/"} {
				if strings.Contains(whole, inner) {
					c.Errorf("%s: the response holds %q: %s", f.name, inner, whole)
				}
			}
		}
	}},
}
