package supply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/verify"
)

// checkedFolder holds a file for each version that passed its trial.
const checkedFolder = "checked"

// newBegin is how the name of a file begins that is not whole yet.
const newBegin = "new-"

// Check implements registry.Checker. A version that passed is not tried again with the same
// files, runtime and device; one that failed is, because the cause may be mended.
func (s *Supply) Check(ctx context.Context, ref artifact.Ref, v catalog.Version) error {
	_, err := s.Inspect(ctx, ref, v)
	return err
}

// Inspect checks a version in a process of its own and says what it is.
func (s *Supply) Inspect(ctx context.Context, ref artifact.Ref, v catalog.Version) (verify.Report, error) {
	note, err := s.noteOf(ref, v)
	if err != nil {
		return verify.Report{}, err
	}
	var report verify.Report
	if text, err := os.ReadFile(note); err == nil && json.Unmarshal(text, &report) == nil { //nolint:gosec // its name is a digest
		return report, nil
	}
	if s.config.Child == nil {
		return verify.Report{}, noChild()
	}
	if report, err = s.config.Child.Check(ctx, ref); err != nil {
		return verify.Report{}, err
	}
	if v.Digest == "" { // it is about to be registered, and will have that of its files
		v.Digest = report.Digest
		if note, err = s.noteOf(ref, v); err != nil {
			return verify.Report{}, err
		}
	}
	s.remember(note, report)
	return report, nil
}

// remember notes that a version passed. A note that cannot be written costs another trial.
func (s *Supply) remember(note string, report verify.Report) {
	text, err := json.Marshal(report)
	if err == nil {
		err = replaceFile(note, text)
	}
	if err != nil {
		s.config.Log.Warn().Err(err).Msg("that a version passed its trial could not be noted: it is tried again at the next start")
	}
}

// replaceFile writes a file that is whole at any moment, whoever else writes it.
func replaceFile(name string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), newBegin+"*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already where all went well
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// noteOf names the file that says that a version passed: by everything that decides how it
// answers.
func (s *Supply) noteOf(ref artifact.Ref, v catalog.Version) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%s\n%s\n%s\n%s@%d\n", v.Digest, diskcacheKey(v), s.config.Runtime, s.config.Device, ref.Name, ref.Version)
	for _, name := range []string{filepath.Join(ref.Dir, "model.yaml"), filepath.Join(ref.Dir, "..", "config.pbtxt")} {
		text, err := os.ReadFile(name) //nolint:gosec // it lies in a folder of models
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read the files of %s: %w", ref, err)
		}
		fmt.Fprintf(hash, "%d\n%s\n", len(text), text)
	}
	return filepath.Join(s.dir, checkedFolder, hex.EncodeToString(hash.Sum(nil))+".json"), nil
}
