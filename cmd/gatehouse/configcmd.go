package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "The configuration's reference, its schema for editors, and what is in effect", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newConfigSchema(), newConfigPrint(), newConfigDoc())
	return cmd
}

// whichFile takes one of the words config and clients, or nothing, which is config.
func whichFile(cmd *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && args[0] != "config" && args[0] != "clients" {
		return fmt.Errorf("%q is not known: config or clients", strings.Join(args, " "))
	}
	return nil
}

func isClients(args []string) bool { return len(args) == 1 && args[0] == "clients" }

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [config | clients]",
		Short: "Print the JSON Schema (draft-07) of config.yaml or clients.yaml, for editors",
		Long: `Print the JSON Schema (draft-07) of config.yaml or clients.yaml. An editor with yaml-language-server reads it where the
first line of the file names it:  # yaml-language-server: $schema=gatehouse.schema.json`,
		Example:   "  gatehouse config schema > gatehouse.schema.json",
		Args:      whichFile,
		ValidArgs: []string{"config", "clients"},
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema(isClients(args)))
			return err
		},
	}
}

func newConfigPrint() *cobra.Command {
	var origin bool
	var output string
	cmd := &cobra.Command{
		Use:   "print [config | clients]",
		Short: "Print the configuration in effect: variables expanded, defaults filled in, nothing secret",
		Long: `Print the configuration in effect: what the files say, variables expanded, what APIs inherit, and defaults. The files of
apis_dir are part of it. Passwords, and variables whose names speak of a secret, stay as ${NAME}; hashes are left out.
With --origin each value says where it comes from: default, FILE:LINE, env NAME, or the key that it is inherited from.
As YAML it loads again, in the place of the file that it was made from.`,
		Args:      whichFile,
		ValidArgs: []string{"config", "clients"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(cmd, output, "yaml", "json"); err != nil {
				return err
			}
			cfg, err := loader(configPath(cmd))()
			if err != nil {
				return err
			}
			v := cfg.Effective(isClients(args))
			switch {
			case output == "json" && origin:
				return printJSON(cmd.OutOrStdout(), v.Leaves())
			case output == "json":
				return printJSON(cmd.OutOrStdout(), v)
			}
			text, err := v.YAML(origin)
			if err == nil {
				_, err = cmd.OutOrStdout().Write(text)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "say where each value comes from")
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	cmd.RegisterFlagCompletionFunc("output", words("yaml", "json"))
	return cmd
}

var docOutputs = []string{"text", "json", "yaml", "markdown"}

func newConfigDoc() *cobra.Command {
	var clients bool
	var output string
	cmd := &cobra.Command{
		Use:   "doc [KEY]",
		Short: "Explain the keys of config.yaml, or one key and those below it",
		Example: `  gatehouse config doc apis.orders.routes
  gatehouse config doc --clients clients.billing-worker.secrets`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			keys := config.Reference(clients)
			if err := oneOf(cmd, output, docOutputs...); err != nil {
				return err
			}
			if output == "markdown" {
				_, err := cmd.OutOrStdout().Write(config.Markdown())
				return err
			}
			if len(args) == 1 {
				found, meant := config.Find(keys, args[0])
				if len(found) == 0 {
					return unknownKey(args[0], meant, clients)
				}
				keys = found
			}
			if isDocument(output) {
				return printDocument(cmd.OutOrStdout(), output, keys)
			}
			printKeys(cmd.OutOrStdout(), keys)
			return nil
		},
	}
	cmd.Flags().BoolVar(&clients, "clients", false, "the keys of clients.yaml")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json, yaml, or markdown for the whole reference")
	cmd.RegisterFlagCompletionFunc("output", words(docOutputs...))
	return cmd
}

func unknownKey(key, meant string, clients bool) error {
	if meant != "" {
		return fmt.Errorf("there is no key %q; did you mean %s?", key, meant)
	}
	if found, _ := config.Find(config.Reference(!clients), key); len(found) > 0 && !clients {
		return fmt.Errorf("%q is a key of clients.yaml; see: gatehouse config doc --clients %s", key, key)
	}
	return fmt.Errorf("there is no key %q; see: gatehouse config doc", key)
}

func printKeys(out io.Writer, keys []config.Key) {
	for i, k := range keys {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s  (%s)\n", k.Path, k.Kind)
		fmt.Fprintf(out, "    %s\n", fold(k.Doc, 100))
		if k.Example != "" {
			fmt.Fprintf(out, "    such as  %s\n", k.Example)
		}
	}
}

// fold breaks text into lines of at most width characters, where it has spaces.
func fold(text string, width int) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		switch n := len([]rune(word)); {
		case i == 0:
			line = n
		case line+1+n > width:
			b.WriteString("\n    ")
			line = n
		default:
			b.WriteByte(' ')
			line += 1 + n
		}
		b.WriteString(word)
	}
	return b.String()
}
