package offline

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/onda-serving/onda/app/scoring"
)

// csvSource reads CSV with a header. A row becomes an object, with the header's names.
type csvSource struct {
	*input

	reader *csv.Reader
	limit  *limited
	header []string
	// quoted columns are texts, others are JSON where they can be. Some are not wanted.
	quoted, wanted []bool
	most           int
}

// limited ends the reading of a record that never ends, such as one with a quote that nobody
// closed: it would take the whole file into memory.
type limited struct {
	input *input
	left  int
}

var errRecord = errors.New("a record is too long: is there a quote that is not closed?")

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRecord
	}
	n, err := l.input.Read(p)
	l.left -= n
	return n, err
}

func newCSVSource(f *input, o Options, m Model) (*csvSource, error) {
	limit := &limited{f, o.MaxRow}
	s := &csvSource{input: f, reader: csv.NewReader(limit), limit: limit, most: o.MaxRow}
	header, err := s.reader.Read()
	if err != nil {
		f.close()
		return nil, fmt.Errorf("input: the CSV has no header: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // which spreadsheets write
	s.header = header
	for _, name := range header {
		s.quoted = append(s.quoted, isText(m, name))
		s.wanted = append(s.wanted, wanted(m, name))
	}
	if err := checkColumns(m, header); err != nil {
		f.close()
		return nil, fmt.Errorf("input %s: %w", o.Input, err)
	}
	return s, nil
}

// isText says whether a column holds texts.
func isText(m Model, name string) bool {
	for _, spec := range m.Signature.Inputs {
		if m.Pipeline == "none" && spec.Name == name {
			return spec.Datatype == scoring.Bytes
		}
	}
	return true
}

// checkColumns finds a table that is not for this model before its first row is scored.
func checkColumns(m Model, names []string) error {
	has := map[string]bool{}
	for _, name := range names {
		if has[name] && wanted(m, name) {
			return fmt.Errorf("there are two columns %q", name)
		}
		has[name] = true
	}
	var missing []string
	switch m.Pipeline {
	case "none":
		for _, spec := range m.Signature.Inputs {
			if !has[spec.Name] {
				missing = append(missing, spec.Name)
			}
		}
	case "text":
		if !has["text"] {
			missing = []string{"text"}
		}
	default:
		if !has["b64"] {
			missing = []string{"b64"}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the column %s is missing: model %s needs it, and the header has %s", strings.Join(missing, ", "), m.ID, columnNames(names))
	}
	return nil
}

// columnNames names columns to people, and not all of very many.
func columnNames(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// wanted says whether a column is one that a row is made of; others are passed over.
func wanted(m Model, name string) bool {
	switch {
	case name == "id":
		return true
	case m.Pipeline == "none":
		return slices.ContainsFunc(m.Signature.Inputs, func(s scoring.TensorSpec) bool { return s.Name == name })
	case m.Pipeline == "text":
		return name == "text"
	default:
		return name == "b64"
	}
}

func (s *csvSource) next() (raw, error) {
	s.limit.left = s.most
	record, err := s.reader.Read()
	var broken *csv.ParseError
	switch {
	case errors.Is(err, errRecord), err != nil && !errors.As(err, &broken) && !errors.Is(err, io.EOF):
		return raw{}, fmt.Errorf("read the input: %w", err)
	case errors.Is(err, io.EOF):
		return raw{}, io.EOF
	case err != nil:
		return raw{err: unreadable("line %d of the CSV, column %d: %v", broken.Line, broken.Column, broken.Err)}, nil //nolint:nilerr // the row has the error
	}
	fields := map[string]json.RawMessage{}
	for i, cell := range record {
		if !s.wanted[i] {
			continue
		}
		if !utf8.ValidString(cell) {
			return raw{err: notText(s.header[i])}, nil
		}
		fields[s.header[i]] = cellOf(cell, s.quoted[i])
	}
	return object(fields)
}

// notText refuses what JSON would have other characters in the place of.
func notText(column string) *scoring.Error {
	return unreadable("the column %q is not valid UTF-8: save the file with that encoding", column)
}

// cellOf is a cell as JSON. An empty one has no value, unless it is a text.
func cellOf(cell string, text bool) json.RawMessage {
	trimmed := strings.TrimSpace(cell)
	switch {
	case text:
	case trimmed == "":
		return json.RawMessage("null")
	case strings.EqualFold(trimmed, "true"), strings.EqualFold(trimmed, "false"):
		return json.RawMessage(strings.ToLower(trimmed))
	case json.Valid([]byte(trimmed)):
		return json.RawMessage(trimmed)
	}
	quoted, err := json.Marshal(cell)
	if err != nil {
		return json.RawMessage("null")
	}
	return quoted
}

// object is a row with named values.
func object(fields map[string]json.RawMessage) (raw, error) {
	data, err := json.Marshal(fields)
	if err != nil {
		return raw{err: unreadable("the row cannot be read")}, nil //nolint:nilerr // the row has the error
	}
	return raw{data: data}, nil
}

func (s *csvSource) skip(rows int64) error { return skip(s, rows) }

// parquetSource reads Parquet. A row becomes an object; a list becomes an array.
type parquetSource struct {
	*input

	reader  *parquet.GenericReader[any]
	columns []parquetColumn
	rows    []parquet.Row
	at      int64
}

// parquetColumn is a leaf of the schema.
type parquetColumn struct {
	name                   string
	list, wanted, unsigned bool
}

func newParquetSource(f *input, m Model) (*parquetSource, error) {
	file, err := parquet.OpenFile(f.file, f.mark.Size)
	if err != nil {
		f.close()
		return nil, fmt.Errorf("input: not a Parquet file: %w", err)
	}
	s := &parquetSource{input: f, reader: parquet.NewGenericReader[any](file), rows: make([]parquet.Row, 1)}
	var names []string
	for _, path := range file.Schema().Columns() {
		leaf, _ := file.Schema().Lookup(path...)
		c := parquetColumn{name: path[0], list: leaf.MaxRepetitionLevel > 0, wanted: wanted(m, path[0])}
		decimal := false
		if logical := leaf.Node.Type().LogicalType(); logical != nil {
			if integer, is := logical.Value.(*format.IntType); is {
				c.unsigned = !integer.IsSigned
			}
			_, decimal = logical.Value.(*format.DecimalType)
		}
		if decimal && c.wanted {
			s.close()
			return nil, fmt.Errorf("input %s: the column %q holds decimals: save them as floating-point numbers", f.mark.Path, c.name)
		}
		s.columns = append(s.columns, c)
		names = append(names, path[0])
	}
	if err := checkColumns(m, names); err != nil {
		s.close()
		return nil, fmt.Errorf("input %s: %w", f.mark.Path, err)
	}
	return s, nil
}

func (s *parquetSource) next() (raw, error) {
	n, err := s.reader.ReadRows(s.rows)
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			return raw{}, io.EOF
		}
		return raw{}, fmt.Errorf("read the input: %w", err)
	}
	s.at++
	fields := map[string]json.RawMessage{}
	for _, value := range s.rows[0] {
		column := s.columns[value.Column()]
		switch {
		case !column.wanted:
		case value.Kind() == parquet.ByteArray && !utf8.Valid(value.ByteArray()):
			return raw{err: notText(column.name)}, nil
		case column.list && len(fields[column.name]) > 0:
			list := fields[column.name]
			fields[column.name] = append(append(list[:len(list)-1], ','), append(valueOf(value, column.unsigned), ']')...)
		case column.list && value.IsNull():
			fields[column.name] = json.RawMessage("[]")
		case column.list:
			fields[column.name] = append(append(json.RawMessage{'['}, valueOf(value, column.unsigned)...), ']')
		default:
			fields[column.name] = valueOf(value, column.unsigned)
		}
	}
	return object(fields)
}

// valueOf is a value as JSON; null for one that JSON does not have.
func valueOf(v parquet.Value, unsigned bool) json.RawMessage {
	if v.IsNull() {
		return json.RawMessage("null")
	}
	var text any
	switch v.Kind() {
	case parquet.Boolean:
		text = v.Boolean()
	case parquet.Int32:
		text = v.Int32()
		if unsigned {
			text = v.Uint32()
		}
	case parquet.Int64:
		if unsigned {
			text = v.Uint64()
			break
		}
		text = v.Int64()
	case parquet.Float:
		text = v.Float()
	case parquet.Double:
		text = v.Double()
	case parquet.ByteArray, parquet.FixedLenByteArray:
		text = string(v.ByteArray())
	default:
		return json.RawMessage("null")
	}
	data, err := json.Marshal(text)
	if err != nil { // not a number, or infinite
		return json.RawMessage(strconv.Quote(v.String()))
	}
	return data
}

func (s *parquetSource) skip(rows int64) error {
	s.at = rows
	return s.reader.SeekToRow(rows)
}

// position is in bytes like the total, by the share of the rows.
func (s *parquetSource) position() int64 {
	return int64(float64(s.total()) * float64(s.at) / float64(max(s.reader.NumRows(), 1)))
}

func (s *parquetSource) close() {
	_ = s.reader.Close()
	s.input.close()
}
