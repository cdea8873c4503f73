package supply

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

const (
	// temporaryBegin is how the names of temporary folders begin.
	temporaryBegin = "onda-cache-"
	// ownerFile is in each of them, and the operating system's lock (flock) is held on it for
	// as long as its process lives, however that ends.
	ownerFile = ".owner"
	// settled is the age from which on a file or folder belongs to nobody who is still about to
	// finish it.
	settled = time.Hour
)

// temporary is a folder for as long as its process lives.
type temporary struct {
	dir   string
	owner *os.File
}

// newTemporary makes one, which nobody but this user can look into, and removes those of
// processes that were killed: they hold gigabytes that nobody else would ever remove.
func newTemporary(log zerolog.Logger) (*temporary, error) {
	sweep(os.TempDir(), log)
	dir, err := os.MkdirTemp("", temporaryBegin)
	if err != nil {
		return nil, err
	}
	owner, err := own(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &temporary{dir: dir, owner: owner}, nil
}

// own locks a folder. The file gets its name after it was locked: whoever finds it under that
// name unlocked finds a folder that was left behind.
func own(dir string) (*os.File, error) {
	owner, err := os.CreateTemp(dir, ownerFile+"-*")
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(owner.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(&os.PathError{Op: "flock", Path: owner.Name(), Err: err}, owner.Close())
	}
	if err := os.Rename(owner.Name(), filepath.Join(dir, ownerFile)); err != nil {
		return nil, errors.Join(err, owner.Close())
	}
	return owner, nil
}

// remove removes the folder with all that is in it.
func (t *temporary) remove() error { return errors.Join(os.RemoveAll(t.dir), t.owner.Close()) }

// sweep removes the temporary folders below parent that belong to this user and to no process
// any more. What cannot be removed is no reason not to start.
func sweep(parent string, log zerolog.Logger) {
	for _, dir := range beginning(parent, temporaryBegin) {
		if !abandoned(dir) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Warn().Err(err).Str("folder", dir).Msg("a temporary folder of a process that was killed could not be removed: remove it by hand")
			continue
		}
		log.Info().Str("folder", dir).Msg("a temporary folder of a process that was killed was removed")
	}
}

// abandoned says whether a folder is one of this user's that nobody holds.
func abandoned(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	if by, ok := info.Sys().(*syscall.Stat_t); !ok || int64(by.Uid) != int64(os.Getuid()) {
		return false
	}
	owner, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDWR|syscall.O_NOFOLLOW, 0) //nolint:gosec // it is in a folder of this user
	if errors.Is(err, fs.ErrNotExist) {
		return time.Since(info.ModTime()) > settled // it may be about to be owned
	}
	if err != nil {
		return false
	}
	defer owner.Close()
	return syscall.Flock(int(owner.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// tidy removes the halves of small files that a process was writing when it was killed. Others
// who share the folder may be writing theirs: those are young.
func tidy(dir string, log zerolog.Logger) {
	halves := append(beginning(filepath.Join(dir, checkedFolder), newBegin), beginning(dir, snapshotName+".")...)
	for _, name := range halves {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) <= settled {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn().Err(err).Str("file", name).Msg("half a file of a process that was killed could not be removed: remove it by hand")
		}
	}
}

// beginning lists what in a folder has a name that begins so; nothing of a folder that cannot
// be read.
func beginning(dir, begin string) (paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), begin) {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths
}
