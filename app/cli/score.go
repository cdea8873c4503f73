package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/cli/score"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry"
)

// openOffline loads the version that a command scores with.
func openOffline(ctx context.Context, cmd *cobra.Command, ref scoring.ModelRef) (score.Engine, score.Defaults, error) {
	cfg, _, err := config.Load()
	if err != nil {
		return nil, score.Defaults{}, wrongSettings(err)
	}
	o, err := lifecycle.OpenOffline(ctx, cfg, ref, telemetry.NewLogger(cmd.ErrOrStderr(), quiet(cfg.LogLevel), cfg.LogFormat, cfg.Secrets()...))
	if err != nil {
		return nil, score.Defaults{}, err
	}
	return o, score.Defaults{Concurrency: 2 * cfg.Concurrency(), MaxRow: int(cfg.MaxBody), MaxInstances: cfg.MaxInstances}, nil
}
