package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/exchange"
)

// permission is what the oracle of FuzzAuthorized knows of the policy, in its own words: who may do what to which subtree
// of the upstream.
type permission struct {
	scope   string // "" for everybody
	methods []string
	exact   bool
	path    string
}

// The policy twice: as routes, and as what an upstream may then see. The token that is used has read alone.
var permissions = []permission{
	{"", []string{"GET", "HEAD"}, false, "/open"},
	{"read", []string{"GET", "HEAD"}, false, "/public"},
	{"read", []string{"GET", "HEAD"}, false, "/files"},
	{"read", []string{"POST"}, true, "/exact"},
	{"read", []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"}, false, "/stripped"},
}

func newAuthorizedWorld(t testing.TB, p personality, more ...*Route) (*world, *wire) {
	t.Helper()
	up := newWire(t, p)
	files := scoped("GET /files/{path...}", "read")
	files.Allow = AllowSlash | AllowDoubleSlash | AllowPercent | AllowSemicolon
	stripped, purge := scoped("/api/{path...}", "read"), scoped("PURGE /api/{path...}", "read")
	stripped.API = &API{Name: "stripped", StripPrefix: "/api", Upstream: up.url(t, "/stripped")}
	purge.API = stripped.API
	list := []*Route{public("GET /open/{path...}"), scoped("GET /public/{path...}", "read"), files, scoped("POST /exact", "read"), stripped, purge,
		scoped("/admin/{path...}", "admin"), scoped("GET /exact", "admin"), scoped("/public/admin", "admin")}
	list = append(list, more...)
	main := &API{Name: "main", Upstream: up.url(t, "")}
	for _, rt := range list {
		if rt.API == nil {
			rt.API = main
		}
	}
	return newWorld(t, func(o *Options) { o.IdleTimeout = time.Second }, list...), up
}

// identities are the headers that say who asks. The upstream has one value of each or none, in every reading.
var identities = map[string]string{"X-Client-Id": "worker", "X-Token-Issuer": "http://gate.example", "X-Token-Subject": "worker", "X-Token-Scopes": "read"}

// unauthorized says what is wrong with a request that the upstream saw; "" where the token that was sent allows it.
func unauthorized(p personality, req wireRequest) string {
	known := 0
	for name, want := range identities {
		fields := slices.Concat(p.values(req.header, name), p.values(req.trailer, name))
		if len(fields) > 1 || len(fields) == 1 && fields[0] != want {
			return fmt.Sprintf("%s is %q", name, fields)
		}
		known += len(fields)
	}
	if known != 0 && known != len(identities) {
		return "half an identity"
	}
	if authorization := p.values(req.header, "Authorization"); known > 0 && len(authorization) > 0 {
		return "the token came along"
	}
	for _, path := range p.paths(req.target) {
		ok := slices.ContainsFunc(permissions, func(may permission) bool {
			inside := path == may.path || !may.exact && strings.HasPrefix(path, may.path+"/")
			return inside && slices.Contains(may.methods, req.method) && (known > 0) == (may.scope != "")
		})
		if !ok || p.admin(path) {
			return fmt.Sprintf("%s %s, of %s", req.method, path, req.target)
		}
	}
	return ""
}

// admin reports whether a path is the one below /public that is not for the token.
func (p personality) admin(path string) bool { return path == "/public/admin" }

// talk is a world whose connections are known to have ended.
type talk struct {
	*world
	up       *wire
	closed   chan struct{}
	patience time.Duration // how long the first byte of an answer is waited for
}

// newTalk serves the gateway of a new world once more, one connection at a time.
func newTalk(t testing.TB, p personality, more ...*Route) *talk {
	t.Helper()
	w, up := newAuthorizedWorld(t, p, more...)
	e := &talk{w, up, make(chan struct{}, 1), 50 * time.Millisecond}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Server(w.gw, ServerOptions{IdleTimeout: w.options.IdleTimeout})
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed || s == http.StateHijacked {
			e.closed <- struct{}{}
		}
	}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	w.addr = ln.Addr().String()
	return e
}

