package wire_test

import (
	"bytes"
	le "encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

var errReference = errors.New("refused")

// referenceInfer reads the inputs of an infer request with encoding/json and strconv: slow,
// simple, and written apart from the reader that it is held against.
func referenceInfer(body []byte) ([]scoring.Tensor, error) {
	if !utf8.Valid(body) || !json.Valid(body) || hasTwin(body) {
		return nil, errReference
	}
	var root map[string]json.RawMessage
	var id string
	var inputs, outputs []map[string]json.RawMessage
	var parameters map[string]json.RawMessage
	err := errors.Join(json.Unmarshal(body, &root), optional(root, "id", &id), optional(root, "inputs", &inputs), optional(root, "outputs", &outputs), optional(root, "parameters", &parameters))
	if err != nil || len(inputs) == 0 {
		return nil, errReference
	}
	for _, out := range outputs {
		if errors.Join(optional(out, "name", new(string)), optional(out, "parameters", &parameters)) != nil {
			return nil, errReference
		}
	}
	var all []scoring.Tensor
	for _, in := range inputs {
		t, err := referenceTensor(in)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// optional reads a value that may be missing.
func optional(from map[string]json.RawMessage, key string, into any) error {
	if raw, ok := from[key]; ok {
		return json.Unmarshal(raw, into)
	}
	return nil
}

// hasTwin says whether an object of the text has a key twice.
func hasTwin(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	type level struct {
		keys  map[string]bool // nil for an array
		isKey bool
	}
	var levels []level
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			return true
		}
		if top := len(levels) - 1; top >= 0 && levels[top].keys != nil && token != json.Delim('}') {
			if levels[top].isKey {
				key, _ := token.(string)
				if levels[top].keys[key] {
					return true
				}
				levels[top].keys[key] = true
			}
			levels[top].isKey = !levels[top].isKey
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{map[string]bool{}, true})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
	}
}

func referenceTensor(in map[string]json.RawMessage) (t scoring.Tensor, err error) {
	var datatype string
	var shape []json.Number
	if optional(in, "name", &t.Name) != nil || optional(in, "datatype", &datatype) != nil || optional(in, "shape", &shape) != nil || t.Name == "" || shape == nil || len(shape) > 32 {
		return t, errReference
	}
	if optional(in, "parameters", &map[string]json.RawMessage{}) != nil || bytes.Contains(in["shape"], []byte(`"`)) || bytes.Contains(in["shape"], []byte("null")) {
		return t, errReference
	}
	t.Shape = []int64{}
	for _, text := range shape {
		d, err := strconv.ParseInt(text.String(), 10, 64)
		if err != nil {
			return t, errReference
		}
		t.Shape = append(t.Shape, d)
	}
	if t.Datatype, err = scoring.ParseDatatype(datatype); err != nil {
		return t, errReference
	}
	var data any
	decoder := json.NewDecoder(bytes.NewReader(in["data"]))
	decoder.UseNumber()
	if decoder.Decode(&data) != nil {
		return t, errReference
	}
	if _, ok := data.([]any); !ok {
		return t, errReference
	}
	if err := referenceData(&t, data, 0); err != nil {
		return t, err
	}
	count := len(t.Strings)
	if size := t.Datatype.Size(); size > 0 {
		count = len(t.Data) / size
	}
	if want, ok := scoring.Elements(t.Shape); !ok || int64(count) != want {
		return t, errReference
	}
	if t.Datatype == scoring.Bytes && strings.Contains(string(in["data"]), `\u`) && hasLoneSurrogate(in["data"]) {
		return t, errReference
	}
	return t, nil
}

// hasLoneSurrogate says whether encoding/json puts U+FFFD where the text has an escape of
// something else.
func hasLoneSurrogate(raw []byte) bool {
	plain := bytes.ReplaceAll(bytes.ToLower(raw), []byte(`\ufffd`), nil)
	plain = bytes.ReplaceAll(plain, []byte("\uFFFD"), nil)
	var data any
	if json.Unmarshal(plain, &data) != nil {
		return false
	}
	text, _ := json.Marshal(data)
	return bytes.Contains(text, []byte("\uFFFD"))
}

func referenceData(t *scoring.Tensor, data any, depth int) error {
	order := le.LittleEndian
	switch v := data.(type) {
	case []any:
		if depth == 32 {
			return errReference
		}
		for _, element := range v {
			if err := referenceData(t, element, depth+1); err != nil {
				return err
			}
		}
		return nil
	case string:
		if t.Datatype != scoring.Bytes {
			return errReference
		}
		t.Strings = append(t.Strings, []byte(v))
		return nil
	case bool:
		if t.Datatype != scoring.Bool {
			return errReference
		}
		t.Data = append(t.Data, map[bool]byte{true: 1}[v])
		return nil
	case json.Number:
		bits := 8 * t.Datatype.Size()
		switch t.Datatype {
		case scoring.Bool:
			if v != "0" && v != "1" {
				return errReference
			}
			t.Data = append(t.Data, v[0]-'0')
			return nil
		case scoring.FP32:
			f, err := strconv.ParseFloat(v.String(), 32)
			t.Data = order.AppendUint32(t.Data, math.Float32bits(float32(f)))
			return err
		case scoring.FP64:
			f, err := strconv.ParseFloat(v.String(), 64)
			t.Data = order.AppendUint64(t.Data, math.Float64bits(f))
			return err
		case scoring.Uint8, scoring.Uint16, scoring.Uint32, scoring.Uint64:
			u, err := strconv.ParseUint(v.String(), 10, bits)
			t.Data = append(t.Data, order.AppendUint64(nil, u)[:bits/8]...)
			return err
		case scoring.Int8, scoring.Int16, scoring.Int32, scoring.Int64:
			i, err := strconv.ParseInt(v.String(), 10, bits)
			t.Data = append(t.Data, order.AppendUint64(nil, uint64(i))[:bits/8]...)
			return err
		default:
			return errReference
		}
	}
	return errReference
}

// compare holds DecodeInfer against the reference.
func compare(t *testing.T, body []byte) {
	t.Helper()
	req, _, err := wire.DecodeInfer(body)
	if err != nil {
		e := scoring.AsError(err)
		// Limits and parameters are tested on their own.
		if e.Code == scoring.TooLarge || e.Code == scoring.Unimplemented || strings.Contains(e.Message, "arameter") || strings.Contains(e.Message, "binary_data_size is") {
			return
		}
	}
	if bytes.Contains(body, []byte("binary_data_size")) || bytes.Contains(body, []byte(`\`)) && bytes.Contains(body, []byte("size")) {
		return // the reference knows nothing of it
	}
	want, wantErr := referenceInfer(body)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: got %v, the reference %v", body, err, wantErr)
	}
	if err != nil {
		return
	}
	if len(req.Inputs) != len(want) {
		t.Fatalf("%q: got %d inputs, want %d", body, len(req.Inputs), len(want))
	}
	for i, got := range req.Inputs {
		if got.Name != want[i].Name || got.Datatype != want[i].Datatype || !slices.Equal(got.Shape, want[i].Shape) || !bytes.Equal(got.Data, want[i].Data) || !slices.EqualFunc(got.Strings, want[i].Strings, bytes.Equal) {
			t.Fatalf("%q: got %v, want %v", body, got, want[i])
		}
	}
}

// seeds are bodies of every kind, well-formed and not.
func seeds() []string {
	const tensor = `"name": "x", "shape": [2], "datatype": `
	all := []string{
		``, ` `, `null`, `{}`, `[]`, `{"inputs": null}`, `{"inputs": [null]}`, `{"inputs": [{}], "a": 1, "a": 2}`, `{"a": {"b": 1, "\u0062": 2}}`,
		`{"inputs": [{"data": [1, 2], ` + tensor + `"INT8"}]}`, "{\"inputs\": [{" + tensor + "\"BYTES\", \"data\": [\"\x7f\", \"\u00e9\"]}]}\n",
		`{"id": "\ud800", "inputs": [{` + tensor + `"FP32", "data": [[1], [2.5e-1]]}], "outputs": [{"name": "y"}, null]}`,
		`{"inputs": [{` + tensor + `"FP32", "data": [1, 2]}, {` + tensor + `"BOOL", "data": [true, 0]}]}`,
	}
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		for _, data := range []string{
			`[1, 0]`, `[1, 2,]`, `[,1, 2]`, `[1 2]`, `[01, 2]`, `[-0, 1]`, `[1., 2]`, `[.5, 2]`, `[1e, 2]`, `[1e+2, 2]`, `[+1, 2]`, `[1.5, -2.25E-3]`, `["a", "b"]`, `["\u00e9\n", "\ud83d\ude00"]`, `["\ud83d", "b"]`, `["\x", "b"]`,
			`["a", "b]`, `[[1], [0]]`, `[[1, 0]`, `[1, 0]]`, `[1, [0]]`, `[null, 1]`, `[true, false]`, `[tru, false]`, `[{}, 1]`, `[1, 0], "more": [{"a": [1, "b", null]}]`, "[1\x00, 0]", `[255, 128]`, `[18446744073709551615, 9223372036854775807]`, `[1e400, 1]`, `[1e-400, 1]`,
		} {
			all = append(all, `{"inputs": [{`+tensor+`"`+d.String()+`", "data": `+data+`}]}`)
		}
	}
	return all
}

func TestDecodeInferIsEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, body := range seeds() {
		compare(t, []byte(body))
		for cut := range len(body) { // every prefix, and every byte spoilt
			compare(t, []byte(body[:cut]))
			for _, c := range []byte(`"{}[],:0-.e\ `) {
				compare(t, []byte(body[:cut]+string(c)+body[cut+1:]))
			}
		}
	}
}

func FuzzDecodeInferIsEncodingJSON(f *testing.F) {
	for _, body := range seeds() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { compare(t, body) })
}
