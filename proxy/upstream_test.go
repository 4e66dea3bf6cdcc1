package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// backends are servers behind one API, each with the count of what it got.
type backends struct {
	list  []*httptest.Server
	count []atomic.Int64
}

func newBackends(t testing.TB, n int, h http.HandlerFunc) *backends {
	t.Helper()
	b := &backends{count: make([]atomic.Int64, n)}
	for i := range n {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.count[i].Add(1)
			h(w, r)
		}))
		t.Cleanup(s.Close)
		b.list = append(b.list, s)
	}
	return b
}

func ok(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

// api is the API that they serve, with these weights; 1 where there are none.
func (b *backends) api(t testing.TB, weights ...int) *API {
	t.Helper()
	api := &API{Name: "pool"}
	for i, s := range b.list {
		e := Endpoint{URL: mustURL(t, s.URL)}
		if i < len(weights) {
			e.Weight = weights[i]
		}
		api.Upstreams = append(api.Upstreams, e)
	}
	return api
}

func (b *backends) counts() (list []int64) {
	for i := range b.count {
		list = append(list, b.count[i].Swap(0))
	}
	return list
}

// dead is the URL of a server that refuses connections.
func dead(t testing.TB) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	return mustURL(t, s.URL)
}

// gatewayFor serves the API on public routes for every method.
func gatewayFor(t testing.TB, api *API, change ...func(*Options)) *Gateway {
	t.Helper()
	rt := public("/{path...}")
	rt.API = api
	o := Options{PublicURL: mustURL(t, "http://gate.example"), Routes: []*Route{rt}}
	for _, f := range change {
		f(&o)
	}
	gw, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gw.Retire)
	return gw
}

// do sends a request through gw, and returns the status. body is "" for none.
func do(gw http.Handler, method, target, body string) int {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	res := httptest.NewRecorder()
	gw.ServeHTTP(res, httptest.NewRequest(method, target, in))
	return res.Code
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func endpointOf(gw *Gateway, u string) EndpointStatus {
	list := gw.Endpoints()
	return list[slices.IndexFunc(list, func(e EndpointStatus) bool { return e.URL == u })]
}

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		weights []int
		want    string
	}{
		{[]int{1}, "A"}, {[]int{7}, "A"}, {[]int{1, 1, 1}, "ABC"}, {[]int{2, 1}, "ABA"}, {[]int{5, 1, 1}, "AABACAA"}, {[]int{10, 10}, "AB"}, {[]int{200, 100, 100}, "ABCA"},
	} {
		var members []*member
		for _, w := range tt.weights {
			members = append(members, &member{weight: w})
		}
		var got strings.Builder
		for _, m := range spread(members) {
			got.WriteByte("ABC"[slices.Index(members, m)])
		}
		if got.String() != tt.want {
			t.Errorf("%v: %s, want %s", tt.weights, &got, tt.want)
		}
	}
}

// TestShares: requests are spread by weight, and so is what an endpoint that is away would have got.
func TestShares(t *testing.T) {
	t.Parallel()
	b := newBackends(t, 3, ok)
	api := b.api(t, 3, 2, 1)
	gw := gatewayFor(t, api)
	for range 120 {
		do(gw, "GET", "/", "")
	}
	if got := b.counts(); !slices.Equal(got, []int64{60, 40, 20}) {
		t.Errorf("shares %v, want 60, 40, 20", got)
	}
	gw.upstreams[api].members[0].ejected.Store(true)
	for range 120 {
		do(gw, "GET", "/", "")
	}
	if got := b.counts(); !slices.Equal(got, []int64{0, 80, 40}) {
		t.Errorf("without the first: %v, want 0, 80, 40", got)
	}
}

