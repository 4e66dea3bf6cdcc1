package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"gatehouse/internal/config"
	"gatehouse/internal/configfile"
	"gatehouse/internal/secret"
)

// in runs the test in a folder of its own.
func in(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Chdir(dir)
	return dir
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// movePorts puts a configuration that init wrote on ports of this test.
func movePorts(t *testing.T) (base string) {
	t.Helper()
	text := content(t, "config.yaml")
	for _, port := range []string{":8080", ":8081"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "127.0.0.1"+port, l.Addr().String())
		if port == ":8080" {
			base = "http://" + l.Addr().String()
		}
		l.Close()
	}
	put(t, "config.yaml", text)
	return base
}

// specification copies a specification beside the configuration.
func specification(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(source, "internal/openapi/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	put(t, name, string(b))
}

// source is the root of the module, wherever a test goes.
var source = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestInitUpstream(t *testing.T) {
	in(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", r.URL.Path, r.Header.Get("X-Client-Id"))
	}))
	defer api.Close()
	r := gatehouse(t, "", "init", "--upstream", api.URL)
	t.Setenv("GATEHOUSE_CLIENT_SECRET", newSecret(t, r))
	t.Setenv("GATEHOUSE_CLIENT_ID", "first-client")
	for _, want := range []string{"wrote config.yaml", "1 API (app), 1 route, 1 scope", "first-client", "gatehouse check", "gatehouse dev -c config.yaml", "gatehouse run -c config.yaml", "curl -H"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q is missing in\n%s", want, r.stderr)
		}
	}
	if strings.Contains(content(t, "clients.yaml")+content(t, "config.yaml")+content(t, "routes_test.yaml"), os.Getenv("GATEHOUSE_CLIENT_SECRET")) {
		t.Error("a file holds the secret")
	}
	if r := gatehouse(t, "", "check"); r.code != 0 || r.stdout != "ok: 1 API, 1 route, 1 client\n" {
		t.Errorf("check: %+v", r)
	}
	base := movePorts(t)
	background(t, `"msg":"ready"`, "run", "-c", "config.yaml")
	token := gatehouse(t, "", "token", "get")
	if token.code != 0 {
		t.Fatalf("token get: %+v", token)
	}
	if got := answered(t, "GET", base+"/any/thing", strings.TrimSpace(token.stdout)); got != "200 /any/thing for first-client" {
		t.Errorf("the call gave %q", got)
	}
}

