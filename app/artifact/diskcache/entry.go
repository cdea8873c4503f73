package diskcache

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// What is in the folder of an entry.
const (
	recordName = ".entry"
	filesName  = ".files"
	notesName  = ".notes"
	configName = "config.pbtxt"
)

var (
	errAbsent  = errors.New("not in the cache")
	errDamaged = errors.New("damaged")
)

// record is what .entry holds, as JSON.
type record struct {
	// Bytes of all files.
	Bytes int64 `json:"bytes"`
	// Files by their paths.
	Files map[string]catalog.File `json:"files"`
}

// entry is a version in the cache, there or not.
type entry struct {
	cache  *Cache
	key    string // which is the name of its folder
	link   string // in it, for package artifact
	ref    artifact.Ref
	record record
}

// Key names the files of a version: the SHA-256, in hexadecimal digits, over all their names
// and sums. Versions of the same files share it.
func Key(v catalog.Version) string {
	sums := map[string]string{}
	for name, file := range v.Files {
		sums[name] = file.SHA256
	}
	return strings.TrimPrefix(artifact.Digest(sums), "sha256:")
}

// newEntry checks that the version can be kept: what is in its document came from a caller.
func newEntry(c *Cache, model string, v catalog.Version) (*entry, error) {
	if err := scoring.CheckName("model", model); err != nil {
		return nil, err
	}
	if v.Version < 1 || len(v.Files) == 0 {
		return nil, scoring.Errorf(scoring.Invalid, "model %s@%d: want a positive version and a list of its files", model, v.Version)
	}
	r := record{Files: v.Files}
	for _, name := range slices.Sorted(maps.Keys(v.Files)) { // the same error for the same fault, every time
		file := v.Files[name]
		if err := errors.Join(blobs.CheckPath(name), blobs.CheckSum(file.SHA256)); err != nil {
			return nil, err
		}
		if file.Size < 0 || file.Size > artifact.MaxFileBytes {
			return nil, scoring.Errorf(scoring.Invalid, "file %q: %d bytes: want 0 to %d", name, file.Size, int64(artifact.MaxFileBytes))
		}
		for above := path.Dir(name); above != "."; above = path.Dir(above) {
			if _, ok := v.Files[above]; ok {
				return nil, scoring.Errorf(scoring.Invalid, "file %q: %q is a file, and cannot be a folder too", name, above)
			}
		}
		r.Bytes += file.Size
	}
	e := &entry{cache: c, key: Key(v), record: r}
	e.link = path.Join(e.key, model, strconv.FormatInt(v.Version, 10))
	e.ref = artifact.Ref{Name: model, Version: v.Version, Dir: filepath.Join(c.dir, filepath.FromSlash(e.link))}
	return e, nil
}

// partial is the folder of the download.
func (e *entry) partial() string { return e.key + partialEnd }

// use makes the entry ready for its caller, who holds its lock. The error is errAbsent or
// errDamaged where that cannot be.
func (e *entry) use(ctx context.Context) (artifact.Ref, error) {
	had, err := e.cache.whole(e.key)
	if err != nil {
		return artifact.Ref{}, err
	}
	for name, file := range e.record.Files {
		if size := had.Files[name].Size; size != file.Size {
			return artifact.Ref{}, scoring.Errorf(scoring.Invalid, "file %q: it has %d bytes, the version says %d", name, size, file.Size)
		}
	}
	if err := e.verify(ctx); err != nil {
		return artifact.Ref{}, err
	}
	e.cache.setVerified(e.key, true)
	if err := e.view(); err != nil {
		return artifact.Ref{}, err
	}
	e.touch()
	return e.ref, nil
}

// whole reads the record of an entry and looks at the sizes of its files.
func (c *Cache) whole(key string) (record, error) {
	var r record
	if !c.exists(key) {
		return r, errAbsent
	}
	text, err := c.root.ReadFile(path.Join(key, recordName))
	if err != nil {
		return r, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%w: %s: %w", errDamaged, recordName, err)
	}
	for name, file := range r.Files {
		info, err := c.root.Stat(path.Join(key, filesName, name))
		if err != nil {
			return r, fmt.Errorf("%w: %w", errDamaged, err)
		}
		if !info.Mode().IsRegular() || info.Size() != file.Size {
			return r, fmt.Errorf("%w: %s has %d bytes of %d", errDamaged, name, info.Size(), file.Size)
		}
	}
	return r, nil
}

// verify reads all files and compares their sums.
func (e *entry) verify(ctx context.Context) error {
	for name, want := range e.record.Files {
		f, err := e.cache.root.Open(path.Join(e.key, filesName, name))
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		hash := sha256.New()
		_, err = io.Copy(hash, untilEnded{ctx, f})
		if err := errors.Join(err, f.Close()); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != want.SHA256 {
			return fmt.Errorf("%w: %s: SHA-256 is %s, want %s", errDamaged, name, got, want.SHA256)
		}
	}
	return nil
}

// untilEnded is a reader that fails once its context has ended.
type untilEnded struct {
	ctx context.Context //nolint:containedctx // it is read within one call
	r   io.Reader
}

func (u untilEnded) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// view gives the files the layout that package artifact reads. Versions and models of the
// same files each have their own.
func (e *entry) view() error {
	c, model := e.cache, path.Dir(e.link)
	if err := c.root.MkdirAll(model, 0o700); err != nil {
		return err
	}
	if _, ok := e.record.Files[configName]; ok {
		text, err := c.root.ReadFile(path.Join(e.key, filesName, configName))
		if err != nil {
			return err
		}
		// A copy, as a link out of the model's folder would not be followed.
		if err := c.writeFile(path.Join(model, configName), text); err != nil {
			return err
		}
	}
	err := c.root.Symlink(path.Join("..", filesName), e.link)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// writeFile writes a small file whole or not at all; one that has the text is left alone.
func (c *Cache) writeFile(name string, text []byte) error {
	if had, err := c.root.ReadFile(name); err == nil && bytes.Equal(had, text) {
		return nil
	}
	part := name + "." + rand.Text() + partialEnd
	if err := c.writeSynced(part, text); err != nil {
		return errors.Join(err, c.root.Remove(part))
	}
	return c.root.Rename(part, name)
}

func (c *Cache) writeSynced(name string, text []byte) error {
	f, err := c.root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// touch notes that the entry is used now.
func (e *entry) touch() {
	now := time.Now()
	if err := e.cache.root.Chtimes(path.Join(e.key, recordName), now, now); err != nil {
		e.cache.log.Warn().Err(err).Msg("the last use of cached files could not be noted")
	}
}
