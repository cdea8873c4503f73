// Package diskcache keeps the files of versions on the local disk, each version's under the
// digest of all its files: what was fetched once is there after a restart.
//
// Whatever moment the process or the machine stops at, an entry is whole or is not there: it
// is fetched into a folder of another name, its files are put on the disk, and only then does
// it get its name. A download that broke off goes on where it stopped, in the same process or
// the next.
//
// Several processes may share the folder, as two replicas on a laptop do. Each entry has a
// lock file, on which the operating system's lock (flock) is held: shared while the entry is
// in use, alone while it is fetched or removed. The lock ends with its process, however that
// ends. So each version is fetched once, and nobody's files are taken away. The folder should
// be on a local disk: some network file systems have no such locks.
//
// In the folder:
//
//	<key>/.entry                    the names, sums and sizes; its time is the last use
//	<key>/.files/...                the files
//	<key>/.notes/...                small records: see Note
//	<key>/<model>/<version>         a link to .files, as package artifact wants it
//	<key>/<model>/config.pbtxt      a copy of the file, where package artifact looks for it
//	<key>.partial/...               what is being fetched, or was
//	.locks, .trash-...              the locks, and what is being removed
package diskcache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// Setting is the environment variable with the folder of the cache.
const Setting = "ONDA_ARTIFACT_CACHE"

// rounds is how often an entry is fetched that is removed again before it can be used.
const rounds = 5

// Cache is a folder of versions. Its methods may be called at the same time.
type Cache struct {
	dir      string   // for callers
	root     *os.Root // the same: nothing outside of it can be reached, whatever links there are
	maxBytes int64
	log      zerolog.Logger

	mu       sync.Mutex
	verified map[string]bool // keys whose sums this process has seen to be right
}

// Open opens the cache in the folder dir, and makes it if there is none. maxBytes bounds the
// files of all versions together; 0 sets no bound. What a killed process left broken is
// removed, and so is what is too much, the least recently used first.
func Open(dir string, maxBytes int64, log zerolog.Logger) (*Cache, error) {
	if maxBytes < 0 {
		return nil, fmt.Errorf("open artifact cache: %d bytes: want at least 0", maxBytes)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open artifact cache: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, locks), 0o700); err != nil {
		return nil, fmt.Errorf("open artifact cache: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open artifact cache: %w", err)
	}
	c := &Cache{dir: dir, root: root, maxBytes: maxBytes, log: log, verified: map[string]bool{}}
	if err := c.tidy(); err != nil {
		return nil, errors.Join(fmt.Errorf("open artifact cache: %w", err), root.Close())
	}
	return c, nil
}

// Fetch gives the place of the version's files, all of them checked, and keeps them there
// until release is called. What is not in the cache is fetched from the source, which open
// opens at most once. progress, if it is not nil, hears how many bytes are there, of how many,
// on the caller's goroutine; while another call fetches the same files it hears nothing.
//
// Files that are there were checked when they were fetched. They are checked again with each
// use, which costs about a second for a gigabyte: what is loaded is what was tried, and a file
// that was changed on the disk in between could end the process.
//
// The error is Invalid for a file that is not what the version says (it is removed), and for
// a version that cannot be kept; TooLarge for one that is larger than the whole cache;
// Unavailable where another try can help, as when the source breaks off again and again, or
// nothing can be removed to make room, or the disk is full or cannot be written; else it is
// the source's.
func (c *Cache) Fetch(ctx context.Context, model string, v catalog.Version, open func(context.Context) (blobs.Source, error), progress func(done, total int64)) (ref artifact.Ref, release func(), err error) {
	e, err := newEntry(c, model, v)
	if err != nil {
		return artifact.Ref{}, nil, err
	}
	defer func() { err = diskError(err, e.record.Bytes) }()
	for range rounds {
		lock, err := c.wait(ctx, e.key, shared, nil)
		if err != nil {
			return artifact.Ref{}, nil, err
		}
		ref, err := e.use(ctx)
		if err == nil {
			return ref, sync.OnceFunc(func() { e.touch(); lock.unlock() }), nil
		}
		if errors.Is(err, errDamaged) {
			c.setVerified(e.key, false) // before the lock is gone, and others fetch it again
		}
		lock.unlock()
		switch {
		case errors.Is(err, errDamaged):
			c.log.Warn().Err(err).Str("model", model).Int64("version", v.Version).Msg("cached files are damaged and fetched again")
			err = c.discard(ctx, e.key)
		case errors.Is(err, errAbsent):
			err = e.fetch(ctx, open, progress)
		}
		if err != nil {
			return artifact.Ref{}, nil, err
		}
	}
	return artifact.Ref{}, nil, scoring.Errorf(scoring.Unavailable, "model %s@%d: its files were removed from the artifact cache before they could be used, %d times in a row: the cache is too small for what is in use", model, v.Version, rounds)
}

// isVerified says whether this process has seen that the sums of an entry are right.
func (c *Cache) isVerified(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.verified[key]
}

func (c *Cache) setVerified(key string, verified bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if verified {
		c.verified[key] = true
	} else {
		delete(c.verified, key)
	}
}