// TestLeastRequests: the less busy of two gets the request; where neither is busy the weights decide.
func TestLeastRequests(t *testing.T) {
	t.Parallel()
	b := newBackends(t, 2, ok)
	api := b.api(t, 1, 3)
	api.Balance = LeastRequests
	gw := gatewayFor(t, api)
	for range 400 {
		do(gw, "GET", "/", "")
	}
	if got := b.counts(); got[0] < 50 || got[0] > 150 {
		t.Errorf("idle, weights 1 and 3: %v", got)
	}
	busy := gw.upstreams[api].members[1]
	busy.inFlight.Add(3) // 3 for weight 3 is no more than 1 for weight 1
	for range 200 {
		do(gw, "GET", "/", "")
	}
	if got := b.counts(); got[1] != 0 {
		t.Errorf("the busy one got %v", got)
	}
	busy.inFlight.Add(-3)
	if n := busy.inFlight.Load() + gw.upstreams[api].members[0].inFlight.Load(); n != 0 {
		t.Errorf("%d requests are in flight after all have ended", n)
	}
}

// TestBasePaths: each endpoint's base path is put in front, byte for byte.
func TestBasePaths(t *testing.T) {
	t.Parallel()
	var got sync.Map
	b := newBackends(t, 2, func(_ http.ResponseWriter, r *http.Request) { got.Store(r.RequestURI, r.Host) })
	api := b.api(t)
	api.Upstreams[0].URL.Path, api.Upstreams[1].URL.Path = "/v1", "/v2/"
	gw := gatewayFor(t, api)
	do(gw, "GET", "/%61?q=%zz", "")
	do(gw, "GET", "/%61?q=%zz", "")
	for i, want := range []string{"/v1/%61?q=%zz", "/v2/%61?q=%zz"} {
		if host, ok := got.Load(want); !ok || host != api.Upstreams[i].URL.Host {
			t.Errorf("endpoint %d was not asked for %s by its name: %v", i, want, host)
		}
	}
}

// TestEjection: an endpoint that can't be connected to gets one request, and more once it can be; where none can be, all
// are tried.
func TestEjection(t *testing.T) {
	t.Parallel()
	b := newBackends(t, 1, ok)
	away := dead(t)
	api := b.api(t)
	api.Upstreams = append(api.Upstreams, Endpoint{URL: away})
	var log lockedBuffer
	gw := gatewayFor(t, api, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	var failures int
	for range 100 {
		if do(gw, "GET", "/", "") != 200 {
			failures++
		}
	}
	if e := endpointOf(gw, away.String()); failures != 1 || e.Up || e.Why == "" || e.Failures != 1 || e.Requests != 1 {
		t.Errorf("%d failures, want 1; %+v", failures, e)
	}
	if !strings.Contains(log.String(), "upstream endpoint ejected") || !strings.Contains(log.String(), "endpoint="+away.String()) {
		t.Errorf("the log does not say so: %s", log.String())
	}
	b.list[0].Close()
	gw.upstreams[api].members[0].transport.Load().CloseIdleConnections()
	for range 3 { // one finds out, the others have no choice
		if status := do(gw, "GET", "/", ""); status != 502 {
			t.Errorf("with none left: %d", status)
		}
	}
	back := startAt(t, away.Host, http.HandlerFunc(ok))
	defer back.Close()
	until(t, "the endpoint is back", func() bool { return endpointOf(gw, away.String()).Up })
	b.counts()
	for range 10 {
		if status := do(gw, "GET", "/", ""); status != 200 {
			t.Errorf("after it is back: %d", status)
		}
	}
	if !strings.Contains(log.String(), "upstream endpoint is back") {
		t.Errorf("the log does not say that it is back: %s", log.String())
	}
}

// startAt serves h at an address that was in use before.
func startAt(t testing.TB, addr string, h http.Handler) *httptest.Server {
	t.Helper()
	var ln net.Listener
	until(t, "the address is free", func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp", addr)
		return err == nil
	})
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h}}
	s.Start()
	return s
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestKillOneOfThree: of three endpoints under load one is killed. From a second later on fewer than one request in a
// thousand fails, without any retry, and once it is back it gets its share.
func TestKillOneOfThree(t *testing.T) {
	t.Parallel()
	b := newBackends(t, 3, ok)
	api := b.api(t)
	gw := gatewayFor(t, api)
	var total, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				total.Add(1)
				if do(gw, "POST", "/", "body") != 200 {
					failed.Add(1)
				}
			}
		})
	}
	until(t, "load", func() bool { return total.Load() > 500 })
	addr := b.list[1].Listener.Addr().String()
	b.list[1].CloseClientConnections()
	b.list[1].Close()
	killed := time.Now()
	until(t, "a second has passed", func() bool { return time.Since(killed) > time.Second })
	total.Store(0)
	failed.Store(0)
	until(t, "two more seconds and requests have passed", func() bool { return time.Since(killed) > 3*time.Second && total.Load() > 1500 })
	if n, all := failed.Load(), total.Load(); 1000*n >= all {
		t.Errorf("%d of %d requests failed", n, all)
	}
	back := startAt(t, addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.count[1].Add(1); ok(w, r) }))
	defer back.Close()
	b.counts()
	until(t, "the third gets requests again", func() bool { return b.count[1].Load() > 100 })
	close(stop)
	load.Wait()
}

