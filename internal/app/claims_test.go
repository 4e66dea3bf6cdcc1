package app

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/redistest"
	"gatehouse/internal/trace"
)

// payload is what a token says.
func payload(t *testing.T, raw string) (claims map[string]any) {
	t.Helper()
	_, rest, _ := strings.Cut(raw, ".")
	body, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestClaims: claims of the file are in the tokens of their API alone, pass the gate, are counted by limits, and follow a reload.
func TestClaims(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, redis *redistest.Server) {
		s := newSite(t, redis)
		claims := func(team string) {
			s.limit = `{requests: 1, per: 1h, by: "claim:https://example.com/team"}
    claims: {"https://example.com/team": "` + team + `", "https://example.com/who": "{client.id}@{api.name} {{x}"}`
			s.write()
		}
		claims("all")
		n := s.start()
		reader, writer, other := s.token(n, "reader"), s.token(n, "writer"), s.token(n, "other")
		for raw, want := range map[string][2]any{reader: {"all", "reader@orders {x}"}, writer: {"all", "writer@orders {x}"}, other: {nil, nil}} {
			if got := payload(t, raw); got["https://example.com/team"] != want[0] || got["https://example.com/who"] != want[1] {
				t.Errorf("%v, want %v", got, want)
			}
		}
		if got := n.call("GET", "/orders/1", reader).status; got != 200 {
			t.Errorf("the first of the team: %d", got)
		}
		if got := n.call("GET", "/orders/1", writer).status; got != 429 {
			t.Errorf("the second of the team: %d, want 429", got)
		}
		whatIf := n.explained(adminapi.ExplainRequest{Method: "GET", URL: s.url() + "/orders/1", Client: "writer"})
		if step := whatIf.Step(trace.Limit); step == nil || step.Outcome != trace.Failed {
			t.Errorf("what if: %+v, want a limit that refuses", whatIf.Steps)
		}
		claims("{client.id}")
		if _, err := n.Reload("api"); err != nil {
			t.Fatal(err)
		}
		if got := n.call("GET", "/orders/1", s.token(n, "writer")).status; got != 200 {
			t.Errorf("after the reload, a team of its own: %d", got)
		}
	})
}
