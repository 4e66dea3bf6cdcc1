package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
)

func newReload() *cobra.Command {
	var f adminFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the running gatehouse read its configuration anew, and say what changed",
		Long: `Have the running gatehouse read its configuration anew. It prints what changed: "+2 routes ~1 client (billing-worker)".
Where the new configuration is refused, what is wrong with it is printed, the old one goes on serving, and the exit code is 3.
Exit code 5: nobody answered within --wait.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wait <= 0 {
				return usage(cmd, fmt.Errorf("--wait %s: expected a duration above 0, such as 10s", wait))
			}
			client, err := f.client(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			done, err := client.Reload(ctx)
			if err != nil {
				return told(err)
			}
			return f.tell(cmd, done)
		},
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to wait for the answer")
	return cmd
}

// tell prints what became of a reload.
func (f *adminFlags) tell(cmd *cobra.Command, done adminapi.Reloaded) error {
	if isDocument(f.output) {
		if err := printDocument(cmd.OutOrStdout(), f.output, done); err != nil {
			return err
		}
		if len(done.Errors) > 0 {
			return &codedError{code: exitConfig}
		}
		return nil
	}
	if len(done.Errors) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), harmless(done.Result))
		return nil
	}
	for _, p := range done.Errors {
		at := ""
		switch {
		case p.Line > 0:
			at = fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Col)
		case p.File != "":
			at = p.File + ": "
		}
		fmt.Fprintln(cmd.ErrOrStderr(), harmless(at+"error: "+p.Message))
	}
	since := "the old configuration"
	if !done.Loaded.IsZero() {
		since = "the config loaded " + done.Loaded.Local().Format(time.TimeOnly)
	}
	return &codedError{exitConfig, errors.New("reload refused, still serving " + since + "\nmend the file, then: gatehouse check && gatehouse reload")}
}
