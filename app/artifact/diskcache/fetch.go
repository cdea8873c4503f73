package diskcache

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"syscall"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/scoring"
)

// fetch makes the entry out of its source, unless somebody else does so first.
func (e *entry) fetch(ctx context.Context, open func(context.Context) (blobs.Source, error), progress func(done, total int64)) (err error) {
	c := e.cache
	l, err := c.wait(ctx, e.key, alone, func() bool { return c.exists(e.key) })
	if err != nil || l == nil {
		return err
	}
	defer func() { err = errors.Join(err, c.leave(e.key, l)) }()
	if c.exists(e.key) {
		return nil
	}
	if err := c.makeRoom(ctx, e); err != nil {
		return err
	}
	d := &download{entry: e, open: open, progress: progress}
	if err := d.run(ctx); err != nil {
		return err
	}
	if err := e.commit(); err != nil {
		return err
	}
	c.setVerified(e.key, true)
	return nil
}

// leave gives the lock of an entry back, and removes its file where there is nothing to lock.
func (c *Cache) leave(key string, l *lock) error {
	if c.exists(key) || c.exists(key+partialEnd) {
		l.unlock()
		return nil
	}
	return l.remove()
}

// run fetches all files, one after the other.
func (d *download) run(ctx context.Context) error {
	defer d.close()
	d.tell(0)
	for _, name := range slices.Sorted(maps.Keys(d.entry.record.Files)) {
		if err := d.file(ctx, name, d.entry.record.Files[name]); err != nil {
			return err
		}
	}
	return nil
}

// commit puts the folder of the download on the disk and gives it its name.
func (e *entry) commit() error {
	if err := e.prune(); err != nil {
		return err
	}
	root := e.cache.root
	err := fs.WalkDir(root.FS(), e.partial(), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err // the files themselves are there since they were complete
		}
		return e.cache.syncDir(name)
	})
	if err != nil {
		return err
	}
	if err := root.Rename(e.partial(), e.key); err != nil {
		return err
	}
	return e.cache.syncDir(".")
}

// prune removes what does not belong to the entry.
func (e *entry) prune() error {
	root := e.cache.root
	names, err := fs.ReadDir(root.FS(), e.partial())
	if err != nil {
		return err
	}
	for _, name := range names {
		if name.Name() != recordName && name.Name() != filesName {
			err = errors.Join(err, root.RemoveAll(path.Join(e.partial(), name.Name())))
		}
	}
	return err
}

func (c *Cache) syncDir(name string) error {
	dir, err := c.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// diskError words the failures of the cache's own folder: what can be done about it is the
// operator's to do. Errors that have their words, and those of a context, stay as they are.
func diskError(err error, need int64) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*scoring.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return scoring.Errorf(scoring.Unavailable, "the disk of the artifact cache is full: the files need %d bytes: make room there, or name a folder on another disk in %s", need, Setting).WithCause(err)
	case errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission):
		return scoring.Errorf(scoring.Unavailable, "the artifact cache cannot be written: it is read-only, or not Onda's: give the user that Onda runs as the right to it, or name another folder in %s", Setting).WithCause(err)
	case errors.Is(err, fs.ErrNotExist):
		return scoring.Errorf(scoring.Unavailable, "the artifact cache, or a part of it, was removed while it was in use: if the next try fails too, make its folder (%s) again and restart Onda", Setting).WithCause(err)
	default:
		return scoring.Errorf(scoring.Unavailable, "the disk of the artifact cache fails; the server's log has the details").WithCause(err)
	}
}
