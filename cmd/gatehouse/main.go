// Command gatehouse issues access tokens to machines (OAuth 2.0 client credentials) and enforces them in front of your APIs.
//
// Each command is one small file here; what they do lives in internal/app and the packages below it. Answers go to standard
// output and talk to standard error. Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration invalid, 4 denied or token refused,
// 5 the server can't be reached, 130 interrupted.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
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
	root := newRoot(stdout)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return ended(ctx, cmd, stderr, err)
}

func newRoot(stdout io.Writer) *cobra.Command {
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
	root.SetFlagErrorFunc(unknownFlag)
	globalFlags(root)
	root.AddCommand(newDev(), newInit(), newImport(), newRun(), newReload(),
		newCheck(), newConfig(), newExplain(), newRoutes(), newCan(), newWhoCan(), newDiff(),
		newClient(), newToken(), newRevoke(), newKeys(),
		newStatus(), newAudit(), newHealthcheck(), newBench(), newVersion(), newDemoAPI(), newBenchGateway())
	root.SetOut(stdout) // before the command that prints scripts for shells is made, which keeps it
	complete(root)
	completionCommand(root)
	helpCommand(root)
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
