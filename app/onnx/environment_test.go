package onnx

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
)

func TestOpenSecondEnvironment(t *testing.T) {
	t.Parallel()
	e := environment(t)
	if _, err := Open(e.library); !errors.Is(err, ErrOpen) {
		t.Errorf("got %v, want %v", err, ErrOpen)
	}
	if !atLeast(e.Version(), oldest) {
		t.Errorf("version %q: want %s or newer", e.Version(), oldest)
	}
}

func TestCloseWithOpenSessions(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	err := s.env.Close()
	if err == nil || !strings.Contains(err.Error(), "sessions are still open") {
		t.Errorf("got %v, want an error about open sessions", err)
	}
	if _, err := s.Run(t.Context(), addSubInputs(1), nil); err != nil {
		t.Errorf("run after the refused close: %v", err)
	}
}

// inChild runs the test it is called from once more, alone in a process of its own, and
// reports whether this is that process. The environment of the other tests stays open,
// and some tests must begin before any.
func inChild(t *testing.T, env ...string) bool {
	t.Helper()
	library := onnxtest.Library(t)
	const child = "ONNX_TEST_CHILD"
	if os.Getenv(child) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1", onnxtest.LibraryVariable+"="+library)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// wholeLife opens the library, runs a model and closes both; during is called before.
func wholeLife(t *testing.T, during func()) {
	t.Helper()
	e, err := Open(onnxtest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Load(onnxtest.AddSub(), Options{IntraOpThreads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), addSubInputs(1), nil); err != nil {
		t.Fatal(err)
	}
	during()
	if err := errors.Join(s.Close(), e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Load(onnxtest.AddSub(), Options{IntraOpThreads: 1}); err == nil {
		t.Fatal("a closed environment loaded a model")
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	for range 3 {
		wholeLife(t, func() {})
	}
}

// TestNoTelemetry sees to it that the library neither keeps a database or a log nor
// leaves anything in the user's folders.
func TestNoTelemetry(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	// Set, but not to 1: what the variable says before must not matter.
	if inChild(t, "HOME="+home, "XDG_CACHE_HOME=", "ORT_DISABLE_TELEMETRY=") {
		wholeLife(t, func() { noOpenFiles(t, "onnxruntime.db", "mat-debug") })
		return
	}
	left, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("the library left %v in the user's folder", left)
	}
}

// noOpenFiles fails the test if the process holds a file with one of the words in its path.
func noOpenFiles(t *testing.T, words ...string) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		path, _ := os.Readlink(fd) // one closed meanwhile has no target
		for _, w := range words {
			if strings.Contains(path, w) {
				t.Errorf("the library keeps %s open", path)
			}
		}
	}
}

// elfHeader is the smallest file that counts as a 64-bit ELF of this machine.
func elfHeader(machine uint16) []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(h[16:], 3) // a shared object
	binary.LittleEndian.PutUint16(h[18:], machine)
	binary.LittleEndian.PutUint32(h[20:], 1)
	binary.LittleEndian.PutUint16(h[52:], 64)
	return h
}

func TestCheckLibrary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name, path, want string
	}{
		{"no path", "", "no path to the shared library"},
		{"missing", filepath.Join(dir, "gone.so"), "no such file: want the path of libonnxruntime.so, version 1.24 or newer"},
		{"folder", dir, "is a folder: want the path of libonnxruntime.so inside it"},
		{"text", file("text.so", []byte("hello")), "not a Linux shared library"},
		{"other machine", file("sparc.so", elfHeader(2)), "made for EM_SPARC: want libonnxruntime.so for linux/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := checkLibrary(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := checkLibrary(filepath.Join(dir, "gone.so")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v, want fs.ErrNotExist in its chain", err)
	}
}

func TestCheckLibraryTakesTheRealOne(t *testing.T) {
	t.Parallel()
	if _, err := checkLibrary(onnxtest.Library(t)); err != nil {
		t.Error(err)
	}
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	tests := []struct {
		version string
		want    bool
	}{
		{"1.30.0", true},
		{"1.24", true},
		{"1.24.1", true},
		{"2.0", true},
		{"2", true},
		{"1.23.2", false},
		{"1.9", false},
		{"0.30", false},
		{"1.rc", true},
		{"", true},
	}
	for _, tt := range tests {
		if got := atLeast(tt.version, oldest); got != tt.want {
			t.Errorf("atLeast(%q, %q): got %v, want %v", tt.version, oldest, got, tt.want)
		}
	}
}
