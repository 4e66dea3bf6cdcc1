package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/exchange"
)

// trail is an open trail in a folder of its own.
type trail struct {
	*Log
	t    *testing.T
	file string
	log  *bytes.Buffer
}

func newTrail(t *testing.T, change func(o *Options)) *trail {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "state", "audit.log"), change)
}

func reopen(t *testing.T, file string, change func(o *Options)) *trail {
	t.Helper()
	tr := &trail{t: t, file: file, log: &bytes.Buffer{}}
	o := Options{File: file, Log: slog.New(slog.NewJSONHandler(tr.log, nil))}
	if change != nil {
		change(&o)
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	tr.Log = l
	t.Cleanup(func() { l.Close() })
	return tr
}

func (tr *trail) close() {
	tr.t.Helper()
	if err := tr.Close(); err != nil {
		tr.t.Fatal(err)
	}
}

func issue(id string) *exchange.Record {
	return &exchange.Record{ID: id, Start: time.Unix(1_800_000_000, 0), Endpoint: "token", Status: 200, Verdict: exchange.Allow, Client: "c",
		Scopes: "read", Remote: "127.0.0.1", Own: exchange.Own{Method: "client_secret_basic", Claimed: "c", JTI: "j-" + id}}
}

func (tr *trail) lines() []map[string]any {
	tr.t.Helper()
	names, err := Files(tr.file)
	if err != nil {
		tr.t.Fatal(err)
	}
	var out []map[string]any
	for _, name := range names {
		for line := range strings.Lines(text(tr.t, name)) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				tr.t.Fatalf("%s: %v in %q", name, err, line)
			}
			out = append(out, m)
		}
	}
	return out
}

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func verify(t *testing.T, file, head string) *Report {
	t.Helper()
	names, err := Files(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify(names, head)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLines(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, nil)
	tr.Finish(issue("1"))
	tr.Finish(&exchange.Record{Endpoint: "jwks", Status: 200})
	tr.Finish(&exchange.Record{Route: "GET /x", Status: 200})
	tr.Finish(&exchange.Record{ID: "2", Endpoint: "token", Status: 401, Reason: "invalid_client", Detail: "no client has this id",
		Own: exchange.Own{Claimed: "a\r\n\x1b[31m{\"seq\":1}" + strings.Repeat("ä", 100)}})
	tr.Finish(&exchange.Record{Endpoint: "token", Status: 401, Own: exchange.Own{Claimed: "gatecs_abc"}})
	tr.Finish(&exchange.Record{Endpoint: "introspect", Status: 200, Verdict: exchange.Allow, Client: "rs", Own: exchange.Own{Introspect: "inactive"}})
	if err := tr.Admin(Event{Action: "reload", Actor: "sighup", Outcome: "ok", Detail: "+1 route"}); err != nil {
		t.Fatal(err)
	}
	lines := tr.lines() // before Close: an administrative line is on disk when Admin returns
	if len(lines) != 5 {
		t.Fatalf("%d lines, want 5: %v", len(lines), lines)
	}
	for name, want := range map[string]any{"seq": 1.0, "kind": "token", "outcome": "allow", "client": "c", "method": "client_secret_basic",
		"given": "read", "jti": "j-1", "ip": "127.0.0.1", "request_id": "1", "time": "2027-01-15T08:00:00.000Z", "prev": zero, "claimed": nil} {
		if got := lines[0][name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := lines[1]["claimed"].(string); !strings.HasPrefix(got, "a\r\n\x1b[31m{\"seq\":1}ä") || len(got) > 140 || lines[1]["outcome"] != "deny" {
		t.Errorf("a stranger's id became %q", got)
	}
	if got := lines[2]["claimed"].(string); strings.Contains(got, "abc") {
		t.Errorf("a secret sent as an id is kept: %q", got)
	}
	if lines[3]["outcome"] != "inactive" || lines[4]["action"] != "reload" || lines[4]["kind"] != "admin" {
		t.Errorf("lines %v", lines[3:])
	}
	info, err := os.Stat(tr.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if r := verify(t, tr.file, ""); !r.Sound() || r.Lines != 5 || r.First != 1 || r.Last != 5 {
		t.Errorf("report %+v", r)
	}
}

// A line is on disk after a second at most, without anybody asking.
func TestFlushesByItself(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, nil)
	tr.Finish(issue("1"))
	for end := time.Now().Add(10 * time.Second); text(t, tr.file) == ""; {
		if time.Now().After(end) {
			t.Fatal("the line never came to disk")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The chain goes on over full files and restarts, old files go, and what remains is sound.
func TestSegments(t *testing.T) {
	t.Parallel()
	small := func(o *Options) { o.MaxSize, o.Keep = 2048, 3 }
	tr := newTrail(t, small)
	for round := range 4 {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for j := range 5 {
					tr.Finish(issue(fmt.Sprintf("%d-%d-%d", round, i, j)))
				}
			})
		}
		wg.Wait()
		tr.close()
		tr = reopen(t, tr.file, small)
	}
	tr.Finish(issue("last"))
	tr.close()
	names, err := Files(tr.file)
	if err != nil || len(names) != 4 {
		t.Fatalf("files %v, want 3 full ones and one more: %v", names, err)
	}
	for _, name := range names {
		if info, _ := os.Stat(name); info.Size() > 2048 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes, mode %v", name, info.Size(), info.Mode())
		}
	}
	r := verify(t, tr.file, "")
	if !r.Sound() || r.Last != 81 || r.First == 1 {
		t.Errorf("report %+v", r)
	}
	if !strings.Contains(tr.log.String(), r.Head) {
		t.Errorf("the process's log has no head %s:\n%s", r.Head, tr.log)
	}
}

func TestTornLine(t *testing.T) {
	t.Parallel()
	for name, torn := range map[string]string{"half a line": `{"seq":4,"pre`, "zeros": strings.Repeat("\x00", 100_000)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrail(t, nil)
			for i := range 3 {
				tr.Finish(issue(fmt.Sprint(i)))
			}
			tr.close()
			f, err := os.OpenFile(tr.file, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteString(torn)
			f.Close()
			if r := verify(t, tr.file, ""); len(r.Breaks) != 1 || r.Breaks[0].Line != 4 {
				t.Errorf("report %+v", r)
			}
			tr = reopen(t, tr.file, nil)
			tr.Finish(issue("4"))
			tr.close()
			if r := verify(t, tr.file, ""); !r.Sound() || r.Last != 4 {
				t.Errorf("report %+v", r)
			}
			aside, _ := filepath.Glob(tr.file + ".torn-*")
			if len(aside) != 1 || text(t, aside[0]) != torn || !strings.Contains(tr.log.String(), aside[0]) {
				t.Errorf("set aside: %v\n%s", aside, tr.log)
			}
		})
	}
}

// What somebody does to the files shows, with the place.
func TestTampering(t *testing.T) {
	t.Parallel()
	edit := func(change func(lines []string) []string) func(t *testing.T, file string) {
		return func(t *testing.T, file string) {
			lines := strings.SplitAfter(strings.TrimSuffix(text(t, file), "\n"), "\n")
			lines[len(lines)-1] += "\n"
			if err := os.WriteFile(file, []byte(strings.Join(change(lines), "")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		tamper func(t *testing.T, file string)
		line   int
	}{
		{"a changed member", edit(func(l []string) []string { l[2] = strings.Replace(l[2], `"client":"c"`, `"client":"d"`, 1); return l }), 3},
		{"a line taken out", edit(func(l []string) []string { return append(l[:2:2], l[3:]...) }), 3},
		{"two lines changed round", edit(func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }), 2},
		{"a line twice", edit(func(l []string) []string { return append(l[:3:3], l[2:]...) }), 4},
		{"a line of another chain", edit(func(l []string) []string {
			other := (&chain{seq: 2, hash: strings.Repeat("ab", 32)}).append(nil, []byte(`{"time":"x"}`))
			l[2] = string(other)
			return l
		}), 3},
		{"no line of ours", edit(func(l []string) []string { l[2] = "hello\n"; return l }), 3},
		{"an empty line", edit(func(l []string) []string { l[2] = "\n"; return l }), 3},
		{"the first line taken out and the second named the first", edit(func(l []string) []string {
			l[0] = string((&chain{hash: strings.Repeat("ab", 32)}).append(nil, []byte(`{"time":"x"}`)))
			return l[:1]
		}), 1},
		{"a line without end", edit(func(l []string) []string { l[2] = strings.Repeat("x", maxLine+1); return l }), 3},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tr := newTrail(t, nil)
			for i := range 5 {
				tr.Finish(issue(fmt.Sprint(i)))
			}
			tr.close()
			head := verify(t, tr.file, "").Head
			tc.tamper(t, tr.file)
			r := verify(t, tr.file, "")
			if r.Sound() || r.Breaks[0].Line != tc.line || r.Breaks[0].File != tr.file {
				t.Errorf("breaks %+v, want one at line %d", r.Breaks, tc.line)
			}
			edit(func(l []string) []string { return l[:1] })(t, tr.file)
			if r := verify(t, tr.file, head); r.Sound() {
				t.Error("lines cut off at the end do not show against the head")
			}
		})
	}
}

// A last line that is not sound: the gateway starts all the same, and the break stays visible.
func TestUnsoundEnd(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, nil)
	tr.close()
	if err := os.WriteFile(tr.file, []byte("not ours\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tr = reopen(t, tr.file, nil)
	tr.Finish(issue("1"))
	tr.close()
	if r := verify(t, tr.file, ""); r.Sound() || r.Lines != 2 || !strings.Contains(tr.log.String(), "not sound") {
		t.Errorf("report %+v\n%s", r, tr.log)
	}
	if info, _ := os.Stat(tr.file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// Another program that moves the file away, as log rotation does, costs no line and breaks no chain.
func TestMovedAway(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, nil)
	for i := range 3 {
		if err := tr.Admin(Event{Action: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tr.file, fmt.Sprintf("%s.00000%d", tr.file, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	tr.Finish(issue("4"))
	tr.close()
	if r := verify(t, tr.file, ""); !r.Sound() || r.Files != 4 || r.Lines != 4 {
		t.Errorf("report %+v", r)
	}
}

// A disk that takes nothing costs nothing but, in the end, lines, which are counted in the chain.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, nil)
	tr.Finish(issue("before"))
	if err := tr.Admin(Event{Action: "x"}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(tr.file)
	aside := dir + "-aside"
	if err := os.Rename(dir, aside); err != nil { // opening the file fails as long as its folder is away
		t.Fatal(err)
	}
	if err := tr.Admin(Event{Action: "y"}); err == nil {
		t.Error("Admin says that it is on disk")
	}
	for tr.Stats().Lost == 0 {
		tr.Finish(issue("many"))
	}
	s := tr.Stats()
	if !s.Failing || s.Failures == 0 {
		t.Errorf("stats %+v", s)
	}
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	if err := tr.flush(true); err != nil {
		t.Fatal(err)
	}
	if err := tr.Admin(Event{Action: "z"}); err != nil {
		t.Fatal(err)
	}
	r := verify(t, tr.file, "")
	if !r.Sound() || int64(r.Lines) != tr.Stats().Lines || tr.Stats().Failing {
		t.Errorf("report %+v, stats %+v", r, tr.Stats())
	}
	if last := tr.lines()[r.Lines-1]; last["lost"] != float64(s.Lost) || last["action"] != "z" {
		t.Errorf("last line %v, want %d lost", last, s.Lost)
	}
}

func TestNil(t *testing.T) {
	t.Parallel()
	var l *Log
	l.Finish(issue("1"))
	l.Set(1, 1)
	if err := l.Admin(Event{}); err != nil || l.Stats() != (Stats{}) || l.Close() != nil {
		t.Error("a nil trail fails")
	}
}

func BenchmarkFinish(b *testing.B) {
	l, err := Open(Options{File: filepath.Join(b.TempDir(), "audit.log")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := issue("1")
	b.ReportAllocs()
	for b.Loop() {
		l.Finish(r)
	}
}

// What a failed write left of a line, and could not be cut back, is set aside, and the whole line is written then.
func TestHalfWritten(t *testing.T) {
	t.Parallel()
	tr := newTrail(t, nil)
	if err := tr.Admin(Event{Action: "before"}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(tr.file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"seq":2,"prev":"`)
	f.Close()
	if err := tr.Admin(Event{Action: "after"}); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, tr.file, ""); !r.Sound() || r.Lines != 2 {
		t.Errorf("report %+v", r)
	}
}

// FuzzRead holds that no bytes panic, and that what is taken for a line has the hash that it holds.
func FuzzRead(f *testing.F) {
	good := (&chain{}).append(nil, []byte(`{"time":"x"}`))
	f.Add(good[:len(good)-1])
	f.Add((&chain{lost: 3}).append(nil, []byte(`{"time":"x"}`)))
	f.Add([]byte(`{"seq":1,"prev":"","hash":"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := read(text)
		if err == nil && (len(l.hash) != hexLen || len(l.prev) != hexLen || !bytes.HasPrefix(text, []byte(seqPart))) {
			t.Errorf("%q is taken as %+v", text, l)
		}
	})
}
