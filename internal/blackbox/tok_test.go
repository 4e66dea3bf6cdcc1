package blackbox

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// The token request: RFC 6749 sections 3.2 and 4.4, appendix B.
var tokRows = []row{
	{"TOK-001", func(c *call) {
		j := c.issued(c.ask("c-basic", "audience", apiA))
		for _, n := range c.nodes { // every node takes what one has issued
			a := c.api(n, "/a", j.raw)
			if a.status != 200 || a.text(c, "client") != "c-basic" || a.text(c, "scopes") != "read:a write:a" {
				c.Errorf("GET /a: %d %s", a.status, a.body)
			}
		}
	}},
	{"TOK-002", func(c *call) {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD"} {
			a := c.do(c.nodes[0], method, tokenPath+"?"+grantType, grantType, "Authorization", basic("c-basic", c.secrets["c-basic"]),
				"Content-Type", "application/x-www-form-urlencoded")
			if a.status != 405 || a.header.Get("Allow") != "POST" || strings.Contains(a.body, "access_token") {
				c.Errorf("%s: %d, Allow %q, %s", method, a.status, a.header.Get("Allow"), a.body)
			}
		}
	}},
	{"TOK-003", func(c *call) {
		query := tokenPath + "?" + grantType + "&" + form("client_id", "c-post", "client_secret", c.secrets["c-post"])
		c.refused(c.post(query, ""), 401, "invalid_client")
		c.refused(c.post(query, grantType), 401, "invalid_client")
		c.refused(c.do(c.nodes[0], "POST", query, ""), 400, "invalid_request")
		if a := c.do(c.nodes[0], "GET", query, ""); a.status != 405 || strings.Contains(a.body, "access_token") {
			c.Errorf("GET: %d %s", a.status, a.body)
		}
	}},
	{"TOK-004", func(c *call) {
		good := []string{"Authorization", basic("c-basic", c.secrets["c-basic"])}
		c.refused(c.post(tokenPath+"?"+grantType, "x=1", good...), 400, "invalid_request")
		j := c.issued(c.post(tokenPath+"?scope=read:a", grantType, good...))
		if j.text("scope") != "read:a write:a" {
			c.Errorf("the scope of the query counted: %q", j.text("scope"))
		}
	}},
	{"TOK-005", func(c *call) {
		c.refused(c.post(tokenPath, "scope=read:a", "Authorization", basic("c-basic", c.secrets["c-basic"])), 400, "invalid_request")
	}},
	{"TOK-006", func(c *call) { c.grants("foo") }},
	{"TOK-007", func(c *call) {
		c.grants("password", "implicit", "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer")
	}},
	{"TOK-008", func(c *call) {
		c.grants("CLIENT_CREDENTIALS", "client_credentials ", " client_credentials", "client_credentials password", "client_credentials\x00")
	}},
	{"TOK-009", func(c *call) {
		c.refused(c.cc("c-basic", c.secrets["c-basic"], "grant_type", "client_credentials"), 400, "invalid_request")
		c.refused(c.cc("c-basic", c.secrets["c-basic"], "foo", "1", "foo", "2"), 400, "invalid_request")
	}},
	{"TOK-010", func(c *call) {
		whole := []string{"scope", "read:a", "audience", apiA, "client_id", "c-post", "client_secret", c.secrets["c-post"]}
		c.issued(c.post(tokenPath, grantType+"&"+form(whole...)))
		for i := 0; i < len(whole); i += 2 {
			c.refused(c.post(tokenPath, grantType+"&"+form(append(whole, whole[i], whole[i+1])...)), 400, "invalid_request")
			c.refused(c.post(tokenPath, grantType+"&"+form(append(whole, whole[i], "")...)), 400, "invalid_request")
		}
	}},
	{"TOK-011", func(c *call) { c.issued(c.ask("c-basic", "foo", "bar", "foo2", "", "access_token", "x")) }},
	{"TOK-012", func(c *call) {
		if j := c.token("c-basic", "scope", "", "audience", apiA, "resource", ""); j.text("scope") != "read:a write:a" {
			c.Errorf("an empty scope gave %q", j.text("scope"))
		}
		c.refused(c.post(tokenPath, "grant_type=", "Authorization", basic("c-basic", c.secrets["c-basic"])), 400, "invalid_request")
	}},
	{"TOK-013", func(c *call) {
		c.refused(c.post(tokenPath, grantType+"&client_id=c-pub"), 401, "invalid_client")
		c.refused(c.post(tokenPath, grantType+"&client_id=c-pub&client_secret="), 401, "invalid_client")
		c.refused(c.post(tokenPath, grantType, "Authorization", rawBasic("c-pub:")), 401, "invalid_client")
	}},
	{"TOK-014", func(c *call) { c.refused(c.ask("c-nogrant", "audience", apiA), 400, "unauthorized_client") }},
	{"TOK-015", func(c *call) {
		body := grantType + "&" + form("client_id", "c-post", "client_secret", c.secrets["c-post"])
		c.refused(c.do(c.nodes[0], "POST", tokenPath, body), 400, "invalid_request")
		for _, media := range []string{"", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=utf-16", "application/jwt", "x"} {
			c.refused(c.do(c.nodes[0], "POST", tokenPath, body, "Content-Type", media), 400, "invalid_request")
		}
		c.issued(c.do(c.nodes[0], "POST", tokenPath, body, "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"))
	}},
	{"TOK-016", func(c *call) {
		good := []string{"Authorization", basic("c-basic", c.secrets["c-basic"])}
		j := c.issued(c.post(tokenPath, grantType+"&scope=read%3Aa+write%3aa&audience=https%3A%2F%2Fapi.a.example%2f", good...))
		if j.text("scope") != "read:a write:a" || j.text("aud") != apiA {
			c.Errorf("scope %q for %q", j.text("scope"), j.text("aud"))
		}
		c.issued(c.post(tokenPath, "%67rant_type=client%5Fcredentials", good...))
	}},
	{"TOK-017", func(c *call) {
		good := []string{"Authorization", basic("c-basic", c.secrets["c-basic"])}
		for _, bad := range []string{"scope=%zz", "scope=%", "scope=%4", "%zz=x", "scope=%u0041"} {
			c.refused(c.post(tokenPath, grantType+"&"+bad, good...), 400, "invalid_request")
		}
		if a := c.post(tokenPath, grantType+"&scope=%ff%fe", good...); a.status != 400 {
			c.Errorf("bytes that are not UTF-8: %d %s", a.status, a.body)
		}
	}},
	{"TOK-019", bodyCap},
	{"TOK-020", func(c *call) {
		j := c.issued(c.json(fmt.Sprintf(`{"grant_type":"client_credentials","client_id":"c-post","client_secret":%q,"audience":%q,"scope":"read:a"}`, c.secrets["c-post"], apiA)))
		if j.text("scope") != "read:a" || j.text("aud") != apiA {
			c.Errorf("claims %v", j.claims)
		}
		c.issued(c.json(`{"grant_type":"client_credentials"}`, "Authorization", basic("c-basic", c.secrets["c-basic"])))
	}},
	{"TOK-021", func(c *call) {
		rest := fmt.Sprintf(`"client_id":"c-post","client_secret":%q`, c.secrets["c-post"])
		for _, twice := range []string{`"grant_type":"x","grant_type":"client_credentials"`, `"grant_type":"client_credentials","grant_type":"client_credentials"`,
			`"grant_type":"client_credentials","\u0067rant_type":"client_credentials"`, `"grant_type":"client_credentials","foo":"1","foo":"2"`} {
			c.refused(c.json("{"+twice+","+rest+"}"), 400, "invalid_request")
		}
	}},
	{"TOK-022", func(c *call) {
		whole := fmt.Sprintf(`{"grant_type":"client_credentials","client_id":"c-post","client_secret":%q`, c.secrets["c-post"])
		for _, bad := range []string{whole + `,"scope":1}`, whole + `,"scope":null}`, whole + `,"scope":true}`, whole + `,"scope":["read:a"]}`,
			whole + `,"scope":{"a":"b"}}`, whole + `}x`, whole + `}{}`, whole + `,}`, whole, "\xef\xbb\xbf" + whole + `}`, `[` + whole + `}]`, `"x"`, `null`, ``,
			whole + `,"scope":"\xff"}`, whole + ",\"scope\":\"\xff\"}", whole + `,"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`} {
			c.refused(c.json(bad), 400, "invalid_request")
		}
		c.issued(c.json(" \r\n\t" + whole + "} \n"))
	}},
	{"TOK-023", func(c *call) {
		for id, audience := range map[string]string{"c-basic": apiA, "c-multi": apiB, "c-c": apiC} {
			if j := c.token(id, "audience", audience); j.claims["aud"] != audience {
				c.Errorf("%s: aud %v, want %s", id, j.claims["aud"], audience)
			}
		}
	}},
	{"TOK-024", func(c *call) {
		for _, near := range []string{"https://api.a.example", "https://api.a.example//", "HTTPS://api.a.example/", "https://API.A.EXAMPLE/", " https://api.a.example/", "https://api.a.example/?"} {
			c.refused(c.ask("c-basic", "audience", near), 400, "invalid_target")
		}
	}},
	{"TOK-025", func(c *call) {
		for _, id := range []string{"c-basic", "c-c"} {
			m := c.ask(id).object(c)
			for name := range m {
				if name != "access_token" && name != "token_type" && name != "expires_in" && name != "scope" {
					c.Errorf("%s: a member %q", id, name)
				}
			}
		}
	}},
}

