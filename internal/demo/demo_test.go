package demo

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/demo/hello", "", 200, `{"message":"hello from behind Gatehouse","client":"c","scopes":["demo:read"],"request_id":"r1"}`},
		{"POST", "/demo/echo", "hi", 200, `"message":"hi"`},
		{"POST", "/demo/echo", strings.Repeat("x", maxEcho+1), 400, "larger"},
		{"GET", "/demo/echo", "", 405, ""},
		{"GET", "/", "", 404, ""},
	} {
		r := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
		r.Header.Set("X-Client-Id", "c")
		r.Header.Set("X-Token-Scopes", "demo:read")
		r.Header.Set("X-Request-Id", "r1")
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, r)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s: %d %q, want %d with %q", tc.method, tc.path, w.Code, w.Body.String(), tc.status, tc.want)
		}
	}
}
