package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// writeComponents writes what users run with, for an app. The texts of its subscriptions are
// replaced, each by the one after it.
func writeComponents(to, appID string, backend ondatest.Backend, subscription ...string) error {
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	if err := ondatest.WriteComponents(to, appID, backend); err != nil || len(subscription) == 0 {
		return err
	}
	file := filepath.Join(to, "subscription.yaml")
	text, err := os.ReadFile(file) //nolint:gosec // the run's own
	if err != nil {
		return err
	}
	changed := strings.NewReplacer(subscription...).Replace(string(text))
	if changed == string(text) {
		return fmt.Errorf("%s has nothing of %q", file, subscription)
	}
	return os.WriteFile(file, []byte(changed), 0o600) //nolint:gosec // as above
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
