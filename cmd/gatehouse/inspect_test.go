package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/token"
	"gatehouse/internal/token/tokentest"
)

func TestTokenInspect(t *testing.T) {
	t.Parallel()
	key := tokentest.Key(t, token.ES256)
	set, err := token.MarshalJWKS([]*token.PublicKey{tokentest.Key(t, token.RS256).Public(), key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	jwks, empty, html := write("jwks.json", set), write("empty.json", []byte(`{"keys":[]}`)), write("page.html", []byte("<html>"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	defer server.Close()
	now := time.Now().Unix()
	issue := func(change func(i *token.Issue)) string {
		t.Helper()
		i := token.Issue{Issuer: "https://auth.example", Client: "worker", Audience: "https://api.example", ID: "the-id", Scopes: token.NewScopes("a", "b"),
			IssuedAt: now - 60, Expires: now + 600, Dialect: token.RFC9068}
		change(&i)
		raw, err := key.Issue(i)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := issue(func(*token.Issue) {})
	head, sig := good[:strings.LastIndex(good, ".")], good[strings.LastIndex(good, ".")+1:]
	evil := issue(func(i *token.Issue) { i.Audience = "\x1b[31mred" })
	for _, tc := range []struct {
		name, stdin string
		args        []string
		code        int
		want        string // in the output of both
	}{
		{"good", good, []string{"--jwks", jwks}, 0, "verified    ✓ yes"},
		{"from a URL", good + "\n", []string{"-", "--jwks", server.URL}, 0, "client_id   worker"},
		{"from a file", "", []string{write("good.jwt", []byte("Authorization: Bearer "+good)), "--jwks", jwks}, 0, "exp         1"},
		{"times for people", good, []string{"--jwks", jwks}, 0, ", in "},
		{"expired", issue(func(i *token.Issue) { i.IssuedAt, i.Expires = now-60, now-1 }), []string{"--jwks", jwks}, 4, "has expired"},
		{"issued in the future", issue(func(i *token.Issue) { i.IssuedAt = now + 300 }), []string{"--jwks", jwks}, 4, "iat is in the future"},
		{"tampered", head + ".AAAA" + sig[4:], []string{"--jwks", jwks}, 4, "does not verify"},
		{"key not in the set", good, []string{"--jwks", empty}, 4, "kid is none of"},
		{"no token", "hello", []string{"--jwks", jwks}, 4, "no token that Gatehouse takes"},
		{"nothing", "", []string{"--jwks", jwks}, 2, "there is no token"},
		{"a token as an argument", "", []string{good, "--jwks", jwks}, 2, "seen by every process"},
		{"not a key set", good, []string{"--jwks", html}, 1, "not a key set"},
		{"nobody there", good, []string{"--jwks", "http://127.0.0.1:1/jwks"}, 5, "is it running"},
		{"not verified", head + ".AAAA" + sig[4:], []string{"--no-verify"}, 0, "NOT VERIFIED"},
		{"not verified, with keys", good, []string{"--no-verify", "--jwks", jwks}, 2, "takes no --jwks"},
		{"not verified, garbage", "x.y.z", []string{"--no-verify"}, 4, "no token"},
		{"what a terminal would obey", evil, []string{"--jwks", jwks}, 0, `"\u001b[31mred"`},
	} {
		r := gatehouse(t, tc.stdin, append([]string{"token", "inspect"}, tc.args...)...)
		if all := r.stdout + r.stderr; r.code != tc.code || !strings.Contains(all, tc.want) || strings.Contains(all, sig) || strings.Contains(all, sig[4:]) {
			t.Errorf("%s: %+v, want %d with %q and without the signature", tc.name, r, tc.code, tc.want)
		}
	}
	var got inspection
	r := gatehouse(t, good, "token", "inspect", "--jwks", jwks, "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 0 || !got.Verified || !strings.Contains(string(got.Claims), `"the-id"`) {
		t.Errorf("-o json: %+v, %v", r, err)
	}
	r = gatehouse(t, good, "token", "inspect", "--jwks", empty, "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 4 || got.Problem == "" {
		t.Errorf("-o json of a bad one: %+v, %v", r, err)
	}
}

// Without --jwks the keys and the issuer are those of the configuration.
func TestTokenInspectByConfiguration(t *testing.T) {
	path, port := project(t)
	t.Setenv("GATEHOUSE_CLIENT_ID", "worker")
	t.Setenv("GATEHOUSE_CLIENT_SECRET", newSecret(t, gatehouse(t, "", "client", "create", "worker", "-c", path, "--grant", "orders:orders:read")))
	background(t, `"msg":"ready"`, "run", "-c", path)
	got := gatehouse(t, "", "token", "get", "-c", path)
	if r := gatehouse(t, got.stdout, "token", "inspect", "-c", path); r.code != 0 || !strings.Contains(r.stdout, "✓") {
		t.Errorf("%+v", r)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(filepath.Dir(path), "other.yaml")
	changed := strings.Replace(string(text), "public_url: http://127.0.0.1:", "public_url: http://localhost:", 1)
	if err := os.WriteFile(other, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := gatehouse(t, got.stdout, "token", "inspect", "-c", other); r.code != 4 || !strings.Contains(r.stderr, "issuer") {
		t.Errorf("another issuer, port %d: %+v", port, r)
	}
}
