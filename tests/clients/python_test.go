package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// limit bounds the tests of one module.
const limit = 4 * time.Minute

// pythonWithClients finds the Python that has the clients.
func pythonWithClients(t *testing.T) string {
	t.Helper()
	python, err := ondatest.Fetched("ONDA_TEST_PYTHON", "venv", "clients", "bin", "python")
	if err != nil {
		ondatest.Missing(t, "the clients are not there ("+err.Error()+"): make clients fetches them and needs Python 3.11 to 3.13 with its venv (apt-get install python3-venv)")
	}
	return python
}

// outcome is a line of run.py: what came of one test.
type outcome struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail"`
}

// runModule runs the tests of a module of the folder python. Every one is a subtest.
func runModule(t *testing.T, python, module string, settings map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-B", "run.py", module)
	cmd.Dir = "python"
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+os.Getenv(name))
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		cmd.Env = append(cmd.Env, name+"="+settings[name])
	}
	var output, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &failure
	if err := cmd.Run(); err != nil {
		t.Errorf("%s ended with %v after %s:\n%s", module, err, limit, failure.String())
	}
	count := 0
	for line := range strings.Lines(output.String()) {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%s printed %q: %s", module, line, err)
		}
		count++
		t.Run(o.Name, func(t *testing.T) { o.tell(t) })
	}
	if count == 0 {
		t.Errorf("%s has no tests: %s", module, failure.String())
	}
}

// tell makes the outcome that of the subtest.
func (o outcome) tell(t *testing.T) {
	t.Helper()
	switch o.Outcome {
	case "pass":
	case "skip":
		t.Skip(o.Detail)
	default:
		t.Error(o.Detail)
	}
}

// settingsFor says where Onda is.
func settingsFor(o *ondatest.Onda, models string) map[string]string {
	return map[string]string{
		"ONDA_TEST_HTTP": o.Address, "ONDA_TEST_GRPC": o.Address,
		"ONDA_TEST_SIMPLE_MODEL": filepath.Join(models, "simple", "1", "model.onnx"),
	}
}
