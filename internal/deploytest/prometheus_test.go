package deploytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/redistest"
)

// A Prometheus that scrapes two nodes of a fleet answers every query of the dashboard with something to show, and evaluates
// every rule: joins that do not fit show only here.
func TestPrometheusAnswers(t *testing.T) {
	redis := redistest.Start(t)
	nodes := []*node{startNode(t, redis), startNode(t, redis)}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "alerts.yaml"), read(t, "deploy/prometheus/alerts.yaml"))
	write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yaml]
scrape_configs: [{job_name: gatehouse, static_configs: [{targets: [%q, %q]}]}]
`, strings.TrimPrefix(nodes[0].admin, "http://"), strings.TrimPrefix(nodes[1].admin, "http://")))
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	start(t, "(Server is ready)", tool(t, "prometheus"), "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", at)
	get := func(path string, out any) error {
		res, err := http.Get("http://" + at + path)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return json.NewDecoder(res.Body).Decode(out)
	}
	fill := strings.NewReplacer("$__rate_interval", "30s", "$__range", "1m", "$job", "gatehouse", "$instance", ".*", "$api", ".*")
	for _, q := range queries(t) {
		if !strings.HasPrefix(q.at, "panel ") {
			continue
		}
		var answer struct {
			Error string
			Data  struct{ Result []any }
		}
		shown := func() bool {
			for _, n := range nodes {
				n.traffic(t)
			}
			answer.Error, answer.Data.Result = "", nil
			err := get("/api/v1/query?query="+url.QueryEscape(fill.Replace(q.expr)), &answer)
			return err == nil && (answer.Error != "" || len(answer.Data.Result) > 0 || mayBeEmpty(q))
		}
		if !eventually(shown) || answer.Error != "" {
			t.Errorf("%s shows nothing: %s\n%s", q.at, answer.Error, q.expr)
		}
	}
	var evaluated struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	done := func() bool {
		if err := get("/api/v1/rules", &evaluated); err != nil {
			t.Fatal(err)
		}
		for _, g := range evaluated.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
			}
		}
		return true
	}
	if !eventually(done) {
		t.Error("some rules were never evaluated")
	}
	count := 0
	for _, g := range evaluated.Data.Groups {
		for _, r := range g.Rules {
			if count++; r.Health != "ok" {
				t.Errorf("rule %s: %s %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if count != len(rules(t)) {
		t.Errorf("Prometheus has %d rules, the file %d", count, len(rules(t)))
	}
}

// mayBeEmpty: what is filtered by "> 0" shows what went wrong, and little did here.
func mayBeEmpty(q query) bool { return strings.HasSuffix(q.expr, "> 0") }
