package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/ratelimit"
	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

// attempt is one conversation of an incident: the bytes that are sent, and what comes of the first request in them.
type attempt struct {
	row, raw string
	status   int    // 0: the connection ends without an answer
	saw      string // "METHOD target" of all that the upstream saw, in order; "" for nothing
}

// incidentHost starts every request of the table.
const incidentHost = "Host: gate.example\r\n"

// ask is a request with the good token. Lines are further headers.
func (e *talk) ask(method, target string, lines ...string) string {
	return e.askAs(e.token("read"), method, target, lines...)
}

func (e *talk) askAs(raw, method, target string, lines ...string) string {
	return anonymous(method, target, append(lines, bearer(raw))...)
}

func anonymous(method, target string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\n" + incidentHost + strings.Join(append(lines, "", ""), "\r\n")
}

// incidents are the rows that can be seen on one connection. The token holds read, the routes are those of FuzzAuthorized.
func (e *talk) incidents() []attempt {
	return slices.Concat(e.paths(), e.headers(), e.tokens(), e.framing())
}

func (e *talk) paths() (list []attempt) {
	for _, x := range []struct {
		row, target string
		status      int
		saw         string
	}{
		{"R1", "/public/../admin/a", 400, ""},
		{"R2", "/public/%2e%2e/admin/a", 400, ""}, {"R2", "/public/.%2E/admin/a", 400, ""}, {"R2", "/public/%252e%252e/admin/a", 400, ""},
		{"R3", "/public/%2f", 400, ""}, {"R3", "/public/%5c", 400, ""}, {"R3", "/public/%00", 400, ""}, {"R3", "/public/%3b", 400, ""},
		{"R3", "/public/%3f", 400, ""}, {"R3", "/public/%23", 400, ""}, {"R3", "/files/a%2fb", 200, "GET /files/a%2fb"},
		{"R4", "/%61pi/%78", 200, "GET /stripped/%78"},
		{"R5", "/api/%2e%2e/admin/a", 400, ""},
		{"R6", "/api../admin/a", 404, ""}, {"R6", "/apix", 404, ""},
		{"R8", "/public#/admin/a", 400, ""}, {"R8", "/public/a?x#y", 400, ""},
		{"R12", "/public/../admin/secrets", 400, ""},
		{"R13", "/%41dmin/a", 404, ""}, {"R13", "/ADMIN/a", 404, ""}, {"R13", "/public/%61dmin", 403, ""},
		{"R15", `/public\..\admin/a`, 400, ""}, {"R15", "/public/..%5cadmin/a", 400, ""},
		{"R16", "/public/%2e%2e%2fadmin/a", 400, ""}, {"R16", "/files/%2e%2e%2fadmin/a", 400, ""},
		{"R17", "/public/..;/admin/a", 400, ""}, {"R17", "/admin/a;x=1", 400, ""}, {"R17", "/.;/admin/a", 400, ""}, {"R17", "/files/..;/admin/a", 400, ""},
		{"R18", "//admin/a", 400, ""}, {"R18", "/public//..//admin/a", 400, ""}, {"R18", "/public//admin", 400, ""},
		{"R21", "/unlisted", 404, ""},
		{"R22", "/admin-x", 404, ""}, {"R22", "/publicx/a", 404, ""}, {"R22", "/exact/sibling", 404, ""},
		{"R25", "/public", 404, ""}, {"R25", "/open", 404, ""},
		{"R26", "/admin/a /x", 400, ""}, {"R26", "/public../", 404, ""},
		{"S7", "/public/a?u=1;admin=1&a=%zz&u=2", 200, "GET /public/a?u=1;admin=1&a=%zz&u=2"},
		{"D8", "/public/" + strings.Repeat("../", 2700), 400, ""},
		{"S19", "*", 400, ""},
	} {
		list = append(list, attempt{x.row, e.ask("GET", x.target), x.status, x.saw})
	}
	return append(list,
		attempt{"R9", anonymous("GET", "/admin/a?next=/open/a"), 401, ""},
		attempt{"R10", anonymous("GET", "/admin/a", "X-Forwarded-Uri: /open/a", "X-Original-URL: /open/a", "X-Rewrite-URL: /open/a"), 401, ""},
		attempt{"R11", anonymous("GET", "/admin/a", "User-Agent: kube-probe/1.30"), 401, ""},
		attempt{"R11", anonymous("GET", "/admin/a", "User-Agent: GoogleHC/1.0"), 401, ""},
		attempt{"R23", e.askAs(e.token(""), "GET", "/public/a"), 403, ""},
		attempt{"R23", e.askAs(e.token("other"), "GET", "/public/a"), 403, ""},
	)
}

