package main

import (
	"fmt"
	"testing"
)

func TestParseTally(t *testing.T) {
	const text = `# TYPE gatehouse_requests_total counter
gatehouse_requests_total{api="rsa",code="200",method="GET",route="GET /rsa/things/{id}"} 5
gatehouse_requests_total{api="ec",code="200",method="GET",route="GET /ec/things/{id}"} 1e+06
gatehouse_requests_total{api="rsa",code="401",method="GET",route="GET /rsa/things/{id}"} 7
gatehouse_token_cache_total{result="hit"} 900
gatehouse_token_cache_total{result="miss"} 256
`
	got, err := parseTally(text)
	if want := (tally{map[string]int64{"200": 1_000_005, "401": 7}, 256}); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "gatehouse_requests_total{api=\"rsa\"} 5\n", "gatehouse_requests_total{code=\"200\"} many\n"} {
		if got, err := parseTally(bad); err == nil {
			t.Errorf("got %v of %q, want an error", got, bad)
		}
	}
}

func TestAccount(t *testing.T) {
	at := func(misses int64, codes map[string]int64) tally { return tally{codes, misses} }
	before := at(256, map[string]int64{"200": 10, "401": 3})
	for _, tc := range []struct {
		name   string
		e      scenario
		after  tally
		served int64
		ok     bool
	}{
		{"all allowed and known", scenario{want: 200}, at(256, map[string]int64{"200": 110, "401": 3}), 100, true},
		{"one in flight at the end", scenario{want: 200}, at(256, map[string]int64{"200": 111, "401": 3}), 100, true},
		{"some under way at the end", scenario{want: 200}, at(256, map[string]int64{"200": 110, "401": 3, "4xx": 64}), 100, true},
		{"some never came to us", scenario{want: 200}, at(256, map[string]int64{"200": 109, "401": 3}), 100, false},
		{"one refused", scenario{want: 200}, at(256, map[string]int64{"200": 110, "401": 4}), 101, false},
		{"not remembered", scenario{want: 200}, at(1000, map[string]int64{"200": 1010, "401": 3}), 1000, false},
		{"all new, as wanted", scenario{want: 200, fresh: true}, at(356, map[string]int64{"200": 110, "401": 3}), 100, true},
		{"one not new", scenario{want: 200, fresh: true}, at(355, map[string]int64{"200": 110, "401": 3}), 100, false},
		{"refused, but for another reason", scenario{want: 403}, at(256, map[string]int64{"200": 10, "401": 103}), 100, false},
		{"beside refusals", scenario{want: 200, flood: 401, beside: with(pathOpen, "")}, at(300, map[string]int64{"200": 60, "401": 53}), 100, true},
		{"one of a thousand past a limit", scenario{want: 429}, at(256, map[string]int64{"200": 11, "401": 3, "429": 999}), 1000, true},
		{"two of a thousand past it", scenario{want: 429}, at(256, map[string]int64{"200": 12, "401": 3, "429": 998}), 1000, false},
	} {
		e := &entry{scenario: &tc.e}
		if err := e.account(before, tc.after, tc.served); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
