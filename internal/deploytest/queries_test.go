package deploytest

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"gatehouse/internal/redistest"
)

// series is one line of a scrape.
type series struct {
	name   string
	labels map[string]string
}

var (
	sampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? [^ ]+$`)
	labelPair  = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

// exposed are the series of two nodes with everything, an embedded one and one with Redis, after some traffic.
func exposed(t *testing.T) (all []series) {
	t.Helper()
	for _, redis := range []*redistest.Server{nil, redistest.Start(t)} {
		n := startNode(t, redis)
		n.traffic(t)
		for line := range strings.Lines(n.scrape(t)) {
			m := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				continue
			}
			s := series{m[1], map[string]string{"job": "gatehouse", "instance": "a:8081"}}
			for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
				s.labels[pair[1]] = pair[2]
			}
			all = append(all, s)
		}
	}
	return append(all, series{"up", map[string]string{"job": "gatehouse", "instance": "a:8081"}})
}

// query is PromQL somewhere in deploy/, with the templates that show its labels.
type query struct{ at, expr, templates string }

// A rule file, and a dashboard, as far as these tests look.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var f ruleFile
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/alerts.yaml")), &f); err != nil {
		t.Fatal(err)
	}
	for _, g := range f.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Datasource               struct{ UID string }
	Targets                  []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ UID string }
	}
	Panels []panel
}

type dashboard struct {
	UID, Title  string
	Panels      []panel
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct {
		List []struct{ Name, Type, Definition string }
	}
}

func board(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/gatehouse.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// queries are all of the rules and of the dashboard.
func queries(t *testing.T) (all []query) {
	t.Helper()
	for _, r := range rules(t) {
		all = append(all, query{"rule " + r.Alert + r.Record, r.Expr, strings.Join(slices.Collect(maps.Values(r.Annotations)), " ")})
	}
	d := board(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, query{"panel " + p.Title, target.Expr, target.LegendFormat})
		}
	}
	for _, v := range d.Templating.List {
		if m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
			all = append(all, query{"variable " + v.Name, m[1], "{{" + m[2] + "}}"})
		} else if v.Type == "query" {
			t.Errorf("variable %s asks %q", v.Name, v.Definition)
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, query{"annotation", a.Expr, ""})
	}
	return all
}

var (
	selector  = regexp.MustCompile(`\b((?:gatehouse|go|process)_[a-z_]+|up|job_api:[a-z0-9_:]+)(?:\{([^}]*)\})?`)
	matcher   = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	grouping  = regexp.MustCompile(`\b(?:by|on|group_left) \(([^)]*)\)`)
	mentioned = regexp.MustCompile(`\$labels\.(\w+)|\{\{(\w+)\}\}`)
)

// matches reports whether a series is one that a selector's matchers find. Variables of the dashboard match everything.
func (s series) matches(t *testing.T, at, matchers string) bool {
	for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
		value, there := s.labels[m[1]]
		if !there {
			return false
		}
		if strings.HasPrefix(m[3], "$") {
			continue
		}
		re, err := regexp.Compile("^(?:" + m[3] + ")$")
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		hit := value == m[3]
		if strings.HasSuffix(m[2], "~") {
			hit = re.MatchString(value)
		}
		if hit != (m[2][0] != '!') {
			return false
		}
	}
	return true
}

// Every query asks for series that a running gatehouse has, by labels and values that they have, and shows labels that
// are there.
func TestQueries(t *testing.T) {
	all := exposed(t)
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		if r.Record != "" {
			recorded[r.Record] = true
			all = append(all, series{r.Record, map[string]string{"job": "gatehouse", "api": "orders"}})
		}
	}
	for _, q := range queries(t) {
		labels, found := map[string]bool{"__name__": true}, 0
		for _, m := range selector.FindAllStringSubmatch(q.expr, -1) {
			if strings.HasPrefix(m[1], "job_api:") && !recorded[m[1]] {
				t.Errorf("%s: nothing records %s", q.at, m[1])
			}
			found++
			hits := 0
			for _, s := range all {
				if s.name == m[1] && s.matches(t, q.at, m[2]) {
					hits++
					for name := range s.labels {
						labels[name] = true
					}
				}
			}
			if hits == 0 {
				t.Errorf("%s: no series is %s", q.at, m[0])
			}
		}
		if found == 0 {
			t.Errorf("%s: %q asks for nothing", q.at, q.expr)
		}
		var used []string
		for _, m := range grouping.FindAllStringSubmatch(q.expr, -1) {
			used = append(used, strings.Split(m[1], ", ")...)
		}
		for _, m := range mentioned.FindAllStringSubmatch(q.templates, -1) {
			used = append(used, m[1]+m[2])
		}
		for _, name := range used {
			if !labels[name] {
				t.Errorf("%s: its series have no label %q, only %v", q.at, name, slices.Sorted(maps.Keys(labels)))
			}
		}
	}
}

// What the dashboard asks is PromQL: promtool reads it as rules would be.
func TestDashboardIsPromQL(t *testing.T) {
	promtool := tool(t, "promtool")
	type record struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var list []record
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$job", "gatehouse", "$instance", ".*", "$api", ".*")
	for _, q := range queries(t) {
		if !strings.HasPrefix(q.at, "rule ") {
			list = append(list, record{"x", fill.Replace(q.expr)})
		}
	}
	out, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": list}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	write(t, file, string(out))
	run(t, ".", promtool, "check", "rules", "--lint=none", file)
	if len(list) < 50 {
		t.Errorf("the dashboard has %d queries", len(list))
	}
}

// The dashboard can be imported and read: every panel has an id of its own, a title, words, a unit and a place.
func TestDashboard(t *testing.T) {
	d := board(t)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %q has the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		if !slices.Contains([]string{"row", "stat", "timeseries", "bargauge", "table"}, p.Type) {
			t.Errorf("%s is a %s", p.Title, p.Type)
		}
		g := p.GridPos
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x > 23 {
					t.Fatalf("%s lies on %s or out of the grid", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.Type != "table" && p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s lacks a description, a unit, a query or the variable as its data source", p.Title)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("%s: query %s has a data source of its own", p.Title, q.RefID)
			}
			if strings.Contains(q.Expr, "rate(") && !strings.Contains(q.Expr, "[$__rate_interval]") {
				t.Errorf("%s: a rate is not over $__rate_interval: %s", p.Title, q.Expr)
			}
			if !strings.Contains(q.Expr, `job=~"$job", instance=~"$instance"`) {
				t.Errorf("%s: the variables do not apply to %s", p.Title, q.Expr)
			}
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	if !slices.Equal(names, []string{"datasource", "job", "instance", "api"}) {
		t.Errorf("the variables are %v", names)
	}
}
