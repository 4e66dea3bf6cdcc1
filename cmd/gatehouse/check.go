package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/config"
)

// finding is one line of `check -o json`.
type finding struct {
	Level   string `json:"level"` // error | warning
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Message string `json:"message"`
}

func newCheck() *cobra.Command {
	var output string
	var deny bool
	cmd := &cobra.Command{
		Use:     "check [FILE]",
		Aliases: []string{"validate"},
		Short:   "Load a configuration as run would, and report everything that is wrong",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := configPath(cmd)
			if len(args) == 1 {
				path = args[0]
			}
			if output != "text" && output != "json" {
				return usage(cmd, fmt.Errorf("-o %q is not known: text or json", output))
			}
			cfg, err := check(cmd.Context(), path)
			if output == "json" {
				return checkJSON(cmd, cfg, err, deny)
			}
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d:%d: warning: %s\n", w.File, w.Line, w.Col, w.Message)
			}
			if deny && len(cfg.Warnings) > 0 {
				return &codedError{exitConfig, fmt.Errorf("%d warnings, and --deny-warnings is set", len(cfg.Warnings))}
			}
			routes := 0
			for _, a := range cfg.APIs {
				routes += len(a.Routes)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "ok: %s, %s, %s\n", count(len(cfg.APIs), "API"), count(routes, "route"), count(len(cfg.Clients), "client"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&deny, "deny-warnings", false, "exit 3 on warnings too")
	return cmd
}

// check loads the files, builds everything that they describe, and compares it with OpenAPI documents. It opens nothing.
func check(ctx context.Context, path string) (*config.Config, error) {
	cfg, err := config.Load(path, config.Options{})
	if err != nil {
		return nil, err
	}
	if err := app.Check(cfg); err != nil {
		return cfg, err
	}
	if list := drift(ctx, cfg); len(list) > 0 {
		return cfg, list
	}
	return cfg, nil
}

func checkJSON(cmd *cobra.Command, cfg *config.Config, err error, deny bool) error {
	list := []finding{}
	var problems config.Errors
	if err != nil && !errors.As(err, &problems) {
		problems = config.Errors{{Message: err.Error()}}
	}
	for _, p := range problems {
		list = append(list, finding{"error", p.File, p.Line, p.Col, p.Message})
	}
	if err == nil {
		for _, w := range cfg.Warnings {
			list = append(list, finding{"warning", w.File, w.Line, w.Col, w.Message})
		}
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	if err := enc.Encode(list); err != nil {
		return err
	}
	if len(problems) > 0 || deny && len(list) > 0 {
		return &codedError{code: exitConfig}
	}
	return nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
