package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/trace"
)

func TestAccessLog(t *testing.T) {
	var buf bytes.Buffer
	sink := AccessLog{slog.New(slog.NewJSONHandler(&buf, nil))}
	sink.Finish(&Record{ID: "r1", Method: "GET", Host: "api", Path: "/" + strings.Repeat("x", 9000), Status: 403, Reason: "insufficient_scope",
		Client: "c", Duration: 1500 * time.Microsecond})
	sink.Finish(&Record{ID: "r2", Method: "GET", Status: 502, Verdict: Allow, UpstreamError: "dial"})

	var lines []map[string]any
	for dec := json.NewDecoder(&buf); dec.More(); {
		var m map[string]any
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2", len(lines))
	}
	if l := lines[0]; l["level"] != "INFO" || l["decision"] != "deny" || l["reason"] != "insufficient_scope" || l["ms"] != 1.5 || len(l["path"].(string)) > maxField+4 {
		t.Errorf("denial: %v", l)
	}
	if _, ok := lines[0]["upstream_error"]; ok {
		t.Error("an empty field was written")
	}
	if l := lines[1]; l["level"] != "WARN" || l["upstream_error"] != "dial" || l["decision"] != "allow" {
		t.Errorf("upstream failure: %v", l)
	}
}

// A secret or a token that a caller puts into the path, the method or the Host is not written, however long the path is.
func TestAccessLogLeavesSecretsOut(t *testing.T) {
	const secret, token = "gatecs_7QyN3", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
	for _, r := range []Record{
		{Path: "/orders/" + secret + "/" + token + "/lines"},
		{Path: "/" + strings.Repeat("x", maxField-4) + secret},
		{Method: token, Path: "/"},
		{Host: token, Path: "/"},
	} {
		var buf bytes.Buffer
		AccessLog{slog.New(slog.NewJSONHandler(&buf, nil))}.Finish(&r)
		if line := buf.String(); strings.Contains(line, "gatecs") || strings.Contains(line, "eyJ") || !strings.Contains(line, "looks like a secret") {
			t.Errorf("written: %s", line)
		}
	}
	if got := trace.Logged("/orders/" + secret + "/lines"); !strings.HasPrefix(got, "/orders/(") || !strings.HasSuffix(got, ")/lines") {
		t.Errorf("the rest of the path is lost: %s", got)
	}
}

func TestContext(t *testing.T) {
	r := &Record{ID: "x"}
	if got := FromContext(NewContext(context.Background(), r)); got != r {
		t.Errorf("FromContext = %p, want %p", got, r)
	}
	if FromContext(context.Background()) == nil {
		t.Error("FromContext without a record is nil; handlers would crash")
	}
}

func TestMethodLabelIsClosed(t *testing.T) {
	for in, want := range map[string]string{"GET": "GET", "get": "other", "BREW": "other", "": "other", "TRACE": "TRACE"} {
		if got := MethodLabel(in); got != want {
			t.Errorf("MethodLabel(%q) = %q, want %q", in, got, want)
		}
	}
}