func (e *talk) headers() (list []attempt) {
	pass := func(row, target string, lines ...string) {
		list = append(list, attempt{row, e.ask("GET", target, lines...), 200, "GET " + target})
	}
	for _, name := range append(slices.Clone(reservedExamples), "Authorization", "traceparent", "X-Request-Id") {
		pass("H1", "/public/a", "Connection: close, "+name)
		pass("H1", "/public/a", "connection: "+strings.ToLower(name)+",, x", "Connection: keep-alive")
	}
	for _, name := range reservedExamples {
		pass("H2", "/public/a", strings.ReplaceAll(name, "-", "_")+": evil", strings.ToLower(name)+": evil")
		pass("H3", "/public/a", strings.ReplaceAll(name, "-", ".")+": evil")
		pass("H4", "/open/a", name+": evil", strings.ReplaceAll(name, "-", "_")+": evil")
		pass("H6", "/public/a", name+": evil", name+": evil")
	}
	pass("H7", "/public/a", "X-Forwarded-For: evil", "X-Envoy-Internal: evil", "X-Real-IP: evil")
	pass("H11", "/open/a", "Proxy: evil")
	pass("H13", "/public/a", "Cookie: a=b")
	return append(list,
		attempt{"H8", e.ask("GET", "/public/a", bearer("x")), 400, ""},
		attempt{"H8", e.ask("GET", "/public/a", "Host: other.example"), 400, ""},
		attempt{"H9", e.ask("GET", "/public/a", ": x"), 400, ""},
		attempt{"H14", e.ask("POST", "/exact", "Trailer: X-Client-Id", "Transfer-Encoding: chunked") + "0\r\nX-Client-Id: evil\r\nX_Token.Scopes: evil\r\n\r\n", 200, "POST /exact"},
	)
}

