package diskcache

import (
	"crypto/sha256"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// Linux has a file that is always full.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	d := &download{entry: &entry{record: record{Bytes: 1000}}}
	_, err = (&target{f: f, hash: sha256.New()}).Write([]byte("x"))
	if !errors.Is(err, errDisk) {
		t.Errorf("got %v, want that it was the disk", err)
	}
	err = d.disk(err)
	e := scoring.AsError(err)
	want := "the disk of the artifact cache is full: the files need 1000 bytes: make room there, or name a folder on another disk in ONDA_ARTIFACT_CACHE"
	if e.Code != scoring.Unavailable || e.Message != want || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %s, and the cause", err, want)
	}
	if got := scoring.CodeOf(d.disk(os.ErrPermission)); got != scoring.Internal {
		t.Errorf("got %s for another failure, want Internal", got)
	}
}

// A lock file that is removed while somebody waits for it is worth nothing: two could hold it.
func TestLockFileRemoved(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/lock"
	first, err := tryLock(name, alone)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	if l, err := tryLock(name, shared); l != nil || err != nil {
		t.Errorf("got %v, %v: want that it is held", l, err)
	}
	if err := first.remove(); err != nil {
		t.Fatal(err)
	}
	second, err := tryLock(name, shared)
	if err != nil || second == nil {
		t.Fatal(second, err)
	}
	third, err := tryLock(name, shared)
	if err != nil || third == nil {
		t.Fatal(third, err)
	}
	second.unlock()
	if l, err := tryLock(name, alone); l != nil || err != nil {
		t.Errorf("got %v, %v: want that it is held by the third", l, err)
	}
	third.unlock()
	if !isStill(name, mustOpen(t, name)) {
		t.Error("the file is the same")
	}
	gone := mustOpen(t, name)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if isStill(name, gone) {
		t.Error("the file is gone")
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if isStill(name, gone) {
		t.Error("the file is another one")
	}
}

func mustOpen(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
