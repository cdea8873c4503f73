package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/lifecycle"
)

// checkVersion is the command that tries a version in a process of its own.
const checkVersion = "check-version"

// newCheckVersion makes that command. It is for this program alone, and stands in no list.
func newCheckVersion() *cobra.Command {
	return &cobra.Command{
		Use: checkVersion, Short: "try the version that standard input names", Args: command.Exactly(0), Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := config.Load()
			if err != nil {
				return wrongSettings(err)
			}
			return lifecycle.CheckVersion(cmd.Context(), cfg, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// checkCommand is how this program calls itself to try a version; none where it does not
// know where it is.
func checkCommand() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, checkVersion}
}
