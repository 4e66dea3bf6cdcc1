package main

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
	"gatehouse/internal/lint"
)

var checkOutputs = []string{"text", "json", "github", "sarif"}

// finding is one line of `check -o json`.
type finding struct {
	Level string `json:"level"`          // error | warning | note
	Rule  string `json:"rule,omitempty"` // of the audit, or "deep"
	Title string `json:"title,omitempty"`
	config.Problem
	Fix string `json:"fix,omitempty"`
}

// checkReport is all that a check found, in the order of the files.
type checkReport struct {
	findings []finding
	ok       []string        // what is well
	bad      []config.Errors // by file, those that do not load
	invalid  bool
}

func (r *checkReport) add(f finding) { r.findings = append(r.findings, f) }

func (r *checkReport) count(level string) (n int) {
	for _, f := range r.findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

func (r *checkReport) print(cmd *cobra.Command, output string) error {
	switch output {
	case "json":
		return printJSON(cmd.OutOrStdout(), append([]finding{}, r.findings...))
	case "github":
		return r.github(cmd.OutOrStdout())
	case "sarif":
		return printJSON(cmd.OutOrStdout(), r.sarif())
	}
	for _, problems := range r.bad {
		fmt.Fprintln(cmd.ErrOrStderr(), problems.Error())
		if problems[0].Line == 0 { // there is nothing to mend
			fmt.Fprintln(cmd.ErrOrStderr(), afterProblems(cmd, problems, problems))
		}
	}
	for _, f := range r.findings {
		if f.Rule != "" {
			fmt.Fprint(cmd.OutOrStdout(), f.text())
		} else if f.Level != "error" {
			fmt.Fprint(cmd.ErrOrStderr(), f.text())
		}
	}
	for _, line := range r.ok {
		fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	return nil
}

// text is a finding for people, with its source line where it is one of the audit or of a look.
func (f finding) text() string {
	p := f.Problem
	if f.Rule == "" {
		p.Source = ""
		return p.Text(f.Level)
	}
	p.Message = f.headline()
	out := p.Text(f.Level)
	if f.Fix != "" {
		out += "       Fix: " + f.Fix + "\n"
	}
	return out
}

// headline is the message behind the rule that found it.
func (f finding) headline() string {
	switch f.Rule {
	case "", "deep":
		return f.Message
	}
	return f.Rule + " " + f.Title + ": " + f.Message
}

// github writes workflow commands, which GitHub shows beside the lines of a change.
func (r *checkReport) github(out io.Writer) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range r.findings {
		command := map[string]string{"error": "error", "warning": "warning", "note": "notice"}[f.Level]
		at := "file=" + property.Replace(filepath.ToSlash(f.File))
		if f.Line > 0 {
			at += fmt.Sprintf(",line=%d,col=%d", f.Line, f.Col)
		}
		text := f.headline()
		if f.Fix != "" {
			text += "\nFix: " + f.Fix
		}
		if _, err := fmt.Fprintf(out, "::%s %s,title=gatehouse check::%s\n", command, at, data.Replace(text)); err != nil {
			return err
		}
	}
	return nil
}

// sarif is the report in SARIF 2.1.0, as code scanning reads it.
func (r *checkReport) sarif() any {
	type object = map[string]any
	rules := []object{}
	for _, rule := range append(lint.Rules(), lint.Rule{ID: "deep", Title: "what the configuration names does not serve"}, lint.Rule{ID: "config", Title: "the configuration does not load, or deserves a look"}) {
		rules = append(rules, object{"id": rule.ID, "shortDescription": object{"text": rule.Title}})
	}
	results := []object{}
	for _, f := range r.findings {
		rule, text := f.Rule, f.headline()
		if rule == "" {
			rule = "config"
		}
		if f.Fix != "" {
			text += "\nFix: " + f.Fix
		}
		location := object{"artifactLocation": object{"uri": (&url.URL{Path: filepath.ToSlash(f.File)}).String()}}
		if f.Line > 0 {
			location["region"] = object{"startLine": f.Line, "startColumn": max(f.Col, 1)}
		}
		results = append(results, object{"ruleId": rule, "level": f.Level, "message": object{"text": text},
			"locations": []object{{"physicalLocation": location}}})
	}
	return object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []object{{
			"tool":       object{"driver": object{"name": "gatehouse", "version": version, "rules": rules}},
			"columnKind": "unicodeCodePoints", // as columns are counted here
			"results":    results,
		}},
	}
}
