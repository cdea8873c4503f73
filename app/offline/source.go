package offline

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The formats of inputs and outputs.
const (
	JSONLines = "jsonl"
	CSV       = "csv"
	Parquet   = "parquet"
	Folder    = "folder"
)

// Formats of an input.
func Formats() []string { return []string{JSONLines, CSV, Parquet, Folder} }

// source reads rows.
type source interface {
	// next reads a row; io.EOF at the end. A row that cannot be read is one with an error.
	next() (raw, error)
	// skip passes over rows at the beginning.
	skip(rows int64) error
	// position and total are bytes of the input, or files.
	position() int64
	total() int64
	// print tells whether the input is another one.
	print() fingerprint
	close()
}

// fingerprint tells whether an input is another one, without reading all of it.
type fingerprint struct {
	Path     string `json:"path"`
	Format   string `json:"format"`
	Size     int64  `json:"size"`
	Modified string `json:"modified"`
	// Ends is the SHA-256 of the first and the last megabyte, or of a folder's names, sizes
	// and times.
	Ends string `json:"ends"`
}

// String tells which input it is; the SHA-256 shortened.
func (f fingerprint) String() string {
	return fmt.Sprintf("%s (%s, %d bytes, of %s, %.8s)", f.Path, f.Format, f.Size, f.Modified, f.Ends)
}

// openSource opens the input.
func openSource(o Options, m Model) (source, error) {
	info, err := os.Stat(o.Input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	format := o.InputFormat
	if format == "" && info.IsDir() {
		format = Folder
	}
	if format == "" {
		format = formatOf(o.Input)
	}
	switch {
	case !slices.Contains(Formats(), format):
		return nil, fmt.Errorf("input %s: its name does not say what it is: want .jsonl, .ndjson, .csv or .parquet, a folder of pictures, or --input-format", o.Input)
	case format == Folder != info.IsDir():
		return nil, fmt.Errorf("input %s: the format folder is for a folder of pictures, and no other format is", o.Input)
	case format == Folder && m.Pipeline != "image":
		return nil, fmt.Errorf("input %s: model %s does not take pictures", o.Input, m.ID)
	case format == Folder:
		return openFolder(o)
	}
	f, err := openInput(o.Input, format)
	if err != nil {
		return nil, err
	}
	switch format {
	case CSV:
		return newCSVSource(f, o, m)
	case Parquet:
		return newParquetSource(f, m)
	default:
		return &lines{input: f, reader: bufio.NewReaderSize(f, 1<<16), most: o.MaxRow}, nil
	}
}

// formatOf is the format that a name tells; "" if it tells none.
func formatOf(name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jsonl", ".ndjson":
		return JSONLines
	case ".csv":
		return CSV
	case ".parquet":
		return Parquet
	default:
		return ""
	}
}

// input is a file that is read, with the number of its bytes that were.
type input struct {
	file  *os.File
	mark  fingerprint
	count int64
}

func openInput(name, format string) (*input, error) {
	f, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	in := &input{file: f}
	if in.mark, err = printOf(f, name, format); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("input: %w", err)
	}
	return in, nil
}

// printOf reads the ends of a file.
func printOf(f *os.File, name, format string) (fingerprint, error) {
	const end = 1 << 20
	info, err := f.Stat()
	if err != nil {
		return fingerprint{}, err
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return fingerprint{}, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, io.NewSectionReader(f, 0, end))
	if err == nil {
		_, err = io.Copy(sum, io.NewSectionReader(f, max(0, info.Size()-end), end))
	}
	return fingerprint{path, format, info.Size(), info.ModTime().UTC().Format(timeForm), hex.EncodeToString(sum.Sum(nil))}, err
}

// timeForm keeps all digits of a time.
const timeForm = "2006-01-02T15:04:05.000000000Z07:00"

// Read implements io.Reader.
func (f *input) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.count += int64(n)
	return n, err
}

func (f *input) position() int64    { return f.count }
func (f *input) total() int64       { return f.mark.Size }
func (f *input) print() fingerprint { return f.mark }
func (f *input) close()             { _ = f.file.Close() }

// lines reads JSON lines. Blank ones are no rows.
type lines struct {
	*input

	reader *bufio.Reader
	most   int
}

func (l *lines) next() (raw, error) {
	for {
		line, long, err := l.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return raw{}, fmt.Errorf("read the input: %w", err)
		}
		line = bytes.TrimSpace(line)
		switch {
		case long:
			return raw{err: tooLarge("the line", l.most)}, nil
		case len(line) > 0:
			return raw{data: line}, nil
		case err != nil:
			return raw{}, io.EOF
		}
	}
}

// line reads a line; of one that is too long, it keeps nothing.
func (l *lines) line() (line []byte, long bool, err error) {
	for {
		part, err := l.reader.ReadSlice('\n')
		if !long {
			line = append(line, part...)
		}
		if len(line) > l.most+1 {
			long, line = true, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, long, err
		}
	}
}

func (l *lines) skip(rows int64) error { return skip(l, rows) }

// skip reads rows and forgets them.
func skip(s source, rows int64) error {
	for range rows {
		if _, err := s.next(); err != nil {
			return err
		}
	}
	return nil
}