func (c *call) grants(refused ...string) {
	c.Helper()
	for _, g := range refused {
		c.refused(c.post(tokenPath, form("grant_type", g), "Authorization", basic("c-basic", c.secrets["c-basic"])), 400, "unsupported_grant_type")
	}
}

func (c *call) json(body string, header ...string) answer {
	c.Helper()
	return c.do(c.nodes[0], http.MethodPost, tokenPath, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// bodyCap sends what no request needs: more than the cap is refused unread, and costs no memory.
func bodyCap(c *call) {
	n := c.nodes[0]
	c.refused(c.post(tokenPath, grantType+"&x="+strings.Repeat("x", 1<<20)), 413, "invalid_request")
	c.refused(c.json(`{"x":"`+strings.Repeat("x", 1<<20)+`"}`), 413, "invalid_request")
	c.refused(c.post(revokePath, "token="+strings.Repeat("x", 1<<20)), 413, "invalid_request")

	before := c.resident(n)
	together(60, 4, func(int) { c.slowBody(n) })
	if after := c.resident(n); after > before+48<<20 {
		c.Errorf("60 bodies of 1 MiB took the process from %d to %d MiB", before>>20, after>>20)
	}
}

// slowBody announces 1 MiB, sends little more than the cap, and must be answered without the rest.
func (c *call) slowBody(n *node) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		c.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", 1<<20)
	io.WriteString(conn, grantType+"&x="+strings.Repeat("x", 64<<10))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		c.Errorf("no answer before the body's end: %v", err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		c.Errorf("a body that is too long: %s", res.Status)
	}
}

// resident is the memory of the process, in bytes; 0 where the system has no /proc.
func (c *call) resident(n *node) (bytes int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var total, pages int
	fmt.Sscan(string(text), &total, &pages)
	return pages * os.Getpagesize()
}
