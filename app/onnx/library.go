package onnx

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// oldest is the oldest version of ONNX Runtime that the binding's header speaks to: it
// asks for version 24 of the C API. Newer libraries keep the older versions of the API.
const oldest = "1.24"

// machines gives the ELF machine of each platform that ONNX Runtime is published for.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkLibrary looks at the library before the dynamic linker does, whose errors are hard
// to read, and gives its absolute path. The linker would search its own folders for a
// bare name; an absolute path makes it plain which file is loaded.
func checkLibrary(path string) (string, error) {
	if path == "" {
		return "", errors.New("onnx runtime: no path to the shared library (libonnxruntime.so) is given")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("onnx runtime library: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("onnx runtime library %s: no such file: want the path of libonnxruntime.so, version %s or newer: %w", path, oldest, err)
	case err != nil:
		return "", fmt.Errorf("onnx runtime library: %w", err)
	case info.IsDir():
		return "", fmt.Errorf("onnx runtime library %s: is a folder: want the path of libonnxruntime.so inside it", path)
	}
	if runtime.GOOS == "linux" {
		err = checkELF(path, runtime.GOARCH)
	}
	return path, err
}

// checkELF says whether a Linux process of the architecture goarch can load the file.
func checkELF(path, goarch string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("onnx runtime library %s: not a Linux shared library: want libonnxruntime.so for linux/%s: %w", path, goarch, err)
	}
	defer f.Close()
	if want, known := machines[goarch]; known && f.Machine != want {
		return fmt.Errorf("onnx runtime library %s: made for %s: want libonnxruntime.so for linux/%s", path, f.Machine, goarch)
	}
	version := libraryVersion(f)
	if version != "" && !atLeast(version, oldest) {
		return fmt.Errorf("onnx runtime library %s: is version %s: want %s or newer", path, version, oldest)
	}
	return nil
}

// libraryVersion reads ONNX Runtime's version from the symbol version that its builds
// carry ("VERS_1.30.0"), or gives "" where there is none.
func libraryVersion(f *elf.File) string {
	versions, err := f.DynamicVersions()
	if err != nil {
		return ""
	}
	for _, v := range versions {
		if version, found := strings.CutPrefix(v.Name, "VERS_"); found {
			return version
		}
	}
	return ""
}

// atLeast compares the numbers of two dotted versions. What is not a number passes: the
// library itself has the last word.
func atLeast(version, want string) bool {
	have := strings.Split(version, ".")
	for i, w := range strings.Split(want, ".") {
		if i >= len(have) {
			return true
		}
		h, err := strconv.Atoi(have[i])
		n, errWant := strconv.Atoi(w)
		if err != nil || errWant != nil {
			return true
		}
		if h != n {
			return h > n
		}
	}
	return true
}
