package adminapi

import "time"

// Route is one route with what it requires and what has come of it, in the answer to GET /api/v1/routes, which is a list of them
// by API, in the order of the file. The counts are this node's, of the last 15 minutes.
type Route struct {
	API       string   `json:"api"`
	Match     string   `json:"match"`
	Method    string   `json:"method"` // "": what the path's other routes do not name
	Pattern   string   `json:"pattern"`
	Auth      string   `json:"auth"`  // scopes, token or public
	Needs     string   `json:"needs"` // the scopes in words
	Limits    []string `json:"limits"`
	Upstreams []string `json:"upstreams"`
	Observe   bool     `json:"observe,omitempty"`
	Where     string   `json:"where"` // file:line

	Requests int64     `json:"requests"`
	Denied   int64     `json:"denied"`
	Failed   int64     `json:"failed"`            // answered with a status from 500
	P95      float64   `json:"p95_seconds"`       // 0 without requests
	Last     time.Time `json:"last_hit,omitzero"` // absent where there was none since the start
}

// LoginRequest is the body of POST /api/v1/login. It says nothing.
type LoginRequest struct{}

// Login is the answer: where a browser opens the status page.
type Login struct {
	Path    string    `json:"path"`             // with a code that logs in once, where the page asks for the admin token
	Expires time.Time `json:"expires,omitzero"` // of the code; absent where there is none
}
