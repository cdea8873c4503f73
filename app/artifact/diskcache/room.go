package diskcache

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	partialEnd = ".partial"
	trashBegin = ".trash-"
	// roomLock is held by whoever makes room, so that two cannot give the same room away.
	roomLock = ".room"
	// forgotten is the age of a download that nobody goes on with.
	forgotten = 7 * 24 * time.Hour
	// settling is how long those who read damaged files may take to find out.
	settling = 10 * time.Second
)

// folder is an entry or a download on the disk.
type folder struct {
	key     string
	name    string // of the folder
	partial bool
	bytes   int64 // of its files, or what they will have
	used    time.Time
	broken  bool
}

// scan lists the entries and downloads, by last use.
func (c *Cache) scan() ([]folder, error) {
	names, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var all []folder
	for _, name := range names {
		f := folder{name: name.Name()}
		f.key, f.partial = strings.CutSuffix(f.name, partialEnd)
		if !name.IsDir() || blobs.CheckSum(f.key) != nil {
			continue // not ours
		}
		c.readFolder(&f)
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b folder) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	return all, nil
}

// readFolder looks at the record. A folder without one is as good as not there, and counts as the
// oldest.
func (c *Cache) readFolder(f *folder) {
	name := path.Join(f.name, recordName)
	info, err := c.root.Stat(name)
	if err != nil {
		f.broken = true
		return
	}
	f.used = info.ModTime()
	text, err := c.root.ReadFile(name)
	var r record
	if err = errors.Join(err, json.Unmarshal(text, &r)); err != nil {
		f.broken = true
	}
	f.bytes = r.Bytes
}

// makeRoom makes room for the download of e, and begins it: from here on it counts. The caller
// holds e's lock alone.
func (c *Cache) makeRoom(ctx context.Context, e *entry) error {
	l, err := c.wait(ctx, roomLock, alone, nil)
	if err != nil {
		return err
	}
	defer l.unlock()
	if err := c.evict(e.key, e.record.Bytes); err != nil {
		return err
	}
	if err := c.root.MkdirAll(e.partial(), 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(e.record)
	if err != nil {
		return err
	}
	return c.writeSynced(path.Join(e.partial(), recordName), text)
}

// evict removes what was used least recently and is not in use, until so many bytes have
// room; nothing at all if that is not enough. What is there of the key itself does not count.
func (c *Cache) evict(key string, need int64) error {
	if c.maxBytes == 0 {
		return nil
	}
	if need > c.maxBytes {
		return scoring.Errorf(scoring.TooLarge, "the files have %d bytes, more than the %d of the whole artifact cache (%s_SIZE)", need, c.maxBytes, Setting)
	}
	all, err := c.scan()
	if err != nil {
		return err
	}
	var used int64
	for _, f := range all {
		if f.key != key {
			used += f.bytes
		}
	}
	victims, held, err := c.choose(all, key, used+need-c.maxBytes)
	defer func() {
		for _, l := range held {
			l.unlock()
		}
	}()
	if err != nil {
		return err
	}
	for _, f := range victims {
		used -= f.bytes
	}
	if used+need > c.maxBytes {
		return scoring.Errorf(scoring.Unavailable, "the artifact cache has no room: %d bytes are needed, %d of its %d are in use (%s_SIZE)", need, used, c.maxBytes, Setting)
	}
	for i, f := range victims {
		c.log.Info().Str("key", f.key).Int64("bytes", f.bytes).Time("last_used", f.used).Msg("cached files were removed to make room")
		if err := c.trash(f.name); err != nil {
			return err
		}
		c.setVerified(f.key, false)
		l := held[i]
		held[i] = nil
		if err := l.remove(); err != nil {
			return err
		}
	}
	return nil
}

// choose takes the locks of the folders that are to be removed for so many bytes.
func (c *Cache) choose(all []folder, key string, bytes int64) (victims []folder, held []*lock, err error) {
	for _, f := range all {
		if bytes <= 0 {
			break
		}
		if f.key == key {
			continue
		}
		l, err := c.tryLock(f.key, alone)
		if err != nil {
			return victims, held, err
		}
		if l == nil {
			continue // in use, or being fetched
		}
		victims, held = append(victims, f), append(held, l)
		bytes -= f.bytes
	}
	return victims, held, nil
}

// trash takes a folder away at once, and removes it then. Its lock is held alone.
func (c *Cache) trash(name string) error {
	aside := trashBegin + rand.Text()
	if err := c.root.Rename(name, aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return c.root.RemoveAll(aside)
}

// discard removes an entry that is damaged, unless somebody uses it. Who finds that out at the
// same time is waited for.
func (c *Cache) discard(ctx context.Context, key string) error {
	waiting, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	l, err := c.wait(waiting, key, alone, func() bool { return !c.exists(key) || c.isVerified(key) })
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return scoring.Errorf(scoring.Unavailable, "the files in the artifact cache are damaged, and still in use")
	}
	if err != nil || l == nil {
		return err
	}
	defer l.unlock()
	if c.isVerified(key) { // somebody else fetched it again
		return nil
	}
	return c.trash(key)
}

// tidy removes what is broken, forgotten or too much.
func (c *Cache) tidy() error {
	names, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name.Name(), trashBegin) {
			err = errors.Join(err, c.root.RemoveAll(name.Name()))
		}
	}
	all, scanErr := c.scan()
	if err := errors.Join(err, scanErr); err != nil {
		return err
	}
	entries, bytes := 0, int64(0)
	for _, f := range all {
		kept, err := c.check(f)
		if err != nil {
			return err
		}
		if kept && !f.partial {
			entries++
			bytes += f.bytes
		}
	}
	c.log.Debug().Int("entries", entries).Int64("bytes", bytes).Msg("artifact cache opened")
	if err := c.tidyLocks(); err != nil {
		return err
	}
	if err := c.evict("", 0); scoring.CodeOf(err) != scoring.Unavailable { // what is in use stays
		return err
	}
	return nil
}

// check removes a folder that is of no use to anybody, and says whether it stayed.
func (c *Cache) check(f folder) (kept bool, err error) {
	reason := error(nil)
	switch {
	case f.partial && f.broken:
		reason = errDamaged
	case f.partial && time.Since(f.used) > forgotten:
		reason = errors.New("nobody went on with the download")
	case !f.partial:
		_, reason = c.whole(f.name)
	}
	if reason == nil {
		return true, nil
	}
	l, err := c.tryLock(f.key, alone)
	if err != nil || l == nil {
		return true, err
	}
	defer l.unlock()
	c.log.Warn().Err(reason).Str("key", f.key).Msg("cached files are removed")
	return false, c.trash(f.name)
}

// tidyLocks removes the lock files of what is not there any more.
func (c *Cache) tidyLocks() error {
	names, err := fs.ReadDir(c.root.FS(), locks)
	if err != nil {
		return err
	}
	for _, name := range names {
		is := func() bool { return c.exists(name.Name()) || c.exists(name.Name()+partialEnd) }
		if is() {
			continue
		}
		l, err := c.tryLock(name.Name(), alone)
		if err != nil {
			return err
		}
		if l == nil || is() { // somebody just began
			l.unlock()
			continue
		}
		if err := l.remove(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cache) exists(name string) bool {
	_, err := c.root.Stat(name)
	return err == nil
}
