package offline

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// encoder writes results.
type encoder interface {
	// header appends what stands before the first row.
	header(to []byte) []byte
	// row appends a row; it is not ok where that is an error.
	row(to []byte, n int64, r *result) (line []byte, ok bool)
}

// jsonEncoder writes JSON lines.
type jsonEncoder struct{}

func (jsonEncoder) header(to []byte) []byte { return to }

// line is a line of the output.
type line struct {
	Row         int64                `json:"row,omitempty"`
	File        string               `json:"file,omitempty"`
	ID          string               `json:"id,omitempty"`
	Predictions []scoring.Prediction `json:"predictions,omitempty"`
	Outputs     json.RawMessage      `json:"outputs,omitempty"`
	Error       *failure             `json:"error,omitempty"`
}

// failure is the error of a row.
type failure struct {
	Code  string `json:"code"`
	Error string `json:"error"`
}

func (jsonEncoder) row(to []byte, n int64, r *result) ([]byte, bool) {
	l := line{Row: n, File: r.file, ID: r.id, Predictions: r.predictions}
	if r.file != "" {
		l.Row = 0
	}
	err := error(r.err)
	if r.err == nil {
		err = nil
		if r.outputs != nil {
			l.Outputs, err = outputsOf(r.outputs)
		}
	}
	if err == nil {
		var data []byte
		if data, err = wire.Marshal(l); err == nil {
			return append(append(to, data...), '\n'), true
		}
	}
	e := scoring.AsError(err)
	data, err := wire.Marshal(line{Row: l.Row, File: l.File, ID: l.ID, Error: &failure{e.Code.String(), e.Message}})
	if err != nil {
		data = []byte(`{"error":{"code":"Internal","error":"internal error"}}`)
	}
	return append(append(to, data...), '\n'), false
}

// outputsOf is the list of outputs as the Open Inference Protocol has it.
func outputsOf(outputs []scoring.Tensor) (json.RawMessage, error) {
	body, err := wire.EncodeInfer(&scoring.InferResponse{Outputs: outputs})
	if err != nil {
		return nil, err
	}
	const key = `,"outputs":`
	at := bytes.Index(body, []byte(key)) // its first place: nothing before it is anybody's text
	return body[at+len(key) : len(body)-1], nil
}

// table writes CSV: the best class or match of an instance, or the outputs of a model that gives
// one value for each.
type table struct {
	place   string // row or file
	kind    string
	outputs []scoring.TensorSpec
}

// column is a column of a table, with its type for Parquet.
type column struct {
	name     string
	datatype scoring.Datatype
}

// newTable refuses models whose answers are no rows of a table.
func newTable(m Model, files bool) (*table, error) {
	t := &table{place: "row", kind: m.Pipeline}
	if files {
		t.place = "file"
	}
	if m.Pipeline != "none" {
		return t, nil
	}
	t.outputs = m.Signature.Outputs
	for _, spec := range t.outputs {
		known := int64(1)
		for _, d := range spec.Shape[min(1, len(spec.Shape)):] {
			known *= d
		}
		if known != 1 {
			return nil, fmt.Errorf("output %q of %s has the shape %s, which is no column: write JSON lines (.jsonl)", spec.Name, m.ID, scoring.FormatShape(spec.Shape))
		}
	}
	return t, nil
}

// columns of the table.
func (t *table) columns() []column {
	place := column{t.place, scoring.Int64}
	if t.place == "file" {
		place.datatype = scoring.Bytes
	}
	all := []column{place, {"id", scoring.Bytes}}
	switch t.kind {
	case "image":
		all = append(all, column{"label", scoring.Bytes}, column{"index", scoring.Int64}, column{"score", scoring.FP32})
	case "text":
		all = append(all, column{"match", scoring.Bytes}, column{"question", scoring.Bytes}, column{"answer", scoring.Bytes}, column{"score", scoring.FP32})
	default:
		for _, spec := range t.outputs {
			all = append(all, column{"output_" + spec.Name, spec.Datatype})
		}
	}
	return append(all, column{"error_code", scoring.Bytes}, column{"error", scoring.Bytes})
}

