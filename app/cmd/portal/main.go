// Command portal is a small web app that calls Onda through its own Dapr
// sidecar: a person types a question or drops a picture and sees the answers.
// All of its behaviour, and how it is configured, is in package portal.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/onda-serving/onda/app/portal"
)

func main() {
	os.Exit(run())
}

// run keeps the deferred stop apart from os.Exit, which would skip it.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	return portal.Main(ctx, os.Stderr)
}
