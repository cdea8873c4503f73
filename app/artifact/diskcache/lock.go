package diskcache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
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
type lock struct {
	root *os.Root
	name string
	f    *os.File
}

// tryLock takes the lock of a key, or gives nil where somebody holds it.
func (c *Cache) tryLock(key string, m mode) (*lock, error) {
	name := path.Join(locks, key)
	for {
		f, err := c.openLock(name)
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
		l := &lock{root: c.root, name: name, f: f}
		if l.isValid() {
			return l, nil
		}
		l.unlock() // the file was removed in between: its lock is worth nothing
	}
}

// openLock opens a lock's file. Somebody who tidies up by hand can have taken their folder
// away: whoever holds a lock in it keeps the files, and those who come then lock new ones.
func (c *Cache) openLock(name string) (*os.File, error) {
	f, err := c.root.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := c.root.MkdirAll(locks, 0o700); err != nil {
		return nil, err
	}
	return c.root.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
}

// isValid says whether the lock's file still has its name.
func (l *lock) isValid() bool {
	there, err := l.root.Stat(l.name)
	if err != nil {
		return false
	}
	mine, err := l.f.Stat()
	return err == nil && os.SameFile(there, mine)
}

// wait takes the lock of a key, and waits for it until the context ends or enough, if it is not
// nil, says that the lock is not needed any more: then it gives nil.
func (c *Cache) wait(ctx context.Context, key string, m mode, enough func() bool) (*lock, error) {
	for {
		l, err := c.tryLock(key, m)
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

// unlock gives the lock back. To close the file is not enough: where the process is just
// starting another program, that has the file open too, for a moment.
func (l *lock) unlock() {
	if l != nil {
		_ = errors.Join(syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN), l.f.Close()) // there is nothing to lose
	}
}

// remove gives the lock back, which must be held alone, and removes its file.
func (l *lock) remove() error {
	err := l.root.Remove(l.name)
	l.unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
