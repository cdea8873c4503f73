package onnxtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// LibraryVariable names the environment variable that tests take the library's path from.
const LibraryVariable = "ONDA_ONNXRUNTIME_LIBRARY"

// libraryBelow is where the project keeps the library, from its root.
const libraryBelow = ".local/onnxruntime/1.30.0/libonnxruntime.so"

// ErrNoLibrary means that ONNX Runtime's library was not found.
var ErrNoLibrary = errors.New("no ONNX Runtime library: set " + LibraryVariable + ", or put it at " + libraryBelow + " in the project")

// FindLibrary gives the path of ONNX Runtime's shared library: what the variable
// [LibraryVariable] says, or else the project's own copy, searched upward from the
// working directory. It is for TestMain; tests call [Library].
func FindLibrary() (string, error) {
	if path := os.Getenv(LibraryVariable); path != "" {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, filepath.FromSlash(libraryBelow))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNoLibrary
		}
		dir = parent
	}
}

// Library gives the path of ONNX Runtime's shared library. Without it, the test fails
// under CI, where the variable CI is set, and is skipped elsewhere.
func Library(tb testing.TB) string {
	tb.Helper()
	path, err := FindLibrary()
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") != "":
		tb.Fatal(err)
	default:
		tb.Skip(err)
	}
	return ""
}
