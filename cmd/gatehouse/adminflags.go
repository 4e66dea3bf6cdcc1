package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminclient"
	"gatehouse/internal/config"
	"gatehouse/internal/secret"
)

// adminFlags are those of the commands that ask a running gatehouse.
type adminFlags struct {
	address, tokenFile, output string

	told func(format string, args ...any) // what --verbose says; nil: nothing
}

func (f *adminFlags) register(cmd *cobra.Command) {
	f.registerAddress(cmd)
	outputFlag(cmd, &f.output)
}

func (f *adminFlags) registerAddress(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.address, "admin", "", "address of the admin listener, host:port or unix:/path (GATEHOUSE_ADMIN; else admin.listen of the configuration)")
	fl.StringVar(&f.tokenFile, "admin-token-file", "", "file that holds the admin token (else GATEHOUSE_ADMIN_TOKEN, the token itself; else admin.token_file of the configuration)")
}

// client finds the listener and its token: by flag, else by environment, else as the configuration says.
func (f *adminFlags) client(cmd *cobra.Command) (*adminclient.Client, error) {
	if err := checkOutput(cmd, f.output); err != nil {
		return nil, err
	}
	f.told = func(format string, args ...any) { verbose(cmd, format, args...) }
	if noConfig(cmd) {
		return f.clientOf("")
	}
	return f.clientOf(configPath(cmd))
}

// clientOf is client by the configuration at path; "" is none, as where dev runs on its own.
func (f *adminFlags) clientOf(path string) (*adminclient.Client, error) {
	address, token := f.address, secret.Hide(os.Getenv("GATEHOUSE_ADMIN_TOKEN"))
	if address == "" {
		address = os.Getenv("GATEHOUSE_ADMIN")
	}
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, err
		}
		token = secret.Hide(strings.TrimRight(string(text), "\r\n"))
	}
	// The file may be broken while the process that loaded it serves on.
	if path != "" && token.Empty() {
		token = config.AdminToken(path, config.Options{}) // it may need none
	}
	if path != "" && address == "" {
		var err error
		if address, _, err = config.Addresses(path, config.Options{}); err != nil {
			return nil, err
		}
	}
	client := adminclient.New(cmp.Or(address, config.DefaultAdminListen), token)
	if f.told != nil {
		client.OnCall = func(call string) { f.told("%s", call) }
	}
	return client, nil
}

// noConfig reports whether no configuration is named and there is none in the usual places.
func noConfig(cmd *cobra.Command) bool {
	named, _ := cmd.Flags().GetString("config")
	if named != "" || os.Getenv("GATEHOUSE_CONFIG") != "" {
		return false
	}
	_, err := os.Stat(configPath(cmd))
	return errors.Is(err, os.ErrNotExist)
}

// told gives an error of the admin client its exit code and the next step.
func told(err error) error {
	var refused *adminclient.Error
	switch {
	case errors.Is(err, adminclient.ErrUnreachable):
		return &codedError{exitUnreachable, fmt.Errorf("%w\nis gatehouse running? start it with: gatehouse run; or name another address with --admin", err)}
	case errors.As(err, &refused) && refused.Status == 401:
		return fmt.Errorf("%w\nname the file with --admin-token-file", err)
	}
	return err
}

// confirm asks before what can't be undone. Where nobody can answer, --yes must have.
func confirm(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(in) {
		return usage(cmd, fmt.Errorf("%s can't be undone; to do it without being asked, add --yes", what))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s can't be undone. Go on? [y/N] ", what)
	line, _ := bufio.NewReader(in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// isTerminal reports whether somebody sits at f: the null device is a character device too, whatever name it was opened by.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
