package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// outputFlag is -o of the commands that print a table or JSON, and checkOutput judges what it was given.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "table or json")
}

func checkOutput(cmd *cobra.Command, output string) error {
	if output == "table" || output == "json" {
		return nil
	}
	return usage(cmd, fmt.Errorf("-o %q is not known: table or json", output))
}

// printJSON writes the one document of -o json.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
