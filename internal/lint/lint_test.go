package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
)

var today = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// use is what a gateway knows that has run since February.
var use = &Use{Since: "2026-02-01", Days: map[string]string{"reader": "2026-11-24", "writer": "2026-09-01", "sleeper": "", "newcomer": ""}}

func load(t *testing.T, path string) *config.Config {
	t.Helper()
	cfg, err := config.Load(path, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// wanted reads the comments of the fixture: file:line rule.
func wanted(t *testing.T) (list []string) {
	t.Helper()
	for _, name := range []string{"testdata/clients.yaml", "testdata/config.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range strings.Split(string(text), "\n") {
			for _, m := range regexp.MustCompile(`want (A\d\d)`).FindAllStringSubmatch(l, -1) {
				list = append(list, fmt.Sprintf("%s:%d %s", name, i+1, m[1]))
			}
		}
	}
	return list
}

// The fixture has one fault for each rule, and the audit finds these and nothing else.
func TestEachRule(t *testing.T) {
	t.Parallel()
	r := Audit(load(t, "testdata/config.yaml"), use, today)
	var got []string
	seen := map[string]bool{}
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, f.ID))
		seen[f.ID] = true
		if f.Col < 1 || f.Message == "" || f.Fix == "" || f.Title == "" || f.Source == "" {
			t.Errorf("%+v lacks something", f)
		}
	}
	want := wanted(t)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, rule := range Rules() {
		if !seen[rule.ID] {
			t.Errorf("the fixture has no fault for %s %s", rule.ID, rule.Title)
		}
	}
	if r.Silenced != 2 || len(r.Notes) != 0 {
		t.Errorf("%d silenced, notes %q", r.Silenced, r.Notes)
	}
}

func TestUnusedTakesMemory(t *testing.T) {
	t.Parallel()
	cfg := load(t, "testdata/config.yaml")
	for name, u := range map[string]*Use{"no node": nil, "a young node": {Since: "2026-11-01"}} {
		r := Audit(cfg, u, today)
		if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "A06 not checked") {
			t.Errorf("%s: notes %q", name, r.Notes)
		}
		if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == "A06" }) {
			t.Errorf("%s: somebody is unused", name)
		}
	}
}

// configuration writes a small one, whose API has the given keys.
func configuration(t *testing.T, top, api, clients string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config.yaml": "version: 1\nserver: {listen: 127.0.0.1:8080, public_url: http://127.0.0.1:8080}\nclients_file: clients.yaml\n" + top +
			"apis:\n  a:\n    audience: a\n    upstream: http://127.0.0.1:9001\n" + api,
		"clients.yaml": "version: 1\n" + clients,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, filepath.Join(dir, "config.yaml"))
}

func TestFindings(t *testing.T) {
	t.Parallel()
	const passes = "clients: {c: {grants: {a: []}, secrets: [{sha256: 6f2c41d0c0b14ee1a5c08be9a9b0e5b6f1e6d2b7a1f6c4cf6b6a9ad51f7a0e31}]}}\n"
	const route = "    routes: [{match: /x, auth: token}]\n"
	tests := []struct {
		name, top, api, clients string
		want                    string // "A08 4:41"
		notes                   int
	}{
		{"nothing", "", route, passes, "", 0},
		{"a ttl that all take is said once", "tokens: {ttl: 3h}\n", route + "  b: {audience: b, upstream: \"http://127.0.0.1:9002\", routes: [{match: /y, auth: public}]} # gatehouse:ignore A01\n", passes, "A02 4:15", 0},
		{"a limit of defaults", "defaults: {rate_limit: {requests: 1, per: 1s, on_error: open}}\n", route, passes, "A08 4:57", 0},
		{"a client's limit", "", route, strings.Replace(passes, "{grants", "{rate_limit: {requests: 1, per: 1s, on_error: open}, grants", 1), "A08 2:60", 0},
		{"a route's mode", "", "    routes: [{match: /x, auth: token, mode: observe}]\n", passes, "A09 8:45", 0},
		{"a disabled client passes nothing", "", route, strings.Replace(passes, "{grants", "{disabled: true, grants", 1), "A12 8:22", 0},
		{"other issuers", "issuers: {corp: {issuer: \"https://login.example.com/\", algorithms: [RS256]}}\n",
			"    issuers: [local, corp]\n    scopes: {s: \"\"}\n    routes: [{match: /x, scopes: [s]}]\n", "", "", 1},
		{"an ignore without a rule", "", route + "# gatehouse:ignore\n", passes, "A00 9:1", 0},
		{"an ignore of what was not looked at", "", route, strings.Replace(passes, "\n", " # gatehouse:ignore A06\n", 1), "", 0},
		{"an ignore in a text is none", "", "    scopes: {s: \"x#gatehouse:ignore A01\"}\n    routes: [{match: /x, auth: token}, {match: /y, scopes: [s]}]\n",
			strings.Replace(passes, "[]", "[s]", 1), "", 0},
	}
	for _, tc := range tests {
		r := Audit(configuration(t, tc.top, tc.api, tc.clients), nil, today)
		var got []string
		for _, f := range r.Findings {
			got = append(got, fmt.Sprintf("%s %d:%d", f.ID, f.Line, f.Col))
		}
		if strings.Join(got, ", ") != tc.want || len(r.Notes) != tc.notes+1 {
			t.Errorf("%s: %v and notes %q, want %s", tc.name, got, r.Notes, tc.want)
		}
	}
}
