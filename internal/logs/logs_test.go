package logs

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestSetChangesExistingLoggers(t *testing.T) {
	var buf bytes.Buffer
	o := Open(&buf, "info", "json")
	l := o.Logger().With("k", "v").WithGroup("g")
	l.Debug("unseen")
	l.Info("first", "a", 1)
	o.Set("debug", "text")
	l.Debug("second", "a", 2)
	o.Close()

	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines: %q", len(lines), lines)
	}
	var first map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if first["k"] != "v" || first["g"].(map[string]any)["a"] != 1.0 {
		t.Errorf("first line %v", first)
	}
	if !strings.Contains(lines[1], "msg=second k=v g.a=2") {
		t.Errorf("second line %q", lines[1])
	}
}

// blocked is a log reader that has stopped reading.
type blocked struct{ free chan struct{} }

func (b blocked) Write(p []byte) (int, error) { <-b.free; return len(p), nil }

func TestABlockedReaderCostsLinesNotTime(t *testing.T) {
	b := blocked{make(chan struct{})}
	o := Open(b, "info", "json")
	l := o.Logger()
	const shortest = len(`{"time":"2026-11-24T00:00:00Z","level":"INFO","msg":"x"}`)
	for range 2 * queue {
		l.Info("x") // would hang here if Write waited
	}
	got := o.Dropped()
	if got < queue-most/int64(shortest)-1 || got > queue {
		t.Errorf("dropped %d lines of %d", got, 2*queue)
	}
	close(b.free)
	o.Close()
	l.Info("late")
	if o.Dropped() != got+1 {
		t.Error("a line after Close was not counted")
	}
}

// Ensure that lines which are written together come whole, each once and in order.
func TestLinesInOrder(t *testing.T) {
	var buf bytes.Buffer
	o := Open(&buf, "info", "json")
	l := o.Logger()
	for i := range queue {
		l.Info("x", "i", i)
	}
	o.Close()
	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	if len(lines) != queue || o.Dropped() != 0 {
		t.Fatalf("%d lines, %d dropped", len(lines), o.Dropped())
	}
	for i, line := range lines {
		var got struct{ I int }
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.I != i {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

// Control characters in values must not forge a second line.
func TestOneLineForEachRecord(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var buf bytes.Buffer
		o := Open(&buf, "info", format)
		o.Logger().Info("exchange", "client", "a\r\n{\"level\":\"ERROR\"}\x1b[31m")
		o.Close()
		if n := strings.Count(buf.String(), "\n"); n != 1 || strings.ContainsAny(buf.String(), "\r\x1b") {
			t.Errorf("%s: %q", format, buf.String())
		}
	}
}
