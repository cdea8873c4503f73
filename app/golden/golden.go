// Package golden reads golden.json of a version, requests with the answers that the maker of
// the version measured, and holds a loaded version against them: proof that it answers here
// as it did there, with this library, on this machine. models/README.md describes the file.
package golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// File is the name of the file in the folder of a version.
const File = "golden.json"

const (
	// maxCases bounds the cases of a file: each is run whenever the version is checked.
	maxCases = 64
	// maxBytes bounds the file, with all files that its instances are in.
	maxBytes = 16 << 20
)

// Set is the golden inputs of a version. It does not change, and is safe for concurrent use.
type Set struct {
	// tolerance is how far a score may be from the expected one.
	tolerance float64
	cases     []golden
}

// golden is a request with its answer: an instance with entries, or inputs with outputs.
type golden struct {
	instance scoring.Instance
	// kind is what entries are: "class" or "match"; "" for a case on tensors.
	kind    string
	entries []entry

	inputs, outputs []scoring.Tensor
}

// document is golden.json. Its cases are read one by one, so that errors can name them.
type document struct {
	Tolerance *float64          `json:"tolerance"`
	Cases     []json.RawMessage `json:"cases"`
}

// Load reads golden.json among the files of a version, and the files that it names. It
// returns nil without an error where there is no golden.json. The error is an
// [scoring.Error] with code Invalid that names the case and what is wrong with it. A key
// that is not known is an error: a misspelt one would be an expectation that nobody checks.
func Load(files fs.FS) (*Set, error) {
	l := loader{files: files, left: maxBytes}
	text, err := l.read(File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no golden inputs is no fault
	}
	if err != nil {
		return nil, scoring.Errorf(scoring.Invalid, "%s", err)
	}
	s, err := l.set(text)
	if err != nil {
		return nil, scoring.Errorf(scoring.Invalid, "%s: %s", File, err)
	}
	return s, nil
}

// loader reads the files of a version.
type loader struct {
	files fs.FS
	// left is how many bytes may still be read.
	left int64
}

// read reads a file.
func (l *loader) read(name string) ([]byte, error) {
	f, err := l.files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, l.left+1))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	if l.left -= int64(len(data)); l.left < 0 {
		return nil, fmt.Errorf("%s is too large: want at most %d MiB with all files that %s names", name, maxBytes>>20, File)
	}
	return data, nil
}

// set reads golden.json.
func (l *loader) set(text []byte) (*Set, error) {
	var d document
	if err := strict(text, &d); err != nil {
		return nil, err
	}
	switch {
	case d.Tolerance == nil:
		return nil, errors.New("tolerance is missing: want how far a score may be from the expected one, such as 0.001")
	case *d.Tolerance < 0 || *d.Tolerance >= 1:
		return nil, fmt.Errorf("tolerance is %v: want 0 or more, and less than 1", *d.Tolerance)
	case len(d.Cases) == 0 || len(d.Cases) > maxCases:
		return nil, fmt.Errorf("there are %d cases: want 1 to %d", len(d.Cases), maxCases)
	}
	s := &Set{tolerance: *d.Tolerance}
	for i, raw := range d.Cases {
		g, err := l.golden(raw)
		if err != nil {
			return nil, fmt.Errorf("cases[%d]: %w", i, err)
		}
		s.cases = append(s.cases, g)
	}
	return s, nil
}

// strict reads a JSON value that fills all of text, and refuses keys that to does not have.
func strict(text []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(to)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("it is a JSON %s: want %s", kind.Value, words[kind.Type.Kind()])
	case errors.As(err, &kind):
		return fmt.Errorf("%q is a JSON %s: want %s", kind.Field, kind.Value, words[kind.Type.Kind()])
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not valid JSON: %w at offset %d", err, syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is not valid JSON: it ends before the value does")
	default:
		return errors.New(strings.Replace(strings.TrimPrefix(err.Error(), "json: "), "unknown field", "unknown key", 1))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it is not valid JSON: something follows the value")
	}
	return nil
}
