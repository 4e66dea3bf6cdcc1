package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/ratelimit"
	"gatehouse/internal/token"
)

const audience = "https://api.example.com/orders"

// world is a gateway on a real socket, a recording upstream behind it, and an issuer of tokens.
type world struct {
	t       testing.TB
	gw      *Gateway
	addr    string
	up      *recorder
	sink    *sink
	issuer  *issuer
	options Options
}

// newWorld builds one. Routes without an API get one whose upstream is the recorder.
func newWorld(t testing.TB, change func(*Options), routes ...*Route) *world {
	t.Helper()
	w := &world{t: t, up: newRecorder(t), sink: newSink(), issuer: newIssuer(t)}
	up := w.up.url(t)
	api := &API{Name: "orders", Upstream: up}
	for _, rt := range routes {
		if rt.API == nil {
			rt.API = api
		}
		if rt.API.Upstream == nil {
			rt.API.Upstream = up
		}
	}
	w.options = Options{
		Routes: routes, PublicURL: mustURL(t, "http://gate.example"),
		Own:      map[string]http.Handler{"/oauth/token": http.HandlerFunc(ownEndpoint)},
		Verifier: w.issuer.verifier(t), Revocations: w.issuer, Clients: w.issuer, Limiter: ratelimit.New(ratelimit.Options{}),
		Sinks: []exchange.Sink{w.sink}, IdleTimeout: 20 * time.Second,
	}
	if change != nil {
		change(&w.options)
	}
	var err error
	if w.gw, err = New(w.options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.gw.Retire)
	w.addr = listen(t, w.gw, w.options.IdleTimeout)
	return w
}

// listen serves h with the public server and returns its address.
func listen(t testing.TB, h http.Handler, idle time.Duration) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Server(h, ServerOptions{IdleTimeout: idle})
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

