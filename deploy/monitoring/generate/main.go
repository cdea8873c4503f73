// Command generate writes the dashboards, the chart's copies and Azure's form of the rules. Run
// it from the repository's folder: go run ./deploy/monitoring/generate.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/onda-serving/onda/deploy/monitoring"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run() error {
	if _, err := os.Stat("deploy/monitoring/rules.yaml"); err != nil {
		return fmt.Errorf("run this from the repository's folder: %w", err)
	}
	files, err := monitoring.Files()
	if err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	for name, text := range files {
		file := filepath.Join("deploy", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a folder of the repository
			return fmt.Errorf("generate: %w", err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // files of the repository, for all to read
			return fmt.Errorf("generate: %w", err)
		}
	}
	return nil
}
