package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/authz"
	"gatehouse/internal/exchange"
	"gatehouse/internal/token"
)

// echo is a WebSocket server that sends back what it gets.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, data, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

func socket(match string) *Route {
	rt := scoped(match, "read")
	rt.WebSocket, rt.Revision = true, "1"
	return rt
}

// upgrade opens a WebSocket with a library client.
func (w *world) upgrade(path, raw string) *websocket.Conn {
	w.t.Helper()
	conn, res, err := w.tryUpgrade(path, raw)
	if err != nil {
		w.t.Fatalf("%v %v", err, res)
	}
	return conn
}

func (w *world) tryUpgrade(path, raw string) (*websocket.Conn, *http.Response, error) {
	w.t.Helper()
	h := http.Header{"X-Client-Id": {"evil"}}
	if raw != "" {
		h.Set("Authorization", "Bearer "+raw)
	}
	conn, res, err := websocket.Dial(w.t.Context(), "ws://"+w.addr+path, &websocket.DialOptions{Host: "gate.example", HTTPHeader: h})
	if err == nil {
		w.t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, res, err
}

// echoes sends a message and wants it back.
func echoes(ctx context.Context, conn *websocket.Conn, text string) error {
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err
	}
	_, got, err := conn.Read(ctx)
	if err == nil && string(got) != text {
		err = fmt.Errorf("got %.20q back for %.20q", got, text)
	}
	return err
}

// ended waits until the gateway has closed the connection.
func ended(t testing.TB, conn *websocket.Conn) {
	t.Helper()
	if _, _, err := conn.Read(t.Context()); err == nil || t.Context().Err() != nil {
		t.Errorf("the connection is open: %v", err)
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, socket("GET /ws"))
	w.up.answerWith(echo)
	conn := w.upgrade("/ws", w.token("read"))
	big := strings.Repeat("x", 30_000)
	for _, text := range []string{"one", "", big} {
		if err := echoes(t.Context(), conn, text); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.gw.Tunnels(); n != 1 {
		t.Errorf("%d tunnels are open, want 1", n)
	}
	seen := w.up.take()
	if len(seen) != 1 || seen[0].header.Get("X-Client-Id") != "worker" || seen[0].header.Get("Authorization") != "" || seen[0].header.Get("Upgrade") != "websocket" {
		t.Errorf("the upstream saw %+v", seen)
	}
	conn.Close(websocket.StatusNormalClosure, "")
	rec := w.sink.nth(1)
	if rec.Status != 101 || rec.Verdict != exchange.Allow || rec.Closed != "" || rec.BytesIn < 30_000 || rec.BytesOut < 30_000 || rec.Client != "worker" {
		t.Errorf("the record says %+v", rec)
	}
	if n := w.gw.Tunnels(); n != 0 {
		t.Errorf("%d tunnels are open at the end", n)
	}
}

// TestWebSocketRefusals: what is no handshake, or may not be one, is refused, and nothing reaches the upstream.
func TestWebSocketRefusals(t *testing.T) {
	t.Parallel()
	post := socket("POST /ws")
	w := newWorld(t, nil, socket("GET /ws"), post, scoped("GET /plain", "read"))
	w.up.answerWith(echo)
	good := bearer(w.token("read"))
	const ask, key = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
	for _, tt := range []struct {
		name, method, target string
		headers              []string
		status               int
		reason               authz.Reason
	}{
		{"no key on the route", "GET", "/plain", []string{good, ask, key}, 403, authz.UpgradeNotAllowed},
		{"no token", "GET", "/ws", []string{ask, key}, 401, authz.MissingToken},
		{"no scope", "GET", "/ws", []string{bearer(w.token("")), ask, key}, 403, authz.InsufficientScope},
		{"POST", "POST", "/ws", []string{good, ask, key, "Content-Length: 0"}, 400, authz.MalformedRequest},
		{"HEAD", "HEAD", "/ws", []string{good, ask, key}, 400, authz.MalformedRequest},
		{"a body", "GET", "/ws", []string{good, ask, key, "Content-Length: 5\r\n\r\nhello"}, 400, authz.MalformedRequest},
		{"no Sec-WebSocket-Key", "GET", "/ws", []string{good, ask}, 400, authz.MalformedRequest},
		{"two keys", "GET", "/ws", []string{good, ask, key, key}, 400, authz.MalformedRequest},
		{"a short key", "GET", "/ws", []string{good, ask, "Sec-WebSocket-Key: AAAA"}, 400, authz.MalformedRequest},
	} {
		before := len(w.sink.list)
		got := w.send(tt.method, tt.target, tt.headers...)
		if rec := w.sink.nth(before + 1); got.StatusCode != tt.status || rec.Reason != string(tt.reason) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, got.StatusCode, rec.Reason, tt.status, tt.reason)
		}
		if list := w.up.take(); len(list) != 0 {
			t.Errorf("%s: the upstream saw %v", tt.name, list)
		}
	}
	// Other upgrades, beside it or alone, are not the route's to allow: the upstream is asked for none of them.
	w.up.answerWith(nil)
	for _, upgrade := range []string{"h2c", "TLS/1.0", "foo"} {
		got := w.get("/ws", good, "Connection: Upgrade", "Upgrade: "+upgrade)
		if seen := w.up.take(); got.StatusCode != 200 || len(seen) != 1 || seen[0].header.Get("Upgrade")+seen[0].header.Get("Connection") != "" {
			t.Errorf("Upgrade: %s got %d, upstream %+v", upgrade, got.StatusCode, seen)
		}
	}
	got := w.get("/ws", good, "Connection: Upgrade", "Upgrade: h2c, websocket", key)
	if seen := w.up.take(); got.StatusCode != 200 || len(seen) != 1 || seen[0].header.Get("Upgrade") != "websocket" {
		t.Errorf("beside h2c: %d, upstream %+v", got.StatusCode, seen)
	}
}

