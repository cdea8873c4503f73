// Package e2e_test holds Onda to its promises from outside: the real binary behind real
// Dapr sidecars, called as other apps call it. Nothing here knows Onda's Go packages, but for
// the tests of the registry: they make tiny models with onnxtest, and hold a document against
// its history with catalog.Fold.
//
// Every group of tests starts processes of its own, on ports of its own, under an app id
// of its own: sidecars find each other by name on the whole machine.
package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
)

const (
	// patience bounds every wait for something that has to come about.
	patience = 30 * time.Second
	// pause is the time between two looks at it.
	pause = 20 * time.Millisecond
)

var (
	// root is the repository's folder.
	root string
	// ondaBinary is built once, from the code as it is.
	ondaBinary string
	// slots bounds the groups that run at once: each has up to three processes and a
	// model's threads, and time-outs under too much load would tell nothing of Onda.
	slots = make(chan struct{}, 2)
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run builds the binary, runs the tests and removes the binary.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "onda-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ondaBinary = filepath.Join(dir, "onda")
	if root, err = findRoot(); err == nil {
		err = build(ondaBinary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dapr.SetLogger(nil) // the SDK would print to standard output
	return m.Run()
}

func build(binary string) error {
	cmd := exec.Command("go", "build", "-o", binary, "./app/cmd/onda")
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build onda: %w\n%s", err, output)
	}
	return nil
}

// findRoot walks up to the folder of go.mod.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("there is no go.mod above the tests")
		}
		dir = parent
	}
}

// group says that t is a group of its own: it runs beside one other group.
func group(t *testing.T) {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
}

// daprd finds the sidecar's binary.
func daprd(t *testing.T) string {
	t.Helper()
	return fetched(t, "ONDA_TEST_DAPRD", "dapr", "*", ".dapr", "bin", "daprd")
}

// onnxruntime finds the ONNX Runtime library.
func onnxruntime(t *testing.T) string {
	t.Helper()
	name := "libonnxruntime.so"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	return fetched(t, "ONDA_ONNXRUNTIME_LIBRARY", "onnxruntime", "*", name)
}

// fetched finds what the set-up put into .local: by the variable, else by the pattern, of
// whose matches the last is the newest.
func fetched(t *testing.T, variable string, pattern ...string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		matches, err := filepath.Glob(filepath.Join(append([]string{root, ".local"}, pattern...)...))
		if err != nil {
			t.Fatal(err)
		}
		if len(matches) == 0 {
			t.Fatalf("%s is not there: run `make setup`, or set %s", filepath.Join(append([]string{".local"}, pattern...)...), variable)
		}
		path = matches[len(matches)-1]
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s: run `make setup`, or set %s", err, variable)
	}
	return path
}

// eventually looks until there is no error any more.
func eventually(t *testing.T, what string, look func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %s", what, patience, err)
		}
		time.Sleep(pause)
	}
}
