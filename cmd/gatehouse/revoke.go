package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
)

// maxToken bounds what is read as a token, in bytes.
const maxToken = 64 << 10

func newRevoke() *cobra.Command {
	var f adminFlags
	var q adminapi.RevokeRequest
	var expires string
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke [TOKEN|-]",
		Short: "End tokens before they expire: one, a client's, a key's, or all",
		Long: `End tokens before they expire. One token is named by itself, read from standard input with -, or by its jti. --client, --kid
and --all end every token issued until now; new ones are good.

A key that has leaked is not ended by --kid, since whoever has it makes new tokens: see gatehouse keys rotate --revoke.`,
		Example: `  gatehouse revoke - < token.jwt
  gatehouse revoke --jti 6kVt… --expires 2026-11-24T15:49:00Z
  gatehouse revoke --client billing-worker --reason "secret leaked"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.client(cmd)
			if err != nil {
				return err
			}
			if err := readRevocation(cmd, args, expires, &q); err != nil {
				return err
			}
			if q.All {
				if err := confirm(cmd, yes, "revoking every token"); err != nil {
					return err
				}
			}
			var out adminapi.Revoked
			if err := client.Post(cmd.Context(), "/api/v1/revocations", q, &out); err != nil {
				return told(err)
			}
			if isDocument(f.output) {
				return printDocument(cmd.OutOrStdout(), f.output, out)
			}
			fmt.Fprintln(cmd.OutOrStdout(), harmless(revokedLine(q, out)))
			return nil
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&q.JTI, "jti", "", "a token by its id; needs --expires")
	fl.StringVar(&expires, "expires", "", "with --jti: when that token expires, as RFC 3339 time, or as a duration from now such as 10m")
	fl.StringVar(&expires, "until", "", "another name for --expires")
	fl.StringVar(&q.Client, "client", "", "every token issued to this client so far")
	fl.StringVar(&q.KID, "kid", "", "every token signed by this key so far")
	fl.BoolVar(&q.All, "all", false, "every token issued so far")
	fl.StringVar(&q.Issuer, "issuer", "", "whose tokens: a name under issuers, or its iss; none: our own")
	fl.StringVar(&q.Reason, "reason", "", "a note for people, for the log")
	fl.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// readRevocation completes the request by arguments and standard input. Errors never hold the token.
func readRevocation(cmd *cobra.Command, args []string, expires string, q *adminapi.RevokeRequest) error {
	if len(args) > 0 {
		q.Token = args[0]
	}
	if q.Token == "-" {
		data, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxToken))
		if err != nil {
			return err
		}
		if q.Token = strings.TrimSpace(string(data)); q.Token == "" {
			return usage(cmd, errors.New("standard input holds no token"))
		}
	}
	if q.Named() != 1 {
		return usage(cmd, errors.New("what is to be revoked? name a TOKEN (or - for standard input), or one of --jti, --client, --kid, --all"))
	}
	if (q.JTI != "") != (expires != "") {
		return usage(cmd, errors.New("--jti and --expires go together: a revocation is kept for as long as the token lives"))
	}
	if expires == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, expires)
	if d, durationErr := time.ParseDuration(expires); durationErr == nil && d > 0 {
		at, err = time.Now().Add(d).UTC(), nil
	}
	if err != nil {
		return usage(cmd, fmt.Errorf("--expires %s: want an RFC 3339 time such as 2026-11-24T15:49:00Z, or a duration such as 10m", expires))
	}
	q.Expires = adminapi.Time{Time: at}
	return nil
}

// revokedLine says what is true of the revocation now, and what is still to come.
func revokedLine(q adminapi.RevokeRequest, r adminapi.Revoked) string {
	what := map[string]string{"token": "the token", "client": "every token of client " + q.Client, "key": "every token of key " + q.KID, "all": "every token"}[r.Kind]
	kept := "on the disk of this node"
	switch {
	case r.Shared:
		kept += " and in Redis"
	case r.Queued:
		kept += ", waiting for Redis"
	}
	line := fmt.Sprintf("revoked %s: refused by %d of %d nodes, %s", what, r.Applied, r.Live, kept)
	switch left := r.Live - r.Applied; {
	case r.Queued:
		line += "; the others follow once that takes it"
	case left == 1:
		line += "; 1 more within a second, or once it reaches Redis"
	case left > 1:
		line += fmt.Sprintf("; %d more within a second, or once they reach Redis", left)
	}
	return line
}
