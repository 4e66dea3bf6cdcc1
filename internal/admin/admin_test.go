package admin

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/secret"
)

func TestAdmin(t *testing.T) {
	ready, broken := true, false
	access := Access{Token: secret.Hide("s3cret-token"), Hosts: []string{"admin.internal"}}
	ts := httptest.NewServer(New(Options{
		Access: func() Access { return access },
		Ready:  func() (bool, string) { return ready, "draining" },
		Status: func() adminapi.Status { return adminapi.Status{Node: "web-1:8080"} },
		Reload: func() adminapi.Reloaded {
			if broken {
				return adminapi.Reloaded{Errors: []adminapi.Problem{{File: "config.yaml", Line: 3, Col: 5, Message: "unknown key"}}}
			}
			return adminapi.Reloaded{Result: "reloaded"}
		},
		Clients: func(context.Context) (adminapi.Clients, error) {
			if broken {
				return adminapi.Clients{}, &Error{503, "redis is away"}
			}
			return adminapi.Clients{Since: "2026-11-01", Clients: []adminapi.Client{{ID: "a", LastTokenDay: "2026-11-24"}}}, nil
		},
		Routes: func() []adminapi.Route { return []adminapi.Route{{API: "orders", Match: "GET /orders"}} },
		Login: func(context.Context, adminapi.LoginRequest) (adminapi.Login, error) {
			return adminapi.Login{Path: "/login?code=x"}, nil
		},
		Page:    http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the page "+r.URL.Path) }),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "gatehouse_up 1\n") }),
	}))
	defer ts.Close()

	do := func(method, path, host string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, ts.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Add(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	const good = "Bearer s3cret-token"
	tests := []struct {
		name, method, path, host string
		header                   []string
		want                     int
		body                     string
	}{
		{"health needs nothing", "GET", "/-/healthy", "evil.example", nil, 200, "healthy"},
		{"readiness needs nothing", "GET", "/-/ready", "evil.example", nil, 200, "ready"},
		{"metrics need nothing", "GET", "/metrics", "evil.example", nil, 200, "gatehouse_up"},
		{"reload", "POST", "/api/v1/reload", "", []string{"Authorization", good}, 200, `{"result":"reloaded"}`},
		{"reload by a configured name", "POST", "/api/v1/reload", "Admin.Internal:8081", []string{"Authorization", good}, 200, ""},
		{"reload by localhost", "POST", "/api/v1/reload", "localhost:8081", []string{"Authorization", good}, 200, ""},
		{"status", "GET", "/api/v1/status", "", []string{"Authorization", good}, 200, `"node":"web-1:8080"`},
		{"status needs the token", "GET", "/api/v1/status", "", nil, 401, "token_file"},
		{"clients", "GET", "/api/v1/clients", "", []string{"Authorization", good}, 200, `{"since":"2026-11-01","clients":[{"id":"a","disabled":false,"last_token_day":"2026-11-24"}]}`},
		{"clients need the token", "GET", "/api/v1/clients", "", nil, 401, "token_file"},
		{"no token", "POST", "/api/v1/reload", "", nil, 401, "token_file"},
		{"wrong token", "POST", "/api/v1/reload", "", []string{"Authorization", "Bearer s3cret-toke"}, 401, ""},
		{"two tokens", "POST", "/api/v1/reload", "", []string{"Authorization", good, "Authorization", good}, 401, ""},
		{"basic", "POST", "/api/v1/reload", "", []string{"Authorization", "Basic s3cret-token"}, 401, ""},
		{"a name that is not ours (DNS rebinding)", "POST", "/api/v1/reload", "evil.example", []string{"Authorization", good}, 403, "admin.hosts"},
		{"another origin's page", "POST", "/api/v1/reload", "", []string{"Authorization", good, "Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"another Origin", "POST", "/api/v1/reload", "", []string{"Authorization", good, "Origin", "https://evil.example"}, 403, ""},
		{"routes", "GET", "/api/v1/routes", "", []string{"Authorization", good}, 200, `"match":"GET /orders"`},
		{"routes need the token", "GET", "/api/v1/routes", "", nil, 401, "token_file"},
		{"a login link", "POST", "/api/v1/login", "", []string{"Authorization", good}, 200, `"path":"/login?code=x"`},
		{"a login link needs the token", "POST", "/api/v1/login", "", nil, 401, "token_file"},
		{"the page asks for the token itself", "GET", "/keys", "", nil, 200, "the page /keys"},
		{"the page by a name that is not ours", "GET", "/", "evil.example", nil, 403, "admin.hosts"},
		{"the page from another origin", "POST", "/reload", "", []string{"Sec-Fetch-Site", "same-site"}, 403, "other origins"},
		{"the page from another Origin", "POST", "/reload", "", []string{"Origin", "null"}, 403, "other origins"},
		{"GET does not reload", "GET", "/api/v1/reload", "", []string{"Authorization", good}, 405, ""},
		{"no pprof unless asked", "GET", "/debug/pprof/", "", []string{"Authorization", good}, 404, ""},
		{"an unknown path tells nothing without a token", "GET", "/api/v1/x", "", nil, 401, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, body := do(tc.method, tc.path, tc.host, tc.header...)
			if got != tc.want || !strings.Contains(body, tc.body) {
				t.Errorf("got %d %q, want %d with %q", got, body, tc.want, tc.body)
			}
			if strings.Contains(body, "s3cret") {
				t.Error("the token is in the body")
			}
		})
	}
	ready, broken = false, true
	if got, body := do("GET", "/-/ready", ""); got != 503 || !strings.Contains(body, "draining") {
		t.Errorf("not ready: %d %q", got, body)
	}
	if got, body := do("GET", "/api/v1/clients", "", "Authorization", good); got != 503 || !strings.Contains(body, "redis is away") {
		t.Errorf("clients while their days are not known: %d %s", got, body)
	}
	if got, body := do("POST", "/api/v1/reload", "", "Authorization", good); got != 422 || !strings.Contains(body, `{"errors":[{"file":"config.yaml","line":3,"col":5,"message":"unknown key"}]}`) {
		t.Errorf("refused reload: %d %q", got, body)
	}
	access.Token = secret.Text{}
	broken = false
	if got, _ := do("POST", "/api/v1/reload", ""); got != 200 {
		t.Errorf("without a configured token: %d", got)
	}
}
