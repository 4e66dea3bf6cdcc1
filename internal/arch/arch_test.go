package arch

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// THE IMPORT TABLE. Each package of the module, with the packages of the module that it may import. An arrow goes one way.
// Do not add a line just to make a build pass: first look for the room where the new thing belongs.
//
// The longer reading of it: cmd and internal/app know everything; proxy, authz and tokenep never see configuration;
// authz sees no store and no HTTP server; nothing below internal/app imports metrics.
var table = map[string][]string{
	"cmd/gatehouse": {"internal/adminapi", "internal/adminclient", "internal/app", "internal/audit", "internal/clientsfile", "internal/config", "internal/configfile", "internal/demo", "internal/exchange", "internal/lint", "internal/load", "internal/logs", "internal/openapi", "internal/secret", "internal/suggest", "internal/token", "internal/trace"},

	"internal/app": {"authz", "proxy", "tokenep", "internal/admin", "internal/adminapi", "internal/audit", "internal/config", "internal/exchange", "internal/keyring", "internal/logs",
		"internal/metrics", "internal/ratelimit", "internal/redisx", "internal/revoke", "internal/statedb", "internal/suggest", "internal/token", "internal/trace",
		"internal/hashpool", "internal/hook", "internal/jwks", "internal/lastuse", "internal/lockout", "internal/replay", "internal/pulse", "internal/secret", "internal/statuspage"},

	"proxy":   {"authz", "internal/exchange", "internal/lean", "internal/ratelimit", "internal/suggest", "internal/token", "internal/trace"},
	"tokenep": {"authz", "internal/dn", "internal/exchange", "internal/hook", "internal/ratelimit", "internal/revoke", "internal/secret", "internal/token", "internal/trace"},
	"authz":   {"internal/token"},

	"internal/admin":           {"internal/adminapi", "internal/secret", "internal/trace"},
	"internal/adminapi":        {"internal/trace"},
	"internal/adminclient":     {"internal/adminapi", "internal/secret"},
	"internal/arch":            {},
	"internal/alloctest":       {},
	"internal/audit":           {"internal/exchange"},
	"internal/blackbox":        {},
	"internal/canary":          {},
	"internal/clientsfile":     {},
	"internal/config":          {"internal/dn", "internal/secret", "internal/suggest"},
	"internal/configfile":      {"internal/openapi"},
	"internal/deploytest":      {},
	"internal/demo":            {},
	"internal/dn":              {},
	"internal/exchange":        {"internal/trace"},
	"internal/faults":          {},
	"internal/keyring":         {"internal/redisx", "internal/secret", "internal/token"},
	"internal/hashpool":        {},
	"internal/hook":            {"internal/outbound", "internal/secret", "internal/token"},
	"internal/jwks":            {"internal/outbound", "internal/token"},
	"internal/lastuse":         {"internal/exchange", "internal/redisx"},
	"internal/lean":            {},
	"internal/lint":            {"internal/config"},
	"internal/load":            {},
	"internal/lockout":         {"internal/ratelimit"},
	"internal/logs":            {},
	"internal/metrics":         {"internal/exchange"},
	"internal/openapi":         {},
	"internal/outbound":        {},
	"internal/pulse":           {"internal/exchange"},
	"internal/ratelimit":       {"internal/redisx"},
	"internal/redistest":       {},
	"internal/redisx":          {"internal/secret"},
	"internal/replay":          {"internal/redisx"},
	"internal/revoke":          {"internal/redisx"},
	"internal/secret":          {},
	"internal/statedb":         {},
	"internal/statuspage":      {"internal/adminapi", "internal/lockout", "internal/pulse", "internal/secret", "internal/trace"},
	"internal/suggest":         {},
	"internal/token":           {},
	"internal/token/tokentest": {"internal/token"},
	"internal/trace":           {},
}

// homes says which packages may import a third-party module. A module that is not here may be imported by nobody but tests.
var homes = map[string][]string{
	"github.com/lestrrat-go/jwx/v2":       {"internal/token"},
	"github.com/redis/go-redis/v9":        {"internal/redisx", "internal/ratelimit", "internal/revoke", "internal/redistest"},
	"go.etcd.io/bbolt":                    {"internal/statedb", "internal/keyring", "internal/lastuse", "internal/replay", "internal/revoke", "internal/app"},
	"gopkg.in/yaml.v3":                    {"internal/config", "internal/clientsfile", "internal/configfile", "internal/openapi", "cmd/gatehouse"},
	"github.com/prometheus/client_golang": {"internal/metrics", "internal/app"},
	"github.com/spf13/cobra":              {"cmd/gatehouse"},
	"github.com/coreos/go-systemd/v22":    {"cmd/gatehouse"},
	"github.com/getkin/kin-openapi":       {"internal/openapi"},
	"golang.org/x/crypto":                 {"internal/secret"},
	"golang.org/x/sys":                    {"internal/app"},
}

