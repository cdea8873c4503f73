// Package conformance_test proves Onda's numbers: every model of ONNX's own backend tests
// is served by a real Onda and asked by every way of the Open Inference Protocol, and the
// answers are held against the outputs that the corpus has for them and against each
// other. What Onda cannot serve has to have a reason that is proved in the same run: see
// [classify]. REPORT.md has the result.
package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// update says that REPORT.md is to be written, not compared.
var update = flag.Bool("update", false, "write REPORT.md")

// ondaBinary is built once, from the code as it is.
var ondaBinary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "onda-conformance-")
	if err == nil {
		defer os.RemoveAll(dir)
		ondaBinary, err = ondatest.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// corpusVariable names the environment variable with the folder of the corpus.
const corpusVariable = "ONDA_TEST_ONNX_CORPUS"

// corpusFolder finds the corpus, whose folders hold folders of tests.
func corpusFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv(corpusVariable)
	if folder == "" {
		folder = "/usr/share/libonnx-testdata/data"
	}
	if _, err := os.Stat(filepath.Join(folder, "node")); err != nil {
		ondatest.Missing(t, "the models of ONNX's backend tests are not there: apt-get install libonnx-testdata (Debian and Ubuntu), "+
			"or set "+corpusVariable+" to the folder onnx/backend/test/data of an ONNX source tree")
	}
	return folder
}