// converse writes the bytes, reads until the gateway has nothing more to say, and waits until it is done with all of them. It
// returns what the gateway said.
func (e *talk) converse(t testing.TB, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { <-e.closed }()
	defer conn.Close()
	go io.WriteString(conn, text)
	var said []byte
	buf := make([]byte, 4096)
	for wait := e.patience; ; wait = 5 * time.Millisecond {
		conn.SetReadDeadline(time.Now().Add(wait))
		n, err := conn.Read(buf)
		if said = append(said, buf[:n]...); err != nil {
			return string(said)
		}
	}
}

// checkUpstream holds all that the upstream saw against the oracle, and against what the gateway says that it let through.
func (e *talk) checkUpstream(t *testing.T, sent string) {
	t.Helper()
	up := e.up
	list, faults := up.take()
	for _, f := range faults {
		t.Errorf("sent %q, the %s upstream cannot read %s", sent, up.p, f)
	}
	for _, req := range list {
		if why := unauthorized(up.p, req); why != "" {
			t.Errorf("sent %q, the %s upstream saw what was not allowed: %s in %+v", sent, up.p, why, req)
		}
		ids := up.p.values(req.header, "X-Request-Id")
		if len(ids) != 1 {
			t.Errorf("sent %q, the %s upstream saw request ids %q", sent, up.p, ids)
			continue
		}
		rec, n := e.sink.byID(ids[0])
		path, _, _ := strings.Cut(req.target, "?")
		if given := strings.TrimPrefix(path, "/stripped"); n != 1 || rec.Verdict != exchange.Allow || rec.Method != req.method || !strings.HasSuffix(rec.Path, given) {
			t.Errorf("sent %q, the upstream saw %s %s, and the record says %s %s %s, %d times", sent, req.method, req.target, rec.Verdict, rec.Method, rec.Path, n)
		}
	}
	e.sink.forget()
}

// byID finds the record of a request that has ended, and counts how many there are.
func (s *sink) byID(id string) (rec exchange.Record, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.list {
		if r.ID == id {
			rec, n = r, n+1
		}
	}
	return rec, n
}

// forget drops all but the latest records, so that a long run keeps few. An upstream may come late with what it saw.
func (s *sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) > 1000 {
		s.list, s.count = slices.Clone(s.list[len(s.list)-100:]), map[string]int{}
	}
}

// conversations are requests to mutate: every kind of framing, of target and of header that this package knows to be a
// trick. TOKEN stands for a token with read.
func conversations(t testing.TB) (list []string) {
	const host, token = "Host: gate.example\r\n", "Authorization: Bearer TOKEN\r\n"
	add := func(method, target, header, body string) {
		list = append(list, method+" "+target+" HTTP/1.1\r\n"+host+token+header+"\r\n"+body)
	}
	for _, target := range []string{"/public/a", "/public/admin", "/open/a", "/admin/a", "/exact", "/files/a%2Fb;c%25//d", "/api/a/b", "/api", "/api/../admin/a",
		"/%61pi/%61", "/public/%61dmin", "/public/%2e%2e/admin/a", "/public/..;/admin/a", "http://gate.example/public/a", "/public/a?b=/../..&c;d", "/public//admin", "/api//admin/x"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "PURGE", "CONNECT"} {
			add(method, target, "", "")
		}
	}
	hidden := "GET /admin/a HTTP/1.1\r\n" + host + "\r\n"
	for _, framing := range []string{"Content-Length: 3\r\n", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding:\tchunked\r\n",
		"Transfer-Encoding\r\n : chunked\r\n", "Content-Length: 0\r\n 5\r\n", "Connection: Content-Length\r\nContent-Length: 3\r\n", "Transfer_Encoding: chunked\r\nContent-Length: 3\r\n",
		"Connection: Transfer-Encoding, X-Client-Id\r\nTransfer-Encoding: chunked\r\n", "Expect: 100-continue\r\nContent-Length: 3\r\n", "Upgrade: h2c\r\nHTTP2-Settings: AA\r\nConnection: Upgrade, HTTP2-Settings\r\n"} {
		for _, body := range []string{"abc", "3\r\nabc\r\n0\r\n\r\n", "0\r\nX-Client-Id: evil\r\n\r\n", "3;x=\ny\r\nabc\r\n0\r\nX-Token-Scopes: admin\r\n\r\n", "3\nabc\n0\n\n"} {
			add("POST", "/exact", framing, body+hidden)
		}
	}
	for _, header := range reservedExamples {
		add("GET", "/public/a", header+": evil\r\n"+strings.ReplaceAll(header, "-", "_")+": evil\r\nConnection: "+header+"\r\n", "")
		add("GET", "/open/a", strings.ToLower(header)+": evil\r\n"+strings.ReplaceAll(header, "-", ".")+": evil\r\n", hidden)
	}
	return append(list, "GET /public/a HTTP/1.1\n"+strings.ReplaceAll(host+token, "\r", "")+"\n", "GET /public/a HTTP/1.0\r\n"+host+token+"\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /public/a HTTP/1.1\r\n"+host+host+token+"\r\n", "GET /public/a HTTP/1.1\r\n"+host+token+token+"\r\n", "GET /public/a HTTP/1.1\r\n"+host+"X: a\r\n b\r\n"+token+"\r\n")
}