func answered(t *testing.T, method, url, token string) string {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(resp.Header.Get("Content-Type"), "problem+json") {
		var p struct{ Reason string }
		_ = json.Unmarshal(body, &p)
		return p.Reason
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// Each specification becomes a configuration that loads, and every test that was written beside it holds against the running
// gateway, with real tokens.
func TestInitOpenAPI(t *testing.T) {
	for _, tc := range []struct {
		file, api        string
		routes, public   int
		operations, args string
	}{
		{"petstore.yaml", "petstore", 7, 1, "7 operations", ""},
		{"payments.json", "payments", 48, 0, "48 operations", ""},
		{"hosting.yaml", "hosting", 34, 1, "34 operations", ""},
	} {
		t.Run(tc.api, func(t *testing.T) {
			in(t)
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
			defer api.Close()
			specification(t, tc.file)
			r := gatehouse(t, "", "init", "--openapi", tc.file, "--upstream", api.URL+"/base")
			if want := min(tc.public, 1); r.code != want || !strings.Contains(r.stderr, tc.operations) || want == 1 && !strings.Contains(r.stderr, "--allow-public") {
				t.Fatalf("%+v", r)
			}
			r = gatehouse(t, "", "init", "--openapi", tc.file, "--upstream", api.URL+"/base", "--force", "--allow-public")
			secret := newSecret(t, r)
			for _, m := range regexp.MustCompile(`config\.yaml:(\d+)`).FindAllStringSubmatch(r.stderr, -1) {
				var line int
				fmt.Sscan(m[1], &line)
				if got := strings.Split(content(t, "config.yaml"), "\n")[line-1]; strings.TrimSpace(got) != "auth: public" {
					t.Errorf("line %d is %q", line, got)
				}
			}
			if r := gatehouse(t, "", "check"); r.code != 0 || !strings.Contains(r.stdout, fmt.Sprintf("%d routes", tc.routes)) || r.stderr != "" {
				t.Errorf("check: %+v", r)
			}
			base := movePorts(t)
			background(t, `"msg":"ready"`, "run", "-c", "config.yaml")
			var tests []struct {
				Request, Client, Want string
				Scopes                []string
			}
			if err := yaml.Unmarshal([]byte(content(t, "routes_test.yaml")), &tests); err != nil || len(tests) < 2*tc.routes-tc.public {
				t.Fatalf("%d tests: %v", len(tests), err)
			}
			t.Setenv("GATEHOUSE_CLIENT_ID", tc.api+"-admin")
			t.Setenv("GATEHOUSE_CLIENT_SECRET", secret)
			tokens := map[string]string{}
			for _, c := range tests {
				token := ""
				if c.Client != "" {
					key := strings.Join(c.Scopes, " ")
					if tokens[key] == "" {
						got := gatehouse(t, "", "token", "get", "--scope", key)
						if got.code != 0 {
							t.Fatalf("token get: %+v", got)
						}
						tokens[key] = strings.TrimSpace(got.stdout)
					}
					token = tokens[key]
				}
				method, path, _ := strings.Cut(c.Request, " ")
				want := c.Want
				if want == "allow" {
					want = "200 /base" + path
				}
				if got := answered(t, method, base+path, token); got != want {
					t.Errorf("%+v gave %q", c, got)
				}
			}
		})
	}
}

func TestInitRefuses(t *testing.T) {
	in(t)
	put(t, "clients.yaml", "mine")
	if r := gatehouse(t, "", "init", "--upstream", "http://127.0.0.1:9000"); r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "clients.yaml is there already") || content(t, "clients.yaml") != "mine" {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat("config.yaml"); err == nil {
		t.Error("config.yaml was written")
	}
	if r := gatehouse(t, "", "init"); r.code != 2 {
		t.Errorf("no API: %+v", r)
	}
	specification(t, "hosting.yaml")
	put(t, "overlap.yaml", "openapi: 3.0.0\ninfo: {title: a, version: '1'}\nservers: [{url: http://127.0.0.1:9000}]\npaths:\n  /a/{x}/c: {get: {operationId: one}}\n  /a/b/{y}: {get: {operationId: two}}\n")
	put(t, "own.yaml", "openapi: 3.0.0\ninfo: {title: a, version: '1'}\nservers: [{url: http://127.0.0.1:9000}]\npaths:\n  /oauth/token: {post: {operationId: theirs}}\n")
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{1, "is relative, so that it is open where requests go; say it with --upstream", []string{"--openapi", "hosting.yaml"}},
		{1, "overlap.yaml:6: /a/b/{y} (two) overlaps /a/{x}/c (one, overlap.yaml:5): both match /a/b/c", []string{"--openapi", "overlap.yaml"}},
		{1, "none.yaml: ", []string{"--openapi", "none.yaml"}},
		{3, "Gatehouse's own endpoint", []string{"--openapi", "own.yaml"}},
		{3, "this gateway's own address", []string{"--upstream", "http://127.0.0.1:8080"}},
		{2, "an absolute http or https URL", []string{"--upstream", "localhost:9000"}},
	} {
		r := gatehouse(t, "", append([]string{"init", "--dir", "new"}, tc.args...)...)
		if r.code != tc.code || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
			t.Errorf("%v: %+v", tc.args, r)
		}
		if _, err := os.Stat("new"); err == nil {
			t.Fatalf("%v wrote something", tc.args)
		}
	}
}

