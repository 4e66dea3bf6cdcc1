package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
)

func newDiff() *cobra.Command {
	var access bool
	var output string
	cmd := &cobra.Command{
		Use:   "diff --access OLD NEW",
		Short: "Say which client gains or loses which route between two configurations; exit 1 where one does",
		Long: `Say who gains or loses access to which route between two configuration files, each with the clients file that it names. Every
kind of request that a route of either takes is followed through both, so that a new route in front of an old one shows as what it
is. As with diff, the exit code is 0 where nothing changes, 1 where something does; 3 is a file that does not load.`,
		Example: `  git show main:config.yaml > /tmp/config.yaml; git show main:clients.yaml > /tmp/clients.yaml
  gatehouse diff --access /tmp/config.yaml config.yaml`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			if !access {
				return usage(cmd, errors.New("what is to be compared? --access compares who may send which request"))
			}
			changes, err := accessDiff(args[0], args[1])
			if err != nil {
				return err
			}
			if isDocument(output) {
				err = printDocument(cmd.OutOrStdout(), output, changes)
			} else {
				printChanges(cmd.OutOrStdout(), changes)
			}
			if err == nil && len(changes) > 0 {
				return &codedError{code: exitFailed}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&access, "access", false, "compare who may send which request")
	outputFlag(cmd, &output)
	return cmd
}

func accessDiff(before, after string) ([]app.AccessChange, error) {
	was, err := open(before)
	if err != nil {
		return nil, err
	}
	defer was.Close()
	is, err := open(after)
	if err != nil {
		return nil, err
	}
	defer is.Close()
	return app.DiffAccess(was, is), nil
}

func printChanges(w io.Writer, changes []app.AccessChange) {
	for _, c := range changes {
		where := c.NewWhere
		if where == "" {
			where = c.OldWhere + ", removed"
		}
		host := ""
		if c.Host != "" {
			host = " on " + c.Host
		}
		fmt.Fprintf(w, "%s%s  (%s)\n", c.Match, host, where)
		if c.OldRoute != c.NewRoute && c.OldRoute != "" && c.NewRoute != "" {
			fmt.Fprintf(w, "  was taken by %s, is by %s\n", c.OldRoute, c.NewRoute)
		}
		for _, who := range c.Gains {
			fmt.Fprintf(w, "  + %s\n", who)
		}
		for _, who := range c.Loses {
			fmt.Fprintf(w, "  - %s\n", who)
		}
	}
	if len(changes) == 0 {
		fmt.Fprintln(w, "nobody gains or loses a route")
	}
}
