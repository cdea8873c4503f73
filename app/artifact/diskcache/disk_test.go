package diskcache

import (
	"crypto/sha256"
	"errors"
	"os"
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
	if got := scoring.CodeOf(d.disk(os.ErrPermission)); got != scoring.Internal {
		t.Errorf("got %s for another failure, want Internal", got)
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
