package blobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// uploads is the folder of what is not whole yet.
	uploads = ".uploads"
	// abandoned is the age of an upload whose process is gone.
	abandoned = 24 * time.Hour
	// maxDepth bounds how deep folders may be nested: a symbolic link can lead to itself.
	maxDepth = 16
)

var (
	errNotRegular = errors.New("want a regular file")
	errEscapes    = errors.New("a symbolic link leads out of the folder that is allowed")
	errTooMany    = errors.New("too many files")
)

// folder is a folder of this machine. Nothing outside of it can be reached through it,
// whatever links there are.
type folder struct{ root *os.Root }

func openFolder(_ context.Context, l location) (place, error) {
	root, err := os.OpenRoot(filepath.Join("/", filepath.Join(l.path...)))
	if err != nil {
		return nil, err
	}
	return folder{root}, nil
}

func (f folder) close() error { return f.root.Close() }

func (f folder) open(_ context.Context, key string, offset int64) (io.ReadCloser, error) {
	info, err := f.root.Stat(key) // before it is opened: a named pipe would wait for its writer
	if err != nil {
		return nil, named(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	file, err := f.root.Open(key)
	if err != nil {
		return nil, named(err)
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (f folder) list(ctx context.Context, prefix string) (map[string]int64, error) {
	files := map[string]int64{}
	return files, f.walk(ctx, strings.TrimSuffix(prefix, "/"), "", files, maxDepth)
}

// walk lists the folder dir, below base. Links are followed, because that is how Kubernetes
// mounts a volume's content.
func (f folder) walk(ctx context.Context, base, dir string, files map[string]int64, depth int) error {
	entries, err := f.readDir(path.Join(".", base, dir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		if isHidden(entry.Name()) {
			continue
		}
		info, err := f.root.Stat(path.Join(base, name))
		switch {
		case err != nil:
			return named(err)
		case ctx.Err() != nil:
			return ctx.Err()
		case info.Mode().IsRegular():
			files[name] = info.Size()
		case info.IsDir() && depth > 0:
			if err := f.walk(ctx, base, name, files, depth-1); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s: %w", name, errNotRegular)
		}
		if len(files) > maxFiles {
			return errTooMany
		}
	}
	return nil
}

func (f folder) readDir(name string) ([]fs.DirEntry, error) {
	dir, err := f.root.Open(name)
	if err != nil {
		return nil, named(err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxFiles + 1)
	switch {
	case errors.Is(err, io.EOF): // it is empty
		return nil, nil
	case err != nil:
		return nil, named(err)
	case len(entries) > maxFiles:
		return nil, errTooMany
	}
	return entries, nil
}

// named names the errors that have no name, or another one than elsewhere.
func named(err error) error {
	if errors.Is(err, syscall.ENOTDIR) { // a part of the path is a file
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%w, and no link to itself: %w", errNotRegular, err)
	}
	if strings.Contains(err.Error(), "path escapes from parent") {
		return fmt.Errorf("%w: %w", errEscapes, err)
	}
	return err
}

func (f folder) size(_ context.Context, key string) (int64, bool, error) {
	info, err := f.root.Stat(key)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, named(err)
	}
	return info.Size(), true, nil
}

// write goes by a file of another name, so that nobody sees half a file, and puts it on the
// disk before it gets its own, so that nobody does after a power failure.
func (f folder) write(ctx context.Context, key string, r io.Reader) error {
	name := path.Join(uploads, rand.Text())
	if err := f.fill(ctx, name, r); err != nil {
		return errors.Join(unwritable(err), f.remove(name))
	}
	if err := f.root.MkdirAll(path.Dir(key), 0o700); err != nil {
		return errors.Join(unwritable(err), f.remove(name))
	}
	if err := f.root.Rename(name, key); err != nil {
		return errors.Join(unwritable(err), f.remove(name))
	}
	return f.syncDirs(path.Dir(key))
}

// unwritable marks what may not be written: who may not read is told something else.
func unwritable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", errUnwritable, err)
	}
	return err
}

func (f folder) fill(ctx context.Context, name string, r io.Reader) error {
	if err := f.root.MkdirAll(uploads, 0o700); err != nil {
		return err
	}
	file, err := f.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(file, untilEnded(ctx, r)); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// untilEnded is r, which fails once the context has ended.
func untilEnded(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (f folder) remove(name string) error {
	if err := f.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDirs puts the names in dir, and in the folders above it, on the disk.
func (f folder) syncDirs(dir string) error {
	for {
		d, err := f.root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}

// tidy removes the uploads of processes that were killed.
func (f folder) tidy() error {
	entries, err := f.readDir(uploads)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < abandoned {
			continue
		}
		if err := f.remove(path.Join(uploads, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
