package lifecycle

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/supply"
)

// OpenCache opens the folder in which a replica with this configuration keeps the files that it
// fetched, to fill it before one starts. Replicas may use it at the same time. The error says
// where there is no such folder: a temporary one would go with this process.
func OpenCache(ctx context.Context, cfg config.Config, log zerolog.Logger) (*supply.Supply, error) {
	if cfg.ArtifactCache == "" {
		return nil, errors.New("ONDA_ARTIFACT_CACHE is not set, so that no start finds anything: give it, ONDA_ARTIFACT_STORE and ONDA_ARTIFACT_SOURCES the values that the replica has")
	}
	return supply.Open(ctx, supply.Config{
		Dir: cfg.ArtifactCache, MaxBytes: int64(cfg.ArtifactSize), Store: cfg.ArtifactStore, Sources: cfg.Sources(), Device: cfg.Device, Log: log,
	})
}
