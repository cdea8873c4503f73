// Package clients_test runs other people's clients against Onda: those of Triton and of
// KServe, from PyPI, as their users do, directly and through Dapr sidecars. The tests of
// a client are written in its own language, in the folder python; each becomes a subtest
// here.
package clients_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// ondaBinary is built once, from the code as it is.
var ondaBinary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "onda-clients-")
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
