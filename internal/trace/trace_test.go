package trace

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
)

// denied is the example of a refusal for a missing scope.
func denied() *Trace {
	step := func(c Check, o Outcome, fact, where string) Step { return Step{c, o, fact, where} }
	return &Trace{RequestID: "01JD8Q3Z7K", Method: "POST", Host: "127.0.0.1:8080", Path: "/orders", Verdict: Deny, Status: 403, Reason: "insufficient_scope",
		Detail: "this route needs orders:write; the token has orders:read", API: "orders", Route: "POST /orders", Where: "config.yaml:38",
		Steps: []Step{
			step(Path, Passed, "/orders", ""), step(Route, Passed, "POST /orders", "config.yaml:38"), step(Token, Passed, "Authorization: Bearer, 612 bytes", ""),
			step(Key, Passed, "ES256, kid 7f3a…c2 (current)", ""), step(Signature, Passed, "", ""), step(Issuer, Passed, "https://api.example.com", ""),
			step(Time, Passed, "issued 1m48s ago, expires in 8m12s", ""), step(Audience, Passed, "https://api.example.com/orders", ""),
			step(Scope, Failed, "needs orders:write   token has orders:read", ""), step(Limit, NotReached, "", ""), step(Upstream, NotReached, "", "")},
		Why: []Line{{"client billing-worker is granted orders:[orders:read]", "clients.yaml:7"}},
		Fix: []string{"gatehouse client grant billing-worker orders:orders:write"}}
}

func TestText(t *testing.T) {
	t.Parallel()
	asked := denied()
	asked.Verdict, asked.Status, asked.Reason, asked.RequestID = Allow, 0, "", ""
	asked.Steps = []Step{{Path, Passed, "/orders", ""}, {Grant, Passed, "orders:[orders:write]", "clients.yaml:7"},
		{Key, NotChecked, "a token of this client is assumed", ""}, {Upstream, NotChecked, "the upstream is not asked", ""}}
	asked.Why, asked.Fix, asked.Notes = nil, nil, []string{"no host was given", "a second note"}
	lost := &Trace{Method: "GET", Path: "/order", Verdict: Deny, Status: 404, Reason: "no_route", Steps: []Step{{Route, Failed, "nothing is served at this path", ""}},
		Why: []Line{{Text: "no route for GET /order"}}, Near: []Line{{"GET /orders", "config.yaml:31"}, {"POST /orders", "config.yaml:38"}}}
	for name, text := range map[string]string{"denied": denied().Text(false), "denied-colour": denied().Text(true), "allowed": asked.Text(false), "lost": lost.Text(false)} {
		file := filepath.Join("testdata", name+".txt")
		if os.Getenv("GOLDEN") != "" {
			os.MkdirAll("testdata", 0o755)
			os.WriteFile(file, []byte(text), 0o644)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, text, want)
		}
	}
}

// Ensure that nothing that a caller sends drives a terminal, fills it, or turns the text round.
func TestHostileText(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"\x1b[31mred", "a\r\nDENIED", "\u202eevil", "ä\u0000", strings.Repeat("x", 8<<10), strings.Repeat("\x1b", 8<<10), "\xff\xfe", "a\u2028b", `back\slash`} {
		got := Shown(s)
		for _, r := range got {
			if r != '…' && (r > unicode.MaxASCII || r < ' ') {
				t.Fatalf("Shown(%.40q) = %.200q", s, got)
			}
		}
		if len(got) > 8*maxShown {
			t.Errorf("%d bytes are shown of %d", len(got), len(s))
		}
		if Shown(Clip(s)) != got {
			t.Errorf("what is kept of %q shows as %q, want %q", s, Shown(Clip(s)), got)
		}
		raw := &Trace{Method: s, Path: s, Reason: s, API: s, Route: s, Where: s, Steps: []Step{{Route, Failed, s, s}}, Why: []Line{{s, s}}, Fix: []string{s}, Notes: []string{s}}
		for _, r := range raw.Text(false) {
			if r != '\n' && (!unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Fatalf("the text of %.40q holds %q", s, r)
			}
		}
	}
	for _, s := range []string{"gatecs_0123456789", "x eyJhbGciOi"} {
		if got := Shown(s); strings.Contains(got, "0123") || strings.Contains(got, "eyJ") {
			t.Errorf("Shown(%q) = %q", s, got)
		}
	}
	if got := Shown("GET /orders?x=1 \"a\""); got != "GET /orders?x=1 \"a\"" {
		t.Errorf("plain text is changed: %q", got)
	}
}

func TestArrange(t *testing.T) {
	t.Parallel()
	tr := &Trace{Steps: []Step{{Check: Key, Outcome: NotReached}, {Check: Issuer, Outcome: Failed}, {Check: Path, Outcome: Passed}, {Check: Time, Outcome: NotReached}, {Check: Grant, Outcome: NotChecked}}}
	tr.Arrange()
	var got []Check
	for _, s := range tr.Steps {
		got = append(got, s.Check)
	}
	if want := []Check{Path, Grant, Issuer, Key, Time}; strings.Join(strs(got), " ") != strings.Join(strs(want), " ") {
		t.Errorf("order %v, want %v", got, want)
	}
	if tr.Step(Issuer) == nil || tr.Step(Upstream) != nil {
		t.Error("Step finds what is not there, or not what is")
	}
}

func strs(list []Check) (out []string) {
	for _, c := range list {
		out = append(out, string(c))
	}
	return out
}

func TestJSON(t *testing.T) {
	t.Parallel()
	tr := denied()
	tr.Time, tr.Asked = time.Unix(1_800_000_000, 0).UTC(), &Asked{Claimed: "whatever it was"}
	body, err := json.Marshal(tr)
	if err != nil || strings.Contains(string(body), "whatever") {
		t.Errorf("%s, %v", body, err)
	}
	var back Trace
	if err := json.Unmarshal(body, &back); err != nil || back.Text(true) != tr.Text(true) || !back.Time.Equal(tr.Time) {
		t.Errorf("read back: %v\n%s", err, back.Text(false))
	}
}
