package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/app"
	"gatehouse/internal/config"
	"gatehouse/internal/lint"
)

// checkFlags are what `check` is asked for.
type checkFlags struct {
	output            string
	deny, audit, deep bool
	admin             adminFlags
}

func newCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:     "check [FILE…]",
		Aliases: []string{"validate"},
		Short:   "Load a configuration as run would, and report everything that is wrong",
		Long: `Load a configuration as run would, and report everything that is wrong. Nothing that runs is touched.

--audit tells, by rules A01 to A12, what is open, unused or weak. A comment silences a rule on its line, or, where it has a
line of its own, on the next:  # gatehouse:ignore A01 — the reason
--deep looks at what the configuration names: Redis, upstreams, where keys are fetched, certificates, the rights of files.

Exit codes: 0 all is well, or only warnings and findings; 1 --deep found something that is not; 3 the configuration does not
load, or there are warnings or findings and --deny-warnings is set.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(cmd, f.output, checkOutputs...); err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{configPath(cmd)}
			}
			f.admin.told = func(format string, args ...any) { verbose(cmd, format, args...) }
			report := &checkReport{}
			for _, path := range args {
				f.check(cmd.Context(), path, report)
			}
			if err := cmd.Context().Err(); err != nil {
				return err // what was cut short is neither well nor a fault
			}
			if err := report.print(cmd, f.output); err != nil {
				return err
			}
			return f.verdict(report)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.output, "output", "o", "text", strings.Join(checkOutputs, ", "))
	fl.BoolVar(&f.deny, "deny-warnings", false, "exit 3 on warnings and findings too")
	fl.BoolVar(&f.audit, "audit", false, "tell what is open, unused or weak, by rules A01 to A12")
	fl.BoolVar(&f.deep, "deep", false, "look at Redis, upstreams, key sets, certificates and the rights of files")
	f.admin.registerAddress(cmd)
	cmd.RegisterFlagCompletionFunc("output", words(checkOutputs...))
	return cmd
}

// verdict is the exit code.
func (f *checkFlags) verdict(r *checkReport) error {
	switch {
	case r.invalid:
		return &codedError{code: exitConfig}
	case r.count("error") > 0:
		return &codedError{exitFailed, fmt.Errorf("the configuration loads, but --deep found %s", count(r.count("error"), "fault"))}
	case f.deny && r.count("warning") > 0:
		return &codedError{exitConfig, fmt.Errorf("%s, and --deny-warnings is set", count(r.count("warning"), "warning"))}
	}
	return nil
}

// check loads the files at path, builds everything that they describe, compares it with OpenAPI documents, and opens nothing;
// then does what is asked for besides.
func (f *checkFlags) check(ctx context.Context, path string, r *checkReport) {
	cfg, err := config.Load(path, config.Options{})
	if err == nil {
		err = app.Check(cfg)
	}
	if err == nil {
		if list := drift(ctx, cfg); len(list) > 0 {
			err = list
		}
	}
	if err != nil {
		r.refuse(path, err)
		return
	}
	for _, w := range cfg.Warnings {
		if !f.audit || !strings.Contains(w.Message, coveredByA04) {
			r.add(finding{Level: "warning", Problem: w})
		}
	}
	if f.audit {
		f.auditOf(ctx, cfg, path, r)
	}
	if f.deep {
		r.probe(ctx, cfg)
	}
	routes := 0
	for _, a := range cfg.APIs {
		routes += len(a.Routes)
	}
	r.ok = append(r.ok, fmt.Sprintf("ok: %s, %s, %s", count(len(cfg.APIs), "API"), count(routes, "route"), count(len(cfg.Clients), "client")))
}

// coveredByA04 is a warning of the loader that the audit gives as a finding, which a comment may silence.
const coveredByA04 = "requests and identity headers cross the network unencrypted"

// useLimit is how long the audit waits for a running gatehouse.
const useLimit = 3 * time.Second

func (f *checkFlags) auditOf(ctx context.Context, cfg *config.Config, path string, r *checkReport) {
	ctx, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	var use *lint.Use
	var known adminapi.Clients
	client, err := f.admin.clientOf(path)
	if err == nil {
		err = client.Get(ctx, "/api/v1/clients", &known)
	}
	if err == nil {
		use = &lint.Use{Since: known.Since, Days: map[string]string{}}
		for _, c := range known.Clients {
			use.Days[c.ID] = c.LastTokenDay
		}
	}
	result := lint.Audit(cfg, use, time.Now())
	for _, found := range result.Findings {
		r.add(finding{Level: "warning", Rule: found.ID, Title: found.Title, Problem: found.Problem, Fix: found.Fix})
	}
	for _, note := range result.Notes {
		if err != nil && strings.HasPrefix(note, "A06") {
			note += " (" + err.Error() + ")"
		}
		r.add(finding{Level: "note", Problem: config.Problem{Pos: config.Pos{File: path}, Message: note}})
	}
	text := count(len(result.Findings), "finding")
	if result.Silenced > 0 {
		text += fmt.Sprintf(", %d silenced", result.Silenced)
	}
	r.ok = append(r.ok, "audit: "+text)
}

// probe looks at what the configuration names.
func (r *checkReport) probe(ctx context.Context, cfg *config.Config) {
	for _, p := range app.Probe(ctx, cfg) {
		if p.Err != nil {
			r.add(finding{Level: "error", Rule: "deep", Title: "does not serve", Problem: cfg.At(p.Pos, fmt.Sprintf("%s: %s: %v", p.Key, p.What, p.Err))})
			continue
		}
		r.ok = append(r.ok, fmt.Sprintf("deep: %s: %s is well (%s)", p.Key, p.What, p.Took.Round(time.Millisecond)))
	}
}

// refuse keeps why a configuration does not load.
func (r *checkReport) refuse(path string, err error) {
	r.invalid = true
	var problems config.Errors
	if !errors.As(err, &problems) {
		problems = config.Errors{{Pos: config.Pos{File: path}, Message: err.Error()}}
	}
	for _, p := range problems {
		r.add(finding{Level: "error", Problem: p})
	}
	r.bad = append(r.bad, problems)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
