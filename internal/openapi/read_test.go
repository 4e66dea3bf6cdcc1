package openapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func read(t testing.TB, file string) *Document {
	t.Helper()
	d, err := Read(context.Background(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// text reads a document from a text.
func text(t testing.TB, content string) (*Document, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(context.Background(), file, Options{})
}

// Every operation of a document becomes a route with its scopes. The .want files were written apart from this package.
func TestPlan(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file, api, server, version string
		warnings                   []string
	}{
		{"petstore.yaml", "petstore", "http://localhost:9001/v1", "3.1.0", []string{"health is public"}},
		{"payments.json", "payments", "https://eu.payments.example.com", "3.0.3", []string{
			"GetBalance asks for key, which is no token", "Search asks for key", "GetFile asks for key", "the path /v1/files/{file}.{format} is matched as"}},
		{"hosting.yaml", "hosting", "", "3.0.2", []string{"security is optional for users/get", "meta/get is public", "feeds/list has no security"}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			d := read(t, filepath.Join("testdata", tc.file))
			if d.Server != tc.server || d.Version != tc.version || (d.NoServer == "") != (tc.server != "") {
				t.Errorf("server %q (%s), version %q", d.Server, d.NoServer, d.Version)
			}
			plan, err := d.Plan(tc.api, "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range plan.Routes {
				got = append(got, fmt.Sprintf("%s %s: %s\n", r.Match(), r.Label(), r.Requirement))
			}
			want, err := os.ReadFile(filepath.Join("testdata", strings.Split(tc.file, ".")[0]+".want"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "") != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, ""), want)
			}
			if len(d.Operations) != len(got) {
				t.Errorf("%d operations, %d routes", len(d.Operations), len(got))
			}
			for _, r := range plan.Routes {
				for _, s := range r.Requirement.Names() {
					if !slices.Contains(plan.Scopes, s) {
						t.Errorf("%s asks for %s, which is not among the scopes", r.Label(), s)
					}
				}
				if r.Operations[0].Pos.Line == 0 {
					t.Errorf("%s has no line", r.Label())
				}
			}
			for _, w := range tc.warnings {
				if !slices.ContainsFunc(plan.Warnings, func(n Note) bool { return strings.Contains(n.Message, w) && n.Line > 0 }) {
					t.Errorf("no warning %q among %v", w, plan.Warnings)
				}
			}
			if len(plan.Warnings) != len(tc.warnings) {
				t.Errorf("%d warnings, want %d: %v", len(plan.Warnings), len(tc.warnings), plan.Warnings)
			}
		})
	}
}

const head = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n"

const schemes = `components:
  securitySchemes:
    o: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://a.example/", scopes: {a: A, b: B, c: C}}}}
    p: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://a.example/", scopes: {d: D}}}}
    key: {type: apiKey, in: header, name: K}
    basic: {type: http, scheme: basic}
    bearer: {type: http, scheme: bearer}
    tls: {type: mutualTLS}
    id: {type: openIdConnect, openIdConnectUrl: "https://a.example/"}
`

// What a document says of security, and what the route asks for. Nothing but an explicit word makes a route public.
func TestSecurity(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		document, operation string // values of security; "": no such key
		want                string
		warned              bool
	}{
		{"[{o: [a]}]", "", "a", false},
		{"[{o: [a]}]", "[{o: [b]}]", "b", false},
		{"[{o: [a]}]", "[]", "public", true},
		{"[{o: [a]}]", "[{}]", "public", true},
		{"[]", "", "public", true},
		{"[]", "[{o: [a]}]", "a", false},
		{"", "", "x:access", true},
		{"", "[{}, {o: [a]}]", "a", true},
		{"", "[{o: []}]", "any token", false},
		{"", "[{o: []}, {o: [a]}]", "any token", false},
		{"", "[{o: [b, a]}, {o: [c]}]", "a and b, or c", false},
		{"", "[{o: [a, a]}, {o: [a]}]", "a", false},
		{"", "[{o: [a, b]}, {o: [a]}]", "a", false},
		{"", "[{o: [a], p: [d]}]", "a and d", false},
		{"", "[{o: [a], key: []}]", "a and x:access", true},
		{"", "[{key: []}, {o: [a]}]", "a, or x:access", true},
		{"", "[{o: [], key: []}]", "x:access", true},
		{"", "[{basic: []}]", "x:access", true},
		{"", "[{bearer: []}]", "x:access", true},
		{"", "[{bearer: [r]}]", "r and x:access", true},
		{"", "[{tls: []}]", "x:access", true},
		{"", "[{id: [r]}]", "r", false},
		{"[{o: [a]}]", "null", "a", false},
		{"", "[{o: [undeclared]}]", "undeclared", true},
	} {
		text1 := head
		if tc.document != "" {
			text1 += "security: " + tc.document + "\n"
		}
		text1 += "paths:\n  /x:\n    get:\n      responses: {'200': {description: x}}\n"
		if tc.operation != "" {
			text1 += "      security: " + tc.operation + "\n"
		}
		d, err := text(t, text1+schemes)
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		plan, err := d.Plan("x", "")
		if err != nil || len(plan.Routes) != 1 {
			t.Errorf("%+v: %v, %v", tc, plan, err)
			continue
		}
		if got := plan.Routes[0].Requirement.String(); got != tc.want || tc.warned != (len(plan.Warnings) > 0) {
			t.Errorf("document %q, operation %q: %s with warnings %v, want %s", tc.document, tc.operation, got, plan.Warnings, tc.want)
		}
	}
}

