package onnx

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
)

// shared is the environment of all tests: a process has one.
var shared = sync.OnceValues(func() (*Environment, error) {
	path, err := onnxtest.FindLibrary()
	if err != nil {
		return nil, err
	}
	return Open(path)
})

// TestMain ends with two checks on all tests together: that no session is left open, and
// that no goroutine is.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := tidy(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "after the tests:", err)
		code = 1
	}
	os.Exit(code)
}

func tidy() error {
	if e, err := shared(); err == nil {
		if err := e.Close(); err != nil {
			return err
		}
	}
	return goleak.Find()
}

// environment gives the environment of all tests.
func environment(tb testing.TB) *Environment {
	tb.Helper()
	onnxtest.Library(tb)
	e, err := shared()
	if err != nil {
		tb.Fatalf("open the library: %v", err)
	}
	return e
}

// load loads a model for the time of a test.
func load(tb testing.TB, model []byte) *Session {
	tb.Helper()
	s, err := environment(tb).Load(model, Options{IntraOpThreads: 1})
	if err != nil {
		tb.Fatalf("load: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}
