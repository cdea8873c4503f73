package e2e_test

import (
	"path/filepath"
	"slices"
	"testing"
)

// apart are the settings that the broker of events has and that of dead letters does not need, by
// folder of components/.
var apart = map[string][]string{
	"kafka": {"maxMessageBytes"}, // nothing is published there
	// Nor there, and a letter that fails is tried every ten seconds in any case.
	"azure-servicebus": {"timeoutInSec", "maxRetriableErrorsPerSec"},
}

// TestDeadLettersAreSetAlike wants every setting of the broker of events on that of dead letters,
// too: one that is missing has a default that nobody chose.
func TestDeadLettersAreSetAlike(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis", "kafka", "rabbitmq", "azure-servicebus", "azure-eventhubs"} {
		f, err := readFolder(filepath.Join(root, "components", name))
		if err != nil {
			t.Fatal(err)
		}
		letters, ok := f.components["deadletters"]
		if !ok {
			t.Errorf("components/%s has no component deadletters", name)
			continue
		}
		for _, item := range f.components[pubsub].Metadata {
			there := slices.ContainsFunc(letters.Metadata, func(other metadataItem) bool { return other.Name == item.Name })
			if there == slices.Contains(apart[name], item.Name) {
				t.Errorf("components/%s: %s is set for events; for dead letters: %t", name, item.Name, there)
			}
		}
	}
}
