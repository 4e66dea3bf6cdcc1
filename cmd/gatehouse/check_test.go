package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// aCheck writes a configuration with one upstream, and returns its path.
func aCheck(t *testing.T, upstream, routes string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config.yaml": fmt.Sprintf("version: 1\nserver: {listen: \"127.0.0.1:8080\", public_url: \"http://127.0.0.1:8080\"}\nadmin: {listen: \"127.0.0.1:1\"}\n"+
			"clients_file: clients.yaml\napis:\n  app:\n    audience: urn:app\n    upstream: %q\n    routes:\n%s", upstream, routes),
		"clients.yaml": "version: 1\nclients:\n  worker:\n    grants: {app: []}\n    secrets:\n      - sha256: 9f2c41d0c0b14ee1a5c08be9a9b0e5b6f1e6d2b7a1f6c4cf6b6a9ad51f7a0e31\n        created: " +
			time.Now().UTC().Format(time.DateOnly) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yaml")
}

func TestCheckAudit(t *testing.T) {
	t.Parallel()
	path := aCheck(t, "http://orders.internal:9001", "      - {match: GET /x, auth: token}\n      - match: GET /open\n        auth: public\n      - {match: GET /fine, auth: public} # gatehouse:ignore A01 — known\n")
	r := gatehouse(t, "", "check", "--audit", path)
	for _, want := range []string{
		path + ":8:15: warning: A04 http upstream off-host: requests to orders.internal:9001 cross the network unencrypted, identity headers among them\n     8 |     upstream: ",
		path + ":11:16: warning: A01 public route: anyone may call GET /open\n", "       Fix: auth: token, or scopes;", "audit: 2 findings, 1 silenced\n", "ok: 1 API, 3 routes, 1 client\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is missing in\n%s", want, r.stdout)
		}
	}
	if r.code != 0 || !strings.Contains(r.stderr, "note: A06 not checked") || strings.Contains(r.stderr, "warning") {
		t.Errorf("%d\n%s", r.code, r.stderr)
	}
	if r := gatehouse(t, "", "check", "--audit", "--deny-warnings", path); r.code != exitConfig || !strings.Contains(r.stderr, "2 warnings, and --deny-warnings") {
		t.Errorf("--deny-warnings: %d %s", r.code, r.stderr)
	}
	if r := gatehouse(t, "", "check", path); r.code != 0 || !strings.Contains(r.stderr, "unencrypted") || strings.Contains(r.stdout, "A01") {
		t.Errorf("without --audit: %d %s %s", r.code, r.stdout, r.stderr)
	}
}

func TestCheckAuditAsksTheGateway(t *testing.T) {
	t.Parallel()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"since":"2020-01-01","clients":[{"id":"worker","disabled":false,"last_token_day":"2020-03-01"}]}`)
	}))
	defer node.Close()
	path := aCheck(t, "http://127.0.0.1:9001", "      - {match: GET /x, auth: token}\n")
	clients := filepath.Join(filepath.Dir(path), "clients.yaml")
	text, err := os.ReadFile(clients)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(clients, []byte(strings.Replace(string(text), "created", "note", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := gatehouse(t, "", "check", "--audit", "--admin", strings.TrimPrefix(node.URL, "http://"), path)
	if r.code != 0 || !strings.Contains(r.stdout, clients+":3:3: warning: A06 client unused 90 d: worker got no token for 90 days: the last on 2020-03-01\n") {
		t.Errorf("%d %s %s", r.code, r.stdout, r.stderr)
	}
}

func TestCheckDeep(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := aCheck(t, "http://"+l.Addr().String(), "      - {match: GET /x, auth: token}\n")
	if r := gatehouse(t, "", "check", "--deep", path); r.code != 0 || !strings.Contains(r.stdout, "deep: apis.app.upstream: http://"+l.Addr().String()+" is well (") {
		t.Errorf("%d %s %s", r.code, r.stdout, r.stderr)
	}
	l.Close()
	r := gatehouse(t, "", "check", "--deep", path)
	if r.code != exitFailed || !strings.Contains(r.stdout, path+":8:15: error: apis.app.upstream: http://"+l.Addr().String()+": no connection: ") ||
		!strings.Contains(r.stderr, "the configuration loads, but --deep found 1 fault") {
		t.Errorf("%d %s %s", r.code, r.stdout, r.stderr)
	}
}

func TestCheckFormats(t *testing.T) {
	t.Parallel()
	good := aCheck(t, "http://127.0.0.1:9001", "      - {match: GET /open, auth: public}\n      - {match: GET /x, auth: token}\n")
	bad := aCheck(t, "http://127.0.0.1:9001", "      - {match: \"GET /x%\", auth: tokne}\n")
	r := gatehouse(t, "", "check", good, bad)
	if r.code != exitConfig || !strings.Contains(r.stdout, "ok: 1 API") || !strings.Contains(r.stderr, "2 errors in "+bad) {
		t.Errorf("two files: %d %s %s", r.code, r.stdout, r.stderr)
	}
	r = gatehouse(t, "", "check", "--audit", "-o", "json", good, bad)
	var list []finding
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || r.code != exitConfig || len(list) != 4 {
		t.Fatalf("%d %v %s", r.code, err, r.stdout)
	}
	if f := list[0]; f.Rule != "A01" || f.Level != "warning" || f.Line != 10 || f.Col != 17 || f.Fix == "" || f.Message == "" {
		t.Errorf("%+v", f)
	}
	r = gatehouse(t, "", "check", "-o", "github", bad)
	if r.code != exitConfig || !strings.Contains(r.stdout, "::error file="+bad+",line=10,col=17,title=gatehouse check::apis.app.routes.match: '%25' can't stand in a path") || r.stderr != "" {
		t.Errorf("github: %d %s %s", r.code, r.stdout, r.stderr)
	}
	r = gatehouse(t, "", "check", "--audit", "-o", "sarif", good)
	var report struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			ColumnKind string
			Results    []struct {
				RuleID, Level string
				Locations     []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != 0 || report.Version != "2.1.0" || len(report.Runs) != 1 ||
		len(report.Runs[0].Results) != 2 || report.Runs[0].Results[0].RuleID != "A01" || len(report.Runs[0].Tool.Driver.Rules) < 13 {
		t.Errorf("sarif: %v %s", err, r.stdout)
	}
	// Places are URIs, and each result's rule is one that the report describes.
	spaced := filepath.Join(filepath.Dir(good), "a folder", "50%.yaml")
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(spaced), 0o700), os.WriteFile(spaced, []byte(strings.Replace(string(text), "clients.yaml", "../clients.yaml", 1)), 0o600)); err != nil {
		t.Fatal(err)
	}
	r = gatehouse(t, "", "check", "--audit", "-o", "sarif", spaced)
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || !strings.HasSuffix(report.Runs[0].Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI, "/a%20folder/50%25.yaml") ||
		report.Runs[0].ColumnKind != "unicodeCodePoints" {
		t.Errorf("sarif: %v %s", err, r.stdout)
	}
	for _, result := range report.Runs[0].Results {
		if !slices.ContainsFunc(report.Runs[0].Tool.Driver.Rules, func(rule struct{ ID string }) bool { return rule.ID == result.RuleID }) {
			t.Errorf("sarif: no rule %s is described", result.RuleID)
		}
	}
	if r := gatehouse(t, "", "check", "-o", "xml", good); r.code != exitUsage {
		t.Errorf("-o xml: %d", r.code)
	}
	if r := gatehouse(t, "", "validate", "-o", "json", good); r.code != 0 || r.stdout != "[]\n" {
		t.Errorf("validate: %d %q", r.code, r.stdout)
	}
}
