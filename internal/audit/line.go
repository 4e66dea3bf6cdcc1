package audit

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/internal/exchange"
)

// The most that a line keeps of one text, in bytes; and of scopes, which may be many.
const (
	maxField  = 256
	maxScopes = 1024
)

// line is what a line says, but for its place in the chain. Members that say nothing are left out.
type line struct {
	Time      string   `json:"time"` // RFC 3339, in UTC
	Kind      string   `json:"kind"` // token, revoke, introspect, admin
	Outcome   string   `json:"outcome"`
	Reason    string   `json:"reason,omitempty"`
	Detail    string   `json:"detail,omitempty"`
	RequestID string   `json:"request_id,omitempty"`
	Status    int      `json:"status,omitempty"`
	IP        string   `json:"ip,omitempty"`
	Client    string   `json:"client,omitempty"`  // as authenticated
	Claimed   string   `json:"claimed,omitempty"` // as the caller said, where it did not authenticate
	Method    string   `json:"method,omitempty"`
	Audience  string   `json:"audience,omitempty"`
	Asked     string   `json:"asked,omitempty"`
	Given     string   `json:"given,omitempty"`
	JTI       string   `json:"jti,omitempty"`
	TokenID   string   `json:"token_id,omitempty"` // as in the access log
	Warnings  []string `json:"warnings,omitempty"`
	Action    string   `json:"action,omitempty"`
	Actor     string   `json:"actor,omitempty"`
	Key       string   `json:"kid,omitempty"`
}

// Event is an administrative act. It must hold no secret and no token. Texts are clipped to 256 bytes.
type Event struct {
	Action  string // what was done, in one word or two: reload, revoke, rotate keys
	Actor   string // who did it: sighup, watch, the address of the admin API's caller
	Outcome string // ok, refused, failed
	Reason  string // why it was done, as the administrator says
	Detail  string // what came of it
	Client  string // the client that it was about
	JTI     string // the token that it was about, by its id
	Key     string // the signing key that it was about
}

// decides reports whether an endpoint is one whose decisions are kept.
func decides(endpoint string) bool {
	return slices.Contains([]string{"token", "revoke", "introspect"}, endpoint)
}

// decisionOf is the line of a finished request to one of our endpoints.
func decisionOf(r *exchange.Record) []byte {
	l := line{
		Time: stamp(r.Start), Kind: r.Endpoint, Outcome: r.Verdict.String(), Reason: r.Reason, Detail: clip(r.Detail, maxField),
		RequestID: r.ID, Status: r.Status, IP: r.Remote, Client: r.Client, Method: r.Own.Method, Audience: said(r.Own.Audience, maxField),
		Asked: said(r.Own.Asked, maxScopes), Given: clip(r.Scopes, maxScopes), JTI: clip(r.Own.JTI, maxField), TokenID: r.TokenID,
	}
	if r.Client == "" {
		l.Claimed = said(r.Own.Claimed, 128)
	}
	if r.Own.Introspect != "" {
		l.Outcome = r.Own.Introspect
	}
	for _, w := range r.Own.Warnings {
		l.Warnings = append(l.Warnings, clip(w, maxField))
	}
	return encode(l)
}

// lineOf is the line of an administrative act.
func lineOf(e Event, now time.Time) []byte {
	c := func(s string) string { return clip(s, maxField) }
	return encode(line{Time: stamp(now), Kind: "admin", Outcome: c(e.Outcome), Reason: c(e.Reason), Detail: c(e.Detail),
		Action: c(e.Action), Actor: c(e.Actor), Client: c(e.Client), JTI: c(e.JTI), Key: c(e.Key)})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// encode is l as one JSON object. The encoder escapes control characters and line ends, so that a text of a stranger's
// stays inside its string.
func encode(l line) []byte {
	body, err := json.Marshal(l)
	if err != nil {
		panic(err) // only strings and numbers are written
	}
	return body
}

// said is a caller's own text. It may be anything, a secret or a token in the wrong place among it: what looks like one is
// not kept.
func said(s string, n int) string {
	if strings.Contains(s, "gatecs_") || strings.Contains(s, "eyJ") {
		return "(looks like a secret or a token, and is not kept)"
	}
	return clip(s, n)
}

// clip cuts s to at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
