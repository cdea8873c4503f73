package diskcache

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

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
}

// Nobody is told of an internal error: what the folder of the cache needs is in the text.
func TestDiskErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "mkdirat", Path: "ab", Err: syscall.EROFS}, "the artifact cache cannot be written: it is read-only, or not Onda's"},
		{&os.PathError{Op: "openat", Path: "ab", Err: syscall.EACCES}, "the artifact cache cannot be written: it is read-only, or not Onda's"},
		{&os.PathError{Op: "statat", Path: "ab", Err: syscall.ENOENT}, "was removed while it was in use"},
		{&os.PathError{Op: "read", Path: "ab", Err: syscall.EIO}, "the disk of the artifact cache fails"},
	} {
		e := scoring.AsError(diskError(tt.err, 1))
		if e.Code != scoring.Unavailable || !strings.Contains(e.Message, tt.want) || strings.Contains(e.Message, "ab") || !errors.Is(e, tt.err) {
			t.Errorf("%v: got %v, want Unavailable with %q, and the cause", tt.err, e, tt.want)
		}
	}
	known := scoring.Errorf(scoring.NotFound, "there is none")
	for _, err := range []error{nil, known, context.Canceled, context.DeadlineExceeded} {
		if got := diskError(err, 1); !errors.Is(got, err) || got != nil && got.Error() != err.Error() {
			t.Errorf("got %v, want %v as it was", got, err)
		}
	}
}

// A lock file that is removed while somebody waits for it is worth nothing: two could hold it.
func TestLockFileRemoved(t *testing.T) {
	t.Parallel()
	c, err := Open(t.TempDir(), 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	take := func(m mode) *lock {
		t.Helper()
		l, err := c.tryLock("key", m)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := take(alone)
	if first == nil || take(shared) != nil || take(alone) != nil {
		t.Fatal("the lock is not held alone")
	}
	if err := first.remove(); err != nil {
		t.Fatal(err)
	}
	second, third := take(shared), take(shared)
	if second == nil || third == nil {
		t.Fatal("the lock cannot be shared")
	}
	second.unlock()
	if take(alone) != nil {
		t.Error("the third one holds it")
	}
	if !third.isValid() {
		t.Error("its file is there")
	}
	if err := c.root.Remove(third.name); err != nil {
		t.Fatal(err)
	}
	if third.isValid() {
		t.Error("its file is gone")
	}
	fourth := take(alone)
	if fourth == nil || third.isValid() {
		t.Error("its file is another one")
	}
	third.unlock()
	fourth.unlock()
}
