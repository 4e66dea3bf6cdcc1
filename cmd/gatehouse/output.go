package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// outputFlag is -o of the commands that print a table or JSON, and checkOutput judges what it was given.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "table, json or yaml")
}

func checkOutput(cmd *cobra.Command, output string) error {
	return oneOf(cmd, output, "table", "json", "yaml")
}

// oneOf judges -o of a command that prints in those ways.
func oneOf(cmd *cobra.Command, output string, known ...string) error {
	if slices.Contains(known, output) {
		return nil
	}
	return usage(cmd, fmt.Errorf("-o %q is not known: %s or %s", output, strings.Join(known[:len(known)-1], ", "), known[len(known)-1]))
}

// isDocument reports whether the answer is one document for machines.
func isDocument(output string) bool { return output == "json" || output == "yaml" }

// printDocument writes the one document of -o json or -o yaml.
func printDocument(w io.Writer, output string, v any) error {
	if output == "yaml" {
		return printYAML(w, v)
	}
	return printJSON(w, v)
}

// printJSON writes the one document of -o json.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printYAML writes the document of -o yaml: the members of -o json under the same names, in the same order.
func printYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil { // JSON is YAML, in another style
		return err
	}
	blockStyle(&doc)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	return errors.Join(enc.Encode(&doc), enc.Close())
}

// blockStyle takes the style of JSON away from a document, but for empty lists and maps.
func blockStyle(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}

// harmless is text of which a part may come from another program, or from a document, on the terminal: lines stay, and what could
// drive a terminal becomes a question mark.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (!unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return '?'
		}
		return r
	}, s)
}
