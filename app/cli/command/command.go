// Package command is what all commands of the onda binary have in common: how they are
// grouped and described, how wrong command lines are told, and the exit codes.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes: a wrong setting or command line is told from a failure, as a supervisor
// may want to retry the latter. 130 is what shells give for Ctrl-C.
const (
	OK          = 0
	Failed      = 1
	Usage       = 2
	Interrupted = 130
)

// Run runs the command below root that args, without the program's name, ask for. It
// returns the exit code.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return WrongUsage(cmd, "%s", flagText(err)) })
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), help(cmd)) })
	root.SetHelpCommand(newHelp())
	root.CompletionOptions.DisableDefaultCmd = true // see NewCompletion
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(append([]string{}, args...)) // of nil, cobra would take the process's own
	err := unknownCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return OK
	}
	if wrong, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "%s: %s\n\n%s", root.Name(), wrong.text, usage(wrong.command))
		return Usage
	}
	code, text := Failed, err.Error()
	if ended, ok := errors.AsType[*ExitError](err); ok {
		code, text = ended.Code, ended.Text
	}
	if text != "" {
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), text)
	}
	return code
}

// unknownCommand finds a command that is not there before cobra does, which for "onda no-such --help" shows the help of
// what stands above it, as if all were well.
func unknownCommand(root *cobra.Command, args []string) error {
	if !slices.Contains(args, "--help") && !slices.Contains(args, "-h") {
		return nil
	}
	group, rest, err := root.Find(args)
	if err != nil || !group.HasAvailableSubCommands() || len(rest) == 0 || strings.HasPrefix(rest[0], "-") || rest[0] == "help" {
		return nil //nolint:nilerr // cobra tells that itself
	}
	return group.RunE(group, rest[:1])
}

// flagText says what is wrong with a flag, without what the libraries say of how they read it.
func flagText(err error) string {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err.Error()
	}
	want := map[string]string{
		"bool": "true or false", "duration": "a time such as 30s", "float64": "a number", "int": "a whole number", "int64": "a whole number",
	}[wrong.GetFlag().Value.Type()]
	if want == "" {
		return err.Error()
	}
	return fmt.Sprintf("--%s %q: want %s", wrong.GetFlag().Name, wrong.GetValue(), want)
}

// usageError is a wrong command line.
type usageError struct {
	command *cobra.Command
	text    string
}

// Error says what is wrong.
func (e *usageError) Error() string { return e.text }

// WrongUsage says what is wrong with a command line. It is shown with the command's usage.
func WrongUsage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd, fmt.Sprintf(format, args...)}
}

// ExitError ends the process with a code.
type ExitError struct {
	// Code is one of the exit codes.
	Code int
	// Text says why; empty where that was told already.
	Text string
}

// Error is the text.
func (e *ExitError) Error() string { return e.Text }