// TestFlapping: an endpoint that comes and goes all the time leaves no goroutine and no descriptor behind.
func TestFlapping(t *testing.T) {
	b := newBackends(t, 1, ok)
	addr := dead(t).Host
	api := b.api(t)
	api.Upstreams = append(api.Upstreams, Endpoint{URL: mustURL(t, "http://"+addr)})
	api.Breaker = &Breaker{Failures: 2, OpenFor: time.Millisecond}
	api.Retry = &Retry{Attempts: 2, On: OnConnect | OnReset}
	api.Health = &Health{Path: "/", Interval: time.Millisecond, Timeout: time.Second, HealthyAfter: 1, UnhealthyAfter: 1}
	flap := func(gw *Gateway, rounds int) {
		for range rounds {
			s := startAt(t, addr, http.HandlerFunc(ok))
			for range 20 {
				do(gw, "GET", "/", "")
			}
			s.CloseClientConnections()
			s.Close()
			for range 20 {
				do(gw, "GET", "/", "")
			}
		}
	}
	before := runtime.NumGoroutine()
	gw := gatewayFor(t, api)
	gw.Start()
	flap(gw, 5)
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	flap(gw, 50)
	until(t, "no more goroutines than before", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	until(t, "no more descriptors than before", func() bool { return openFiles(t) <= descriptors+5 })
	gw.Retire()
	b.list[0].CloseClientConnections()
	until(t, "all goroutines end with the gateway", func() bool { return runtime.NumGoroutine() <= before })
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here: descriptors can't be counted")
	}
	return len(list)
}

// TestReloadKeepsWhatWasLearnt: another Gateway goes on with the state of endpoints that did not change, and only of those.
func TestReloadKeepsWhatWasLearnt(t *testing.T) {
	t.Parallel()
	b := newBackends(t, 1, ok)
	away := dead(t)
	make := func(change func(*API), prev *Gateway) *Gateway {
		api := b.api(t)
		api.Upstreams = append(api.Upstreams, Endpoint{URL: away})
		api.Health = &Health{Path: "/", Interval: time.Hour, Timeout: time.Second}
		if change != nil {
			change(api)
		}
		return gatewayFor(t, api, func(o *Options) { o.Previous = prev })
	}
	first := make(nil, nil)
	do(first, "GET", "/", "")
	do(first, "GET", "/", "")
	for _, up := range first.upstreams {
		up.members[0].health.sick.Store(true)
	}
	for _, tt := range []struct {
		name       string
		change     func(*API)
		sick, kept bool
	}{
		{"nothing", nil, true, true},
		{"weights", func(a *API) { a.Upstreams[0].Weight = 5 }, true, true},
		{"the check", func(a *API) { a.Health.Path = "/other" }, false, true},
		{"no check", func(a *API) { a.Health = nil }, false, true},
		{"the name", func(a *API) { a.Name = "other" }, false, false},
		{"TLS", func(a *API) { a.TLS = &UpstreamTLS{ServerName: "x"} }, false, false},
		{"the protocol", func(a *API) { a.Protocol = H2C }, false, false},
	} {
		next := make(tt.change, first)
		one, two := endpointOf(next, b.list[0].URL), endpointOf(next, away.String())
		if one.Up == tt.sick || two.Up == tt.kept || (one.Requests > 0) != tt.kept {
			t.Errorf("%s changed: %+v %+v", tt.name, one, two)
		}
	}
}

