package hook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/secret"
)

const key = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var question = Question{Client: "billing", Audience: "https://api.example.com/orders", Scopes: []string{"orders:read", "orders:write"}, Asked: []string{}, RequestID: "01J"}

// ask starts a server of the kind, and asks it once.
func ask(t *testing.T, serve http.HandlerFunc, change func(*Options)) (Answer, error) {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return hookAt(t, server.URL+"/?sig=canary", change).Ask(t.Context(), question)
}

func hookAt(t *testing.T, at string, change func(*Options)) *Hook {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: u, Secret: secret.Hide(key), Timeout: 10 * time.Second, Clients: NewClients(nil, nil)}
	t.Cleanup(func() { o.Clients.Close() })
	if change != nil {
		change(&o)
	}
	return New(o)
}

func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

// hang waits until the caller goes away, which the server sees once the body is read.
func hang(r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// TestQuestion holds what a hook is sent, and verifies the signature as Standard Webhooks says.
func TestQuestion(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	seen := make(chan *http.Request, 1)
	_, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		seen <- r
		io.WriteString(w, "{}")
	}, func(o *Options) { o.Now = func() time.Time { return at } })
	if err != nil {
		t.Fatal(err)
	}
	r := <-seen
	body, _ := io.ReadAll(r.Body)
	want := `{"client":"billing","audience":"https://api.example.com/orders","scopes":["orders:read","orders:write"],"asked":[],"request_id":"01J"}`
	if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || string(body) != want || r.URL.RawQuery != "sig=canary" {
		t.Errorf("%s %s %s", r.Method, r.Header, body)
	}
	id, sent := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id + "." + sent + "." + want))
	if signature := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != signature || sent != "1700000000" || len(id) < 16 {
		t.Errorf("id %q, timestamp %q, signature %q, want %q", id, sent, r.Header.Get("Webhook-Signature"), signature)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{}`: "orders:read orders:write [] <nil>",
		` {"scopes":["orders:read"],"claims":{"https://e.x/b":[1,{"c":null}],"https://e.x/a":"t"}} `: `orders:read [https://e.x/a="t" https://e.x/b=[1,{"c":null}]] <nil>`,
		`{"scopes":[]}`: " [] <nil>",
		`{"scopes":["orders:write","orders:write"]}`:                     "orders:write [] <nil>",
		`{"deny":{"error":"access_denied","description":"no contract"}}`: " [] &{access_denied no contract}",
		`{"deny":{"error":"invalid_scope"}}`:                             " [] &{invalid_scope }",
		`{"deny":{"error":"server_error"}}`:                              "error",
		`{"deny":{"error":"access_denied"},"scopes":[]}`:                 "error",
		`{"deny":{"error":"access_denied","description":"a\nb"}}`:        "error",
		`{"deny":{"error":"access_denied","description":""}}`:            "error",
		`{"deny":{"error":"access_denied","detail":"x"}}`:                "error",
		`{"deny":{}}`:                                               "error",
		`{"deny":null}`:                                             "error",
		`{"scopes":["orders:admin"]}`:                               "error",
		`{"scopes":["orders:read","orders:admin"]}`:                 "error",
		`{"scopes":"orders:read"}`:                                  "error",
		`{"scopes":null}`:                                           "error",
		`{"scopes":[null]}`:                                         "error",
		`{"Scopes":["orders:read"]}`:                                "error",
		`{"scopes":["orders:read"],"scopes":["orders:write"]}`:      "error",
		`{"scopes":["orders:read"],"\u0073copes":["orders:write"]}`: "error",
		`{"claims":{"https://e.x/a":1,"https://e.x/a":2}}`:          "error",
		`{"claims":[]}`:                                             "error",
		`{"claims":null}`:                                           "error",
		`{"allow":true}`:                                            "error",
		`[]`:                                                        "error",
		`null`:                                                      "error",
		``:                                                          "error",
		`{`:                                                         "error",
		`{"scopes":["orders:read"]}{}`:                              "error",
		`{"scopes":["orders:read"]`:                                 "error",
		`{"claims":{"https://e.x/a":` + strings.Repeat(`[`, 20_000) + `}}`:   "error",
		`{"claims":{"https://e.x/a":"` + strings.Repeat("x", 70<<10) + `"}}`: "error",
		"\xef\xbb\xbf{}": "error",
		`{"deny":{"error":"access_denied","description":"` + strings.Repeat("x", 513) + `"}}`: "error",
	} {
		a, err := ask(t, answering(body), nil)
		got := "error"
		if err == nil {
			var claims []string
			for _, c := range a.Claims {
				claims = append(claims, c.Name+"="+string(c.Value))
			}
			got = fmt.Sprintf("%s %v %v", a.Scopes, claims, a.Deny)
		}
		if got != want {
			t.Errorf("%.80s: %s (%v), want %s", body, got, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "admin")) {
			t.Errorf("the error tells too much: %v", err)
		}
	}
}

