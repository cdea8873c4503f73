package diskcache

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/scoring"
)

// maxNoteBytes bounds a note.
const maxNoteBytes = 1 << 20

// Note keeps a small record beside an entry, such as what was measured of it, under a name
// like that of a model. It goes when the entry does. The error is fs.ErrNotExist where there
// is no such entry.
func (c *Cache) Note(key, name string, data []byte) error {
	if len(data) > maxNoteBytes {
		return fmt.Errorf("note %s: %d bytes: at most %d are allowed", name, len(data), maxNoteBytes)
	}
	return c.withNote(key, name, func(file string) error {
		if err := c.root.MkdirAll(path.Dir(file), 0o700); err != nil {
			return err
		}
		return c.writeFile(file, data)
	})
}

// ReadNote gives what [Cache.Note] kept. The error is fs.ErrNotExist where there is no such
// entry, or no such note.
func (c *Cache) ReadNote(key, name string) (data []byte, err error) {
	err = c.withNote(key, name, func(file string) error {
		data, err = c.root.ReadFile(file)
		return err
	})
	return data, err
}

// withNote does something with the file of a note while its entry stays.
func (c *Cache) withNote(key, name string, do func(file string) error) error {
	if err := blobs.CheckSum(key); err != nil {
		return err
	}
	if err := scoring.CheckName("note", name); err != nil {
		return err
	}
	missing := &fs.PathError{Op: "note", Path: name, Err: fs.ErrNotExist}
	if !c.exists(key) {
		return missing
	}
	// Whoever holds the lock of an entry that is there has it for moments only.
	l, err := c.wait(context.Background(), key, shared, func() bool { return !c.exists(key) })
	if err != nil {
		return err
	}
	defer l.unlock()
	if !c.exists(key) {
		return missing
	}
	return do(path.Join(key, notesName, name))
}