// A document in another folder, and a fetched one.
func TestInitElsewhere(t *testing.T) {
	dir := in(t)
	specification(t, "petstore.yaml")
	if r := gatehouse(t, "", "init", "--openapi", "petstore.yaml", "--dir", "deep/er", "--allow-public"); r.code != 0 || !strings.Contains(r.stderr, "check -c deep/er/config.yaml") {
		t.Fatalf("%+v", r)
	}
	if !strings.Contains(content(t, "deep/er/config.yaml"), `openapi: "../../petstore.yaml"`) {
		t.Error(content(t, "deep/er/config.yaml"))
	}
	if r := gatehouse(t, "", "check", filepath.Join(dir, "deep/er/config.yaml")); r.code != 0 {
		t.Errorf("check: %+v", r)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(".")))
	defer files.Close()
	if r := gatehouse(t, "", "init", "--openapi", files.URL+"/petstore.yaml", "--dir", "web", "--allow-public"); r.code != 0 || strings.Contains(content(t, "web/config.yaml"), "openapi:   ") {
		t.Fatalf("%+v", r)
	}
	cfg, err := config.Load("web/config.yaml", config.Options{})
	if err != nil || cfg.APIs[0].Name != "petstore" || cfg.APIs[0].OpenAPI != "" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// A changed scope in the document makes check fail, with both places; run says so and serves; import writes it.
