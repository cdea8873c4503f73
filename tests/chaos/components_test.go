package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestComponents copies what users run with.
func TestComponents(t *testing.T) {
	t.Parallel()
	root, err := ondatest.Root()
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if err := writeComponents(root, to, "app", "127.0.0.1:1", "Component pubsub", "Subscription scoring-deadletters", "Resiliency onda"); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	files, err := filepath.Glob(filepath.Join(to, "*.yaml"))
	if err != nil || len(files) != 3 {
		t.Fatalf("got %q, %v, want 3 files", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	got := all.String()
	for _, line := range []string{"value: 127.0.0.1:1\n", "value: 4s\n", `value: "1000"` + "\n", "topic: scoring.deadletter\n", "    - app\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no line %q in\n%s", line, got)
		}
	}
	for _, line := range []string{"localhost", "- onda\n", "name: deadletters\nspec", "statestore\n  "} {
		if strings.Contains(got, line) {
			t.Errorf("there is %q in\n%s", line, got)
		}
	}
}
