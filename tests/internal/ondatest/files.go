package ondatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// buildPatience bounds the build of Onda on a machine that has nothing cached.
const buildPatience = 10 * time.Minute

// Root gives the repository's folder: the nearest one above the working folder that has
// a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find the repository: no folder above this one has a go.mod")
		}
	}
}

// Build makes Onda's binary in the folder dir, from the code as it is, and gives its path.
func Build(dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildPatience)
	defer cancel()
	binary := filepath.Join(dir, "onda")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./app/cmd/onda") //nolint:gosec // the folder is the test's own
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build onda: %w\n%s", err, output)
	}
	return binary, nil
}

// Fetched finds what the set-up put into .local: at the path that variable holds, else at
// the last match of the pattern below .local, which is the newest.
func Fetched(variable string, pattern ...string) (string, error) {
	if path := os.Getenv(variable); path != "" { //nolint:forbidigo // the Makefile says so where things are
		_, err := os.Stat(path) //nolint:gosec // a path that whoever runs the tests gives
		return path, err
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	below := filepath.Join(pattern...)
	matches, err := filepath.Glob(filepath.Join(root, ".local", below))
	if err != nil {
		return "", fmt.Errorf("find .local/%s: %w", below, err)
	}
	if len(matches) == 0 {
		return "", fmt.Errorf("there is no .local/%s: run make setup, or set %s", below, variable)
	}
	return matches[len(matches)-1], nil
}

// Library finds the library of ONNX Runtime.
func Library() (string, error) {
	name := "libonnxruntime.so"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	return Fetched("ONDA_ONNXRUNTIME_LIBRARY", "onnxruntime", "*", name)
}

// missingBroker is Missing for the brokers that few machines have: `make brokers` sets
// ONDA_TEST_BROKERS, and then nothing may be skipped.
func missingBroker(t *testing.T, text string) {
	t.Helper()
	if os.Getenv("ONDA_TEST_BROKERS") != "" { //nolint:forbidigo // a setting of the tests, not of the app
		t.Fatal(text)
	}
	t.Skip(text + "; make brokers runs this test")
}

// Missing ends a test that lacks what text tells how to get: it is skipped where people
// work, and fails in CI, which has to have everything.
func Missing(tb testing.TB, text string) {
	tb.Helper()
	if InCI() {
		tb.Fatal(text)
	}
	tb.Skip(text)
}

// InCI says whether the tests run in CI.
func InCI() bool {
	return os.Getenv("CI") != "" //nolint:forbidigo // CI services set this for everything that they run
}
