package offline

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// raw is a row as it was read.
type raw struct {
	// data is JSON, or a picture where there is a file.
	data []byte
	file string
	// err says why there is no data.
	err *scoring.Error
}

// item is a row as a request: one of predict and infer, or an error.
type item struct {
	file, id string
	predict  *scoring.PredictRequest
	infer    *scoring.InferRequest
	// single says that the row is one instance, or one row of tensors.
	single bool
	err    *scoring.Error
}

// decoder makes requests of rows.
type decoder struct {
	model   Model
	options Options
}

// decode makes a request of a row.
func (d decoder) decode(r raw) item {
	it, err := item{}, error(nil)
	switch {
	case r.err != nil:
		it.err = r.err
	case r.file != "":
		it.single = true
		it.predict = &scoring.PredictRequest{Instances: []scoring.Instance{{Kind: scoring.Binary, Data: r.data}}}
	default:
		it, err = d.json(r.data)
	}
	if err != nil {
		it = item{id: it.id, err: scoring.AsError(err)}
	}
	it.file = r.file
	if it.predict != nil && it.predict.Parameters.TopK == 0 {
		it.predict.Parameters.TopK = d.options.TopK
	}
	return it
}

// json reads a line: an instance, an object of a tensor model's inputs, or a whole body.
func (d decoder) json(line []byte) (it item, err error) {
	if !json.Valid(line) {
		return it, scoring.Errorf(scoring.Invalid, "the line is not valid JSON")
	}
	var fields map[string]json.RawMessage
	if bytes.TrimSpace(line)[0] != '{' {
		return d.instance(it, line)
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return it, scoring.Errorf(scoring.Invalid, "the line is not valid JSON").WithCause(err)
	}
	it.id = idOf(fields["id"])
	if _, body := fields["instances"]; body {
		return d.predictBody(it, line)
	}
	if value := fields["inputs"]; len(value) > 0 && value[0] == '[' && !d.hasInput("inputs") {
		return d.inferBody(it, line)
	}
	if d.model.Pipeline == "none" {
		return d.columns(it, fields)
	}
	delete(fields, "id")
	rest, err := json.Marshal(fields)
	if err != nil {
		return it, err
	}
	return d.instance(it, rest)
}

// idOf reads an id, which may be a number.
func idOf(value json.RawMessage) string {
	if len(value) == 0 || string(value) == "null" {
		return ""
	}
	if text, err := wire.Unquote(value); err == nil {
		return string(text)
	}
	return string(value)
}

func (d decoder) hasInput(name string) bool {
	for i := range d.model.Signature.Inputs {
		if d.model.Signature.Inputs[i].Name == name {
			return true
		}
	}
	return false
}

// instance reads one instance.
func (d decoder) instance(it item, value []byte) (item, error) {
	if d.model.Pipeline == "none" {
		return it, scoring.Errorf(scoring.Invalid, `the model takes tensors: want an object with a value for each input, or {"inputs": [...]}`)
	}
	body := append(append([]byte(`{"instances":[`), value...), `]}`...)
	it, err := d.predictBody(it, body)
	var public *scoring.Error
	if errors.As(err, &public) && len(public.Message) > len(first) && public.Message[:len(first)] == first {
		public.Message = public.Message[len(first):]
	}
	return it, err
}

// first is where the only instance stands in an error's text.
const first = "instances[0]: "

func (d decoder) predictBody(it item, body []byte) (item, error) {
	req, err := wire.DecodePredict("application/json", body, wire.Limits{MaxInstances: d.options.MaxInstances})
	if err != nil {
		return it, err
	}
	it.predict, it.single = &req, len(req.Instances) == 1
	return it, nil
}

func (d decoder) inferBody(it item, body []byte) (item, error) {
	req, _, err := wire.DecodeInfer(body)
	if err != nil {
		return it, err
	}
	it.infer = &req
	return it, nil
}

// columns reads a row of a tensor model: a value, or an array of values, for each input.
func (d decoder) columns(it item, fields map[string]json.RawMessage) (item, error) {
	type input struct {
		Name     string          `json:"name"`
		Datatype string          `json:"datatype"`
		Shape    []int64         `json:"shape"`
		Data     json.RawMessage `json:"data"`
	}
	var body struct {
		Inputs []input `json:"inputs"`
	}
	for i := range d.model.Signature.Inputs {
		spec := &d.model.Signature.Inputs[i]
		value, ok := fields[spec.Name]
		if !ok || string(value) == "null" {
			return it, scoring.Errorf(scoring.Invalid, "there is no value for the model's input %q", spec.Name)
		}
		if value[0] != '[' {
			value = append(append([]byte{'['}, value...), ']')
		}
		shape, err := rowShape(spec, value)
		if err != nil {
			return it, err
		}
		body.Inputs = append(body.Inputs, input{spec.Name, spec.Datatype.String(), shape, value})
	}
	text, err := json.Marshal(body)
	if err != nil {
		return it, err
	}
	it, err = d.inferBody(it, text)
	it.single = err == nil
	return it, err
}

// rowShape is the shape of one row of an input. One dimension besides the rows may vary: its
// length is that of the array.
func rowShape(spec *scoring.TensorSpec, value json.RawMessage) ([]int64, error) {
	shape := append([]int64{}, spec.Shape...)
	free, known := -1, int64(1)
	for i := range shape {
		switch {
		case i == 0 && (shape[0] < 0 || shape[0] == 1):
			shape[0] = 1
		case i == 0:
			return nil, tensorsOnly(spec)
		case shape[i] >= 0:
			known *= shape[i]
		case free >= 0:
			return nil, tensorsOnly(spec)
		default:
			free = i
		}
	}
	if free < 0 {
		return shape, nil
	}
	var values []json.RawMessage
	if err := json.Unmarshal(value, &values); err != nil || known == 0 || int64(len(values))%known != 0 {
		return nil, tensorsOnly(spec)
	}
	shape[free] = int64(len(values)) / known
	return shape, nil
}

func tensorsOnly(spec *scoring.TensorSpec) error {
	return scoring.Errorf(scoring.Invalid, `input %q has the shape %s, of which a column cannot be a row: send JSON lines of {"inputs": [...]}`, spec.Name, scoring.FormatShape(spec.Shape))
}

// unreadable says that a row could not be read.
func unreadable(format string, args ...any) *scoring.Error {
	return scoring.Errorf(scoring.Invalid, format, args...)
}

// tooLarge says that a row has too many bytes.
func tooLarge(what string, most int) *scoring.Error {
	return scoring.Errorf(scoring.TooLarge, "%s is longer than %d bytes", what, most)
}
