package statuspage

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/adminapi"
)

func (s *served) events(t *testing.T, page string) (next func(want string), closed func() bool) {
	t.Helper()
	res, err := s.Get(s.URL + "/events?page=" + page)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("the stream: %d", res.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return func(want string) {
			t.Helper()
			for lines.Scan() {
				if strings.Contains(lines.Text(), want) {
					return
				}
			}
			t.Fatalf("the stream ended before %q", want)
		}, func() bool {
			for lines.Scan() {
			}
			return true
		}
}

func TestStream(t *testing.T) {
	s := serve(t)
	next, closed := s.events(t, "overview")
	for _, part := range []string{`"part":"banners"`, `"part":"state"`, `"part":"numbers"`, `"part":"charts"`, `"part":"configuration"`, `"part":"memory"`, `"part":"health"`, `"part":"recent"`, "event: beat"} {
		next(part)
	}
	bad := *s.status.Load()
	bad.Config.Last = adminapi.ReloadInfo{Result: "refused", Trigger: "watch", At: time.Now(), Errors: []adminapi.Problem{{File: "config.yaml", Line: 3, Col: 5, Message: "unknown key"}}}
	s.status.Store(&bad)
	next("config.yaml:3:5")
	s.draining.Store(true)
	closed() // at once, and not with the connection
	if status, _, h := s.load(t, "/events?page=overview"); status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("a stream of a node that drains: %d", status)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := serve(t)
	var ends []func() bool
	for range mostStreams {
		next, closed := s.events(t, "keys")
		next("event: beat")
		ends = append(ends, closed)
	}
	if status, _, _ := s.load(t, "/events?page=keys"); status != 503 {
		t.Errorf("one stream too many: %d", status)
	}
	s.draining.Store(true)
	for _, closed := range ends {
		closed()
	}
	for s.page.streams.Load() != 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestStreamEndsWithTheLogin(t *testing.T) {
	s := serve(t)
	s.setToken("the-admin-token")
	s.post(t, "/login", "token", "the-admin-token")
	next, closed := s.events(t, "keys")
	next("event: beat")
	s.setToken("another-token")
	closed()
}

func TestStreamAsksForWhatItShows(t *testing.T) {
	s := serve(t)
	var asked atomic.Int64
	o := s.page.o
	o.LastTokens = func(context.Context) (adminapi.Clients, error) { asked.Add(1); return adminapi.Clients{}, nil }
	o.Clients = func() []Client { asked.Add(1); return nil }
	s.page.o = o
	for _, page := range []string{"clients", "client", "denial", "routes"} {
		next, _ := s.events(t, page)
		next("event: beat")
		next("event: beat")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the streams asked %d times", n)
	}
}

func TestStreamCarriesTheForm(t *testing.T) {
	s := serve(t)
	form := s.form(t)
	next, _ := s.events(t, "keys")
	next("retry: 1000")
	next("event: form")
	next(`data: "` + form + `"`)
	if status, _, h := s.load(t, "/events?page=nothing"); status != 404 || h.Get("X-Accel-Buffering") != "" {
		t.Errorf("no such page: %d", status)
	}
}

func TestStreamEscapes(t *testing.T) {
	s := serve(t)
	for _, page := range []string{"routes", "denials", "overview"} {
		full := *s.status.Load()
		full.Denials, full.Config.Last.Changes = s.page.o.Denials(1), hostile
		s.status.Store(&full)
		res, err := s.Get(s.URL + "/events?page=" + page)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewReader(res.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"<", "\\u003cscript", "\\u003cimg", "\u202e", "\u2066"} {
				if strings.Contains(line, bad) {
					t.Errorf("%s sends %q: %s", page, bad, line)
				}
			}
			if line == "event: beat\n" {
				break
			}
		}
		res.Body.Close()
	}
}

func TestSlowReaderIsCut(t *testing.T) {
	s := serve(t)
	s.page.patience = 50 * time.Millisecond
	large := make([]adminapi.Route, rows)
	for i := range large {
		large[i].Limits = []string{strings.Repeat("x", 32<<10)} // 16 MiB in all, more than any socket buffers
	}
	s.page.o.Routes = func() []adminapi.Route { return large }
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /events?page=routes HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []int64{1, 0} {
		for end := time.Now().Add(30 * time.Second); s.page.streams.Load() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d streams, want %d", s.page.streams.Load(), want)
			}
		}
	}
}

func TestStreamIsNoUse(t *testing.T) {
	s := serve(t)
	s.setToken("the-admin-token")
	s.post(t, "/login", "token", "the-admin-token")
	s.page.sessions.mu.Lock()
	for _, x := range s.page.sessions.live {
		x.used = time.Now().Add(-idleEnd + 2*time.Second)
	}
	s.page.sessions.mu.Unlock()
	next, closed := s.events(t, "keys")
	next("event: beat")
	closed()
	if status, _, _ := s.load(t, "/"); status != 303 {
		t.Errorf("after an hour of looking on: %d", status)
	}
}