// TestHealthChecks: an endpoint that fails so many checks in a row gets no requests until it passes so many; where all
// fail, all are tried.
func TestHealthChecks(t *testing.T) {
	t.Parallel()
	var sick [2]atomic.Bool
	var asked atomic.Value
	b := &backends{count: make([]atomic.Int64, 2)}
	for i := range 2 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				b.count[i].Add(1)
				return
			}
			asked.Store(r.Method + " " + r.RequestURI + " " + r.Host + " " + r.UserAgent())
			if sick[i].Load() {
				w.Header().Set("Location", "/elsewhere") // not followed
				w.WriteHeader(http.StatusFound)
			}
		}))
		t.Cleanup(s.Close)
		b.list = append(b.list, s)
	}
	api := b.api(t)
	for _, e := range api.Upstreams {
		e.URL.Path = "/base"
	}
	api.Health = &Health{Path: "/healthz?x=1", Interval: 5 * time.Millisecond, Timeout: time.Second, HealthyAfter: 2, UnhealthyAfter: 3}
	gw := gatewayFor(t, api)
	gw.Start()
	name := func(i int) string { return b.list[i].URL + "/base" }
	until(t, "a check", func() bool { return asked.Load() != nil })
	if got := asked.Load().(string); got != "GET /healthz?x=1 "+b.list[0].Listener.Addr().String()+" gatehouse-health" && got != "GET /healthz?x=1 "+b.list[1].Listener.Addr().String()+" gatehouse-health" {
		t.Errorf("asked %q", got)
	}
	sick[0].Store(true)
	until(t, "the first is found sick", func() bool { return !endpointOf(gw, name(0)).Up })
	if e := endpointOf(gw, name(0)); !strings.Contains(e.Why, "health") {
		t.Errorf("%+v", e)
	}
	b.counts()
	for range 20 {
		do(gw, "GET", "/", "")
	}
	if got := b.counts(); got[0] != 0 || got[1] != 20 {
		t.Errorf("requests %v, want 0 and 20", got)
	}
	sick[1].Store(true)
	until(t, "the second too", func() bool { return !endpointOf(gw, name(1)).Up })
	for range 20 {
		if status := do(gw, "GET", "/", ""); status != 200 {
			t.Errorf("with none well: %d", status)
		}
	}
	if got := b.counts(); got[0] != 10 || got[1] != 10 {
		t.Errorf("with none well, requests %v, want 10 and 10", got)
	}
	sick[0].Store(false)
	until(t, "the first is well again", func() bool { return endpointOf(gw, name(0)).Up })
	gw.Retire()
	gw.Start() // too late: nothing may begin
}

// TestHealthJudge is how many checks in a row change the verdict.
func TestHealthJudge(t *testing.T) {
	t.Parallel()
	e := endpointAt(t, "http://127.0.0.1:1")
	c := newHealthCheck(&Health{HealthyAfter: 2, UnhealthyAfter: 3}, e, nil)
	var got strings.Builder
	for _, r := range "xx.xxxx.x..x..xx.xxx" {
		var err error
		if r == 'x' {
			err = io.ErrUnexpectedEOF
		}
		c.judge(err, e)
		got.WriteByte(map[bool]byte{true: 's', false: '-'}[c.sick.Load()])
	}
	if want := "-----sssss---------s"; got.String() != want {
		t.Errorf("%s, want %s", &got, want)
	}
}

