package blackbox

import (
	"strings"
)

// Scope, audience, resource: RFC 6749 section 3.3, RFC 8707, RFC 9068 section 3.
var resRows = []row{
	{"RES-001", func(c *call) {
		c.refused(c.ask("c-basic", "scope", "admin:a"), 400, "invalid_scope")
		c.refused(c.ask("c-post", "scope", "write:a"), 400, "invalid_scope")
		c.refused(c.ask("c-narrow", "scope", "admin:n"), 400, "invalid_scope")
	}},
	{"RES-002", func(c *call) {
		c.refused(c.ask("c-basic", "scope", "read:a admin:a"), 400, "invalid_scope")
		if j := c.token("c-narrow", "scope", "read:n admin:n"); j.text("scope") != "read:n" {
			c.Errorf("narrowed to %q", j.text("scope"))
		}
	}},
	{"RES-003", func(c *call) {
		for id, want := range map[string]string{"c-basic": "read:a write:a", "c-post": "read:a", "c-narrow": "read:n write:n", "c-c": "x"} {
			if j := c.token(id); j.text("scope") != want {
				c.Errorf("%s: scope %q, want %q", id, j.text("scope"), want)
			}
		}
	}},
	{"RES-004", func(c *call) {
		for _, name := range []string{"resource", "audience"} {
			c.refused(c.ask("c-basic", name, "https://nope/"), 400, "invalid_target")
			c.refused(c.ask("c-basic", name, apiB), 400, "invalid_target")
			c.refused(c.ask("c-noapi", name, apiA), 400, "invalid_target")
			c.refused(c.ask("c-noapi", name, apiC), 403, "access_denied")
			c.refused(c.ask("c-basic", name, apiC), 403, "access_denied")
		}
	}},
	{"RES-005", func(c *call) {
		for _, bad := range []string{"foo", "https://api.a.example/#x", "https://api.a.example/#", "/a", "//api.a.example/", "https://api.a.example/%zz", "api.a.example"} {
			c.refused(c.ask("c-basic", "resource", bad), 400, "invalid_target")
		}
	}},
	{"RES-006", func(c *call) {
		c.refused(c.ask("c-multi", "resource", apiA, "resource", apiB), 400, "invalid_target")
		c.refused(c.ask("c-basic", "resource", apiA, "resource", apiA), 400, "invalid_target")
	}},
	{"RES-007", func(c *call) {
		c.refused(c.ask("c-multi", "resource", apiA, "audience", apiB), 400, "invalid_target")
		c.token("c-multi", "resource", apiA, "audience", apiA)
	}},
	{"RES-008", func(c *call) {
		for _, api := range []string{apiA, apiB} {
			if j := c.token("c-multi", "resource", api); j.claims["aud"] != api {
				c.Errorf("aud %v, want %s", j.claims["aud"], api)
			}
		}
	}},
	{"RES-009", func(c *call) {
		for id, api := range map[string]string{"c-basic": apiA, "c-c": apiC} { // its only API
			if j := c.token(id); j.claims["aud"] != api {
				c.Errorf("%s: aud %v, want %s", id, j.claims["aud"], api)
			}
		}
		c.refused(c.ask("c-multi"), 400, "invalid_target")
		for scope, api := range map[string]string{"read:a": apiA, "read:b": apiB} { // the API that owns the scope
			if j := c.token("c-multi", "scope", scope); j.claims["aud"] != api {
				c.Errorf("%s: aud %v, want %s", scope, j.claims["aud"], api)
			}
		}
		c.refused(c.ask("c-multi", "scope", "unknown"), 400, "invalid_target")
	}},
	{"RES-010", func(c *call) {
		c.refused(c.ask("c-multi", "scope", "read:a read:b"), 400, "invalid_target") // as settled: it names no single API
		c.refused(c.ask("c-shared", "scope", "read:b"), 400, "invalid_target")       // both of its APIs own it
	}},
	{"RES-011", func(c *call) {
		c.refused(c.ask("c-multi", "audience", apiA, "scope", "read:b"), 400, "invalid_scope")
		c.refused(c.ask("c-multi", "audience", apiA, "scope", "read:a read:b"), 400, "invalid_scope")
		if j := c.token("c-shared", "audience", "urn:s", "scope", "read:b"); j.claims["aud"] != "urn:s" {
			c.Errorf("aud %v", j.claims["aud"])
		}
	}},
	{"RES-012", func(c *call) {
		for _, bad := range []string{`a"b`, `a\b`, "read:a\twrite:a", "é", "read:a  write:a", " read:a", "read:a ", " ", "read:a\nwrite:a", "read:a\x00", "read:a\u00a0write:a", "\x7f"} {
			c.refused(c.ask("c-basic", "scope", bad), 400, "invalid_scope")
		}
		c.refused(c.ask("c-basic", "scope", strings.Repeat("read:a ", 5000)+"x"), 400, "invalid_scope")
	}},
	{"RES-013", func(c *call) {
		c.refused(c.ask("c-basic", "scope", "READ:A"), 400, "invalid_scope")
		c.refused(c.ask("c-basic", "scope", "read:A"), 400, "invalid_scope")
	}},
	{"RES-014", func(c *call) {
		a := c.ask("c-basic", "scopes", "read:a", "audience", apiA)
		if got := a.text(c, "scope"); got != "read:a write:a" {
			c.Errorf("the response shows %q", got)
		}
		jti := c.issued(a).text("jti")
		line := c.audited(c.nodes[0], func(line map[string]any) bool { return tells(line, c.from) })
		if !tells(line, "scopes") || !tells(line, "ignored") {
			c.Errorf("the audit line of %s does not warn of the parameter scopes: %v", jti, line)
		}
	}},
	{"RES-016", func(c *call) {
		c.refused(c.ask("c-noapi"), 400, "invalid_target")
		c.refused(c.ask("c-noapi", "scope", "read:a"), 400, "invalid_target")
		c.refused(c.ask("c-noapi", "audience", apiA, "scope", "read:a"), 400, "invalid_target")
	}},
}
