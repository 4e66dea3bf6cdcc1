package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/clientsfile"
	"gatehouse/internal/config"
	"gatehouse/internal/secret"
)

func newClient() *cobra.Command {
	cmd := &cobra.Command{Use: "client", Short: "Manage the clients in clients.yaml", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newClientCreate(), newClientList(), newClientShow(), newClientRotate(), newClientDisable(), newClientEnable(),
		newClientGrant(), newClientRevokeGrant())
	return cmd
}

func newClientCreate() *cobra.Command {
	var grants []string
	var ttl time.Duration
	var note string
	var printOnly bool
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Add a client with a generated secret; the secret is shown once",
		Example: `  gatehouse client create billing-worker --grant orders:orders:read,orders:write
  gatehouse client create billing-worker --grant orders:orders:read --print   # the YAML alone, for a repository`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parsed, err := parseGrants(grants)
			if err != nil {
				return usage(cmd, err)
			}
			plain := secret.New()
			client := clientsfile.NewClient{ID: args[0], Grants: parsed, SHA256: secret.Sum(plain), Created: time.Now().UTC(), Note: note, TTL: ttl}
			if printOnly {
				snippet, err := clientsfile.Snippet(client)
				if err != nil {
					return err
				}
				fmt.Fprint(cmd.OutOrStdout(), snippet)
				fmt.Fprintf(cmd.ErrOrStderr(), "the secret, shown once:\n  export GATEHOUSE_CLIENT_ID=%s\n  export GATEHOUSE_CLIENT_SECRET=%s\n", shellQuote(client.ID), plain)
				return nil
			}
			path := configPath(cmd)
			file, err := config.ClientsFile(path, config.Options{})
			if err != nil {
				return err
			}
			if _, err := changeClients(path, file, func() error { return clientsfile.Create(file, client) }); err != nil {
				return err
			}
			next := "gatehouse token get"
			if len(parsed) == 0 {
				next = "gatehouse client grant " + shellQuote(client.ID) + " API:SCOPE, since without a grant it gets no token"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "export GATEHOUSE_CLIENT_ID=%s\nexport GATEHOUSE_CLIENT_SECRET=%s\n", shellQuote(client.ID), plain)
			fmt.Fprintf(cmd.ErrOrStderr(), "added to %s. Keep the secret now: it is printed once, and only its hash is stored.\n"+
				"a running gatehouse takes it within 5 s (run without --watch: send it SIGHUP). next: %s\n", file, next)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&grants, "grant", nil, "API:SCOPE[,SCOPE] or API alone (a grant without scopes); may repeat")
	f.DurationVar(&ttl, "ttl", 0, "lifetime of this client's tokens; may only shorten the API's")
	f.StringVar(&note, "note", "", "a note for people")
	f.BoolVar(&printOnly, "print", false, "print the entry instead of writing it")
	return cmd
}

// parseGrants reads API:SCOPE[,SCOPE]: the name of an API holds no colon, so the first one ends it.
func parseGrants(args []string) (map[string][]string, error) {
	grants := map[string][]string{}
	for _, arg := range args {
		api, list, _ := strings.Cut(arg, ":")
		if _, twice := grants[api]; twice {
			return nil, fmt.Errorf("%s is given twice; write its scopes in one: %s:one,two", api, api)
		}
		scopes := []string{}
		for scope := range strings.SplitSeq(list, ",") {
			if scope != "" {
				scopes = append(scopes, scope)
			}
		}
		grants[api] = scopes
	}
	return grants, nil
}

// changeClients changes the clients file and keeps the change only if the whole configuration still loads, which it returns.
func changeClients(configFile, file string, change func() error) (*config.Config, error) {
	unlock, err := clientsfile.Lock(file)
	if err != nil {
		return nil, err
	}
	defer unlock()
	before, readErr := os.ReadFile(file)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		return nil, readErr
	}
	if err := change(); err != nil {
		return nil, errors.Join(err, restore(file, before, readErr))
	}
	cfg, err := config.Load(configFile, config.Options{})
	if err == nil {
		return cfg, nil
	}
	err = fmt.Errorf("nothing was written, since the configuration would not load:\n%w", err)
	return nil, errors.Join(err, restore(file, before, readErr))
}

// restore puts back what was read before a change, by now perhaps nothing.
func restore(file string, before []byte, readErr error) error {
	if readErr != nil {
		if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if now, err := os.ReadFile(file); err == nil && bytes.Equal(now, before) {
		return nil
	}
	return clientsfile.Replace(file, before)
}

// shellQuote makes a word that a shell reads as it stands.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
