package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExpect(t *testing.T) {
	for _, tc := range []struct {
		name  string
		got   report
		want  int
		slack float64
		ok    bool
	}{
		{"all served", report{requests: 10}, 200, 0, true},
		{"one refused", report{requests: 10, refused: 1}, 200, 0, false},
		{"all refused, as wanted", report{requests: 10, refused: 10}, 401, 0, true},
		{"one served that was to be refused", report{requests: 10, refused: 9}, 401, 0, false},
		{"one served of a thousand", report{requests: 1000, refused: 999}, 429, late, true},
		{"two served of a thousand", report{requests: 1000, refused: 998}, 429, late, false},
		{"one connection cut", report{requests: 10, errors: 1}, 200, 0, false},
	} {
		if err := expect(&tc.got, tc.want, tc.slack); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestJudgeCountsFreshTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		requests int64
		fresh    bool
		ok       bool
	}{{3, true, true}, {4, true, false}, {4, false, true}} {
		e := &entry{scenario: &scenario{want: http.StatusOK, fresh: tc.fresh}}
		if err := e.judge(&load{tokens: path}, &round{report: report{requests: tc.requests}}); (err == nil) != tc.ok {
			t.Errorf("%d requests with 3 tokens, fresh %t: %v", tc.requests, tc.fresh, err)
		}
	}
}

func TestDistinct(t *testing.T) {
	if err := distinct([]binary{{"a", "/x/a"}, {"b", "/x/b"}}); err != nil {
		t.Error(err)
	}
	if err := distinct([]binary{{"a", "/x/a"}, {"a", "/y/a"}}); err == nil || !strings.Contains(err.Error(), "rename") {
		t.Errorf("two of one name: %v", err)
	}
}

func TestSpent(t *testing.T) {
	began := time.Now()
	r := round{report: report{elapsed: 4 * time.Second}, served: 100_000}
	r.spent(counters{began, time.Second, 7 * time.Second, traffic{scripts: 50, reads: 100}},
		counters{began.Add(5 * time.Second), 4 * time.Second, 11 * time.Second, traffic{scripts: 1050, reads: 5100}})
	if r.cpu != 30 || r.busy != 0.75 || r.others != 0.2 || r.scripts != 0.01 || r.trips != 0.05 {
		t.Errorf("got %+v, want 30 µs a request, three quarters of the core, a fifth to others, 0.01 scripts and 0.05 reads", r)
	}
}
