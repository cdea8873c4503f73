package diskcache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// locks is the folder of the lock files.
const locks = ".locks"

// look is the time between two looks at a lock that somebody else holds: the operating system
// can wait for one, but not until a context ends.
const look = 50 * time.Millisecond

// mode says who may hold a lock at the same time.
type mode int

const (
	shared mode = syscall.LOCK_SH
	alone  mode = syscall.LOCK_EX
)

// lock is held on an open file: by this process, and by each holder in it for itself.
type lock struct{ f *os.File }

func (c *Cache) lockPath(key string) string { return filepath.Join(c.dir, locks, key) }

// tryLock takes the lock, or gives nil where somebody holds it.
func tryLock(name string, m mode) (*lock, error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		for {
			err = syscall.Flock(int(f.Fd()), int(m)|syscall.LOCK_NB)
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if err != nil {
			_ = f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, nil //nolint:nilnil // none is what there is
			}
			return nil, &os.PathError{Op: "flock", Path: name, Err: err}
		}
		if isStill(name, f) {
			return &lock{f}, nil
		}
		_ = f.Close() // the file was removed in between: its lock is worth nothing
	}
}

func isStill(name string, f *os.File) bool {
	there, err := os.Stat(name)
	if err != nil {
		return false
	}
	mine, err := f.Stat()
	return err == nil && os.SameFile(there, mine)
}

// lockFile takes the lock, and waits for it until the context ends or enough, if it is not
// nil, says that the lock is not needed any more: then it gives nil.
func lockFile(ctx context.Context, name string, m mode, enough func() bool) (*lock, error) {
	for {
		l, err := tryLock(name, m)
		if l != nil || err != nil {
			return l, err
		}
		if enough != nil && enough() {
			return nil, nil //nolint:nilnil // it is not needed
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(look):
		}
	}
}

// unlock gives the lock back.
func (l *lock) unlock() {
	if l != nil {
		_ = l.f.Close() // which ends it; there is nothing to lose
	}
}

// remove gives the lock back, which must be held alone, and removes its file.
func (l *lock) remove() error {
	err := os.Remove(l.f.Name())
	l.unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
