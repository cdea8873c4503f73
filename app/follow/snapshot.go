package follow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/onda-serving/onda/app/catalog"
)

// snapshot is the file that keeps the documents for the next start.
type snapshot struct {
	// Documents as the state store had them.
	Documents []json.RawMessage `json:"documents"`
}

// ReadSnapshot follows the documents that the replica followed when it last ran. A document
// that is newer by now replaces them as soon as the state store answers.
func (f *Follower) ReadSnapshot() error {
	if f.config.Snapshot == "" {
		return nil
	}
	data, err := os.ReadFile(f.config.Snapshot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the registry's snapshot: %w", err)
	}
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("read the registry's snapshot %s: %w", f.config.Snapshot, err)
	}
	var errs []error
	for _, text := range s.Documents {
		doc, err := catalog.Decode(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("read the registry's snapshot %s: %w", f.config.Snapshot, err))
			continue
		}
		f.Follow(doc)
	}
	f.mu.Lock()
	f.remembered = len(s.Documents) > len(errs)
	f.mu.Unlock()
	return errors.Join(errs...)
}

// writeSnapshot keeps the documents, if one changed since the last time, or if that could not
// be written. What is in the file is whole at any moment: a new file takes the old one's place.
func (f *Follower) writeSnapshot() {
	data, err := f.snapshot()
	if err == nil && data != nil {
		err = replaceFile(f.config.Snapshot, data)
	}
	f.mu.Lock()
	f.unwritten = f.unwritten || err != nil
	news := err != nil && !f.unwritable
	f.unwritable = err != nil
	f.mu.Unlock()
	if news {
		f.config.Log.Warn().Err(err).Str("file", f.config.Snapshot).Msg("the registry's snapshot could not be written: a restart while the state store is away would have to wait for it")
	}
}

func (f *Follower) snapshot() ([]byte, error) {
	var s snapshot
	for _, doc := range f.changedDocuments() {
		text, err := json.Marshal(doc)
		if err != nil {
			return nil, err
		}
		s.Documents = append(s.Documents, text)
	}
	if s.Documents == nil {
		return nil, nil
	}
	return json.Marshal(s)
}

// changedDocuments lists all documents if one of them is not in the snapshot.
func (f *Follower) changedDocuments() (docs []*catalog.Model) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.config.Snapshot == "" || !f.unwritten {
		return nil
	}
	f.unwritten = false
	for _, name := range slices.Sorted(maps.Keys(f.models)) {
		docs = append(docs, f.models[name].doc)
	}
	return docs
}

func replaceFile(name string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // gone already where all went well
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
