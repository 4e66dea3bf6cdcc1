package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gatehouse/authz"
	"gatehouse/internal/adminapi"
	"gatehouse/internal/config"
	"gatehouse/internal/suggest"
	"gatehouse/internal/trace"
	"gatehouse/tokenep"
)

// RouteResult is how one policy test ended.
type RouteResult struct {
	Where   string       `json:"where"`
	Request string       `json:"request"`
	Client  string       `json:"client,omitempty"`
	Want    string       `json:"want"`
	Got     string       `json:"got"`
	OK      bool         `json:"ok"`
	Trace   *trace.Trace `json:"trace"`
}

// Test runs policy tests against the configuration. A want that no request can have is an error, config.Errors.
func (o *Offline) Test(ctx context.Context, tests []config.RouteTest) ([]RouteResult, error) {
	if err := checkWants(tests); err != nil {
		return nil, err
	}
	results := []RouteResult{}
	for _, test := range tests {
		q := adminapi.ExplainRequest{Method: test.Method, URL: test.Target, Client: test.Client, Issuer: test.Issuer, Scopes: test.Scopes, Audience: test.Audience}
		if test.Host != "" {
			q.URL = "http://" + test.Host + test.Target
		}
		t, err := o.Explain(ctx, q)
		if err != nil {
			return nil, config.Errors{{Pos: test.Pos, Message: err.Error()}}
		}
		got := t.Reason
		if t.Allowed() {
			got = trace.Allow
		}
		results = append(results, RouteResult{Where: where(test.Pos), Request: test.Method + " " + test.Target, Client: test.Client, Want: test.Want, Got: got,
			OK: got == test.Want, Trace: t})
	}
	return results, nil
}

// checkWants refuses a word that is neither allow nor a reason, of the gateway or of the token endpoint.
func checkWants(tests []config.RouteTest) error {
	words := map[string]bool{trace.Allow: true}
	for _, r := range authz.Reasons() {
		words[string(r)] = true
	}
	for _, w := range tokenep.Errors() {
		words[w] = true
	}
	var problems config.Errors
	for _, t := range tests {
		if words[t.Want] {
			continue
		}
		hint := "write allow, or a reason such as insufficient_scope"
		if near := suggest.Nearest(t.Want, maps.Keys(words)); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		problems = append(problems, config.Problem{Pos: t.WantPos, Message: fmt.Sprintf("want: %q is no outcome — %s", trace.Shown(t.Want), hint)})
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// Failed are the results that are not as wanted.
func Failed(results []RouteResult) []RouteResult {
	return slices.DeleteFunc(slices.Clone(results), func(r RouteResult) bool { return r.OK })
}