// TestFakeSwitch: an upstream that says 101 without the proof that it speaks WebSocket does not get a pipe from the client.
func TestFakeSwitch(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"no accept":      "Upgrade: websocket\r\nConnection: Upgrade",
		"wrong accept":   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"other protocol": "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=",
	} {
		rt := socket("GET /ws")
		rt.API = &API{Name: "x", Upstream: mustURL(t, "http://"+rawUpstream(t, "HTTP/1.1 101 Switching Protocols\r\n"+head+"\r\n\r\nsecret"))}
		w := newWorld(t, nil, rt)
		got := w.get("/ws", bearer(w.token("read")), "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
		if got.StatusCode != 502 || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
		if n := w.gw.Tunnels(); n != 0 {
			t.Errorf("%s: %d tunnels", name, n)
		}
	}
}

// TestBytesBeforeTheSwitch is S2: what a client sends before the 101 never reaches the upstream.
func TestBytesBeforeTheSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, socket("GET /ws"))
	got := make(chan string, 1)
	w.up.answerWith(func(rw http.ResponseWriter, r *http.Request) {
		conn, brw, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		brw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n")
		brw.Flush()
		all, _ := io.ReadAll(brw)
		got <- string(all)
	})
	conn := w.dial()
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: gate.example\r\n%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nGET /early HTTP/1.1\r\n\r\n",
		bearer(w.token("read")))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(err, res)
	}
	io.WriteString(conn, "late")
	conn.(*net.TCPConn).CloseWrite()
	if s := <-got; s != "late" {
		t.Errorf("the upstream got %q, want %q", s, "late")
	}
}