// forbidden says which packages of the standard library a package must do without, and why.
var forbidden = map[string]map[string]string{
	"authz": {"net/http": "a verdict knows no HTTP server", "os": "a verdict reads no file"},
	"*":     {"unsafe": "no unsafe of our own", "C": "no cgo", "net/http/httptest": "a helper of tests", "testing": "production code knows no tests"},
}

// testOnly packages exist for tests and may import testing.
var testOnly = []string{"internal/alloctest", "internal/canary", "internal/redistest", "internal/token/tokentest"}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := dec.Decode(&p); err {
		case nil:
			pkgs = append(pkgs, p)
		case io.EOF:
			return pkgs
		default:
			t.Fatal(err)
		}
	}
}

// violations are the ways in which a package breaks the table.
func violations(name string, imports []string) []string {
	allowed, known := table[name]
	if !known {
		return []string{fmt.Sprintf("%s is not in the table: say what it may import", name)}
	}
	var bad []string
	for _, imp := range imports {
		inner, ours := strings.CutPrefix(imp, "gatehouse/")
		switch {
		case ours && !slices.Contains(allowed, inner):
			bad = append(bad, fmt.Sprintf("%s must not import %s", name, inner))
		case ours:
		case strings.Contains(strings.Split(imp, "/")[0], "."):
			if home := homeOf(imp); !slices.Contains(home, name) {
				bad = append(bad, fmt.Sprintf("%s must not import %s: its home is %v", name, imp, home))
			}
		default:
			for _, rules := range []map[string]string{forbidden[name], forbidden["*"]} {
				if why, no := rules[imp]; no && !slices.Contains(testOnly, name) {
					bad = append(bad, fmt.Sprintf("%s must not import %s: %s", name, imp, why))
				}
			}
		}
	}
	return bad
}

func homeOf(imp string) []string {
	for module, home := range homes {
		if imp == module || strings.HasPrefix(imp, module+"/") {
			return home
		}
	}
	return nil
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, "gatehouse/")
		seen[name] = true
		for _, v := range violations(name, p.Imports) {
			t.Error(v)
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imp, "github.com/lestrrat-go/jwx") && name != "internal/token" {
				t.Errorf("the tests of %s import %s: only internal/token may", name, imp)
			}
			outside := []string{"gatehouse/internal/load", "gatehouse/internal/redistest"} // which import nothing of gatehouse either
			if strings.HasPrefix(imp, "gatehouse/") && name == "internal/blackbox" && !slices.Contains(outside, imp) {
				t.Errorf("the tests of %s import %s: they know gatehouse only from outside", name, imp)
			}
		}
		if p.Doc == "" {
			t.Errorf("%s has no package comment", name)
		}
	}
	for name := range table {
		if !seen[name] {
			t.Errorf("the table names %s, which is not there", name)
		}
	}
}

// Every arrow that the table allows must be refused when it is turned round; else the table would not hold the plan.
func TestTurnedArrowsFail(t *testing.T) {
	for _, from := range slices.Sorted(maps.Keys(table)) {
		for _, to := range table[from] {
			if len(violations(to, []string{"gatehouse/" + from})) == 0 {
				t.Errorf("%s -> %s is allowed both ways", from, to)
			}
		}
	}
	for imp, at := range map[string]string{
		"github.com/lestrrat-go/jwx/v2/jws": "authz", "github.com/redis/go-redis/v9": "proxy", "gopkg.in/yaml.v3": "internal/app",
		"github.com/spf13/cobra": "internal/app", "net/http": "authz", "unsafe": "proxy", "github.com/unknown/module": "internal/app",
	} {
		if len(violations(at, []string{imp})) == 0 {
			t.Errorf("%s may import %s", at, imp)
		}
	}
	if len(violations("internal/util", nil)) == 0 {
		t.Error("a package outside the table is accepted")
	}
}

// TestUnverifiedStaysExplained: what nobody vouches for is read where refusals are explained, and nowhere else.
func TestUnverifiedStaysExplained(t *testing.T) {
	users := map[string][]string{".Unverified()": {"authz/verify.go"}, ".Suppose(": {"proxy/authorize.go"}}
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
		for call, files := range users {
			if strings.Contains(string(text), call) != slices.Contains(files, name) {
				t.Errorf("%s: %s belongs into %v alone", name, call, files)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
