// Command gen writes the AsyncAPI document of the scoring events:
//
//	go run ./app/ingress/events/asyncapi/gen
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/onda-serving/onda/app/ingress/events/asyncapi"
)

// folder of the document, in the repository's.
const folder = "app/ingress/events/asyncapi"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run() error {
	text, err := asyncapi.Document()
	if err != nil {
		return err
	}
	to := asyncapi.File // where `go generate` starts it, which is the document's own folder
	if _, err := os.Stat(folder); err == nil {
		to = filepath.Join(folder, asyncapi.File)
	}
	return os.WriteFile(to, text, 0o644) //nolint:gosec // everybody may read it
}
