package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/config"
	"gatehouse/internal/suggest"
)

// What holds for every command: where it looks for the configuration, how much it says, and how it ends.

// globalFlags are those of every command.
func globalFlags(root *cobra.Command) {
	fl := root.PersistentFlags()
	fl.StringP("config", "c", "", "configuration file (GATEHOUSE_CONFIG; else ./config.yaml, else /etc/gatehouse/config.yaml)")
	fl.BoolP("quiet", "q", false, "say nothing but the answer, errors, and secrets that are shown once")
	fl.Bool("verbose", false, "say what is read and who is asked, on standard error; never a secret")
	fl.Bool("no-color", false, "no colours, also on a terminal (as NO_COLOR)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmd.ValidateFlagGroups(); err != nil { // which cobra looks at later, and takes for a failure
			return usage(cmd, err)
		}
		path, from := configChoice(cmd)
		verbose(cmd, "configuration: %s (%s)", path, from)
		return nil
	}
}

// isSet reports whether a global flag is given.
func isSet(cmd *cobra.Command, name string) bool {
	set, err := cmd.Flags().GetBool(name)
	return err == nil && set
}

// talk is where a command says what is no answer and no error: standard error, or nowhere with --quiet.
func talk(cmd *cobra.Command) io.Writer {
	if isSet(cmd, "quiet") {
		return io.Discard
	}
	return cmd.ErrOrStderr()
}

// verbose says what --verbose wants to know. It must be given no secret.
func verbose(cmd *cobra.Command, format string, args ...any) {
	if isSet(cmd, "verbose") {
		fmt.Fprintln(cmd.ErrOrStderr(), harmless("> "+fmt.Sprintf(format, args...)))
	}
}

// configPath is the file that a command works on.
func configPath(cmd *cobra.Command) string {
	path, _ := configChoice(cmd)
	return path
}

// configChoice is that file, and why it is that one.
func configChoice(cmd *cobra.Command) (path, from string) {
	if path, _ := cmd.Flags().GetString("config"); path != "" {
		return path, "--config"
	}
	if path := os.Getenv("GATEHOUSE_CONFIG"); path != "" {
		return path, "GATEHOUSE_CONFIG"
	}
	const here, system = "config.yaml", "/etc/gatehouse/config.yaml"
	if _, err := os.Stat(here); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(system); err == nil {
			return system, "there is no ./config.yaml"
		}
		return here, "not there"
	}
	return here, "the one of this folder"
}

// ended prints why a command failed, with what to do next, and returns the exit code.
func ended(ctx context.Context, cmd *cobra.Command, stderr io.Writer, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	}
	code, text := exitFailed, "gatehouse: "+err.Error()
	var coded *codedError
	var problems config.Errors
	if errors.As(err, &coded) {
		code = coded.code
	}
	switch {
	case errors.As(err, &problems):
		code = exitConfig
		if err.Error() == problems.Error() {
			text = err.Error()
		}
		text = withNext(text, cmd, afterProblems(cmd, problems, err))
	case coded != nil && coded.err == nil:
		return coded.code // it is told
	case cmd.Hidden: // what other commands start
	default:
		text = withNext(text, cmd, "see: "+cmd.CommandPath()+" --help")
	}
	fmt.Fprintln(stderr, harmless(text))
	return code
}

// afterProblems is what to do about a configuration that does not load.
func afterProblems(cmd *cobra.Command, problems config.Errors, err error) string {
	given := ""
	if path, _ := cmd.Flags().GetString("config"); path != "" {
		given = " -c " + shellQuote(path)
	}
	switch first := problems[0]; {
	case cmd.CommandPath() == "gatehouse routes test" && first.File == cmd.Flags().Arg(0):
		return "mend that, then: gatehouse routes test " + shellQuote(first.File) + given
	case slices.Contains(cmd.Flags().Args(), first.File):
		return "mend that, then: gatehouse check " + shellQuote(first.File)
	case err.Error() != problems.Error():
		return "see: " + cmd.CommandPath() + " --help"
	case first.Line == 0 && (strings.HasSuffix(first.Message, "does not exist") || first.Message == "the file is empty"):
		return "to make one: gatehouse init --upstream URL; to name another: --config FILE"
	}
	return "mend that, then: gatehouse check" + given
}

// withNext ends text with the next useful command, unless it names one.
func withNext(text string, cmd *cobra.Command, next string) string {
	if namesCommand(cmd.Root(), text) {
		return text
	}
	return text + "\n" + next
}

var optionText = regexp.MustCompile(`(^|\s)--[a-z]`)

// namesCommand reports whether text says something to type: a command or a flag.
func namesCommand(root *cobra.Command, text string) bool {
	if optionText.MatchString(text) {
		return true
	}
	for _, sub := range root.Commands() {
		if strings.Contains(text, "gatehouse "+sub.Name()) {
			return true
		}
	}
	return false
}

func usage(cmd *cobra.Command, err error) error {
	return &codedError{exitUsage, fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath())}
}

// flagNames finds the flags in the text of --help.
var flagNames = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`)

// unknownFlag is usage for a flag that a command does not have, and says which was meant.
func unknownFlag(cmd *cobra.Command, err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var names []string
		for _, m := range flagNames.FindAllStringSubmatch(cmd.LocalFlags().FlagUsages()+cmd.InheritedFlags().FlagUsages(), -1) {
			names = append(names, m[1])
		}
		if meant := suggest.Nearest(name, slices.Values(names)); meant != "" {
			err = fmt.Errorf("%w — did you mean --%s?", err, meant)
		}
	}
	return usage(cmd, err)
}

// helpCommand has `gatehouse help` refuse what is no command: cobra's own prints the help of all, and ends well.
func helpCommand(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help := commandAt(root, "help")
	if help == nil {
		return
	}
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		about, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return usage(cmd, fmt.Errorf("there is no command %q%s", strings.Join(args, " "), meantCommand(root, about, args)))
		}
		return about.Help()
	}
}

// meantCommand says which command below one was meant by the last of args.
func meantCommand(root, below *cobra.Command, args []string) string {
	if below == nil {
		below = root
	}
	if meant := suggest.Nearest(args[len(args)-1], slices.Values(subcommands(below))); meant != "" {
		return fmt.Sprintf(" — did you mean %s %s?", below.CommandPath(), meant)
	}
	return ""
}

func subcommands(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(append(names, sub.Name()), sub.Aliases...)
		}
	}
	return names
}

// asUsage gives wrong arguments the exit code of wrong flags, for a command and all below it, and names the command that was meant.
func asUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil {
				return nil
			}
			if cmd.HasSubCommands() && len(args) > 0 {
				err = fmt.Errorf("%w%s", err, meantCommand(cmd, cmd, args[:1]))
			}
			return usage(cmd, err)
		}
	}
	for _, sub := range cmd.Commands() {
		asUsage(sub)
	}
}