func TestDrift(t *testing.T) {
	in(t)
	specification(t, "petstore.yaml")
	if r := gatehouse(t, "", "init", "--openapi", "petstore.yaml", "--allow-public"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	put(t, "config.yaml", strings.Replace(content(t, "config.yaml"), "    routes:\n", "    # our routes\n    routes:\n      - match: GET /ours\n        auth: token\n", 1))
	changed := strings.NewReplacer(
		"operationId: addPet\n      security:\n        - oauth: [pets:write]", "operationId: addPet\n      security:\n        - oauth: [pets:create]",
		"  /health:", "  /healthz:").Replace(content(t, "petstore.yaml"))
	put(t, "petstore.yaml", changed)
	r := gatehouse(t, "", "check")
	for _, want := range []string{"config.yaml:27:16: error: apis.petstore: the operation addPet (petstore.yaml:22) asks for pets:create, and its route asks for pets:write",
		"config.yaml:15:14: error: apis.petstore: the operation health (petstore.yaml:65) has no route GET /healthz", "gatehouse import openapi petstore.yaml --api petstore --diff", "2 errors in config.yaml"} {
		if r.code != 3 || !strings.Contains(r.stderr, want) {
			t.Errorf("check says no %q: %+v", want, r)
		}
	}
	var findings []finding
	if r := gatehouse(t, "", "check", "-o", "json"); r.code != 3 || json.Unmarshal([]byte(r.stdout), &findings) != nil || len(findings) != 2 || findings[1].Line != 27 {
		t.Errorf("check -o json: %+v", r)
	}
	before := content(t, "config.yaml")
	movePorts(t)
	_, stderr, stop := background(t, `"msg":"ready"`, "run")
	stop()
	if !strings.Contains(stderr.String(), "addPet (petstore.yaml:22) asks for pets:create") {
		t.Errorf("run says nothing:\n%s", stderr)
	}
	put(t, "config.yaml", before)

	r = gatehouse(t, "", "import", "openapi", "petstore.yaml", "--api", "petstore", "--diff")
	for _, want := range []string{"--- config.yaml\n", "\n-        scopes: [pets:write]\n+        scopes: [pets:create]\n", "\n+      pets:create: \"\"\n", "+      - match: GET /healthz   # from openapi: health\n"} {
		if r.code != 1 || !strings.Contains(r.stdout, want) {
			t.Errorf("import --diff shows no %q: %+v", want, r)
		}
	}
	if content(t, "config.yaml") != before {
		t.Error("--diff changed the file")
	}
	var result importResult
	if r := gatehouse(t, "", "import", "openapi", "-o", "json"); r.code != 1 || json.Unmarshal([]byte(r.stdout), &result) != nil || result.Written ||
		!slices.ContainsFunc(result.Changes, func(c configfile.Change) bool {
			return c.Kind == "change_route" && c.Operation == "addPet" && c.Line == 27
		}) {
		t.Errorf("import -o json: %+v", r)
	}
	if r := gatehouse(t, "", "import", "openapi", "--write"); r.code != 0 || !strings.Contains(r.stderr, "wrote config.yaml: 8 routes") {
		t.Errorf("import --write: %+v", r)
	}
	after := content(t, "config.yaml")
	if !strings.Contains(after, "    # our routes\n    routes:\n      - match: GET /ours\n        auth: token\n") || !strings.Contains(after, "GET /healthz   # from openapi: health") || strings.Contains(after, "GET /health ") {
		t.Error(after)
	}
	if r := gatehouse(t, "", "check"); r.code != 0 {
		t.Errorf("check: %+v", r)
	}
	if r := gatehouse(t, "", "import", "openapi"); r.code != 0 || r.stdout != "" {
		t.Errorf("a second import: %+v", r)
	}
	// Beside an API without a document, the one that has it is meant, unless a FILE is given.
	put(t, "config.yaml", after+"  other: {audience: other, upstream: \"http://127.0.0.1:9002\", routes: [{match: GET /other, auth: token}]}\n")
	if r := gatehouse(t, "", "import", "openapi"); r.code != 0 || r.stdout != "" {
		t.Errorf("beside another API: %+v", r)
	}
	if r := gatehouse(t, "", "import", "openapi", "petstore.yaml"); r.code != 2 || !strings.Contains(r.stderr, "one of: other, petstore") {
		t.Errorf("beside another API, a document: %+v", r)
	}
}

// What would open a route, or would not load, is not written.
func TestImportRefuses(t *testing.T) {
	in(t)
	specification(t, "petstore.yaml")
	if r := gatehouse(t, "", "init", "--openapi", "petstore.yaml", "--allow-public"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	good, before := content(t, "petstore.yaml"), content(t, "config.yaml")
	put(t, "petstore.yaml", strings.Replace(good, "operationId: addPet\n      security:\n        - oauth: [pets:write]", "operationId: addPet\n      security: []", 1))
	if r := gatehouse(t, "", "check"); r.code != 0 { // the route asks for more than the document
		t.Errorf("check: %+v", r)
	}
	put(t, "petstore.yaml", strings.Replace(content(t, "petstore.yaml"), "  /pets:\n", "  /new:\n    get: {operationId: open, security: []}\n  /pets:\n", 1))
	if r := gatehouse(t, "", "import", "openapi", "--write"); r.code != 1 || !strings.Contains(r.stderr, "(open) becomes public") || content(t, "config.yaml") != before {
		t.Errorf("%+v", r)
	}
	put(t, "petstore.yaml", strings.Replace(good, "  /pets:\n", "  /oauth/token:\n    get: {operationId: theirs}\n  /pets:\n", 1))
	if r := gatehouse(t, "", "import", "openapi", "--write"); r.code != 3 || !strings.Contains(r.stderr, "nothing was written") && !strings.Contains(r.stderr, "own endpoint") || content(t, "config.yaml") != before {
		t.Errorf("%+v", r)
	}
	put(t, "petstore.yaml", "openapi: 3.1.0\n")
	if r := gatehouse(t, "", "check"); r.code != 3 || !strings.Contains(r.stderr, "config.yaml:15:14: error: apis.petstore.openapi: petstore.yaml: the document has no operations") {
		t.Errorf("check with a broken document: %+v", r)
	}
	for _, args := range [][]string{{"--api", "nope"}, {"--diff", "--write"}, {"-o", "xml"}} {
		if r := gatehouse(t, "", append([]string{"import", "openapi", "petstore.yaml"}, args...)...); r.code != 2 && r.code != 1 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// The document of -o json says what the words say, the public routes and the warnings among it.
func TestInitDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := gatehouse(t, "", "init", "--openapi", "../../internal/openapi/testdata/petstore.yaml", "--dir", dir, "-o", "json")
	var d initDocument
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil || r.code != exitFailed || !strings.Contains(r.stderr, "--allow-public") {
		t.Fatalf("%v: %+v", err, r)
	}
	if d.API != "petstore" || d.Routes != 7 || d.Public != 1 || len(d.Scopes) != 4 || len(d.Files) != 3 || d.ID != "petstore-admin" || !secret.Whole(d.Secret) ||
		!strings.Contains(strings.Join(d.Warnings, "\n"), "health is public") {
		t.Errorf("%+v", d)
	}
	if strings.Contains(r.stderr, d.Secret) {
		t.Error("the secret is printed twice")
	}
	for _, file := range d.Files {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}
