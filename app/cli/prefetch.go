package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/cli/models"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/telemetry"
)

// openCache opens the folder in which the replicas of this machine keep what they fetched.
func openCache(ctx context.Context, cmd *cobra.Command) (models.Cache, error) {
	cfg, _, err := config.Load()
	if err != nil {
		return nil, wrongSettings(err)
	}
	cache, err := lifecycle.OpenCache(ctx, cfg, telemetry.NewLogger(cmd.ErrOrStderr(), quiet(cfg.LogLevel), cfg.LogFormat, cfg.Secrets()...))
	if err != nil {
		return nil, &command.ExitError{Code: command.Failed, Text: err.Error()}
	}
	return cache, nil
}

// quiet is the level of the log of a command that tells its progress itself.
func quiet(level string) string {
	if level == "info" {
		return "warn"
	}
	return level
}
