package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/tokenep"
)

// TestResourceMetadata follows a caller that knows only an API: from a refusal to the API's metadata, to the authorization
// server's, to a token (RFC 9728 §5), on the hosts of APIs too.
func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	path := filepath.Join(s.dir, "config.yaml")
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("audience: https://api.example.com/orders", "audience: "+s.url()+"/orders\n    issuers: [local, corp]",
		"audience: https://api.example.com/users", "audience: https://users.example\n    hosts: [users.example]").Replace(string(base))
	more := fmt.Sprintf(`  name: {audience: urn:name, upstream: %[1]q, routes: [{match: /name, auth: token}]}
  elsewhere: {audience: "https://api.example.com/x", upstream: %[1]q, routes: [{match: /x, auth: token}]}
  otherport: {audience: "http://127.0.0.1:1/x", upstream: %[1]q, routes: [{match: /port, auth: token}]}
  hosted: {audience: "https://users.example:8443/deep/", upstream: %[1]q, hosts: [users.example], routes: [{match: "/{path...}", auth: token}]}
  query: {audience: "%[2]s/q?a=b", upstream: %[1]q, routes: [{match: /q, auth: token}]}
`, s.upstream.URL, s.url())
	s.file("config.yaml", "issuers: {corp: {issuer: \"https://corp.example\", jwks_uri: \"https://127.0.0.1:2/keys\", algorithms: [ES256]}}\n"+text+more)
	n := s.start()
	get := func(host, path string) answer {
		req, _ := http.NewRequest("GET", s.url()+path, nil)
		req.Host = host
		got, err := send(req)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	own := strings.TrimPrefix(s.url(), "http://")
	well := "/.well-known/oauth-protected-resource"
	for _, tt := range []struct {
		host, path string
		metadata   string // in the challenge
		document   string // its path
		want       tokenep.ResourceDocument
	}{
		{own, "/orders/1", s.url() + well + "/orders", well + "/orders", tokenep.ResourceDocument{Resource: s.url() + "/orders",
			Servers: []string{s.url(), "https://corp.example"}, Scopes: []string{"orders:read", "orders:write"}}},
		{"users.example", "/users", "https://users.example" + well, well, tokenep.ResourceDocument{Resource: "https://users.example", Servers: []string{s.url()}, Scopes: []string{"users:read"}}},
		{"users.example:8443", "/any", "https://users.example:8443" + well + "/deep/", well + "/deep/", tokenep.ResourceDocument{Resource: "https://users.example:8443/deep/", Servers: []string{s.url()}}},
		{own, "/name", "", well + "/name", tokenep.ResourceDocument{}},
		{own, "/x", "", well + "/x", tokenep.ResourceDocument{}},
		{own, "/port", "", well + "/x", tokenep.ResourceDocument{}},
		{own, "/q", "", well + "/q", tokenep.ResourceDocument{}},
		{own, "/nowhere", "", well, tokenep.ResourceDocument{}},
	} {
		refused := get(tt.host, tt.path)
		challenge := refused.header.Get("WWW-Authenticate")
		if want := `resource_metadata="` + tt.metadata + `"`; tt.metadata != "" && !strings.HasSuffix(challenge, want) || tt.metadata == "" && strings.Contains(challenge, "resource_metadata") {
			t.Errorf("%s%s: %d %s", tt.host, tt.path, refused.status, challenge)
		}
		got := get(tt.host, tt.document)
		if tt.want.Resource == "" {
			if got.status != 404 {
				t.Errorf("%s%s: %d %s", tt.host, tt.document, got.status, got.body)
			}
			continue
		}
		var doc tokenep.ResourceDocument
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != 200 || got.header.Get("Content-Type") != "application/json" ||
			doc.Resource != tt.want.Resource || !slices.Equal(doc.Servers, tt.want.Servers) || !slices.Equal(doc.Scopes, tt.want.Scopes) || !slices.Equal(doc.Methods, []string{"header"}) {
			t.Errorf("%s%s: %d %s %v", tt.host, tt.document, got.status, got.body, err)
		}
	}
	if got := get("users.example", well+"/orders"); got.status == 200 && strings.Contains(got.body, "resource") {
		t.Errorf("a document on another host: %d %s", got.status, got.body)
	}
	if got := n.call("DELETE", well+"/orders", ""); got.status != 405 {
		t.Errorf("DELETE of a document: %d", got.status)
	}
	junk := n.call("GET", "/orders/1", "junk").header.Get("WWW-Authenticate")
	if !strings.Contains(junk, `error="invalid_token"`) || !strings.Contains(junk, `resource_metadata="`) {
		t.Errorf("the challenge to a bad token: %s", junk)
	}
	if got := get(own, "/oauth/nowhere"); got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("a challenge without a route: %v", got.header)
	}
}
