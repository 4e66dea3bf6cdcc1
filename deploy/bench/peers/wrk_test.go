package main

import (
	"strings"
	"testing"
	"time"
)

const quiet = `Running 4s test @ http://127.0.0.1:8080
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.52ms  310.11us   9.88ms   80.12%
    Req/Sec    41.02k     1.20k   43.10k    70.00%
  Latency Distribution
     50%  987.00us
     75%    1.60ms
     90%    1.80ms
     99%    1.05s
  163840 requests in 4.00s, 44.53MB read
Requests/sec:  40960.00
Transfer/sec:     11.13MB
`

func TestParseWrk(t *testing.T) {
	troubled := strings.Replace(quiet, "44.53MB read\n", "44.53MB read\n  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 17\n", 1)
	for _, tc := range []struct {
		name, out string
		want      report
	}{
		{"all well", quiet, report{requests: 163840, elapsed: 4 * time.Second, p50: 987 * time.Microsecond, p99: 1050 * time.Millisecond}},
		{"refused and cut", troubled, report{163840, 17, 4321, 4 * time.Second, 987 * time.Microsecond, 1050 * time.Millisecond}},
		{"a minute", strings.Replace(quiet, "in 4.00s", "in 1.00m", 1), report{requests: 163840, elapsed: time.Minute, p50: 987 * time.Microsecond, p99: 1050 * time.Millisecond}},
	} {
		if got, err := parseWrk(tc.out); err != nil || got != tc.want {
			t.Errorf("%s: got %+v, %v, want %+v", tc.name, got, err, tc.want)
		}
	}
	for name, out := range map[string]string{
		"nothing":        "",
		"no requests":    strings.Replace(quiet, "163840 requests", "0 requests", 1),
		"no latency":     strings.Replace(quiet, "     99%    1.05s\n", "", 1),
		"a strange unit": strings.Replace(quiet, "987.00us", "987.00 parsecs", 1) + strings.Replace(quiet, "1.05s", "1.05parsecs", 1),
	} {
		if got, err := parseWrk(out); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func TestScript(t *testing.T) {
	get := (&load{path: "/rsa/things/1", tokens: "/tmp/tokens"}).script()
	for _, want := range []string{`wrk.format("GET", "/rsa/things/1", headers, nil)`, `io.lines("/tmp/tokens")`, `"Bearer " .. token`} {
		if !strings.Contains(get, want) {
			t.Errorf("script of a GET lacks %s:\n%s", want, get)
		}
	}
	post := (&load{method: "POST", path: "/oauth/token", basic: "Basic eA==", form: "grant_type=client_credentials"}).script()
	for _, want := range []string{`wrk.format("POST", "/oauth/token", headers, "grant_type=client_credentials")`, `Authorization = "Basic eA=="`, "x-www-form-urlencoded"} {
		if !strings.Contains(post, want) {
			t.Errorf("script of a POST lacks %s:\n%s", want, post)
		}
	}
	if open := (&load{path: "/"}).script(); strings.Contains(open, "Authorization") {
		t.Errorf("a load without a token sends one:\n%s", open)
	}
}