func (t *table) header(to []byte) []byte {
	var names []string
	for _, c := range t.columns() {
		names = append(names, c.name)
	}
	return appendRecord(to, names)
}

func (t *table) row(to []byte, n int64, r *result) ([]byte, bool) {
	place := r.file
	if t.place == "row" {
		place = strconv.FormatInt(n, 10)
	}
	record := []string{place, r.id}
	cells, err := t.cells(r)
	if err == nil {
		return appendRecord(to, append(append(record, cells...), "", "")), true
	}
	e := scoring.AsError(err)
	record = append(record, make([]string, len(t.columns())-4)...)
	return appendRecord(to, append(record, e.Code.String(), e.Message)), false
}

// errNotOneRow refuses what has no place in one line.
var errNotOneRow = scoring.Errorf(scoring.Invalid, "the row has several answers, which a table has no place for: write JSON lines (.jsonl)")

// cells of a row's answer.
func (t *table) cells(r *result) ([]string, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case t.kind == "none":
		return outputCells(t.outputs, r.outputs)
	case len(r.predictions) != 1:
		return nil, errNotOneRow
	}
	switch p := r.predictions[0].(type) {
	case scoring.Classes:
		if len(p.Classes) > 0 {
			best := p.Classes[0]
			return []string{best.Label, strconv.Itoa(best.Index), float32Text(best.Score)}, nil
		}
	case scoring.Matches:
		if len(p.Matches) > 0 {
			best := p.Matches[0]
			return []string{best.ID, best.Question, best.Answer, float32Text(best.Score)}, nil
		}
	}
	return nil, errors.New("there is no best answer")
}

func outputCells(specs []scoring.TensorSpec, outputs []scoring.Tensor) ([]string, error) {
	var cells []string
	for _, spec := range specs {
		cell, found := "", false
		for i := range outputs {
			if outputs[i].Name == spec.Name {
				found = true
				var err error
				if cell, err = cellOfTensor(&outputs[i]); err != nil {
					return nil, err
				}
			}
		}
		if !found {
			return nil, errNotOneRow
		}
		cells = append(cells, cell)
	}
	return cells, nil
}

// cellOfTensor is the one element of a tensor.
func cellOfTensor(t *scoring.Tensor) (string, error) {
	if n, ok := scoring.Elements(t.Shape); !ok || n != 1 {
		return "", errNotOneRow
	}
	switch t.Datatype {
	case scoring.Bytes:
		return string(t.Strings[0]), nil
	case scoring.FP64:
		return strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(t.Data)), 'g', -1, 64), nil
	case scoring.FP32:
		return float32Text(math.Float32frombits(binary.LittleEndian.Uint32(t.Data))), nil
	case scoring.Bool:
		return strconv.FormatBool(t.Data[0] != 0), nil
	case scoring.Uint8, scoring.Uint16, scoring.Uint32, scoring.Uint64:
		return strconv.FormatUint(bits(t.Data), 10), nil
	case scoring.Int8, scoring.Int16, scoring.Int32, scoring.Int64:
		unused := 64 - 8*len(t.Data) // the sign is in the highest bit that is used
		return strconv.FormatInt(int64(bits(t.Data)<<unused)>>unused, 10), nil
	default:
		return "", scoring.Errorf(scoring.Invalid, "output %q is %s, which a table has no form for", t.Name, t.Datatype)
	}
}

// bits reads a little-endian number of any size.
func bits(data []byte) (n uint64) {
	for i, b := range data {
		n |= uint64(b) << (8 * i)
	}
	return n
}

// float32Text has as many digits as tell the number from all others.
func float32Text(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }

// appendRecord appends a line of CSV.
func appendRecord(to []byte, cells []string) []byte {
	b := bytes.NewBuffer(to)
	w := csv.NewWriter(b)
	_ = w.Write(cells) // to memory
	w.Flush()
	return b.Bytes()
}
