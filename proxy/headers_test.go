package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"gatehouse/internal/token"
)

// fold is how the most lenient upstream compares header names: without case, and every byte that is no letter or digit a dash.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// reservedExamples has a name for each reserved one, and some below each prefix.
var reservedExamples = []string{"X-Client-Id", "X-Client-Cert", "X-Client-Cert-Chain", "Client-Cert", "Client-Cert-Chain", "X-Token-Issuer", "X-Token-Subject",
	"X-Token-Scopes", "X-Token-Anything", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri",
	"Forwarded", "X-Real-IP", "X-Original-URL", "X-Original-Method", "X-Rewrite-URL", "X-Envoy-Internal", "True-Client-IP", "CF-Connecting-IP",
	"X-HTTP-Method", "X-HTTP-Method-Override", "Proxy"}

// TestReservedHeaders is H2, H3 and H6 as a property: however a reserved name is written, it does not pass.
func TestReservedHeaders(t *testing.T) {
	t.Parallel()
	for _, name := range reservedExamples {
		for range 200 {
			b := []byte(name)
			for i := range b {
				switch c := b[i]; {
				case c == '-' && rand.IntN(2) == 0:
					b[i] = "_.!~"[rand.IntN(4)]
				case rand.IntN(2) == 0:
					b[i] = strings.ToUpper(string(c))[0]
				default:
					b[i] = strings.ToLower(string(c))[0]
				}
			}
			if passes(string(b)) {
				t.Fatalf("%q passes, and %s is reserved", b, name)
			}
		}
	}
	for _, name := range []string{"X-Client-Version", "Accept", "Cookie", "X-Tokens", "X-Forward", "Proxys", "Prox", "X-Originals", "X-Request-Id", "Client"} {
		if !passes(name) {
			t.Errorf("%q is dropped; it is the API's", name)
		}
	}
}

func FuzzPasses(f *testing.F) {
	for _, name := range reservedExamples {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !passes(name) {
			return
		}
		for _, r := range reservedExamples {
			if fold(name) == fold(r) {
				t.Fatalf("%q passes and folds to %q", name, r)
			}
		}
	})
}

// TestIdentityHeaders sends every trick at once, on every kind of route, and wants exactly the gateway's own values.
func TestIdentityHeaders(t *testing.T) {
	t.Parallel()
	keep := scoped("GET /keep", "read")
	keep.KeepAuthorization = true
	observed := scoped("GET /observed", "read")
	observed.Observe, observed.KeepAuthorization = true, true
	w := newWorld(t, nil, scoped("GET /a", "read"), public("GET /p"), keep, observed)
	var tricks []string
	for _, name := range reservedExamples {
		tricks = append(tricks, name+": evil", strings.ToLower(name)+": evil", strings.ReplaceAll(name, "-", "_")+": evil", strings.ReplaceAll(name, "-", ".")+": evil")
	}
	tricks = append(tricks, "X-Request-Id: evil", "traceparent: evil", "tracestate: evil=1", "X-Client-Version: 7", "Te: trailers",
		"Connection: close, X-Client-Id,, x-token-scopes , X-Request-Id", "connection: authorization, traceparent, x-real-ip, x-forwarded-for")
	good := w.token("read write")
	who := map[string]string{"X-Client-Id": "worker", "X-Token-Issuer": "http://gate.example", "X-Token-Subject": "worker", "X-Token-Scopes": "read write"}
	nobody := map[string]string{"X-Client-Id": "", "X-Token-Issuer": "", "X-Token-Subject": "", "X-Token-Scopes": ""}
	for _, tt := range []struct {
		target, raw string
		identity    map[string]string
		kept        bool
	}{
		{"/a", good, who, false},
		{"/keep", good, who, true},
		{"/p", good, nobody, true},
		{"/observed", good, who, true},
		{"/observed", w.token("write"), map[string]string{"X-Client-Id": "worker", "X-Token-Issuer": "http://gate.example", "X-Token-Subject": "worker", "X-Token-Scopes": "write"}, true},
		{"/observed", w.token("read", func(i *token.Issue) { i.Audience = "x" }), nobody, true},
		{"/observed", w.token("read", func(i *token.Issue) { i.Client = "disabled" }), nobody, true},
		{"/observed", "junk", nobody, true},
	} {
		res := w.get(tt.target, append(tricks, bearer(tt.raw))...)
		list := w.up.take()
		if res.StatusCode != 200 || len(list) != 1 {
			t.Fatalf("%s: %d, %d requests upstream", tt.target, res.StatusCode, len(list))
		}
		checkHeaders(t, tt.target, list[0].header, tt.identity)
		if got := list[0].header.Get("Authorization"); (got == "Bearer "+tt.raw) != tt.kept || (got == "") == tt.kept {
			t.Errorf("%s: Authorization %q, want kept %v", tt.target, got, tt.kept)
		}
		if got := list[0].header.Get("X-Request-Id"); got == "" || got != res.Header.Get("X-Request-Id") || got == "evil" {
			t.Errorf("%s: X-Request-Id %q upstream, %q in the response", tt.target, got, res.Header.Get("X-Request-Id"))
		}
	}
}

