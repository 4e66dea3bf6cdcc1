package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/clientsfile"
)

func newClientDelete() *cobra.Command {
	var output string
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete ID",
		Short: "Take a client out of the clients file; its secrets and the tokens that it has are refused",
		Long: `Take a client out of the clients file, which revokes the tokens that it has. Its secrets are gone with it: to refuse them for a
while, disable it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := args[0]
			if err := checkOutput(cmd, output); err != nil {
				return err
			}
			cfg, err := loader(configPath(cmd))()
			if err != nil {
				return err
			}
			was, err := clientOf(cfg, id)
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, "deleting client "+id); err != nil {
				return err
			}
			if _, _, err := changeClient(cmd, id, output, func(file string) error { return clientsfile.Delete(file, id) }); err != nil {
				return err
			}
			if isDocument(output) {
				return printDocument(cmd.OutOrStdout(), output, was)
			}
			fmt.Fprintln(cmd.OutOrStdout(), id+" is deleted")
			fmt.Fprintln(talk(cmd), strings.ToUpper(soon[:1])+soon[1:])
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	outputFlag(cmd, &output)
	return cmd
}
