package command

import (
	"strings"

	"github.com/spf13/cobra"
)

// NewCompletion makes the command completion.
func NewCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "print what completes commands and names of models in a shell",
		Example: "  source <(onda completion bash)                                # for this shell\n" +
			"  onda completion bash > /etc/bash_completion.d/onda            # for all\n" +
			"  onda completion fish > ~/.config/fish/completions/onda.fish",
		Args: Exactly(1), ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			default:
				return WrongUsage(cmd, "shell %q: want one of %s", args[0], strings.Join(shells, ", "))
			}
		},
	}
}

// Complete sets how the value of a flag is completed. The flag must be there.
func Complete(cmd *cobra.Command, flag string, with cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic("complete a flag: " + err.Error()) //nolint:forbidigo // a programmer's mistake: no such flag, or twice
	}
}

// Nothing completes values that only their author knows.
func Nothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// OneOf completes one of a few words, each with a tab and its meaning after it.
func OneOf(words ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return Begin(words, prefix), cobra.ShellCompDirectiveNoFileComp
	}
}

// Begin keeps what begins with a prefix.
func Begin(all []string, prefix string) []string {
	var kept []string
	for _, one := range all {
		if strings.HasPrefix(one, prefix) {
			kept = append(kept, one)
		}
	}
	return kept
}
