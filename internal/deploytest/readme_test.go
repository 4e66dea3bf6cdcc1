package deploytest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/authz"
)

// unsaid are reasons without a row in README.md: this version never answers with them.
var unsaid = []authz.Reason{authz.WrongBinding, authz.Overloaded}

// Every reason that a caller is told has a row in README.md, with its status.
func TestReadmeKnowsEveryReason(t *testing.T) {
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| ((?:`\\w+`(?:, )?)+) \\| (\\d+(?:, \\d+)*) \\| .+ \\|$").FindAllStringSubmatch(read(t, "README.md"), -1) {
		reasons, statuses := strings.Split(strings.ReplaceAll(m[1], "`", ""), ", "), strings.Split(m[2], ", ")
		for i, reason := range reasons {
			rows[reason] = statuses[min(i, len(statuses)-1)]
		}
	}
	known := map[string]bool{}
	for _, r := range authz.Reasons() {
		if slices.Contains(unsaid, r) {
			continue
		}
		public := string(r.Public())
		if known[public] = true; rows[public] != strconv.Itoa(r.Status()) {
			t.Errorf("README.md has %q for %s, which is answered %d", rows[public], public, r.Status())
		}
	}
	for name := range rows {
		if !known[name] {
			t.Errorf("README.md has a row for %s, which is no reason", name)
		}
	}
}

// Metrics that README.md names are made somewhere.
func TestReadmeMetrics(t *testing.T) {
	made := ""
	for _, folder := range []string{"internal/metrics", "internal/app"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			made += string(b)
		}
	}
	names := regexp.MustCompile(`\bgatehouse_([a-z_]+)`).FindAllStringSubmatch(read(t, "README.md"), -1)
	for _, m := range names {
		if !strings.Contains(made, `"`+m[0]+`"`) && !strings.Contains(made, `"`+m[1]+`"`) {
			t.Errorf("README.md names %s, which nothing makes", m[0])
		}
	}
	if len(names) < 50 {
		t.Errorf("only %d metrics were found", len(names))
	}
}
