package chaos

import (
	"os"
	"path/filepath"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// writeComponents writes what users run with, for an app.
func writeComponents(to, appID string, backend ondatest.Backend) error {
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	return ondatest.WriteComponents(to, appID, backend)
}

// writeOwnComponents writes those of an app that publishes and listens, and has no part in Onda's
// subscriptions and state.
func writeOwnComponents(to, appID string, backend ondatest.Backend) error {
	if err := writeComponents(to, appID, backend); err != nil {
		return err
	}
	for _, name := range []string{"subscription.yaml", "statestore.yaml"} {
		if err := os.Remove(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}
