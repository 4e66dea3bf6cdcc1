package adminapi

import (
	"time"

	"gatehouse/internal/trace"
)

// Denial is one request that was refused, or would have been but for observe mode. GET /api/v1/denials?limit=N answers with a
// list of them, the newest first; GET /api/v1/denials/{request id} with one, and its trace. What the caller sent is clipped
// and escaped.
type Denial struct {
	ID       string       `json:"request_id"`
	Time     time.Time    `json:"time"`
	Verdict  string       `json:"verdict"` // deny or would_deny
	Status   int          `json:"status"`
	Reason   string       `json:"reason"`
	Detail   string       `json:"detail,omitempty"`
	Method   string       `json:"method"`
	Host     string       `json:"host,omitempty"`
	Path     string       `json:"path"`
	Endpoint string       `json:"endpoint,omitempty"` // one of our own, such as token
	API      string       `json:"api,omitempty"`
	Route    string       `json:"route,omitempty"`
	Client   string       `json:"client,omitempty"` // as verified or authenticated
	Issuer   string       `json:"issuer,omitempty"`
	Remote   string       `json:"remote,omitempty"`
	Trace    *trace.Trace `json:"trace,omitempty"` // nil in a list
}

// ExplainRequest is the body of POST /api/v1/explain, which is answered with a trace.Trace: what would become of such a request.
// Token and Client exclude each other; with neither, the request has no token.
type ExplainRequest struct {
	Method string `json:"method,omitempty"` // "": GET
	URL    string `json:"url"`              // a path, or a whole URL whose host counts
	Token  string `json:"token,omitempty"`
	// Client asks what if this client called, with a token of these scopes for this audience. Without Scopes it has all that is
	// granted, without Audience it is for the API of the route. The clients of other issuers are taken at their word.
	Client   string   `json:"client,omitempty"`
	Issuer   string   `json:"issuer,omitempty"` // its name in the configuration; "": our own
	Scopes   []string `json:"scopes,omitempty"`
	Audience string   `json:"audience,omitempty"`
	At       Time     `json:"at,omitzero"` // judge the token at this time; none: now
}
