package lean

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func sortStrings(s []string) { slices.Sort(s) }

// scenario is a server's scripts and a client's calls.
type scenario struct {
	name    string
	scripts []script
	calls   []call
	options func(*http.Transport)
	both    bool     // with TLS too
	want    []string // what ours has to say, in any line; "!x": nowhere
	differs string   // why ours is another outcome, which want then says alone
}

// run plays the scenario against one transport and says what was seen on both ends.
func (s *scenario) run(t testing.TB, secure, ours bool) string {
	t.Helper()
	w := newWorld(t, secure, s.scripts)
	w.ours = ours
	base := w.options()
	if s.options != nil {
		s.options(base)
	}
	var rt roundTripper = base
	if ours {
		rt = New(base, w.url())
	}
	said := make([][]string, len(s.calls))
	var beside sync.WaitGroup
	for i := range s.calls {
		do := func() { said[i] = s.calls[i].do(w, rt) }
		if s.calls[i].beside {
			beside.Go(do)
			continue
		}
		do()
	}
	beside.Wait()
	var b strings.Builder
	for i, lines := range said {
		for _, line := range lines {
			fmt.Fprintf(&b, "call %d: %s\n", i, line)
		}
	}
	for _, line := range w.finish(rt) {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// tries is how often http.Transport may show another outcome of a race that it has with itself.
const tries = 40

// test compares. Where the outcome is a matter of timing in http.Transport, ours has to be one that it shows.
func (s *scenario) test(t *testing.T, secure bool) {
	t.Helper()
	got := s.run(t, secure, true)
	for _, want := range s.want {
		if not, ok := strings.CutPrefix(want, "!"); ok == strings.Contains(got, not) && ok || !ok && !strings.Contains(got, want) {
			t.Errorf("wanted %q in\n%s", want, got)
		}
	}
	for _, bad := range []string{"LEFT OPEN", "NOT CLOSED"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s in\n%s", bad, got)
		}
	}
	if s.differs != "" {
		return
	}
	var std string
	began := time.Now()
	for n := range tries {
		if n > 0 && time.Since(began) > patience {
			break
		}
		if std = s.run(t, secure, false); std == got {
			return
		}
	}
	t.Errorf("http.Transport\n%s\nours\n%s", std, got)
}

// testAll runs all scenarios, those of both kinds with TLS too.
func testAll(t *testing.T, list []scenario) {
	t.Helper()
	names := map[string]bool{}
	for _, s := range list {
		if names[s.name] {
			t.Errorf("two scenarios are called %s", s.name)
		}
		names[s.name] = true
		t.Run(s.name, func(t *testing.T) { t.Parallel(); s.test(t, false) })
		if s.both {
			t.Run(s.name+"/tls", func(t *testing.T) { t.Parallel(); s.test(t, true) })
		}
	}
}

// The scenarios' words.

// answer is a script that answers any number of requests alike.
func answer(pieces ...string) script {
	return script{func(p *peer) {
		for {
			before := len(p.got)
			if request(p); len(p.got) == before || strings.HasSuffix(p.got[before], "<cut>\"") {
				return
			}
			send(pieces...)(p)
		}
	}}
}

func once(steps ...step) []script { return []script{append(script{request}, steps...)} }

func get() call             { return call{method: "GET"} }
func post(body string) call { return call{method: "POST", body: body} }

func calls(c ...call) []call { return c }

const (
	ok2     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	noBody  = "HTTP/1.1 204 No Content\r\n\r\n"
	chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
)
