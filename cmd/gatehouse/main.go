// Command gatehouse issues access tokens to machines (OAuth 2.0 client credentials) and enforces them in front of your APIs.
//
// Each command is one small file here; what they do lives in internal/app and the packages below it. Answers go to standard
// output and talk to standard error. Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration invalid, 4 denied or token refused,
// 5 the server can't be reached, 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
)

// version is set by the linker.
var version = "dev"

// The exit codes of every command.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitDenied      = 4
	exitUnreachable = 5
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command and returns its exit code. It is what the tests call.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitInterrupted
	}
	var problems config.Errors
	if errors.As(err, &problems) {
		fmt.Fprintln(stderr, harmless(problems.Error()))
		return exitConfig
	}
	var coded *codedError
	if errors.As(err, &coded) {
		if coded.err != nil {
			fmt.Fprintf(stderr, "gatehouse: %s\n", harmless(coded.err.Error()))
		}
		return coded.code
	}
	fmt.Fprintf(stderr, "gatehouse: %s\n", harmless(err.Error()))
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "gatehouse",
		Short:         "Issues access tokens to machines and enforces them in front of your APIs",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.Version = versionLine()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(usage)
	root.PersistentFlags().StringP("config", "c", "", "configuration file (GATEHOUSE_CONFIG; else ./config.yaml, else /etc/gatehouse/config.yaml)")
	root.AddCommand(newDev(), newInit(), newImport(), newRun(), newReload(),
		newCheck(), newConfig(), newExplain(), newRoutes(), newCan(), newWhoCan(), newDiff(),
		newClient(), newToken(), newRevoke(), newKeys(),
		newStatus(), newAudit(), newHealthcheck(), newBench(), newVersion(), newDemoAPI(), newBenchGateway())
	complete(root)
	asUsage(root)
	return root
}

// codedError is an error with its exit code. A nil err was already told to the user.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return fmt.Sprint(e.err) }
func (e *codedError) Unwrap() error { return e.err }

func usage(cmd *cobra.Command, err error) error {
	return &codedError{exitUsage, fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath())}
}

// asUsage gives wrong arguments the exit code of wrong flags, for a command and all below it.
func asUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		asUsage(sub)
	}
}

// configPath is the file that a command works on.
func configPath(cmd *cobra.Command) string {
	if path, _ := cmd.Flags().GetString("config"); path != "" {
		return path
	}
	if path := os.Getenv("GATEHOUSE_CONFIG"); path != "" {
		return path
	}
	const system = "/etc/gatehouse/config.yaml"
	if _, err := os.Stat("config.yaml"); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(system); err == nil {
			return system
		}
	}
	return "config.yaml"
}
