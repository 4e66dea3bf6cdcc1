package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gatehouse/internal/audit"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Check the audit trail", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newAuditVerify())
	return cmd
}

func newAuditVerify() *cobra.Command {
	var head, output string
	cmd := &cobra.Command{
		Use:   "verify [FILE…]",
		Short: "Check that no line of the audit trail was changed, taken out or put in; exit 4 where one was",
		Long: `Check that no line of the audit trail was changed, taken out or put in: each line holds the hash of the one before.
Files are given oldest first; without any, those of the configuration's audit.file. Lines that were cut off at the end, or
a trail that was made anew as a whole, show only against a hash that was kept elsewhere: the process logs the last one as
"head" when the trail is opened and closed and when a file is full. Hand it over with --head.`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			if len(files) == 0 {
				cfg, err := loader(configPath(cmd))()
				if err != nil {
					return err
				}
				if files, err = audit.Files(cfg.AuditFile()); err != nil {
					return err
				}
				if len(files) == 0 {
					return fmt.Errorf("%s is not there: nothing was written yet\nstart the gateway with: gatehouse run", cfg.AuditFile())
				}
			}
			report, err := audit.Verify(files, head)
			if err != nil {
				return err
			}
			return tellReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), report, output)
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "hash of a line that must be there")
	outputFlag(cmd, &output)
	return cmd
}

func tellReport(stdout, stderr io.Writer, r *audit.Report, output string) error {
	if isDocument(output) {
		breaks := r.Breaks
		if breaks == nil {
			breaks = []audit.Break{}
		}
		err := printDocument(stdout, output, struct {
			Files  int           `json:"files"`
			Lines  int           `json:"lines"`
			First  uint64        `json:"first"`
			Last   uint64        `json:"last"`
			Head   string        `json:"head"`
			Breaks []audit.Break `json:"breaks"`
		}{r.Files, r.Lines, r.First, r.Last, r.Head, breaks})
		if err == nil && !r.Sound() {
			err = &codedError{code: exitDenied}
		}
		return err
	}
	for _, b := range r.Breaks {
		if b.Line > 0 {
			fmt.Fprintf(stderr, "%s:%d: ", b.File, b.Line)
		}
		fmt.Fprintln(stderr, b.What)
	}
	if !r.Sound() {
		return &codedError{exitDenied, errors.New("the audit trail is broken; compare it with a copy that was kept elsewhere")}
	}
	fmt.Fprintf(stdout, "ok: %s in %s, %d to %d\nhead %s\n", count(r.Lines, "line"), count(r.Files, "file"), r.First, r.Last, r.Head)
	return nil
}