// What is refused, and the words.
func TestRefused(t *testing.T) {
	t.Parallel()
	op := "{get: {responses: {}}}"
	for name, tc := range map[string]struct{ content, want string }{
		"empty":             {"", "3.0 and 3.1"},
		"not a map":         {"[]", "no OpenAPI document"},
		"swagger":           {"swagger: '2.0'\npaths: {}\n", "Swagger 2.0"},
		"later":             {"openapi: 3.2.0\ninfo: {title: a, version: '1'}\npaths: {/a: " + op + "}\n", "3.0 and 3.1"},
		"no operations":     {head + "paths: {}\n", "no operations"},
		"webhooks alone":    {head + "webhooks: {a: {post: {}}}\n", "no operations"},
		"twice":             {`{"openapi":"3.1.0","info":{"title":"a","version":"1"},"paths":{"/a":{"get":{"security":[{}],"security":[]}}}}`, "set twice"},
		"twice in YAML":     {head + "paths: {/a: {get: {security: [], security: [{o: [a]}]}}}\n", "set twice"},
		"path twice":        {head + "paths:\n  /a: {get: {}}\n  /a: {post: {}}\n", `"/a" is set twice, first on line`},
		"same id":           {head + "paths: {/a: {get: {operationId: x}, post: {operationId: x}}}\n", "is that of another operation"},
		"unknown scheme":    {head + "paths: {/a: {get: {security: [{nope: []}]}}}\n", `security scheme "nope"`},
		"no scope":          {head + "paths: {/a: {get: {security: [{o: ['a b']}]}}}\n" + schemes, "is no scope"},
		"control scope":     {head + "paths: {/a: {get: {security: [{o: [\"a\\nb\"]}]}}}\n" + schemes, "is no scope"},
		"path item cycle":   {head + "paths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}}\n", "leads to no operation"},
		"one in a cycle":    {head + "paths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}, /c: " + op + "}\n", "leads to no operation"},
		"many alternatives": {head + "paths: {/a: {get: {security: [" + strings.Repeat("{o: [a]},", 40) + "]}}}\n" + schemes, "more than 32"},
		"bomb":              {bomb(), "excessive aliasing"},
		"deep":              {head + "x-a: " + strings.Repeat("[", 30000), "no OpenAPI document"},
		"outside":           {head + "paths: {/a: {$ref: '/etc/passwd'}}\n", "own folder"},
		"above":             {head + "paths: {/a: {$ref: '../../../etc/passwd'}}\n", "own folder"},
		"encoded above":     {head + "paths: {/a: {$ref: '%2e%2e/%2e%2e/etc/passwd'}}\n", "own folder"},
		"file URL":          {head + "paths: {/a: {$ref: 'file:///etc/passwd'}}\n", "own folder"},
		"metadata service":  {head + "paths: {/a: {$ref: 'http://169.254.169.254/latest/meta-data'}}\n", "own folder"},
		"no scheme":         {head + "paths: {/a: {$ref: '//169.254.169.254/x'}}\n", "own folder"},
		"in a schema":       {head + "paths: {/a: " + op + "}\ncomponents: {schemas: {A: {$ref: 'http://127.0.0.1:1/x#/A'}}}\n", "own folder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := text(t, tc.content)
			if err == nil {
				t.Fatalf("read: %+v", d)
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "root:") {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// bomb is a document whose aliases stand for ten to the tenth members.
func bomb() string {
	var b strings.Builder
	b.WriteString(head + "paths: {/a: {get: {}}}\nx-a: &a [l,l,l,l,l,l,l,l,l,l]\n")
	for c := 'b'; c < 'k'; c++ {
		fmt.Fprintf(&b, "x-%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 10), ","))
	}
	return b.String()
}

func TestTooMuch(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(head + "paths:\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&b, " /%d: {}\n", i)
	}
	if _, err := text(t, b.String()); err == nil || !strings.Contains(err.Error(), "the most that is read") {
		t.Errorf("a million paths: %v", err)
	}
	b.Reset()
	b.WriteString(head + "paths:\n")
	for i := range maxOperations + 1 {
		fmt.Fprintf(&b, " /%d: {get: {}}\n", i)
	}
	if _, err := text(t, b.String()); err == nil || !strings.Contains(err.Error(), "the most that is read") {
		t.Errorf("too many operations: %v", err)
	}
	if _, err := text(t, head+"# "+strings.Repeat("x", maxSize)); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("a huge file: %v", err)
	}
}

// References reach files beneath the document's folder, and no link leads out of it.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("docs/api.yaml", head+"paths: {/a: {$ref: 'paths/a.yaml'}}\n"+schemes)
	put("docs/paths/a.yaml", "get:\n  operationId: inFile\n  security: [{o: [a]}]\n")
	d := read(t, filepath.Join(dir, "docs/api.yaml"))
	if o := d.Operations[0]; o.ID != "inFile" || o.Pos.File != filepath.Join(dir, "docs/paths/a.yaml") || o.Pos.Line != 1 {
		t.Errorf("%+v", o)
	}
	put("outside.yaml", "get: {operationId: secret}\n")
	if err := os.Symlink("../../outside.yaml", filepath.Join(dir, "docs/paths/link.yaml")); err != nil {
		t.Skip(err)
	}
	put("docs/api.yaml", head+"paths: {/a: {$ref: 'paths/link.yaml'}}\n")
	if d, err := Read(context.Background(), filepath.Join(dir, "docs/api.yaml"), Options{}); err == nil {
		t.Errorf("a link out of the folder was followed: %+v", d)
	}
	if _, err := Read(context.Background(), filepath.Join(dir, "docs"), Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			fmt.Fprint(w, head+"servers: [{url: ../v2}]\npaths: {/a: {get: {}}}\n")
		case "/moved":
			http.Redirect(w, r, "/good", http.StatusFound)
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/refers":
			fmt.Fprint(w, head+"paths: {/a: {$ref: '"+other.URL+"/x'}}\n")
		case "/relative":
			fmt.Fprint(w, head+"paths: {/a: {$ref: 'good'}}\n")
		case "/file":
			fmt.Fprint(w, head+"paths: {/a: {$ref: '/etc/passwd'}}\n")
		case "/huge":
			for range 17 {
				fmt.Fprint(w, strings.Repeat("#", 1<<20))
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	for _, path := range []string{"/good", "/moved"} {
		d, err := Read(context.Background(), s.URL+path, Options{})
		if err != nil || len(d.Operations) != 1 || d.Server != s.URL+"/v2" {
			t.Errorf("%s: %+v, %v", path, d, err)
		}
	}
	for path, want := range map[string]string{"/away": "redirected to " + other.URL, "/refers": "must be whole", "/relative": "must be whole",
		"/file": "must be whole", "/huge": "larger than 16 MiB", "/none": "404"} {
		if d, err := Read(context.Background(), s.URL+path, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %q", path, d, err, want)
		}
	}
	for _, name := range []string{"ftp://127.0.0.1/x", "file:///etc/passwd", "http://"} {
		if _, err := Read(context.Background(), name, Options{}); err == nil || !strings.Contains(err.Error(), "only http and https") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(context.Background(), strings.Replace(s.URL, "://", "://me:hidden@", 1)+"/none", Options{}); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a password in the URL: %v", err)
	}
	if asked != 0 {
		t.Errorf("%d requests to another host", asked)
	}
}

// JSON has words that YAML has not.
func TestJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`\ud83d\ude00 \u00e9 \\ud83d\\ude00 \" \/`: `😀 é \ud83d\ude00 " /`, "a\u0085b\u2028c\u007f": "a\u0085b\u2028c\u007f", `\ud83d x`: "\ufffd x", "\ufffe": "\ufffe",
	} {
		d, err := text(t, "{\"openapi\":\"3.0.0\",\t\"info\":{\"title\":\""+in+"\",\n\t\"version\":\"1\"},\n\"paths\":{\n\"/a\":{\"get\":{}}}}")
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if d.Title != want || d.Operations[0].Pos.Line != 4 {
			t.Errorf("%q: title %q, want %q; %+v", in, d.Title, want, d.Operations[0])
		}
	}
}

// A file that the document refers to is held to the same: a path that stands there twice would lose an operation.
func TestTwiceInAnotherFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"api.yaml":   head + "paths: {/a: {$ref: 'other.yaml#/paths/~1b'}}\n",
		"other.yaml": head + "paths:\n  /b: {get: {}}\n  /b: {post: {}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(context.Background(), filepath.Join(dir, "api.yaml"), Options{}); err == nil || !strings.Contains(err.Error(), "other.yaml") || !strings.Contains(err.Error(), `"/b" is set twice`) {
		t.Errorf("read: %v", err)
	}
}
