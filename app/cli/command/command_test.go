package command_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/command"
)

// tree is a program with all that a program can have.
func tree(result error) *cobra.Command {
	add := &cobra.Command{
		Use: "add NAME [NAME]", Short: "put names in", Example: "  names lists add a b\n", Args: command.Between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.Println("added " + strings.Join(args, " "))
			return result
		},
	}
	add.Flags().String("why", "", "the reason")
	secret := &cobra.Command{Use: "secret", Hidden: true, Args: command.Exactly(0), RunE: func(*cobra.Command, []string) error { return result }}
	all := &cobra.Command{Use: "everything NAME...", Short: "take all", Args: command.AtLeast(1), Run: func(cmd *cobra.Command, args []string) { cmd.Println(len(args)) }}
	lists := command.Group("lists", "Work on lists.", add, all, secret)
	lists.Short = "work on lists"
	lists.PersistentFlags().String("of", "names", "what is in the lists")
	root := command.Group("names", "Names things.", lists)
	root.Annotations = map[string]string{command.Epilogue: "That is all."}
	return root
}

const help = `Names things.

Usage: names <command>

Commands:
  lists       work on lists

That is all.
`

const helpLists = `Work on lists.

Usage: names lists <command>

Commands:
  add         put names in
  everything  take all

Flags:
      --of string   what is in the lists (default "names")
`

const helpAdd = `Put names in.

Usage: names lists add NAME [NAME]

Examples:
  names lists add a b

Flags:
      --why string   the reason

Flags of all "names lists" commands:
      --of string   what is in the lists (default "names")
`

const usageAdd = "\n\nUsage: names lists add NAME [NAME]\n\nSee \"names lists add --help\".\n"

func TestRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args           string
		result         error
		code           int
		stdout, stderr string
	}{
		{"", nil, 2, "", "names: which command?\n\n" + help},
		{"help", nil, 0, help, ""},
		{"--help", nil, 0, help, ""},
		{"lists --help", nil, 0, helpLists, ""},
		{"help lists add", nil, 0, helpAdd, ""},
		{"lists add -h", nil, 0, helpAdd, ""},
		{"help lists ad", nil, 2, "", "names: unknown command \"lists ad\"\n\n" + help},
		{"list", nil, 2, "", "names: unknown command \"list\": did you mean lists?\n\n" + help},
		{"quite else", nil, 2, "", "names: unknown command \"quite\"\n\n" + help},
		{"lists ad", nil, 2, "", "names: unknown command \"ad\": did you mean add?\n\n" + helpLists},
		{"lists add", nil, 2, "", "names: something is missing after \"names lists add\"" + usageAdd},
		{"lists add a b c", nil, 2, "", "names: unexpected \"c\"" + usageAdd},
		{"lists add a --nope", nil, 2, "", "names: unknown flag: --nope" + usageAdd},
		{"lists --nope add a", nil, 2, "", "names: unknown flag: --nope\n\n" + helpLists},
		{"lists add a --why", nil, 2, "", "names: flag needs an argument: --why" + usageAdd},
		{"lists secret", nil, 0, "", ""},
		{"lists secret", errors.New("it failed"), 1, "", "names: it failed\n"},
		{"lists secret", &command.ExitError{Code: command.Interrupted, Text: "interrupted"}, 130, "", "names: interrupted\n"},
		{"lists secret", &command.ExitError{Code: command.Failed}, 1, "", ""},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			code := command.Run(context.Background(), tree(test.result), strings.Fields(test.args), &out, &errs)
			if code != test.code || out.String() != test.stdout || errs.String() != test.stderr {
				t.Errorf("got %d, stdout\n%s\nstderr\n%s\nwant %d, stdout\n%s\nstderr\n%s", code, out.String(), errs.String(), test.code, test.stdout, test.stderr)
			}
		})
	}
}

// TestCompleteWantsItsFlag panics for a programmer's mistake, which no user can make.
func TestCompleteWantsItsFlag(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a flag that is not there was completed")
		}
	}()
	command.Complete(&cobra.Command{Use: "x"}, "nope", command.Nothing)
}