// TestTunnelsEnd: a tunnel ends when its token would be refused, and not before.
func TestTunnelsEnd(t *testing.T) {
	t.Parallel()
	expiring, lasting, watched := socket("GET /expiring"), socket("GET /lasting"), socket("GET /observed")
	expiring.CloseOnExpiry, watched.Observe = true, true
	open := socket("GET /open")
	open.Public = true
	w := newWorld(t, nil, expiring, lasting, watched, open)
	w.up.answerWith(echo)
	for _, tt := range []struct {
		name, path, want string // "": it goes on
		change           func(client string)
		ahead            time.Duration // what the clock has moved on
	}{
		{"nothing", "/expiring", "", nil, 0},
		{"revoked", "/lasting", "revoked", func(c string) { w.issuer.revoked[c] = true }, 0},
		{"disabled", "/lasting", "client_disabled", func(c string) { w.issuer.status[c] = authz.Disabled }, 0},
		{"stale", "/lasting", "state_unavailable", func(string) { w.issuer.staleness = time.Hour }, 0},
		{"expired, lasting", "/lasting", "", nil, time.Hour},
		{"expired, then revoked", "/lasting", "revoked", func(c string) { w.issuer.revoked[c] = true }, time.Hour},
		{"expired", "/expiring", "expired", nil, time.Hour},
		{"revoked, observed", "/observed", "", func(c string) { w.issuer.revoked[c] = true }, 0},
		{"public", "/open", "", func(string) { w.issuer.staleness = time.Hour }, time.Hour},
	} {
		client := "c" + strings.ReplaceAll(tt.name, " ", "-")
		conn := w.upgrade(tt.path, w.token("read", func(i *token.Issue) { i.Client = client }))
		before := len(w.sink.list)
		if tt.change != nil {
			w.issuer.mu.Lock()
			tt.change(client)
			w.issuer.mu.Unlock()
		}
		later := Gateway{o: w.gw.o, tunnels: w.gw.tunnels}
		later.o.Now = func() time.Time { return time.Now().Add(tt.ahead) }
		later.Sweep()
		if tt.want == "" {
			if err := echoes(t.Context(), conn, "still"); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			conn.CloseNow()
		} else {
			ended(t, conn)
		}
		if rec := w.sink.nth(before + 1); rec.Closed != tt.want {
			t.Errorf("%s: closed %q, want %q", tt.name, rec.Closed, tt.want)
		}
		w.issuer.mu.Lock()
		w.issuer.staleness = 0
		w.issuer.mu.Unlock()
	}
}

// TestTunnelsAndReload: a tunnel outlives every reload that leaves its route alone, and ends with the first that does not.
func TestTunnelsAndReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, socket("GET /stays"), socket("GET /changes"), socket("GET /goes"), socket("GET /unnamed"))
	w.options.Routes[3].Revision = ""
	var err error
	if w.gw, err = New(w.options); err != nil {
		t.Fatal(err)
	}
	w.addr = listen(t, w.gw, 0)
	w.up.answerWith(echo)
	raw := w.token("read")
	conns := map[string]*websocket.Conn{}
	for _, path := range []string{"/stays", "/changes", "/goes", "/unnamed"} {
		conns[path] = w.upgrade(path, raw)
	}
	changed := *w.options.Routes[1]
	changed.Revision = "2"
	for i := range 5 {
		next := w.options
		next.Previous = w.gw
		next.Routes = []*Route{w.options.Routes[0], w.options.Routes[1], w.options.Routes[2]}
		if i > 0 {
			next.Routes = []*Route{w.options.Routes[0], &changed, w.options.Routes[3]}
		}
		bad := next
		bad.Routes = append([]*Route{w.options.Routes[0]}, next.Routes...)
		if _, err := New(bad); err == nil {
			t.Fatal("the same route twice is accepted")
		}
		gw, err := New(next)
		if err != nil {
			t.Fatal(err)
		}
		w.gw.Retire()
		w.gw = gw
		if err := echoes(t.Context(), conns["/stays"], "here"); err != nil {
			t.Fatalf("after reload %d: %v", i, err)
		}
		if i == 0 {
			ended(t, conns["/unnamed"])
			for _, path := range []string{"/changes", "/goes"} {
				if err := echoes(t.Context(), conns[path], "here"); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		}
		if i == 1 {
			ended(t, conns["/changes"])
			ended(t, conns["/goes"])
		}
	}
	for range 3 {
		if rec := w.sink.nth(3); rec.Closed != "reload" {
			t.Errorf("closed %q", rec.Closed)
		}
	}
	if n := w.gw.Tunnels(); n != 1 {
		t.Errorf("%d tunnels, want 1", n)
	}
	// One whose handshake was under way when its route went is closed as soon as it is there.
	late := w.options
	late.Routes, late.Previous = []*Route{w.options.Routes[2]}, nil
	old, err := New(late)
	if err != nil {
		t.Fatal(err)
	}
	w.addr = listen(t, old, 0)
	old.Retire()
	if conn, _, err := w.tryUpgrade("/goes", raw); err == nil { // else it was closed before the handshake had been read
		ended(t, conn)
	}
	w.gw.Retire()
	ended(t, conns["/stays"])
}

