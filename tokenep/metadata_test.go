package tokenep_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/tokenep"
)

func (f *fixture) get(method, path string, header ...string) answer {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Host = r.Header.Get("Host")
	return f.do(r)
}

func members(t *testing.T, a answer) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); a.status != 200 || err != nil {
		t.Fatalf("answer %d %q: %v", a.status, a.body, err)
	}
	return m
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	a := f.get("GET", "/.well-known/jwks.json")
	keys, _ := members(t, a)["keys"].([]any)
	if len(keys) != 3 {
		t.Fatalf("KEY-001: %d keys in %s, want 3", len(keys), a.body)
	}
	kids := map[any]bool{}
	for _, k := range keys {
		key := k.(map[string]any)
		for name := range key {
			if !slices.Contains([]string{"kty", "use", "alg", "kid", "crv", "x", "y", "n", "e"}, name) {
				t.Errorf("KEY-002: member %s", name)
			}
		}
		if key["use"] != "sig" || key["alg"] == nil || key["kty"] == nil || kids[key["kid"]] {
			t.Errorf("KEY-003: %v", key)
		}
		kids[key["kid"]] = true
	}
	if header, _ := f.issued(t, f.ask("c-basic")); !kids[header["kid"]] {
		t.Errorf("JWT-007: the key %v that signs is not in the set", header["kid"])
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	m := members(t, f.get("GET", "/.well-known/oauth-authorization-server"))
	want := map[string]string{"issuer": issuerURL, "token_endpoint": issuerURL + "/oauth/token",
		"revocation_endpoint": issuerURL + "/oauth/revoke", "introspection_endpoint": issuerURL + "/oauth/introspect", "jwks_uri": issuerURL + "/.well-known/jwks.json"}
	for name, value := range want {
		if m[name] != value {
			t.Errorf("KEY-015, KEY-017: %s is %v, want %s", name, m[name], value)
		}
	}
	lists := map[string]string{"grant_types_supported": `["client_credentials"]`, "response_types_supported": `[]`,
		"token_endpoint_auth_methods_supported":                    `["client_secret_basic","client_secret_post","private_key_jwt"]`,
		"token_endpoint_auth_signing_alg_values_supported":         `["ES256","RS256","PS256","EdDSA"]`,
		"revocation_endpoint_auth_methods_supported":               `["client_secret_basic","client_secret_post","private_key_jwt"]`,
		"revocation_endpoint_auth_signing_alg_values_supported":    `["ES256","RS256","PS256","EdDSA"]`,
		"introspection_endpoint_auth_methods_supported":            `["client_secret_basic","client_secret_post","private_key_jwt"]`,
		"introspection_endpoint_auth_signing_alg_values_supported": `["ES256","RS256","PS256","EdDSA"]`}
	for name, value := range lists {
		if got, _ := json.Marshal(m[name]); string(got) != value {
			t.Errorf("KEY-018, KEY-019: %s is %s, want %s", name, got, value)
		}
	}
	names := slices.Sorted(maps.Keys(m))
	if len(names) != len(want)+len(lists) {
		t.Errorf("members %v: one is listed that does not work", names)
	}
	t.Run("KEY-020", func(t *testing.T) {
		if a, b := f.get("GET", "/.well-known/openid-configuration"), f.get("GET", "/.well-known/oauth-authorization-server"); a.body != b.body {
			t.Errorf("%s differs from %s", a.body, b.body)
		}
	})
	t.Run("KEY-021", func(t *testing.T) {
		a := f.get("GET", "/.well-known/oauth-authorization-server", "Host", "evil.example", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example")
		if a.status != 200 || strings.Contains(a.body, "evil") {
			t.Errorf("answer %d %s", a.status, a.body)
		}
	})
}

// TestPaths is KEY-014: where the endpoints are for a public URL with a path.
func TestPaths(t *testing.T) {
	t.Parallel()
	for issuer, base := range map[string]string{"https://auth.example": "", "https://auth.example/": "", "https://auth.example/t1": "/t1", "https://auth.example/t1/": "/t1"} {
		f := start(t, func(o *tokenep.Options) { o.Issuer = issuer })
		m := members(t, f.get("GET", "/.well-known/oauth-authorization-server"+base))
		if m["issuer"] != issuer || m["token_endpoint"] != "https://auth.example"+base+"/oauth/token" {
			t.Errorf("%s: %v", issuer, m)
		}
		for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration"} {
			if a := f.get("GET", base+path); a.status != 200 {
				t.Errorf("%s: %s is %d", issuer, base+path, a.status)
			}
		}
		for _, path := range []string{"/oauth/token", "/oauth/revoke"} {
			if a := f.get("GET", base+path); a.status != 405 {
				t.Errorf("%s: GET %s is %d", issuer, base+path, a.status)
			}
		}
	}
}

