package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
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
		newClientGrant(), newClientRevokeGrant(), newClientDelete())
	return cmd
}

// createFlags are what `client create` is asked for.
type createFlags struct {
	grants             []string
	ttl                time.Duration
	rate, note, output string
	printOnly          bool
}

// createdClient is -o json of `client create`.
type createdClient struct {
	ID     string              `json:"client_id"`
	Secret string              `json:"client_secret"` // shown this once
	Grants map[string][]string `json:"grants"`
	File   string              `json:"file"`
}

func newClientCreate() *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Add a client with a generated secret; the secret is shown once",
		Example: `  gatehouse client create billing-worker --grant orders:orders:read,orders:write
  gatehouse client create billing-worker --grant orders:orders:read --rate 50/1s
  gatehouse client create billing-worker --grant orders:orders:read --print   # the YAML alone, for a repository`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.grants, "grant", nil, "API:SCOPE[,SCOPE] or API alone (a grant without scopes); may repeat")
	fl.DurationVar(&f.ttl, "ttl", 0, "lifetime of this client's tokens; may only shorten the API's")
	fl.StringVar(&f.rate, "rate", "", "a limit of its own, such as 50/1s, in place of the APIs' limits by client")
	fl.StringVar(&f.note, "note", "", "a note for people")
	fl.BoolVar(&f.printOnly, "print", false, "print the entry instead of writing it; the secret goes to standard error")
	outputFlag(cmd, &f.output)
	return cmd
}

func (f *createFlags) run(cmd *cobra.Command, id string) error {
	if err := checkOutput(cmd, f.output); err != nil {
		return err
	}
	if f.printOnly && isDocument(f.output) {
		return usage(cmd, errors.New("--print prints YAML for clients.yaml, and takes no -o"))
	}
	grants, err := parseGrants(f.grants)
	if err != nil {
		return usage(cmd, err)
	}
	rate, err := parseRate(f.rate)
	if err != nil {
		return usage(cmd, err)
	}
	plain := secret.New()
	client := clientsfile.NewClient{ID: id, Grants: grants, SHA256: secret.Sum(plain), Created: time.Now().UTC(), Note: f.note, TTL: f.ttl, Rate: rate}
	exports := fmt.Sprintf("export GATEHOUSE_CLIENT_ID=%s\nexport GATEHOUSE_CLIENT_SECRET=%s\n", shellQuote(id), plain)
	if f.printOnly {
		snippet, err := clientsfile.Snippet(client)
		if err != nil {
			return err
		}
		fmt.Fprint(cmd.OutOrStdout(), snippet)
		fmt.Fprint(cmd.ErrOrStderr(), "the secret, shown once:\n", exports)
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
	if isDocument(f.output) {
		return printDocument(cmd.OutOrStdout(), f.output, createdClient{id, plain, grants, file})
	}
	next := "gatehouse token get"
	if len(grants) == 0 {
		next = "gatehouse client grant " + shellQuote(id) + " API:SCOPE, since without a grant it gets no token"
	}
	fmt.Fprint(cmd.OutOrStdout(), exports)
	fmt.Fprintf(talk(cmd), "added to %s. Keep the secret now: it is printed once, and only its hash is stored.\n%s. next: %s\n", file, soon, next)
	return nil
}

// parseRate reads REQUESTS/TIME, such as 50/1s or 1000/1h. "" is none.
func parseRate(text string) (r clientsfile.Rate, err error) {
	if text == "" {
		return r, nil
	}
	requests, per, ok := strings.Cut(text, "/")
	r.Requests, err = strconv.ParseInt(requests, 10, 64)
	if d, perErr := time.ParseDuration(per); ok && err == nil && perErr == nil && r.Requests > 0 && d >= time.Second {
		r.Per = d
		return r, nil
	}
	return r, fmt.Errorf("--rate %q: want requests and a time of at least 1s, such as 50/1s or 1000/1h", text)
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
