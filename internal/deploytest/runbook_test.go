package deploytest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/authz"
)

// Every reason has a row of its own, with the status that answers it.
func TestRunbookKnowsEveryReason(t *testing.T) {
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` (\\* )?\\| (\\d+) \\| .+ \\| .+ \\|$").FindAllStringSubmatch(read(t, "deploy/runbook.md"), -1) {
		rows[m[1]] = m[3] + m[2]
	}
	for _, r := range authz.Reasons() {
		want := regexp.MustCompile(`^\d+`).FindString(rows[string(r)])
		if want == "" {
			t.Errorf("the runbook has no row for %s", r)
			continue
		}
		if status := r.Status(); want != strconv.Itoa(status) {
			t.Errorf("the runbook has %s for %s, which is answered %d", want, r, status)
		}
		if star := strings.HasSuffix(rows[string(r)], "* "); star != (r.Public() != r) {
			t.Errorf("the star of %s is %t, but callers are told %s", r, star, r.Public())
		}
		delete(rows, string(r))
	}
	for name := range rows {
		t.Errorf("the runbook has a row for %s, which is no reason", name)
	}
}

// Every link of the runbook leads somewhere in it, or to a file.
func TestRunbookLinks(t *testing.T) {
	sections := anchors(t)
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(read(t, "deploy/runbook.md"), -1) {
		if anchor, ok := strings.CutPrefix(m[1], "#"); ok {
			if !slices.Contains(sections, anchor) {
				t.Errorf("no section %s", m[1])
			}
			continue
		}
		read(t, "deploy/"+m[1])
	}
	for i, s := range sections {
		if slices.Contains(sections[:i], s) {
			t.Errorf("two sections are %s", s)
		}
	}
}

// Each section of an alert says what it means, where to look, what to do, and when it is over.
func TestRunbookSections(t *testing.T) {
	for _, section := range strings.Split(read(t, "deploy/runbook.md"), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		if !strings.HasPrefix(name, "Gatehouse") {
			continue
		}
		at := 0
		for _, part := range []string{"**Means:**", "**Look:**", "**Do:**", "**Over when:**"} {
			i := strings.Index(text[at:], part)
			if i < 0 {
				t.Errorf("%s lacks %s, or has it in another place", name, part)
				break
			}
			at += i
		}
	}
}

// Metrics in the runbook's queries are those of a dashboard or an alert, whose own tests hold them to what is exposed.
func TestRunbookMetrics(t *testing.T) {
	known := map[string]bool{}
	for _, q := range queries(t) {
		for _, m := range selector.FindAllStringSubmatch(q.expr, -1) {
			known[m[1]] = true
		}
	}
	for _, m := range regexp.MustCompile(`\b(?:gatehouse|process|go)_[a-z_]+`).FindAllString(read(t, "deploy/runbook.md"), -1) {
		if !known[m] {
			t.Errorf("the runbook names %s, which no alert or panel asks for", m)
		}
	}
}