// TestDocuments is KEY-006, and GET and HEAD alone.
func TestDocuments(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		a := f.get("GET", path)
		etag := a.header.Get("ETag")
		if a.status != 200 || etag == "" || a.header.Get("Cache-Control") != "public, max-age=300" || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d, headers %v", path, a.status, a.header)
		}
		if head := f.get("HEAD", path); head.status != 200 || head.body != "" || head.header.Get("ETag") != etag ||
			head.header.Get("Content-Length") != a.header.Get("Content-Length") {
			t.Errorf("HEAD %s: %d, headers %v", path, head.status, head.header)
		}
		for _, match := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
			if a := f.get("GET", path, "If-None-Match", match); a.status != 304 || a.body != "" || a.header.Get("ETag") != etag {
				t.Errorf("%s, If-None-Match %s: %d %q", path, match, a.status, a.body)
			}
		}
		if a := f.get("GET", path, "If-None-Match", `"x"`); a.status != 200 {
			t.Errorf("%s with another ETag: %d", path, a.status)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
			if a := f.get(method, path); a.status != 405 || a.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, headers %v", method, path, a.status, a.header)
			}
		}
	}
}

// The max-age is what the ring says, and a node without keys says 503 rather than an empty set.
func TestJWKSAge(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"keys":[]}`)
	f := start(t, func(o *tokenep.Options) {
		o.JWKS = func() []byte { return doc }
		o.JWKSMaxAge = func() time.Duration { return 42*time.Second + 900*time.Millisecond }
	})
	if a := f.get("GET", "/.well-known/jwks.json"); a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=42" {
		t.Errorf("KEY-006: %d, %q", a.status, a.header.Get("Cache-Control"))
	}
	doc = nil
	if a := f.get("GET", "/.well-known/jwks.json"); a.status != 503 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Retry-After") == "" {
		t.Errorf("no keys: %d, %v", a.status, a.header)
	}
}

// TestMetadataOfCertificates: what no client uses is not offered.
func TestMetadataOfCertificates(t *testing.T) {
	t.Parallel()
	for auth, want := range map[string]string{"": "[client_secret_basic client_secret_post private_key_jwt]",
		"tls_client_auth":             "[client_secret_basic client_secret_post private_key_jwt tls_client_auth]",
		"self_signed_tls_client_auth": "[client_secret_basic client_secret_post private_key_jwt self_signed_tls_client_auth]"} {
		f := start(t, func(o *tokenep.Options) {
			o.APIs, o.Clients = nil, tokenep.NewRegistry([]tokenep.Client{{ID: "c", Auth: auth}, {ID: "d", Auth: auth}})
		})
		doc := members(t, f.get("GET", "/.well-known/oauth-authorization-server"))
		for _, endpoint := range []string{"token", "revocation", "introspection"} {
			if got := fmt.Sprint(doc[endpoint+"_endpoint_auth_methods_supported"]); got != want {
				t.Errorf("%q: %s has %s, want %s", auth, endpoint, got, want)
			}
		}
	}
}