// FuzzAuthorized sends any bytes at all through a gateway, with a token for some paths: whatever an upstream sees was
// allowed to that token for that very method and path, in the words of a policy that knows nothing of the gateway's, for
// upstreams that read strictly and for those that decode, merge and fold.
func FuzzAuthorized(f *testing.F) {
	for _, text := range conversations(f) {
		f.Add([]byte(text))
	}
	var ends []*talk
	var tokens []string
	for _, p := range []personality{strict, lenient} {
		e := newTalk(f, p, scoped("PUT /{path...}", "admin"))
		ends, tokens = append(ends, e), append(tokens, e.token("read"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 32<<10 {
			return
		}
		for i, e := range ends {
			e.converse(t, strings.ReplaceAll(string(text), "TOKEN", tokens[i]))
			e.checkUpstream(t, string(text))
		}
	})
}

// TestAuthorizedSeesRequests holds the fuzz test's own parts to their purpose: the good conversations reach both upstreams,
// and the oracle refuses what is not allowed.
func TestAuthorizedSeesRequests(t *testing.T) {
	t.Parallel()
	for _, p := range []personality{strict, lenient} {
		e := newTalk(t, p)
		raw := e.token("read")
		for _, target := range []string{"GET /public/a", "HEAD /open/a?b", "POST /exact", "PURGE /api/x", "GET /files/a%2Fb;c%25//d"} {
			e.converse(t, target+" HTTP/1.1\r\nHost: gate.example\r\n"+bearer(raw)+"\r\n\r\n")
			list, faults := e.up.take()
			if len(list) != 1 || len(faults) != 0 {
				t.Fatalf("%s: the %s upstream saw %+v, faults %v", target, p, list, faults)
			}
			if why := unauthorized(p, list[0]); why != "" {
				t.Errorf("%s: %s", target, why)
			}
		}
	}
	identity := func(change ...[2]string) (list [][2]string) {
		for name, value := range identities {
			list = append(list, [2]string{name, value})
		}
		return append(list, change...)
	}
	for name, req := range map[string]wireRequest{
		"an admin path":      {method: "GET", target: "/admin/a", header: identity()},
		"another method":     {method: "POST", target: "/public/a", header: identity()},
		"no identity":        {method: "GET", target: "/public/a"},
		"a second identity":  {method: "GET", target: "/public/a", header: identity([2]string{"x_client.id", "evil"})},
		"one in the trailer": {method: "GET", target: "/public/a", header: identity(), trailer: [][2]string{{"X-Token-Scopes", "admin"}}},
		"the token":          {method: "GET", target: "/public/a", header: identity([2]string{"Authorization", "Bearer x"})},
		"dots":               {method: "GET", target: "/public/%252e%252e/admin/a", header: identity()},
		"a parameter":        {method: "GET", target: "/public/admin;x", header: identity()},
	} {
		if unauthorized(lenient, req) == "" {
			t.Errorf("the oracle allows %s", name)
		}
	}
}
