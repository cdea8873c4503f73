package offline

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/onda-serving/onda/app/scoring"
)

// groupRows is how many rows a row group of Parquet has: what is in memory at once.
const groupRows = 50_000

// convert makes Parquet of the part, row group by row group.
func (s *sink) convert(name string) error {
	t, ok := s.encoder.(*table)
	if !ok {
		return errors.New("the output is no table")
	}
	if _, err := s.part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // beside the user's own file
	if err != nil {
		return err
	}
	return errors.Join(toParquet(f, s.part, t.columns()), f.Sync(), f.Close())
}

// toParquet reads CSV with a header and writes Parquet. Empty cells are nulls.
func toParquet(to io.Writer, from io.Reader, columns []column) error {
	fields := parquet.Group{}
	for _, c := range columns {
		fields[c.name] = parquet.Optional(parquet.Leaf(typeOf(c.datatype)))
	}
	schema := parquet.NewSchema("onda", fields)
	var leaves []int // of the columns: a group has them by name
	for _, c := range columns {
		leaf, _ := schema.Lookup(c.name)
		leaves = append(leaves, leaf.ColumnIndex)
	}
	writer := parquet.NewWriter(to, schema, parquet.MaxRowsPerRowGroup(groupRows), parquet.Compression(&parquet.Zstd), parquet.CreatedBy("onda", "", ""))
	reader := csv.NewReader(from)
	reader.ReuseRecord = true
	if _, err := reader.Read(); err != nil {
		return err
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return writer.Close()
		}
		if err != nil {
			return err
		}
		row := make(parquet.Row, len(columns))
		for i, c := range columns {
			value, level := valueIn(record[i], c.datatype), 1
			if value.IsNull() {
				level = 0
			}
			row[leaves[i]] = value.Level(0, level, leaves[i])
		}
		if _, err := writer.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
	}
}

// typeOf is the type of a column.
func typeOf(d scoring.Datatype) parquet.Type {
	switch d {
	case scoring.Bytes:
		return parquet.String().Type()
	case scoring.Bool:
		return parquet.BooleanType
	case scoring.FP32:
		return parquet.FloatType
	case scoring.FP64:
		return parquet.DoubleType
	case scoring.Uint64:
		return parquet.Uint(64).Type()
	default:
		return parquet.Int64Type
	}
}

// valueIn is the value of a cell; null for one that has none, such as the score of an error.
func valueIn(cell string, d scoring.Datatype) parquet.Value {
	if cell == "" {
		return parquet.NullValue()
	}
	switch d {
	case scoring.Bytes:
		return parquet.ByteArrayValue([]byte(cell))
	case scoring.Bool:
		return parquet.BooleanValue(cell == "true")
	case scoring.FP32:
		f, _ := strconv.ParseFloat(cell, 32)
		return parquet.FloatValue(float32(f))
	case scoring.FP64:
		f, _ := strconv.ParseFloat(cell, 64)
		return parquet.DoubleValue(f)
	case scoring.Uint64:
		n, _ := strconv.ParseUint(cell, 10, 64)
		return parquet.Int64Value(int64(n))
	default:
		n, _ := strconv.ParseInt(cell, 10, 64)
		return parquet.Int64Value(n)
	}
}