func checkHeaders(t *testing.T, target string, h http.Header, identity map[string]string) {
	t.Helper()
	for name, want := range identity {
		if got := strings.Join(h[http.CanonicalHeaderKey(name)], "|"); got != want {
			t.Errorf("%s: %s is %q, want %q", target, name, got, want)
		}
	}
	for name, values := range h {
		if fmt.Sprint(values) == "[evil]" {
			t.Errorf("%s: %s came through", target, name)
		}
		if !isPlain(name) {
			t.Errorf("%s: %q came through", target, name)
		}
	}
	for name, want := range map[string]string{"X-Real-Ip": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "gate.example",
		"X-Forwarded-Proto": "http", "X-Client-Version": "7", "Te": "trailers", "Tracestate": "", "Accept-Encoding": ""} {
		if got := strings.Join(h[name], "|"); got != want {
			t.Errorf("%s: %s is %q, want %q", target, name, got, want)
		}
	}
	if !isTraceparent(h.Get("Traceparent")) {
		t.Errorf("%s: traceparent %q", target, h.Get("Traceparent"))
	}
}

// TestClaimValuesStayValues is H15: no claim ends a header.
func TestClaimValuesStayValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, anyToken("GET /a"))
	for client, want := range map[string]string{"a\r\nX-Evil: 1": "a%0D%0AX-Evil:%201", "a,b": "a,b", "é": "%C3%A9", "100%": "100%25"} {
		got := w.get("/a", bearer(w.token("", func(i *token.Issue) { i.Client = client })))
		list := w.up.take()
		if got.StatusCode == 401 && len(list) == 0 {
			continue // refused as a client id is as good
		}
		if len(list) != 1 || list[0].header.Get("X-Client-Id") != want || list[0].header.Get("X-Evil") != "" {
			t.Errorf("client %q: %d %v", client, got.StatusCode, list)
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	trusted := func(o *Options) { o.TrustedProxies = prefixes(t, "127.0.0.0/8", "10.0.0.0/8") }
	for _, tt := range []struct {
		name    string
		change  func(*Options)
		headers []string
		want    map[string]string
	}{
		{"nobody is trusted", nil, []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"},
			map[string]string{"X-Real-Ip": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "gate.example"}},
		{"from the right", trusted, []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 9.9.9.9, 10.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: outside.example"},
			map[string]string{"X-Real-Ip": "9.9.9.9", "X-Forwarded-For": "6.6.6.6, 9.9.9.9, 10.1.1.1, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "outside.example"}},
		{"junk ends the walk", trusted, []string{"X-Forwarded-For: 9.9.9.9, junk, 10.1.1.1", "X-Forwarded-Proto: gopher"},
			map[string]string{"X-Real-Ip": "10.1.1.1", "X-Forwarded-Proto": "http"}},
		{"port and mapped", trusted, []string{"X-Forwarded-For: [::ffff:9.9.9.9]:1234"}, map[string]string{"X-Real-Ip": "9.9.9.9"}},
		{"all trusted", trusted, []string{"X-Forwarded-For: 10.2.2.2, 10.1.1.1"}, map[string]string{"X-Real-Ip": "10.2.2.2"}},
	} {
		w := newWorld(t, tt.change, public("GET /a"))
		w.get("/a", tt.headers...)
		list := w.up.take()
		if len(list) != 1 {
			t.Fatalf("%s: %d requests upstream", tt.name, len(list))
		}
		for name, want := range tt.want {
			if got := strings.Join(list[0].header[name], "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, name, got, want)
			}
		}
		if rec := w.sink.nth(1); rec.Remote != tt.want["X-Real-Ip"] {
			t.Errorf("%s: the record says %s", tt.name, rec.Remote)
		}
	}
}

func TestTraceContinues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, public("GET /a"))
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	w.get("/a", "traceparent: "+parent, "tracestate: a=1")
	h := w.up.take()[0].header
	if h.Get("Traceparent") != parent || h.Get("Tracestate") != "a=1" {
		t.Errorf("traceparent %q, tracestate %q", h.Get("Traceparent"), h.Get("Tracestate"))
	}
	for in, want := range map[string]bool{parent: true, "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": false, strings.ToUpper(parent): false,
		"ff" + parent[2:]: false, parent + "-x": false, "01" + parent[2:] + "-x": true, "01" + parent[2:] + "x": false, "": false} {
		if isTraceparent(in) != want {
			t.Errorf("isTraceparent(%q) = %v", in, !want)
		}
	}
}

func TestHostToUpstream(t *testing.T) {
	t.Parallel()
	kept := public("GET /kept")
	kept.API = &API{Name: "kept", KeepHost: true}
	based := public("GET /based/{path...}")
	w := newWorld(t, nil, public("GET /a"), kept)
	up := w.up.url(t)
	up.Path = "/base/"
	based.API = &API{Name: "based", Upstream: up, StripPrefix: "/based"}
	gw := newWorld(t, nil, based)
	w.get("/a")
	w.get("/kept")
	gw.get("/based/x%2Dy?q")
	gw.get("/based/")
	list := w.up.take()
	want := [][2]string{{up.Host, "/a"}, {"gate.example", "/kept"}, {up.Host, "/base/x%2Dy?q"}, {up.Host, "/base/"}}
	for i, s := range list {
		if got := [2]string{s.host, s.target}; got != want[i] {
			t.Errorf("upstream got %v, want %v", got, want[i])
		}
	}
	if len(list) != len(want) {
		t.Errorf("%d requests upstream, want %d", len(list), len(want))
	}
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	if got := peerAddr("@"); got.IsValid() {
		t.Errorf("a Unix socket has the address %v", got)
	}
	if got, want := peerAddr("[::ffff:1.2.3.4]:5"), netip.MustParseAddr("1.2.3.4"); got != want {
		t.Errorf("mapped IPv4: %v, want %v", got, want)
	}
}

// The cookie of the admin listener's page goes to no upstream, and all others do, byte for byte.
func TestPrivateCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.PrivateCookie = "gatehouse_admin" }, public("GET /p"))
	for sent, want := range map[string]string{
		"gatehouse_admin=s3cret":                      "",
		"a=1; gatehouse_admin=s3cret; b=2":            "a=1; b=2",
		"gatehouse_admin=s3cret; b=\"2\"":             "b=\"2\"",
		"a=1;gatehouse_admin=s3cret;gatehouse_admin=": "a=1",
		"a=gatehouse_admin; my_gatehouse_admin=1":     "a=gatehouse_admin; my_gatehouse_admin=1",
		"a=1;  b=2": "a=1;  b=2",
	} {
		w.raw("GET /p HTTP/1.1\r\nHost: gate.example\r\nCookie: "+sent+"\r\n\r\n", "GET")
		list := w.up.take()
		if len(list) != 1 || list[0].header.Get("Cookie") != want {
			t.Errorf("Cookie: %s reached the upstream as %v, wanted %q", sent, list, want)
		}
	}
}
