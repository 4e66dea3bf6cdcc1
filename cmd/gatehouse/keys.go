package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "See and rotate the signing keys of the running gatehouse", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newKeysList(), newKeysRotate())
	return cmd
}

func newKeysList() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the signing keys with their states: next, current, retiring",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.client(cmd)
			if err != nil {
				return err
			}
			keys := []adminapi.Key{}
			if err := client.Get(cmd.Context(), "/api/v1/keys", &keys); err != nil {
				return told(err)
			}
			if isDocument(f.output) {
				return printDocument(cmd.OutOrStdout(), f.output, keys)
			}
			return keyTable(cmd.OutOrStdout(), keys)
		},
	}
	f.register(cmd)
	return cmd
}

func keyTable(w io.Writer, keys []adminapi.Key) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KID\tALG\tSTATE\tCREATED\tSIGNS FROM\tUNTIL")
	for _, k := range keys {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", clean(k.ID), clean(k.Algorithm), clean(k.State), moment(k.Created), moment(k.Signs), moment(k.Until))
	}
	return t.Flush()
}

// moment is a time for people, and for sorting.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func newKeysRotate() *cobra.Command {
	var f adminFlags
	var q adminapi.RotateRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key: published at once, signing once every cache knows it",
		Long: `Make a new signing key: published at once, signing once every cache knows it. The old key verifies until the last token
that it signed has expired, so nobody is refused.

With --revoke, for a key that has leaked: the key that signs is withdrawn everywhere, within a second, and a new one signs at
once. Every token that the old key signed is refused; clients must fetch new ones.`,
		Example: `  gatehouse keys rotate
  gatehouse keys rotate --alg ES256 --publish-before 1h
  gatehouse keys rotate --alg ES256 --revoke --reason "laptop stolen"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Revoke && q.PublishBefore != "" {
				return usage(cmd, errors.New("--revoke and --publish-before exclude each other: after a key is withdrawn, a new one signs at once"))
			}
			client, err := f.client(cmd)
			if err != nil {
				return err
			}
			if q.Revoke {
				if err := confirm(cmd, yes, "withdrawing the keys that sign, and refusing every token of theirs,"); err != nil {
					return err
				}
			}
			out := []adminapi.Rotation{}
			if err := client.Post(cmd.Context(), "/api/v1/keys/rotate", q, &out); err != nil {
				return told(err)
			}
			if isDocument(f.output) {
				return printDocument(cmd.OutOrStdout(), f.output, out)
			}
			for _, r := range out {
				describe(cmd.OutOrStdout(), r)
			}
			return nil
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&q.Algorithm, "alg", "", "ES256, RS256, PS256 or EdDSA; none: each that an API uses")
	fl.StringVar(&q.PublishBefore, "publish-before", "", "how long the new key is published before it signs, such as 15m; none: as configured. "+
		"Never less than caches may keep the old key set")
	fl.BoolVar(&q.Revoke, "revoke", false, "withdraw the key that signs, and refuse every token that it signed")
	fl.StringVar(&q.Reason, "reason", "", "a note for people, for the log")
	fl.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// describe prints the three times of a rotation.
func describe(w io.Writer, r adminapi.Rotation) {
	fmt.Fprintf(w, "%s\n", clean(r.Algorithm))
	fmt.Fprintf(w, "  new key    %s\n", clean(r.New))
	fmt.Fprintf(w, "  published  %s\n", moment(r.Published))
	fmt.Fprintf(w, "  signs      %s\n", moment(r.Signs))
	switch {
	case len(r.Withdrawn) > 0:
		fmt.Fprintf(w, "  withdrawn  %s  %s\n", moment(r.OldUntil), harmless(strings.Join(r.Withdrawn, " ")))
	case r.Old != "":
		fmt.Fprintf(w, "  old until  %s  %s\n", moment(r.OldUntil), clean(r.Old))
	}
	if r.Note != "" {
		fmt.Fprintf(w, "  note: %s\n", harmless(r.Note))
	}
}
