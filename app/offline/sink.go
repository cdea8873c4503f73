package offline

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// sink writes the part and its journal.
type sink struct {
	output  string
	format  string // of the output
	encoder encoder
	part    *os.File
	journal journal
	buffer  []byte
	// done is the number of bytes of the part, with what is not on disk yet.
	done int64
	kept journal // the journal on disk
}

// openSink opens the part where an earlier run stopped, or a new one.
func openSink(o Options, m Model, input fingerprint) (*sink, error) {
	format := formatOf(o.Output)
	if format == "" {
		return nil, fmt.Errorf("output %s: its name does not say what to write: want .jsonl, .ndjson, .csv or .parquet at its end", o.Output)
	}
	s := &sink{output: o.Output, format: format, journal: journal{
		Input: input, Model: m.ID.String(), Digest: m.ID.Digest, Engine: m.Engine,
		Options: settings{Format: format, Batch: o.Batch, TopK: o.TopK, MaxRow: o.MaxRow, MaxInstances: o.MaxInstances},
	}}
	s.encoder = jsonEncoder{}
	if format != JSONLines {
		table, err := newTable(m, input.Format == Folder)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Output, err)
		}
		s.encoder = table
	}
	if err := checkOutput(o); err != nil {
		return nil, fmt.Errorf("output %s: %w", o.Output, err)
	}
	if err := s.open(o.Restart); err != nil {
		s.close()
		return nil, fmt.Errorf("output: %w", err)
	}
	return s, nil
}

// checkOutput refuses to replace a file that nobody said to replace, and the input in any case.
func checkOutput(o Options) error {
	there, err := os.Stat(o.Output)
	if err != nil {
		return nil //nolint:nilerr // where there is no file there is none to replace
	}
	if in, err := os.Stat(o.Input); err == nil && os.SameFile(in, there) {
		return errors.New("it is the input: choose another name")
	}
	if there.IsDir() {
		return errors.New("it is a folder: want the name of a file to write")
	}
	if !o.Restart {
		return errors.New("there is such a file: choose another name, or --restart to replace it")
	}
	return nil
}

func (s *sink) partName() string    { return s.output + ".part" }
func (s *sink) journalName() string { return s.output + ".progress" }

// open opens the part, and cuts off what the journal does not count. Nothing is read or changed
// before the part is ours alone.
func (s *sink) open(restart bool) (err error) {
	if s.part, err = os.OpenFile(s.partName(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := s.claim(restart); err != nil {
		return err
	}
	var was journal
	var ok bool
	if !restart {
		if was, ok, err = readJournal(s.journalName()); err != nil {
			return err
		}
	}
	if ok {
		if text := s.journal.differences(was); text != "" {
			return fmt.Errorf("%s is of another run: %s. --restart starts over", s.journalName(), text)
		}
		s.journal = was
	}
	info, err := s.part.Stat()
	if err != nil {
		return err
	}
	if info.Size() < s.journal.Bytes {
		return fmt.Errorf("%s has %d bytes, and %s counts %d: --restart starts over", s.partName(), info.Size(), s.journalName(), s.journal.Bytes)
	}
	if err := s.part.Truncate(s.journal.Bytes); err != nil {
		return err
	}
	s.done = s.journal.Bytes
	_, err = s.part.Seek(s.done, io.SeekStart)
	return errors.Join(err, s.begin())
}

// begin writes what stands before the first row. The first journal is there before any row, so
// that a part is never without the journal that says whose it is.
func (s *sink) begin() error {
	if s.done == 0 {
		if err := s.put(s.encoder.header(nil)); err != nil {
			return err
		}
		s.journal.Bytes = s.done
	}
	return s.save()
}

func (s *sink) put(data []byte) error {
	n, err := s.part.Write(data)
	s.done += int64(n)
	return err
}

// write adds a group, whose first row has the number first. It returns how many rows failed.
func (s *sink) write(first int64, results []result) (failed int64, err error) {
	s.buffer = s.buffer[:0]
	for i := range results {
		var ok bool
		if s.buffer, ok = s.encoder.row(s.buffer, first+int64(i), &results[i]); !ok {
			failed++
		}
	}
	if err := s.put(s.buffer); err != nil {
		return failed, fmt.Errorf("write the output: %w", err)
	}
	s.journal.Rows += int64(len(results))
	s.journal.Errors += failed
	s.journal.Bytes = s.done
	return failed, nil
}

// save puts the part and then its journal on disk. What was written of a group in vain, on a disk
// that is full, is not counted.
func (s *sink) save() error {
	if s.journal == s.kept {
		return nil
	}
	if err := s.part.Sync(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	if err := s.journal.write(s.journalName()); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	s.kept = s.journal
	return nil
}

// finish makes the output of the part. Killed in here, the next run comes here again.
func (s *sink) finish() error {
	if err := s.save(); err != nil {
		return err
	}
	whole := s.partName()
	if s.format == Parquet {
		whole = s.output + ".parquet.part"
		if err := s.convert(whole); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	}
	err := os.Rename(whole, s.output)
	if err == nil {
		err = syncFolder(s.output)
	}
	if err == nil && whole != s.partName() {
		err = os.Remove(s.partName())
	}
	if err == nil {
		err = os.Remove(s.journalName())
	}
	return err
}

func (s *sink) close() {
	if s.part != nil {
		_ = s.part.Close()
	}
}
