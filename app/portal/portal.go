// Package portal is a calling app of Onda with a web page, and the example to
// follow for the calling app of another team.
//
// It has a Dapr sidecar of its own and knows Onda only by its app id. Every
// call is plain HTTP to that sidecar:
//
//	POST /v1.0/invoke/onda/method/v1/models/faq-matching:predict
//	POST /v1.0/invoke/onda/method/v1/models/image-classification:predict
//
// so that discovery, mutual TLS, access policies and tracing stay with Dapr and
// no client library is needed. What is left for the app, and what this package
// shows, is to send a budget with each call, to bound what it accepts, to
// repeat a call only when Onda asks for it, and to tell a person in words what
// went wrong.
package portal

import (
	"context"
	"fmt"
	"io"

	"github.com/rs/zerolog"
)

// Exit codes of Main. A wrong setting has a code of its own, because starting
// the program again cannot mend it.
const (
	exitOK     = 0
	exitFailed = 1
	exitConfig = 2
)

// Main reads the configuration from the environment, serves until ctx ends and
// returns the exit code of the program. Logs, and the one line that names a
// wrong setting, go to out.
func Main(ctx context.Context, out io.Writer) int {
	cfg, err := LoadConfig()
	if err != nil {
		_, _ = fmt.Fprintf(out, "portal: %v\n", err) // nothing is left to tell it to

		return exitConfig
	}

	log := zerolog.New(out).Level(cfg.LogLevel).With().Timestamp().Str("app", "portal").Logger()
	if err := run(ctx, cfg, log); err != nil {
		log.Error().Err(err).Msg("portal stopped")

		return exitFailed
	}

	return exitOK
}

func run(ctx context.Context, cfg Config, log zerolog.Logger) error {
	server, err := New(cfg, log)
	if err != nil {
		return err
	}

	return server.Run(ctx)
}