// TestBreakerStates is the breaker as a table: what each request may, and what its end makes of it.
func TestBreakerStates(t *testing.T) {
	t.Parallel()
	cfg := &Breaker{Failures: 3, OpenFor: 10}
	b := new(breaker)
	for i, tt := range []struct {
		now       int64
		ok, probe bool
		end       outcome
		change    string
		state     string
	}{
		{0, true, false, failed, "", "closed"},
		{0, true, false, failed, "", "closed"},
		{0, true, false, worked, "", "closed"}, // not in a row
		{0, true, false, failed, "", "closed"},
		{0, true, false, unclear, "", "closed"}, // says nothing
		{0, true, false, failed, "", "closed"},
		{1, true, false, failed, "open", "open"},
		{10, false, false, worked, "", "open"}, // one that had passed before
		{11, true, true, unclear, "", "half_open"},
		{11, true, true, failed, "open", "open"},
		{20, false, false, unclear, "", "open"},
		{21, true, true, worked, "closed", "closed"},
		{21, true, false, failed, "", "closed"},
	} {
		now := func() int64 { return tt.now }
		ok, probe := b.pass(now)
		if ok != tt.ok || probe != tt.probe {
			t.Errorf("%d: pass %v, probe %v; want %v, %v", i, ok, probe, tt.ok, tt.probe)
		}
		if probe {
			if again, _ := b.pass(now); again || b.ready(now) {
				t.Errorf("%d: a second probe passes", i)
			}
		}
		if change := b.report(tt.end, probe, cfg, now); change != tt.change || b.state(now) != tt.state {
			t.Errorf("%d: %q, %s; want %q, %s", i, change, b.state(now), tt.change, tt.state)
		}
	}
}

// TestBreaker: an endpoint that keeps failing is left alone, alone or among others; one request finds out, and a client
// that leaves in the meantime leaves the breaker as it was.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	status.Store(503)
	b := newBackends(t, 1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	api := b.api(t)
	api.Breaker = &Breaker{Failures: 3, OpenFor: 50 * time.Millisecond}
	sink := newSink()
	gw := gatewayFor(t, api, func(o *Options) { o.Sinks = append(o.Sinks, sink) })
	for i, want := range []int{503, 503, 503, 502, 502} {
		if got := do(gw, "GET", "/", ""); got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
	if rec := sink.nth(4); rec.UpstreamError != "breaker" || rec.Reason != "upstream_unavailable" || rec.UpstreamDetail == "" || rec.Attempts != 0 {
		t.Errorf("the record says %+v", rec)
	}
	if e := endpointOf(gw, b.list[0].URL); e.Breaker != "open" || e.Requests != 3 || e.Failures != 3 {
		t.Errorf("%+v", e)
	}
	until(t, "half open", func() bool { return endpointOf(gw, b.list[0].URL).Breaker == "half_open" })
	ctx, leave := context.WithCancel(context.Background())
	leave()
	func() {
		defer func() { recover() }() // the response is cut
		gw.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	}()
	if e := endpointOf(gw, b.list[0].URL); e.Breaker != "half_open" {
		t.Errorf("after a client left: %+v", e)
	}
	status.Store(500) // an answer
	if got := do(gw, "GET", "/", ""); got != 500 || endpointOf(gw, b.list[0].URL).Breaker != "closed" {
		t.Errorf("%d, %+v", got, endpointOf(gw, b.list[0].URL))
	}
}

// TestSlowUploadsDoNotOpenTheBreaker: clients that stop sending are no fault of the endpoint.
func TestSlowUploadsDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	rt := public("POST /p")
	rt.Timeout = 30 * time.Millisecond
	w := newWorld(t, func(o *Options) { o.IdleTimeout = 200 * time.Millisecond }, rt)
	w.options.Routes[0].API = &API{Name: "x", Upstream: w.up.url(t), Breaker: &Breaker{Failures: 1, OpenFor: time.Hour}}
	gw, err := New(w.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gw.Retire)
	w.addr = listen(t, gw, w.options.IdleTimeout)
	if list := w.raw("POST /p HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 1000\r\n\r\nonly this", "POST"); len(list) != 1 || list[0].StatusCode != 400 {
		t.Errorf("%v, want 400", list)
	}
	if e := gw.Endpoints()[0]; e.Breaker != "closed" || e.Failures != 0 {
		t.Errorf("%+v", e)
	}
}