// TestNoAnswer: whatever is no answer is an error, in time.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(answering("{}"))
	t.Cleanup(elsewhere.Close)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(code)
			if code != http.StatusNoContent {
				io.WriteString(w, "{}")
			}
		}
	}
	short := func(o *Options) { o.Timeout = 50 * time.Millisecond }
	for name, tt := range map[string]struct {
		serve  http.HandlerFunc
		change func(*Options)
		want   string
	}{
		"201":                    {status(201), nil, "201"},
		"204":                    {status(204), nil, "204"},
		"307":                    {status(307), nil, "307"},
		"302":                    {status(302), nil, "302"},
		"403":                    {status(403), nil, "403"},
		"500":                    {status(500), nil, "500"},
		"silence":                {func(_ http.ResponseWriter, r *http.Request) { hang(r) }, short, "within 50ms"},
		"silence after the head": {func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); hang(r) }, short, "within 50ms"},
		"a cut":                  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "EOF"},
		"a cut in the body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "{}")
		}, nil, "EOF"},
		"our own listener": {answering("{}"), func(o *Options) {
			at := netip.MustParseAddrPort(o.URL.Host)
			o.Clients = NewClients(func() []netip.AddrPort { return []netip.AddrPort{at} }, nil)
		}, "own listener"},
		"http beyond loopback":  {answering("{}"), func(o *Options) { o.URL.Host = "192.0.2.1" }, "not loopback"},
		"a cloud's credentials": {answering("{}"), func(o *Options) { o.URL.Scheme, o.URL.Host = "https", "169.254.169.254" }, "link-local"},
	} {
		a, err := ask(t, tt.serve, tt.change)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %+v, %v, want %q", name, a, err, tt.want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hookAt(t, elsewhere.URL, nil).Ask(gone, question); err == nil || !strings.Contains(err.Error(), "went away") {
		t.Errorf("the caller went away: %v", err)
	}
}

// TestTLS: a certificate of no authority is refused, one of the configured kind is taken, over HTTP/2 too.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"claims":{"urn:proto":%q}}`, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	if _, err := hookAt(t, server.URL, nil).Ask(t.Context(), question); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	a, err := hookAt(t, server.URL, func(o *Options) { o.Clients = NewClients(nil, &tls.Config{RootCAs: roots}) }).Ask(t.Context(), question)
	if err != nil || len(a.Claims) != 1 || string(a.Claims[0].Value) != `"HTTP/2.0"` {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestCrowd: of many questions at once to a hook that hangs, some wait, and all others are refused at once; those about one client
// leave room for another's.
func TestCrowd(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var waiting atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		waiting.Add(1)
		<-release
		io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	h := hookAt(t, server.URL, nil)
	var refused, answered atomic.Int64
	var all sync.WaitGroup
	const crowd = 3 * maxAtOnce
	for _, client := range []string{"one", "another"} {
		already := refused.Load()
		for range crowd {
			all.Go(func() {
				if _, err := h.Ask(t.Context(), Question{Client: client, Scopes: []string{"a"}}); err != nil {
					refused.Add(1)
				} else {
					answered.Add(1)
				}
			})
		}
		for deadline := time.Now().Add(10 * time.Second); refused.Load()-already < crowd-maxOfClient; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%d about %s were refused, want %d", refused.Load()-already, client, crowd-maxOfClient)
				break
			}
		}
	}
	if _, err := h.Ask(t.Context(), Question{Client: "a third", Scopes: []string{"a"}}); err == nil {
		t.Error("there is room for more than may wait")
	}
	close(release)
	all.Wait()
	if answered.Load() != maxAtOnce || waiting.Load() != maxAtOnce {
		t.Errorf("%d were asked and %d answered, want %d", waiting.Load(), answered.Load(), maxAtOnce)
	}
	if _, err := h.Ask(t.Context(), question); err != nil {
		t.Errorf("after the crowd: %v", err)
	}
	if h.room.all != 0 || len(h.room.of) != 0 {
		t.Errorf("what is left of the crowd: %d, %v", h.room.all, h.room.of)
	}
}

// TestErrorsQuoteNothing: what a hook sends is in no error, whatever is wrong with it.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"canary canary canary\r\n\r\n",
		"HTTP/1.1 canary OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncanary\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: canary\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n{}",
		"HTTP/1.1 302 Found\r\nLocation: http://canary%zz/\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 307 Found\r\nLocation: :canary\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("canary", 20<<10) + "\r\n\r\n{}",
		strings.Repeat("HTTP/1.1 103 canary\r\nX: canary\r\n\r\n", 5000),
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\ncanary",
		"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"canary\":\"canary\"}",
		"HTTP/1.1 101 canary\r\nUpgrade: canary\r\nConnection: upgrade\r\n\r\n{}",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Read(make([]byte, 4096))
				io.WriteString(c, answer)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		a, err := hookAt(t, "http://"+l.Addr().String(), nil).Ask(t.Context(), question)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%.60q: %+v, %v", answer, a, err)
		}
	}
}

// TestKeptConnection: a connection that the hook closed while it was idle costs no token.
func TestKeptConnection(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(answering("{}"))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	h := hookAt(t, server.URL, nil)
	for i := range 40 {
		if _, err := h.Ask(t.Context(), question); err != nil {
			t.Fatalf("question %d: %v", i, err)
		}
		if i%2 == 1 {
			server.CloseClientConnections()
		}
	}
	if n := conns.Load(); n < 20 || n > 39 {
		t.Errorf("%d connections for 40 questions, of which every other one ended them", n)
	}
}

// FuzzAnswer: whatever a hook says, what may be issued is within what was offered, and nothing panics.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{}`, `{"scopes":["a"],"claims":{"urn:a":1}}`, `{"deny":{"error":"invalid_scope","description":"d"}}`, `{"scopes":["c"]}`, `{"claims":{"urn:a":[[[]]]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := readAnswer(text, []string{"a", "b"})
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("%q is no JSON", text)
		}
		for s := range a.Scopes.All() {
			if s != "a" && s != "b" {
				t.Errorf("%q gives the scope %q", text, s)
			}
		}
		if a.Deny != nil && (a.Scopes.Len() > 0 || len(a.Claims) > 0) {
			t.Errorf("%q denies and gives", text)
		}
	})
}
