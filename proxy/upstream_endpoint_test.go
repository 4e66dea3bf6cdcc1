package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// endpointAt is an endpoint at a URL, as a Gateway makes them.
func endpointAt(t testing.TB, u string) *endpoint {
	t.Helper()
	e := newEndpoint(endpointKey{url: u}, mustURL(t, u), nil, slog.New(slog.DiscardHandler))
	t.Cleanup(e.close)
	return e
}

// TestReloadKeepsConnections: a new Gateway goes on with the upstream connections of the old; the last one to retire
// closes them.
func TestReloadKeepsConnections(t *testing.T) {
	t.Parallel()
	conns, closed := make(chan string, 10), make(chan struct{})
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { conns <- r.RemoteAddr }))
	up.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	up.Start()
	t.Cleanup(up.Close)
	o := Options{PublicURL: mustURL(t, "http://gate.example"), Routes: []*Route{public("GET /a")}}
	o.Routes[0].API = &API{Name: "x", Upstream: mustURL(t, up.URL)}
	get := func(gw *Gateway) string {
		gw.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil))
		return <-conns
	}
	first, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	one := get(first)
	o.Previous = first
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	first.Retire()
	if two := get(second); one != two {
		t.Errorf("a new connection %s was made, beside %s", two, one)
	}
	select {
	case <-closed:
		t.Error("the connection was closed while it was in use")
	default:
	}
	second.Retire()
	<-closed
}

// TestFollowsDNS: where an address that a name had is gone, new connections are made.
func TestFollowsDNS(t *testing.T) {
	t.Parallel()
	up := endpointAt(t, "http://api.internal")
	addrs := prefixes(t, "10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32")
	answers := [][]int{{0, 1}, {1, 0}, {0, 1, 2}, {1, 2}}
	swapped := []bool{false, false, false, true}
	for i, answer := range answers {
		up.lookup = func(context.Context, string) (list []netip.Addr, err error) {
			for _, n := range answer {
				list = append(list, addrs[n].Addr())
			}
			return list, nil
		}
		before := up.transport.Load()
		up.refresh()
		if got := up.transport.Load() != before; got != swapped[i] {
			t.Errorf("lookup %d: new connections %v, want %v", i, got, swapped[i])
		}
	}
	up.lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, io.ErrUnexpectedEOF }
	before := up.transport.Load()
	up.refresh()
	if up.transport.Load() != before {
		t.Error("a failed lookup threw the connections away")
	}
	if endpointAt(t, "http://127.0.0.1").host != "" || endpointAt(t, "http://[::1]:80").host != "" {
		t.Error("an address is looked up")
	}
}

// TestFollowIsRare: one lookup at a time, and none before it is due.
func TestFollowIsRare(t *testing.T) {
	t.Parallel()
	up := endpointAt(t, "http://api.internal")
	asked := make(chan struct{})
	up.lookup = func(context.Context, string) ([]netip.Addr, error) { asked <- struct{}{}; return nil, nil }
	now := time.Unix(1_800_000_000, 0)
	up.follow(now)
	up.follow(now.Add(lookupEvery)) // the first is still looking
	<-asked
	for up.looking.Load() { // until the lookup has ended
		runtime.Gosched()
	}
	up.follow(now.Add(lookupEvery - 1))
	if up.looking.Load() {
		t.Error("looked up before it was due")
	}
	up.follow(now.Add(lookupEvery))
	<-asked
}

// TestNotesAreBounded: an endpoint that changes its state all the time does not fill the log.
func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	n := &notes{log: slog.New(slog.NewTextHandler(&b, nil))}
	for i := range 1000 {
		n.write(slog.LevelWarn, int64(i)*int64(time.Millisecond), "flap", nil)
	}
	if got := strings.Count(b.String(), "flap"); got != notesHeld {
		t.Errorf("%d lines in a second, want %d", got, notesHeld)
	}
	n.write(slog.LevelWarn, int64(time.Hour), "flap", nil)
	if !strings.Contains(b.String(), "lines_left_out=994") {
		t.Errorf("the next line does not say how many were left out: %s", b.String())
	}
}

// TestGoneAddressesAreLeft: where an address is gone the idle connections are closed at once, and those that are in use
// once their responses have ended whole.
func TestGoneAddressesAreLeft(t *testing.T) {
	t.Parallel()
	more, closed := make(chan struct{}), make(chan string, 10)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		if r.URL.Path == "/slow" {
			http.NewResponseController(w).Flush()
			<-more
		}
		io.WriteString(w, "last")
	}))
	up.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- c.RemoteAddr().String()
		}
	}
	up.Start()
	t.Cleanup(up.Close)
	_, port, _ := net.SplitHostPort(up.Listener.Addr().String())
	e := endpointAt(t, "http://localhost:"+port)
	at := "10.0.0.1"
	e.lookup = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr(at)}, nil }
	e.next.Store(time.Now().Add(time.Hour).UnixNano()) // looked up by the test alone
	e.refresh()
	get := func(path string) *http.Response {
		t.Helper()
		r, err := http.NewRequest("GET", "http://localhost:"+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := e.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	slow, idle := get("/slow"), get("/")
	io.Copy(io.Discard, idle.Body)
	at = "10.0.0.2"
	e.refresh()
	first := <-closed
	close(more)
	if body, err := io.ReadAll(slow.Body); err != nil || string(body) != "first last" {
		t.Errorf("the response that was under way: %q, %v", body, err)
	}
	if second := <-closed; second == first {
		t.Error("one connection was closed twice")
	}
	if res := get("/"); res.StatusCode != 200 {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
}
