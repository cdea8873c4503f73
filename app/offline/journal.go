package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// journal says what an earlier run of the same command did. It stands beside the output.
type journal struct {
	// What must be the same for a run to go on.
	Input   fingerprint `json:"input"`
	Model   string      `json:"model"`
	Digest  string      `json:"digest"`
	Engine  string      `json:"engine"`
	Options settings    `json:"options"`

	// Rows that are in the part, whole groups only, and those among them that failed.
	Rows   int64 `json:"rows"`
	Errors int64 `json:"errors"`
	// Bytes of the part that are complete.
	Bytes int64 `json:"bytes"`
}

// settings are the options that are in the bytes of the output.
type settings struct {
	Format       string `json:"format"`
	Batch        int    `json:"batch"`
	TopK         int    `json:"top_k"`
	MaxRow       int    `json:"max_row"`
	MaxInstances int    `json:"max_instances"`
}

// String names the options that decide the bytes, as the command line and the settings have them.
func (s settings) String() string {
	return fmt.Sprintf("%s, --batch %d, --top-k %d, ONDA_MAX_BODY %d, ONDA_MAX_INSTANCES %d", s.Format, s.Batch, s.TopK, s.MaxRow, s.MaxInstances)
}

// differences says what is another than it was.
func (j journal) differences(was journal) string {
	var all []string
	for _, part := range []struct{ what, was, is string }{
		{"the input", was.Input.String(), j.Input.String()},
		{"the model", was.Model + " " + was.Digest, j.Model + " " + j.Digest},
		{"the engine", was.Engine, j.Engine},
		{"the options", was.Options.String(), j.Options.String()},
	} {
		if part.was != part.is {
			all = append(all, fmt.Sprintf("%s was %s and is %s", part.what, part.was, part.is))
		}
	}
	return strings.Join(all, "; ")
}

// readJournal reads a journal; it is not ok where there is none.
func readJournal(name string) (j journal, ok bool, err error) {
	data, err := os.ReadFile(name) //nolint:gosec // beside the user's own file
	if errors.Is(err, fs.ErrNotExist) {
		return j, false, nil
	}
	if err == nil {
		j, err = parseJournal(data)
	}
	if err != nil {
		return j, false, fmt.Errorf("%s: %w: --restart starts over", name, err)
	}
	return j, true, nil
}

func parseJournal(data []byte) (j journal, err error) {
	if err := json.Unmarshal(data, &j); err != nil {
		return j, err
	}
	if j.Rows < 0 || j.Bytes < 0 || j.Errors < 0 || j.Errors > j.Rows {
		return j, errors.New("its numbers cannot be")
	}
	return j, nil
}

// write replaces the journal in one step, and returns when it is on disk.
func (j journal) write(name string) error {
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	next := name + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // beside the user's own file
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, name); err != nil {
		return err
	}
	return syncFolder(name)
}

// syncFolder puts the names of a folder on disk: a file whose name is lost is lost.
func syncFolder(name string) error {
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
