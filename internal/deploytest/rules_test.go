package deploytest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// alertTests are what promtool tests the alerts by.
var alertTests = []string{"alerts_test.yaml", "alerts_days_test.yaml", "alerts_limits_test.yaml"}

// promtool accepts the rules, and the alerts fire and stay quiet as their tests say.
func TestRules(t *testing.T) {
	promtool := tool(t, "promtool")
	dir := root + "/deploy/prometheus"
	if out := run(t, dir, promtool, "check", "rules", "alerts.yaml"); !strings.Contains(out, "SUCCESS") {
		t.Errorf("promtool check rules says:\n%s", out)
	}
	if out := run(t, dir, promtool, append([]string{"test", "rules"}, alertTests...)...); !strings.Contains(out, "SUCCESS") {
		t.Errorf("promtool test rules says:\n%s", out)
	}
}

// Each alert, at each severity, has a test in which it fires and one in which it does not.
func TestEveryAlertIsTested(t *testing.T) {
	type file struct {
		Tests []struct {
			Name          string
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []struct {
					ExpLabels map[string]string `yaml:"exp_labels"`
				} `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	var all file
	for _, name := range alertTests {
		var f file
		if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/"+name)), &f); err != nil {
			t.Fatal(err)
		}
		all.Tests = append(all.Tests, f.Tests...)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range all.Tests {
		for _, check := range test.AlertRuleTest {
			if len(check.ExpAlerts) == 0 {
				quiet[check.Alertname] = true
			}
			for _, a := range check.ExpAlerts {
				fires[check.Alertname+" "+a.ExpLabels["severity"]] = true
			}
		}
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if !quiet[r.Alert] || !fires[r.Alert+" "+r.Labels["severity"]] {
			t.Errorf("%s (%s) is not tested both ways", r.Alert, r.Labels["severity"])
		}
	}
}

// anchors are those that the headings of the runbook get.
func anchors(t *testing.T) (list []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(read(t, "deploy/runbook.md"), -1) {
		anchor := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(anchor, " ", "-"))
	}
	return list
}

// Each alert says how bad it is, what it is, what that means, and where the runbook has more; and the runbook has no section
// for an alert that is not there.
func TestAlertsLeadToTheRunbook(t *testing.T) {
	sections, known := anchors(t), map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		known[strings.ToLower(r.Alert)] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
		}
		for _, name := range []string{"summary", "description"} {
			if text := r.Annotations[name]; !strings.HasSuffix(text, ".") || strings.Contains(text, "\n") {
				t.Errorf("%s: the %s is %q, want a sentence", r.Alert, name, text)
			}
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], "deploy/runbook.md#")
		if !ok || anchor != strings.ToLower(r.Alert) || !slices.Contains(sections, anchor) {
			t.Errorf("%s leads to %s, which is not there", r.Alert, r.Annotations["runbook_url"])
		}
	}
	for _, s := range sections {
		if strings.HasPrefix(s, "gatehouse") && s != "gatehouse-runbook" && !known[s] {
			t.Errorf("the runbook has a section %s for no alert", s)
		}
	}
}
