package command

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Group makes a command that only holds others.
func Group(use, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Long: long, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return WrongUsage(cmd, "which command?")
			}
			text := fmt.Sprintf("unknown command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); args[0] != "" && len(near) > 0 {
				text += fmt.Sprintf(": did you mean %s?", strings.Join(near, " or "))
			}
			return WrongUsage(cmd, "%s", text)
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.Flags().SortFlags = false
	for i, sub := range commands {
		sub.Annotations = map[string]string{place: strconv.Itoa(i)}
	}
	cmd.AddCommand(commands...)
	return cmd
}

// Epilogue is the annotation of a command with what its help ends with.
const Epilogue = "epilogue"

// place is the annotation of a command with its place in the group.
const place = "place"

// Exactly checks the number of arguments.
func Exactly(n int) cobra.PositionalArgs { return Between(n, n) }

// AtLeast checks the number of arguments.
func AtLeast(n int) cobra.PositionalArgs { return Between(n, math.MaxInt) }

// Between checks the number of arguments.
func Between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return WrongUsage(cmd, "something is missing after %q", strings.Join(append([]string{cmd.CommandPath()}, args...), " "))
		case len(args) > most:
			return WrongUsage(cmd, "unexpected %q", args[most])
		default:
			return nil
		}
	}
}

// usage is what a wrong command line shows: all of it where commands are to be chosen from,
// and otherwise one line and where there is more.
func usage(cmd *cobra.Command) string {
	if cmd.HasSubCommands() {
		return help(cmd)
	}
	return fmt.Sprintf("Usage: %s\n\nSee \"%s --help\".\n", useLine(cmd), cmd.CommandPath())
}

// useLine is the path of a command and its arguments, in each of its forms.
func useLine(cmd *cobra.Command) string {
	if cmd.HasSubCommands() {
		return cmd.CommandPath() + " <command>"
	}
	return strings.TrimSpace(cmd.Parent().CommandPath() + " " + cmd.Use)
}

// help describes a command.
func help(cmd *cobra.Command) string {
	var b strings.Builder
	text := cmd.Long
	if text == "" {
		text = capital(cmd.Short) + "."
	}
	fmt.Fprintf(&b, "%s\n\nUsage: %s\n", text, useLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	if cmd.HasSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range commands(cmd) {
			fmt.Fprintf(&b, "  %-10s  %s\n", sub.Name(), sub.Short)
		}
	}
	own, inherited := cmd.LocalFlags(), cmd.InheritedFlags()
	own.SortFlags, inherited.SortFlags = false, false // they stand with the important ones first
	if hasFlags(own) {
		fmt.Fprintf(&b, "\nFlags:\n%s", own.FlagUsages())
	}
	if hasFlags(inherited) {
		fmt.Fprintf(&b, "\nFlags of all \"%s\" commands:\n%s", cmd.Parent().CommandPath(), inherited.FlagUsages())
	}
	if epilogue := cmd.Annotations[Epilogue]; epilogue != "" {
		fmt.Fprintf(&b, "\n%s\n", epilogue)
	}
	return b.String()
}

// commands lists what can be chosen, as it was put together: cobra sorts by name.
func commands(cmd *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			all = append(all, sub)
		}
	}
	slices.SortFunc(all, func(a, b *cobra.Command) int {
		one, _ := strconv.Atoi(a.Annotations[place])
		two, _ := strconv.Atoi(b.Annotations[place])
		return one - two
	})
	return all
}

// hasFlags says whether there are any but -h, which everybody knows.
func hasFlags(flags *pflag.FlagSet) bool {
	has := false
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			f.Hidden = true
		}
		has = has || !f.Hidden
	})
	return has
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// newHelp makes the command help, in place of cobra's own, which ends the process on its own.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "describe a command", Hidden: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return WrongUsage(cmd.Root(), "unknown command %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