func ownEndpoint(w http.ResponseWriter, r *http.Request) {
	rec := exchange.FromContext(r.Context())
	rec.Endpoint, rec.Verdict = "token", exchange.Allow
	io.WriteString(w, "own")
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// scoped, anyToken and public are routes as tests need them.
func scoped(match string, scopes ...string) *Route {
	rt := public(match)
	rt.Public = false
	rt.Policy = authz.Policy{Audience: audience, Issuers: []string{"local"}, Scopes: token.Require(scopes, nil), MaxStaleness: time.Minute}
	return rt
}

func anyToken(match string) *Route {
	rt := scoped(match)
	rt.Policy.Scopes = token.AnyToken()
	return rt
}

func public(match string) *Route {
	method, pattern, ok := strings.Cut(match, " ")
	if !ok {
		method, pattern = "", match
	}
	return &Route{Method: method, Pattern: pattern, Match: match, Public: true, MaxBody: 1 << 20, Cost: 1}
}

// issuer is the key, the revocations and the clients of one node.
type issuer struct {
	key *token.PrivateKey

	mu        sync.Mutex
	revoked   map[string]bool // by client
	status    map[string]authz.ClientStatus
	staleness time.Duration
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := token.Generate(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key: key, revoked: map[string]bool{}, status: map[string]authz.ClientStatus{"disabled": authz.Disabled}}
}

func (i *issuer) verifier(t testing.TB) *authz.Verifier {
	t.Helper()
	v, err := authz.NewVerifier(authz.Options{CacheEntries: 1000, CacheBytes: 1 << 20, Issuers: []authz.Issuer{{
		Name: "local", URL: "http://gate.example", Algorithms: []token.Algorithm{token.ES256}, Keys: i, MaxLifetime: time.Hour,
		Dialect: func(string) (token.Dialect, bool) { return token.RFC9068, true },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (i *issuer) Key(kid string, _ token.Algorithm) *token.PublicKey {
	if kid == i.key.Public().ID() {
		return i.key.Public()
	}
	return nil
}

func (i *issuer) Generation() uint64 { return 1 }

func (i *issuer) Revoked(p *authz.Principal) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.revoked[p.Client]
}

func (i *issuer) Staleness() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.staleness
}

func (i *issuer) Ready() bool { return true }

func (i *issuer) Status(_, id string) authz.ClientStatus {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s, ok := i.status[id]; ok {
		return s
	}
	return authz.Enabled
}

// token returns a token of client "worker" with the scopes, changed by change.
func (w *world) token(scopes string, change ...func(*token.Issue)) string {
	w.t.Helper()
	now := time.Now().Unix()
	set, err := token.ParseScopes(scopes)
	if err != nil {
		w.t.Fatal(err)
	}
	i := token.Issue{Issuer: "http://gate.example", Client: "worker", Audience: audience, ID: token.NewID(), Scopes: set,
		IssuedAt: now, Expires: now + 600, Dialect: token.RFC9068}
	for _, f := range change {
		f(&i)
	}
	raw, err := w.issuer.key.Issue(i)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// seen is a request as an upstream got it.
type seen struct {
	method, target, host, body string
	header, trailer            http.Header
	encoding                   []string
	length                     int64
}

// recorder is an upstream that keeps what it gets and answers with answer, 200 "ok" where that is nil.
type recorder struct {
	*httptest.Server
	mu     sync.Mutex
	list   []seen
	answer http.HandlerFunc
}

func newRecorder(t testing.TB) *recorder {
	rec := &recorder{}
	rec.Server = httptest.NewServer(rec)
	t.Cleanup(rec.Close)
	return rec
}

func (rec *recorder) url(t testing.TB) *url.URL { return mustURL(t, rec.URL) }

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec.mu.Lock()
	answer := rec.answer
	rec.mu.Unlock()
	if answer != nil {
		rec.keep(r, "")
		answer(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	rec.keep(r, string(body))
	io.WriteString(w, "ok")
}

func (rec *recorder) keep(r *http.Request, body string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.list = append(rec.list, seen{r.Method, r.RequestURI, r.Host, body, r.Header.Clone(), r.Trailer.Clone(), r.TransferEncoding, r.ContentLength})
}

func (rec *recorder) answerWith(h http.HandlerFunc) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.answer = h
}

// take returns what was seen since the last take.
func (rec *recorder) take() []seen {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	list := rec.list
	rec.list = nil
	return list
}

// sink keeps finished records by request id.
type sink struct {
	mu    sync.Mutex
	more  *sync.Cond
	list  []exchange.Record
	count map[string]int
}

func newSink() *sink {
	s := &sink{count: map[string]int{}}
	s.more = sync.NewCond(&s.mu)
	return s
}

func (s *sink) Finish(r *exchange.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, *r)
	s.count[r.ID]++
	s.more.Broadcast()
}

// last waits for the n-th record and returns it. The test's own timeout bounds the wait.
func (s *sink) nth(n int) exchange.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.list) < n {
		s.more.Wait()
	}
	return s.list[n-1]
}

// answer is a response as the raw client read it.
type answer struct {
	*http.Response
	body string
}

// raw writes the bytes on a new connection and returns all the responses that come back before the gateway closes it or
// until as many as there are methods are read.
func (w *world) raw(text string, methods ...string) []answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	return readAnswers(bufio.NewReader(conn), methods...)
}

func readAnswers(r *bufio.Reader, methods ...string) (list []answer) {
	for _, m := range methods {
		res, err := http.ReadResponse(r, &http.Request{Method: m})
		if err != nil {
			return list
		}
		body, _ := io.ReadAll(res.Body)
		list = append(list, answer{res, string(body)})
	}
	return list
}

// get sends one request whose target is written byte for byte.
func (w *world) get(target string, headers ...string) answer {
	w.t.Helper()
	return w.send("GET", target, headers...)
}

func (w *world) send(method, target string, headers ...string) answer {
	w.t.Helper()
	var b bytes.Buffer
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: gate.example\r\n")
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	list := w.raw(b.String(), method)
	if len(list) != 1 {
		w.t.Fatalf("%s %s: no response", method, target)
	}
	return list[0]
}

func bearer(raw string) string { return "Authorization: Bearer " + raw }

func prefixes(t testing.TB, list ...string) (out []netip.Prefix) {
	t.Helper()
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}
