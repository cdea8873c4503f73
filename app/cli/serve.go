package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/telemetry"
)

// newServe makes the command serve.
func newServe() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "score requests until SIGTERM or SIGINT", Args: command.Exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd) },
	}
}

func serve(cmd *cobra.Command) error {
	cfg, unknown, err := config.Load()
	if err != nil {
		return wrongSettings(err)
	}
	log := telemetry.NewLogger(cmd.ErrOrStderr(), cfg.LogLevel, cfg.LogFormat, cfg.Secrets()...)
	for _, name := range unknown {
		log.Warn().Str("variable", name).Msg(`not a setting of Onda: misspelt? "onda config" lists them all`)
	}
	// After the first signal the handler is gone: a second one ends the process at once.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	runtime.GOMAXPROCS(config.Processors() + spareProcessors)
	app, err := lifecycle.New(cfg, version(), log, checkCommand()...)
	if err != nil {
		log.Error().Err(err).Msg("could not start")
		return &command.ExitError{Code: command.Failed}
	}
	if err := app.Run(ctx); err != nil {
		log.Error().Err(err).Msg("failed")
		return &command.ExitError{Code: command.Failed}
	}
	return nil
}

// spareProcessors is how many goroutines may run besides one for each core. Decoding keeps
// a core busy for milliseconds at a time, and with no more processors than cores nobody
// would look at the network meanwhile: requests that are refused would wait for their turn
// as if they were served. The kernel shares the cores, and favours who mostly sleeps.
const spareProcessors = 2

// wrongSettings ends a command whose settings are wrong.
func wrongSettings(err error) error {
	return &command.ExitError{Code: command.Usage, Text: fmt.Sprintf("wrong settings:\n%s", err)}
}

// newConfig makes the command config.
func newConfig() *cobra.Command {
	return &cobra.Command{
		Use: "config", Short: "print every setting with its value and meaning, and check them", Args: command.Exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, unknown, err := config.Load()
			if err != nil {
				return wrongSettings(err)
			}
			for _, s := range config.Settings() {
				fmt.Fprintf(cmd.OutOrStdout(), "%-26s %-24s %s\n", s.Name, s.Value(cfg), s.Meaning)
			}
			for _, name := range unknown {
				fmt.Fprintf(cmd.ErrOrStderr(), "onda: %s is not a setting of Onda: misspelt?\n", name)
			}
			return nil
		},
	}
}