// tokens are the rows of class J. All are refused but what says otherwise.
func (e *talk) tokens() (list []attempt) {
	k := e.issuer.key
	now := time.Now().Unix()
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"}`, k.Public().ID())
	claims := map[string]string{"iss": `"http://gate.example"`, "aud": `"` + audience + `"`, "sub": `"worker"`, "client_id": `"worker"`, "jti": `"0123456789abcdef"`,
		"scope": `"read"`, "iat": fmt.Sprint(now), "exp": fmt.Sprint(now + 600)}
	payload := func(change ...string) string { // name, value; "" for none
		var members []string
		set := map[string]string{}
		for name, value := range claims {
			set[name] = value
		}
		for i := 0; i < len(change); i += 2 {
			set[change[i]] = change[i+1]
		}
		for name, value := range set {
			if value != "" {
				members = append(members, fmt.Sprintf("%q:%s", name, value))
			}
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	sign := func(header, payload string) string { return tokentest.Sign(e.t, k, header, payload) }
	good := sign(header, payload())
	part := strings.Split(good, ".")
	no := func(row, raw string) { list = append(list, attempt{row, e.askAs(raw, "GET", "/public/a"), 401, ""}) }
	yes := func(row, raw string) {
		list = append(list, attempt{row, e.askAs(raw, "GET", "/public/a"), 200, "GET /public/a"})
	}
	head := func(more string) string { return strings.TrimSuffix(header, "}") + "," + more + "}" }
	b64 := base64.RawURLEncoding.EncodeToString

	no("J1", `{"payload":"`+part[1]+`","protected":"`+part[0]+`","signature":"`+part[2]+`"}`)
	no("J1", `{"payload":"`+part[1]+`","signatures":[{"protected":"`+part[0]+`","signature":"AA"},{"protected":"`+part[0]+`","signature":"`+part[2]+`"}]}`)
	no("J1", " "+good)
	for _, alg := range []string{"none", "None", "nOnE"} {
		h := b64([]byte(`{"alg":"` + alg + `","typ":"at+jwt"}`))
		no("J2", h+"."+part[1]+".")
		no("J2", h+"."+part[1]+"."+part[2])
	}
	pem, err := k.PEM()
	if err != nil {
		e.t.Fatal(err)
	}
	for _, secret := range []string{k.Public().ID(), string(pem), ""} {
		input := b64([]byte(strings.Replace(header, "ES256", "HS256", 1))) + "." + part[1]
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(input))
		no("J3", input+"."+b64(mac.Sum(nil)))
	}
	for _, aud := range []string{`"x"`, `["x"]`, `[]`, `""`, `1`, `{}`, "", `"` + strings.ToUpper(audience) + `"`, `"` + audience + `/"`} {
		no("J4", sign(header, payload("aud", aud)))
	}
	no("J5", flip(sign(header, payload("exp", fmt.Sprint(now-60)))))
	no("J6", strings.Repeat(".", 8<<10))
	list = append(list, attempt{"J6", e.askAs(strings.Repeat(".", 1<<20), "GET", "/public/a"), 431, ""})
	no("J7", good+"."+part[2])
	no("J8", part[0]+".."+part[1]+"."+part[2]+".AA")
	no("J9", `{"signatures":[{}],"payload":""}`)
	for i := range part {
		flipped := slices.Clone(part)
		b := []byte(flipped[i])
		b[5] ^= 1
		flipped[i] = string(b)
		for _, target := range []string{"/public/a", "/files/a", "/api/a", "/public/admin"} {
			list = append(list, attempt{"J10", e.askAs(strings.Join(flipped, "."), "GET", target), 401, ""})
		}
	}
	yes("J11", good)
	list = append(list, attempt{"J11", e.askAs(good, "GET", "/public/admin"), 403, ""}, attempt{"J11", e.askAs(good, "GET", "/admin/a"), 403, ""})
	for _, sig := range [][]byte{make([]byte, 64), make([]byte, 63), make([]byte, 65), slices.Repeat([]byte{0xff}, 64), {0x30, 6, 2, 1, 1, 2, 1, 1}} {
		no("J13", part[0]+"."+part[1]+"."+b64(sig))
	}
	for _, more := range []string{`"crit":["foo"]`, `"crit":[]`, `"b64":false`, `"b64":false,"crit":["b64"]`} {
		no("J14", sign(head(more), payload()))
	}
	for _, alg := range []string{"PS256", "RS512", "ES384", "EdDSA", ""} {
		no("J15", sign(strings.Replace(header, "ES256", alg, 1), payload()))
	}
	for _, exp := range []string{"", "0", "null", "-1", `"2000000000"`, "1e300", "9e18", fmt.Sprintf("%d.5", now+60), fmt.Sprint(now + 90000)} {
		no("J16", sign(header, payload("exp", exp)))
	}
	yes("J17", sign(header, payload("iat", fmt.Sprint(now+2))))
	no("J17", sign(header, payload("iat", fmt.Sprint(now+300))))
	no("J17", sign(header, payload("nbf", fmt.Sprint(now+300))))
	for _, typ := range []string{"JWT", "", "logout+jwt", "AT+jwt2"} {
		no("J18", sign(strings.Replace(header, "at+jwt", typ, 1), payload()))
	}
	for _, twice := range []string{strings.TrimSuffix(payload(), "}") + `,"aud":"x"}`, payload("aud", `"x"`)[:1] + `"aud":"x",` + payload()[1:], payload() + "{}", payload("exp", "", "Exp", fmt.Sprint(now+60)), payload("jti", "\"a\xff\"")} {
		no("J19", sign(header, twice))
	}
	no("J19", sign(head(`"alg":"ES256"`), payload()))
	no("J20", good+"==")
	no("J20", part[0]+"."+part[1]+".+/"+part[2][2:])
	for _, more := range []string{`"jwk":{"kty":"EC"}`, `"jku":"http://` + e.up.addr + `/public/jku"`, `"x5u":"http://` + e.up.addr + `/public/x5u"`, `"x5c":[]`} {
		no("J21", sign(head(more), payload()))
	}
	list = append(list,
		attempt{"J22", anonymous("GET", "/public/a?access_token="+good), 401, ""},
		attempt{"J22", anonymous("POST", "/exact", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", 13+len(good))) + "access_token=" + good, 401, ""},
		attempt{"J22", anonymous("GET", "/public/a", "Authorization: bEARER "+good), 200, "GET /public/a"},
		attempt{"J22", anonymous("GET", "/public/a", "Authorization: Basic Zm9vOmJhcg=="), 401, ""},
		attempt{"J22", anonymous("GET", "/public/a", "Authorization: DPoP "+good), 401, ""})
	e.issuer.mu.Lock()
	e.issuer.revoked["gone"] = true
	e.issuer.mu.Unlock()
	for _, client := range []string{"gone", "disabled"} {
		no("J24", e.token("read", func(i *token.Issue) { i.Client = client }))
	}
	no("D7", sign(header, payload("pad", `"`+strings.Repeat("x", 9000)+`"`)))
	no("D15", sign(header, payload("exp", "1e999999999")))
	no("D15", sign(header, payload("exp", strings.Repeat("9", 5000))))
	return list
}

// framing are the rows of class S and what else is about bytes and not about what they say.
func (e *talk) framing() (list []attempt) {
	hidden := anonymous("GET", "/admin/hidden")
	post := func(row string, status int, framing, body string) {
		saw := ""
		if status == 200 {
			saw = "POST /exact"
		}
		list = append(list, attempt{row, e.ask("POST", "/exact", framing) + body + hidden, status, saw})
	}
	chunked := "Transfer-Encoding: chunked"
	for _, method := range []string{"gate.example:443", "/public/a"} {
		list = append(list, attempt{"S1", e.ask("CONNECT", method), 405, ""}, attempt{"S1", e.ask("CONNECT", method, "Content-Length: 3") + "abc", 405, ""})
	}
	for _, protocol := range []string{"h2c", "TLS/1.0", "foo"} {
		list = append(list, attempt{"S2", e.ask("GET", "/public/a", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Upgrade: "+protocol) + hidden, 200, "GET /public/a"})
	}
	list = append(list, attempt{"S2", e.ask("GET", "/public/a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") + hidden, 403, ""})
	post("S3", 200, "Content-Length: 3\r\n"+chunked, "0\r\n\r\n")
	for framing, status := range map[string]int{"Content-Length: 3\r\nContent-Length: 4": 400, "Content-Length: +5": 400, "Transfer-Encoding: xchunked": 501, "Transfer-Encoding: gzip, chunked": 501,
		chunked + "\r\n" + chunked: 501, "Transfer-Encoding : chunked": 400, "Content-Length: 3 , 3": 400} {
		post("S3", status, framing, "abc")
	}
	post("S4", 400, chunked, "3\nabc\r\n0\r\n\r\n")
	post("S5", 400, "Content-Length:", "abc")
	post("S5", 400, "Content-Length: 18446744073709551617", "a")
	post("S6", 400, "X: a\rb", "")
	post("S6", 400, "X: a\x00b", "")
	post("S6", 200, "X: a\r\n Content-Length: 3", "")
	post("S8", 417, "Expect: x\r\nContent-Length: 3", "abc")
	for _, host := range []string{"a b", "a,b", "u@gate.example", "gate.example\r\n x", strings.Repeat("h", 256), "other.example:80/x"} {
		list = append(list, attempt{"S9", strings.Replace(e.ask("GET", "/public/a"), "gate.example", host, 1), 400, ""})
	}
	list = append(list, attempt{"S10", anonymous("POST", "/exact", fmt.Sprintf("Content-Length: %d", len(hidden))) + hidden + hidden, 401, ""})
	for _, line := range []string{"PRI * HTTP/2.0", "GET /public/a HTTP/1.2", "get /public/a HTTP/1.1", "BREW /public/a HTTP/1.1", "TRACE /public/a HTTP/1.1", "OPTIONS * HTTP/1.1"} {
		list = append(list, attempt{"S19", line + "\r\n" + incidentHost + bearer(e.token("read")) + "\r\n\r\n", 400, ""})
	}
	list = append(list, attempt{"D4", e.ask("GET", "/public/a", "X: "+strings.Repeat("x", 100<<10)), 431, ""})
	post("D5", 413, fmt.Sprintf("Content-Length: %d", 1<<20+1), "")
	list = append(list, attempt{"D6", e.ask("POST", "/exact", "Content-Encoding: gzip", "Content-Length: 3") + "abc", 200, "POST /exact"})
	return list
}

// TestIncidents tells every row to both upstreams. Whatever a row expects, what the upstream saw was allowed, and carries
// nothing that a client wrote under a name that is not its own.
func TestIncidents(t *testing.T) {
	t.Parallel()
	for _, p := range []personality{strict, lenient} {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			e := newTalk(t, p)
			e.patience = 10 * time.Second
			for _, a := range e.incidents() {
				said := e.converse(t, a.raw)
				status := 0
				fmt.Sscanf(said, "HTTP/1.1 %d", &status)
				e.up.mu.Lock()
				var saw []string
				for _, req := range e.up.list {
					saw = append(saw, req.method+" "+req.target)
					for _, f := range slices.Concat(req.header, req.trailer) {
						if strings.Contains(f[1], "evil") {
							t.Errorf("%s: the upstream saw %s: %s", a.row, f[0], f[1])
						}
					}
				}
				e.up.mu.Unlock()
				if got := strings.Join(saw, ", "); status != a.status || got != a.saw {
					t.Errorf("%s: %.300q = %d, the upstream saw %q; want %d, %q", a.row, a.raw, status, got, a.status, a.saw)
				}
				e.checkUpstream(t, a.raw)
			}
		})
	}
}

// TestEveryRowIsTold holds the list of incidents: each has attempts in TestIncidents, a test elsewhere that is there, or a
// reason for having none; and no two of them.
func TestEveryRowIsTold(t *testing.T) {
	t.Parallel()
	told := map[string][]string{}
	for _, a := range newTalk(t, strict).incidents() {
		told[a.row] = []string{"TestIncidents"}
	}
	list, err := os.ReadFile("testdata/incidents.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(list)) {
		id, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		if id == "" || strings.HasPrefix(id, "#") {
			continue
		}
		rows++
		how, rest, _ := strings.Cut(where, " ")
		if how != "here" {
			told[id] = append(told[id], how)
		}
		switch {
		case how == "here" && rest == "", how == "none" && len(rest) > 20:
		case how == "elsewhere":
			for _, name := range strings.Fields(rest) {
				checkTest(t, id, name)
			}
		default:
			t.Errorf("%s: %q is neither here, nor elsewhere with tests, nor none with a reason", id, where)
		}
		if len(told[id]) != 1 {
			t.Errorf("%s is told by %v", id, told[id])
		}
		delete(told, id)
	}
	for id := range told {
		t.Errorf("%s is not in testdata/incidents.txt", id)
	}
	if rows != 146 {
		t.Errorf("%d rows, want 146", rows)
	}
}

// checkTest fails where package/path.TestName is not there.
func checkTest(t *testing.T, id, name string) {
	t.Helper()
	dir, test, _ := strings.Cut(name, ".")
	entries, err := os.ReadDir("../" + dir)
	if err != nil {
		t.Errorf("%s: %v", id, err)
		return
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), "_test.go") {
			content, err := os.ReadFile("../" + dir + "/" + entry.Name())
			if err == nil && test != "" && strings.Contains(string(content), "\nfunc "+test+"(") {
				return
			}
		}
	}
	t.Errorf("%s: there is no test %s in %s", id, test, dir)
}

// TestSharedBuckets is L1, L4 and L6: neither headers that name other addresses nor spellings of a path make another bucket,
// and over HTTP/2 each stream counts, also one that its client resets.
func TestSharedBuckets(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil,
		limited(public("GET /address"), perHour("address", 3, ratelimit.ByIP)),
		limited(public("GET /path/{rest...}"), perHour("path", 3, ratelimit.ByRoute)),
		limited(public("GET /stream"), perHour("stream", 3, ratelimit.ByIP)))
	client := s.client(true)
	get := func(ctx context.Context, target string, header ...string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, "GET", "https://"+s.addr+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		req.Host = "gate.example"
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		res.Body.Close()
		return res.StatusCode, nil
	}
	for i := range 5 {
		want := 200
		if i >= 3 {
			want = 429
		}
		address := fmt.Sprintf("203.0.113.%d", i)
		if status, err := get(t.Context(), "/address", "X-Forwarded-For", address, "X-Real-IP", address, "Forwarded", "for="+address, "True-Client-IP", address); status != want || err != nil {
			t.Errorf("L1, request %d: %d %v, want %d", i, status, err, want)
		}
		path := []string{"/path/x", "/path/x/", "/path/%78", "/path/x?z", "/path/y"}[i]
		if status, err := get(t.Context(), path); status != want || err != nil {
			t.Errorf("L4, %s: %d %v, want %d", path, status, err, want)
		}
	}
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		s.up.answerWith(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		if status, err := get(ctx, "/stream"); err == nil {
			t.Errorf("L6: a stream that was reset was answered %d", status)
		}
	}
	s.up.answerWith(nil)
	if status, err := get(t.Context(), "/stream"); status != 429 || err != nil {
		t.Errorf("L6: %d %v after three streams that were reset, want 429", status, err)
	}
}