// TestTunnelsIdle: a tunnel ends when nothing moves in either direction, unless its route streams.
func TestTunnelsIdle(t *testing.T) {
	t.Parallel()
	streaming := socket("GET /streaming")
	streaming.Streaming = true
	const idle = time.Second // a busy machine stops an echo for longer than one would think
	w := newWorld(t, func(o *Options) { o.IdleTimeout = idle }, socket("GET /ws"), streaming)
	w.up.answerWith(echo)
	raw := w.token("read")
	quiet, busy, still := w.upgrade("/ws", raw), w.upgrade("/ws", raw), w.upgrade("/streaming", raw)
	start := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended(t, quiet)
	}()
	for time.Since(start) < 4*idle {
		if err := echoes(t.Context(), busy, "busy"); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if took := time.Since(start); took < idle {
		t.Errorf("closed after %s", took)
	}
	if rec := w.sink.nth(1); rec.Closed != "idle" || rec.Status != 101 {
		t.Errorf("the record says %d, closed %q", rec.Status, rec.Closed)
	}
	if err := echoes(t.Context(), still, "still"); err != nil {
		t.Errorf("streaming: %v", err)
	}
}

// TestTunnelsDrain: tunnels go on until the time is up, and then all end, those that came late too.
func TestTunnelsDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, socket("GET /ws"))
	w.up.answerWith(echo)
	raw := w.token("read")
	one, two := w.upgrade("/ws", raw), w.upgrade("/ws", raw)
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan int)
	go func() { closed <- w.gw.DrainTunnels(ctx) }()
	if err := echoes(t.Context(), one, "on"); err != nil {
		t.Fatal(err)
	}
	two.CloseNow()
	w.sink.nth(1)
	cancel()
	if n := <-closed; n != 1 {
		t.Errorf("%d were closed, want 1", n)
	}
	ended(t, one)
	if rec := w.sink.nth(2); rec.Closed != "drain" {
		t.Errorf("closed %q, want drain", rec.Closed)
	}
	ended(t, w.upgrade("/ws", raw))
}

// TestTunnelStuck: a client that reads nothing, while the upstream floods it, does not keep its tunnel from being closed.
func TestTunnelStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, socket("GET /ws"))
	full := make(chan struct{})
	w.up.answerWith(func(rw http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(rw, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		for {
			ctx, cancel := context.WithTimeout(r.Context(), 500*time.Millisecond)
			err := conn.Write(ctx, websocket.MessageBinary, make([]byte, 1<<20))
			cancel()
			if err != nil {
				close(full)
				break
			}
		}
	})
	conn := w.upgrade("/ws", w.token("read"))
	<-full
	w.issuer.mu.Lock()
	w.issuer.revoked["worker"] = true
	w.issuer.mu.Unlock()
	w.gw.Sweep()
	w.sink.nth(1) // would not come
	if n := w.gw.Tunnels(); n != 0 {
		t.Errorf("%d tunnels", n)
	}
	conn.CloseNow()
}