// TestLongBodies: an upload and a download may last longer than every timeout as long as their bytes keep coming, and the
// route's timeout runs from the last of an upload's.
func TestLongBodies(t *testing.T) {
	t.Parallel()
	const limit, gap, parts = 400 * time.Millisecond, 25 * time.Millisecond, 24 // what is tested is time: parts that come slowly
	up, down := public("POST /p"), public("GET /d")
	up.Timeout, down.Timeout = limit, limit
	w := newWorld(t, func(o *Options) { o.IdleTimeout = limit }, up, down)
	conn := w.dial()
	fmt.Fprintf(conn, "POST /p HTTP/1.1\r\nHost: gate.example\r\nContent-Length: %d\r\n\r\n", parts)
	for range parts {
		io.WriteString(conn, "x")
		<-time.After(gap)
	}
	if list := readAnswers(bufio.NewReader(conn), "POST"); len(list) != 1 || list[0].StatusCode != 200 {
		t.Errorf("upload: %v", list)
	}
	w.up.answerWith(func(rw http.ResponseWriter, _ *http.Request) {
		for range parts {
			io.WriteString(rw, "x")
			http.NewResponseController(rw).Flush()
			<-time.After(gap)
		}
	})
	if got := w.get("/d"); got.body != strings.Repeat("x", parts) {
		t.Errorf("download: %d %q", got.StatusCode, got.body)
	}
	w.up.answerWith(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	if got := w.raw("POST /p HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 2\r\n\r\nhi", "POST"); len(got) != 1 || got[0].StatusCode != 504 {
		t.Errorf("a silent upstream: %v, want 504", got)
	}
	if rec := w.sink.nth(3); rec.UpstreamError != "timeout" {
		t.Errorf("the record says %q", rec.UpstreamError)
	}
}

// TestEndpointsCheck: what New refuses.
func TestEndpointsCheck(t *testing.T) {
	t.Parallel()
	u := func(s string) *url.URL { return mustURL(t, s) }
	for want, api := range map[string]*API{
		"with an upstream":      {},
		"or with upstreams":     {Upstream: u("http://a"), Upstreams: []Endpoint{{URL: u("http://b")}}},
		"http or https":         {Upstreams: []Endpoint{{URL: u("http://a")}, {URL: u("ws://b")}}},
		"a host and no query":   {Upstreams: []Endpoint{{}}},
		"HTTP/2 takes https":    {Upstream: u("http://a"), Protocol: HTTP2},
		"h2c takes http":        {Upstream: u("https://a"), Protocol: H2C},
		"weight -1 is negative": {Upstreams: []Endpoint{{URL: u("http://a"), Weight: -1}}},
	} {
		rt := public("GET /a")
		rt.API = api
		if _, err := New(Options{PublicURL: u("http://gate.example"), Routes: []*Route{rt}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// BenchmarkPick is the choice of an endpoint, from all processors at once.
func BenchmarkPick(b *testing.B) {
	for name, change := range map[string]func(*API){
		"round_robin":    func(*API) {},
		"least_requests": func(a *API) { a.Balance = LeastRequests },
		"breaker":        func(a *API) { a.Breaker = &Breaker{Failures: 5, OpenFor: time.Second} },
	} {
		for _, n := range []int{1, 3, 20} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				api := &API{Name: "x"}
				for i := range n {
					api.Upstreams = append(api.Upstreams, Endpoint{URL: mustURL(b, fmt.Sprintf("http://127.0.0.1:%d", i+1)), Weight: 1 + i%3})
				}
				change(api)
				up := gatewayFor(b, api).upstreams[api]
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, _, err := up.pick(nil); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
