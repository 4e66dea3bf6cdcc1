package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/clientsfile"
	"gatehouse/internal/config"
	"gatehouse/internal/secret"
)

// soon is when a running gatehouse takes a change of the clients file.
const soon = "a running gatehouse takes it within 5 s (run without --watch: send it SIGHUP)"

func newClientRotate() *cobra.Command {
	var overlap time.Duration
	var finish bool
	var note, output string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a client another secret; the old one is good for a while longer",
		Example: `  gatehouse client rotate billing-worker                # a second secret; the first ends in 24h
  gatehouse client rotate billing-worker --finish       # remove what is ending, once nobody uses it`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case finish && (cmd.Flags().Changed("overlap") || note != ""):
				return usage(cmd, errors.New("--finish adds no secret, and takes no --overlap and no --note"))
			case finish:
				return finishRotation(cmd, args[0], output)
			case overlap < 0:
				return usage(cmd, errors.New("--overlap is less than 0; 0s ends the old secret at once"))
			}
			plain := secret.New()
			until := time.Now().Add(overlap).Truncate(time.Second)
			s := clientsfile.NewSecret{SHA256: secret.Sum(plain), Created: time.Now().UTC(), Note: note}
			_, _, err := changeClient(cmd, args[0], output, func(file string) error { return clientsfile.Rotate(file, args[0], s, until) })
			if err != nil {
				return err
			}
			if isDocument(output) {
				return printDocument(cmd.OutOrStdout(), output, map[string]any{"client_id": args[0], "client_secret": plain, "old_until": until.UTC()})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "export GATEHOUSE_CLIENT_ID=%s\nexport GATEHOUSE_CLIENT_SECRET=%s\n", shellQuote(args[0]), plain)
			fmt.Fprintf(talk(cmd), "the secret above is shown once and stored as a hash. what the client had is good until %s at the latest.\n%s.\n"+
				"once nobody uses the old one: gatehouse client rotate %s --finish\n", until.UTC().Format(time.RFC3339), soon, shellQuote(args[0]))
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&overlap, "overlap", 24*time.Hour, "how long the secrets that the client has stay good")
	f.BoolVar(&finish, "finish", false, "remove the secrets that have an end, and add none")
	f.StringVar(&note, "note", "", "a note for people")
	outputFlag(cmd, &output)
	return cmd
}

func finishRotation(cmd *cobra.Command, id, output string) error {
	removed := 0
	done, cfg, err := changeClient(cmd, id, output, func(file string) (err error) {
		removed, err = clientsfile.FinishRotation(file, id)
		return err
	})
	if err != nil {
		return err
	}
	said := "no secret of " + id + " has an end; nothing was removed"
	if done {
		said = fmt.Sprintf("removed %s of %s", count(removed, "secret"), id)
	}
	return tellChange(cmd, cfg, id, output, done, said)
}

func newClientDisable() *cobra.Command {
	return changeCommand("disable ID", "Refuse a client's secrets, and the tokens that it has", func(file, id string) error {
		return clientsfile.SetDisabled(file, id, true)
	}, "is disabled")
}

func newClientEnable() *cobra.Command {
	return changeCommand("enable ID", "Undo disable", func(file, id string) error {
		return clientsfile.SetDisabled(file, id, false)
	}, "is enabled")
}

// changeCommand is a command that makes one change and needs to know the client alone.
func changeCommand(use, short string, change func(file, id string) error, is string) *cobra.Command {
	var output string
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		id := args[0]
		done, cfg, err := changeClient(cmd, id, output, func(file string) error { return change(file, id) })
		if err != nil {
			return err
		}
		return tellChange(cmd, cfg, id, output, done, id+" "+is)
	}}
	outputFlag(cmd, &output)
	return cmd
}

func newClientGrant() *cobra.Command {
	return grantCommand("grant ID API[:SCOPE[,SCOPE]]…", "Let a client ask for more of an API", clientsfile.Grant)
}

func newClientRevokeGrant() *cobra.Command {
	return grantCommand("revoke-grant ID API[:SCOPE[,SCOPE]]…", "Take scopes away from a client; an API alone, or its last scope, takes the API away", clientsfile.RevokeGrant)
}

func grantCommand(use, short string, change func(file, id, api string, scopes []string) error) *cobra.Command {
	var output string
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.MinimumNArgs(2), RunE: func(cmd *cobra.Command, args []string) error {
		id := args[0]
		grants, err := parseGrants(args[1:])
		if err != nil {
			return usage(cmd, err)
		}
		done, cfg, err := changeClient(cmd, id, output, func(file string) error {
			result := clientsfile.ErrUnchanged
			for api, scopes := range grants {
				err := change(file, id, api, scopes)
				if err == nil {
					result = nil
				} else if !errors.Is(err, clientsfile.ErrUnchanged) {
					return err
				}
			}
			return result
		})
		if err != nil {
			return err
		}
		v, err := clientOf(cfg, id)
		if err != nil {
			return err
		}
		return tellChange(cmd, cfg, id, output, done, id+" is granted "+v.grants())
	}}
	outputFlag(cmd, &output)
	return cmd
}

// changeClient makes a change to the clients file of the configuration; done is false where it was made already.
func changeClient(cmd *cobra.Command, id, output string, change func(file string) error) (done bool, cfg *config.Config, err error) {
	if err := checkOutput(cmd, output); err != nil {
		return false, nil, err
	}
	path := configPath(cmd)
	file, err := config.ClientsFile(path, config.Options{})
	if err != nil {
		return false, nil, err
	}
	cfg, err = changeClients(path, file, func() error { return change(file) })
	if errors.Is(err, clientsfile.ErrUnchanged) {
		cfg, err = loader(path)()
		return false, cfg, err
	}
	if errors.Is(err, clientsfile.ErrNoClient) {
		if cfg, loadErr := loader(path)(); loadErr == nil {
			if _, err := clientOf(cfg, id); err != nil {
				return false, nil, err // which says who was meant
			}
		}
	}
	return err == nil, cfg, err
}

// tellChange prints what a client is now.
func tellChange(cmd *cobra.Command, cfg *config.Config, id, output string, done bool, said string) error {
	if isDocument(output) {
		v, err := clientOf(cfg, id)
		if err != nil {
			return err
		}
		return printDocument(cmd.OutOrStdout(), output, v)
	}
	fmt.Fprintln(cmd.OutOrStdout(), said)
	if done {
		fmt.Fprintln(talk(cmd), strings.ToUpper(soon[:1])+soon[1:])
	} else {
		fmt.Fprintln(talk(cmd), "Nothing to change")
	}
	return nil
}
