// Package cli is the command line of the onda binary.
package cli

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/events"
	"github.com/onda-serving/onda/app/cli/models"
	"github.com/onda-serving/onda/app/cli/score"
	"github.com/onda-serving/onda/app/config"
)

// Version of the build; the linker sets it.
var Version = "dev"

// Run runs the command that args, without the program's name, ask for. It returns the
// exit code.
func Run(args []string, stdout, stderr io.Writer) int {
	return command.Run(context.Background(), newRoot(), args, stdout, stderr)
}

// newRoot makes the tree of commands. Each run has one of its own, because the values of
// flags live in it.
func newRoot() *cobra.Command {
	env := config.Client()
	root := command.Group("onda", "Onda scores ONNX models behind a Dapr sidecar.",
		newServe(),
		score.New(openOffline),
		models.New(models.Defaults{
			Server: env.Server, Token: env.Token.Reveal(), User: env.User,
			NoColor: env.NoColor != "", Dumb: env.Terminal == "dumb", Version: version(), OpenCache: openCache,
		}),
		events.New(events.Defaults{Server: env.Server, Token: env.Token.Reveal(), User: env.User, Version: version()}),
		newConfig(), newVersion(), newCheckVersion(), command.NewCompletion())
	root.Version = version()
	root.SetVersionTemplate("onda {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version of this build") // for who tries it first; the command is what stands in the help
	_ = root.Flags().MarkHidden("version")
	root.Annotations = map[string]string{command.Epilogue: `Settings come from the environment: see "onda config".`}
	return root
}

// newVersion makes the command version.
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version of this build", Args: command.Exactly(0),
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "onda", version()) },
	}
}

// version is what the linker set, else what Go knows of the build.
func version() string {
	if Version != "dev" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return Version
}
