package diskcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"time"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

const (
	// tries is how often in a row a file is asked for without getting on.
	tries = 5
	// pause is the time before the second try; it doubles with each one more.
	pause = 500 * time.Millisecond
	// progressBytes is what a try must bring to count as getting on.
	progressBytes = 1 << 20
	// patience is how long a source may bring nothing.
	patience = 30 * time.Second
	// chunk is how much is read at once.
	chunk = 256 << 10
)

var (
	errStalled = fmt.Errorf("nothing came for %s", patience)
	errDisk    = errors.New("write")
)

// download fetches the files of an entry into its partial folder.
type download struct {
	entry    *entry
	open     func(context.Context) (blobs.Source, error)
	progress func(done, total int64)

	source blobs.Source // nil before it is needed
	done   int64
}

// tell adds to what is there.
func (d *download) tell(n int64) {
	d.done += n
	if d.progress != nil {
		d.progress(d.done, d.entry.record.Bytes)
	}
}

func (d *download) close() {
	if d.source != nil {
		_ = d.source.Close() // what was read of it was checked
	}
}

// target is a file that is being fetched.
type target struct {
	name string
	want catalog.File
	f    *os.File
	hash hash.Hash // of what is there
	size int64     // that is there
}

// file fetches one file, and goes on with what is there of it.
func (d *download) file(ctx context.Context, name string, want catalog.File) error {
	root, place := d.entry.cache.root, path.Join(d.entry.partial(), filesName, name)
	if err := root.MkdirAll(path.Dir(place), 0o700); err != nil {
		return d.disk(err)
	}
	f, err := root.OpenFile(place, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return d.disk(err)
	}
	t := &target{name: name, want: want, f: f, hash: sha256.New()}
	if err := d.fill(ctx, t); err != nil {
		err = errors.Join(err, f.Close())
		if scoring.CodeOf(err) == scoring.Invalid { // no later download shall begin with it
			err = errors.Join(err, root.Remove(place))
		}
		return err
	}
	if err := f.Sync(); err != nil {
		return d.disk(errors.Join(err, f.Close()))
	}
	return d.disk(f.Close())
}

func (d *download) disk(err error) error { return diskError(err, d.entry.record.Bytes) }

// fill completes the file and compares its sum. Where the sum is wrong and the file was begun
// by another download, that may have been damaged: it is fetched once more from its start.
func (d *download) fill(ctx context.Context, t *target) error {
	if err := d.resume(ctx, t); err != nil {
		return err
	}
	for begun := t.size; ; begun = 0 {
		if err := d.stream(ctx, t); err != nil {
			if begun == 0 || scoring.CodeOf(err) != scoring.Invalid {
				return err
			}
		} else if hex.EncodeToString(t.hash.Sum(nil)) == t.want.SHA256 {
			return nil
		} else if begun == 0 {
			return scoring.Errorf(scoring.Invalid, "file %q: the SHA-256 of what was fetched is %x, the version says %s: it was changed or damaged where it is kept", t.name, t.hash.Sum(nil), t.want.SHA256)
		}
		d.tell(-t.size)
		if err := t.reset(); err != nil {
			return d.disk(err)
		}
	}
}

// resume takes up what is there of the file.
func (d *download) resume(ctx context.Context, t *target) error {
	n, err := io.Copy(t.hash, untilEnded{ctx, io.LimitReader(t.f, t.want.Size+1)})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || n > t.want.Size {
		return d.disk(t.reset())
	}
	t.size = n
	d.tell(n)
	return nil
}

// reset empties the file.
func (t *target) reset() error {
	t.size = 0
	t.hash.Reset()
	_, err := t.f.Seek(0, io.SeekStart)
	return errors.Join(err, t.f.Truncate(0))
}

// Write writes to the file.
func (t *target) Write(p []byte) (int, error) {
	n, err := t.f.Write(p)
	t.size += int64(n)
	_, _ = t.hash.Write(p[:n]) // a hash takes everything
	if err != nil {
		return n, fmt.Errorf("%w: %w", errDisk, err)
	}
	return n, nil
}

// stream reads the file to its end, again and again where the source breaks off.
func (d *download) stream(ctx context.Context, t *target) error {
	for try, wait, mark := 1, pause, t.size; t.size < t.want.Size; try, wait = try+1, 2*wait {
		err := d.attempt(ctx, t)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errDisk):
			return d.disk(err)
		case ctx.Err() != nil:
			return t.ended(ctx, err)
		case !mayHelp(err):
			return err
		}
		if t.size-mark >= progressBytes {
			try, wait, mark = 0, pause/2, t.size
			continue
		}
		if try == tries {
			return t.givenUp(err)
		}
		d.entry.cache.log.Warn().Err(err).Str("file", t.name).Int64("byte", t.size).Int("try", try).Dur("pause", wait).Msg("a download broke off and goes on")
		select {
		case <-ctx.Done():
			return t.ended(ctx, err)
		case <-time.After(wait):
		}
	}
	return nil
}

// ended is the error of a caller whose time is up, or who left.
func (t *target) ended(ctx context.Context, err error) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return scoring.Errorf(scoring.Unavailable, "file %q: the time given ended at byte %d of %d: the next try goes on there", t.name, t.size, t.want.Size).WithCause(err)
}

// givenUp is the error after the last try.
func (t *target) givenUp(err error) error {
	if _, ok := errors.AsType[*scoring.Error](err); ok {
		return err
	}
	return scoring.Errorf(scoring.Unavailable, "file %q: the download broke off at byte %d of %d, %d times in a row", t.name, t.size, t.want.Size, tries).WithCause(err)
}

// mayHelp says whether another try can succeed where this one failed.
func mayHelp(err error) bool {
	known, ok := errors.AsType[*scoring.Error](err)
	if !ok {
		return true // the connection's
	}
	return known.Code == scoring.Unavailable || known.Code == scoring.Overloaded || known.Code == scoring.Internal
}

// attempt reads from where the file ends until it is complete, or something fails.
func (d *download) attempt(ctx context.Context, t *target) error {
	if d.source == nil {
		source, err := d.open(ctx)
		if err != nil {
			return err
		}
		d.source = source
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(patience, func() { cancel(errStalled) })
	defer idle.Stop()
	err := d.read(ctx, t, func() { idle.Reset(patience) })
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return scoring.Errorf(scoring.Unavailable, "file %q: the source is silent: nothing came for %s", t.name, patience).WithCause(err)
	}
	return err
}

// read copies what the source has, and calls alive whenever something came.
func (d *download) read(ctx context.Context, t *target, alive func()) error {
	r, err := d.source.Open(ctx, t.name, t.size)
	if err != nil {
		return err
	}
	defer r.Close()
	buffer := make([]byte, chunk)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			alive()
		}
		if t.size+int64(n) > t.want.Size {
			return scoring.Errorf(scoring.Invalid, "file %q: it has more than the %d bytes that the version says", t.name, t.want.Size)
		}
		if _, err := t.Write(buffer[:n]); err != nil {
			return err
		}
		if n > 0 {
			d.tell(int64(n))
		}
		switch {
		case errors.Is(err, io.EOF) && t.size < t.want.Size:
			return scoring.Errorf(scoring.Invalid, "file %q: it has %d bytes, the version says %d", t.name, t.size, t.want.Size)
		case err != nil && t.size < t.want.Size:
			return fmt.Errorf("read %s: %w", t.name, err)
		case err != nil: // it is complete; its sum says whether it is right
			return nil
		}
	}
}
