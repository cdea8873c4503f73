package wire

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// inferBody is the JSON request of the Open Inference Protocol v2. Keys that it does
// not know are passed over, as the protocol's servers all do.
type inferBody struct {
	ID         string                     `json:"id"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	Inputs     []inputBody                `json:"inputs"`
	Outputs    []outputBody               `json:"outputs"`
}

type inputBody struct {
	Name string `json:"name"`
	// Shape is text until it has been counted: see [decodeShape].
	Shape      json.RawMessage            `json:"shape"`
	Datatype   string                     `json:"datatype"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	Data       json.RawMessage            `json:"data"`
}

type outputBody struct {
	Name       string                     `json:"name"`
	Parameters map[string]json.RawMessage `json:"parameters"`
}

// InferOptions are what the parameters of an infer request ask of the server.
type InferOptions struct {
	// Timeout is the caller's budget; 0 if it gave none.
	Timeout time.Duration
}

// DecodeInfer reads the JSON of an infer request.
func DecodeInfer(body []byte) (scoring.InferRequest, InferOptions, error) {
	var req scoring.InferRequest
	var opts InferOptions
	if len(body) == 0 {
		return req, opts, scoring.Errorf(scoring.Invalid, `the body is empty: send {"inputs": [...]}`)
	}
	if err := checkUTF8("the body", body); err != nil {
		return req, opts, err
	}
	if err := survey("the body", body); err != nil {
		return req, opts, err
	}
	var b inferBody
	if err := json.Unmarshal(body, &b); err != nil {
		return req, opts, jsonError("the body", err, "")
	}
	if len(b.Inputs) == 0 {
		return req, opts, scoring.Errorf(scoring.Invalid, `"inputs" is missing or empty: want {"inputs": [{"name", "shape", "datatype", "data"}]}`)
	}
	req.ID = b.ID
	for _, input := range b.Inputs {
		tensor, err := decodeTensor(input)
		if err != nil {
			return req, opts, err
		}
		req.Inputs = append(req.Inputs, tensor)
	}
	for _, output := range b.Outputs {
		if err := checkOutput(output); err != nil {
			return req, opts, err
		}
		req.Outputs = append(req.Outputs, scoring.Output{Name: output.Name})
	}
	var err error
	opts.Timeout, err = decodeTimeout(b.Parameters["timeout"])
	return req, opts, err
}

// checkOutput refuses what would change the form of an output and is not offered: to
// pass it over would be a wrong answer.
func checkOutput(output outputBody) error {
	if _, ok := output.Parameters["classification"]; ok {
		return scoring.Errorf(scoring.Unimplemented, "output %q: classification is not offered: ask for the tensor, or use :predict", clip(output.Name))
	}
	return nil
}

// decodeTimeout reads the protocol's timeout, in microseconds; 0 and null mean none.
func decodeTimeout(raw json.RawMessage) (time.Duration, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, nil
	}
	var micros int64
	if err := json.Unmarshal(raw, &micros); err != nil || micros < 0 {
		return 0, scoring.Errorf(scoring.Invalid, "parameter timeout: want a whole number of microseconds, 0 or more")
	}
	return time.Duration(min(micros, int64(24*time.Hour/time.Microsecond))) * time.Microsecond, nil
}

func decodeTensor(in inputBody) (scoring.Tensor, error) {
	t := scoring.Tensor{Name: in.Name}
	name := clip(in.Name)
	if in.Name == "" {
		return t, scoring.Errorf(scoring.Invalid, `an input has no "name"`)
	}
	if in.Shape == nil || string(in.Shape) == "null" {
		return t, scoring.Errorf(scoring.Invalid, `input %q has no "shape"`, name)
	}
	if err := decodeShape(&t, in.Shape); err != nil {
		return t, err
	}
	datatype, err := scoring.ParseDatatype(in.Datatype)
	if err != nil {
		return t, scoring.Errorf(scoring.Invalid, "input %q: %s", name, scoring.AsError(err).Message)
	}
	t.Datatype = datatype
	if _, ok := in.Parameters["binary_data_size"]; ok {
		return t, scoring.Errorf(scoring.Unimplemented, `input %q: the binary tensor extension is not offered: send "data"`, name)
	}
	if in.Data == nil {
		return t, scoring.Errorf(scoring.Invalid, `input %q has no "data"`, name)
	}
	want, ok := scoring.Elements(t.Shape)
	if !ok {
		return t, scoring.Errorf(scoring.Invalid, "input %q: shape %s: want dimensions of 0 or more, and a product that fits 64 bits", name, scoring.FormatShape(t.Shape))
	}
	got, err := decodeData(&t, in.Data, want)
	if err != nil {
		return t, err
	}
	if got != want {
		return t, scoring.Errorf(scoring.Invalid, "input %q has %d values, its shape %s wants %d", name, got, scoring.FormatShape(t.Shape), want)
	}
	return t, nil
}

// inferOutput is an output tensor in JSON, its data flat and row-major.
type inferOutput struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype"`
	Shape    []int64         `json:"shape"`
	Data     json.RawMessage `json:"data"`
}

// inferAnswer is the JSON answer of the protocol. It has an id always: KServe's client
// fails without one.
type inferAnswer struct {
	ModelName    string            `json:"model_name"`
	ModelVersion string            `json:"model_version"`
	ID           string            `json:"id"`
	Parameters   map[string]string `json:"parameters,omitempty"`
	Outputs      []inferOutput     `json:"outputs"`
}

// EncodeInfer writes the answer to an infer request as JSON. Values that JSON cannot
// carry (NaN, infinities, FP16, BF16) are an error: a null or a string in their place
// would be read as another answer.
func EncodeInfer(resp *scoring.InferResponse) ([]byte, error) {
	answer := inferAnswer{
		ModelName:    resp.Model.Name,
		ModelVersion: strconv.FormatInt(resp.Model.Version, 10),
		ID:           resp.ID,
		Parameters:   map[string]string{"digest": resp.Model.Digest},
		Outputs:      make([]inferOutput, 0, len(resp.Outputs)),
	}
	for i := range resp.Outputs {
		out := &resp.Outputs[i]
		data, err := encodeData(out)
		if err != nil {
			return nil, err
		}
		answer.Outputs = append(answer.Outputs, inferOutput{Name: out.Name, Datatype: out.Datatype.String(), Shape: shapeOf(out.Shape), Data: data})
	}
	return Marshal(answer)
}

// TensorSpec is an input or output in the protocol's metadata.
type TensorSpec struct {
	// Name of the tensor.
	Name string `json:"name"`
	// Datatype as the protocol names it.
	Datatype string `json:"datatype"`
	// Shape with -1 for a dimension that may vary.
	Shape []int64 `json:"shape"`
}

// SpecsOf makes the wire form of specs.
func SpecsOf(specs []scoring.TensorSpec) []TensorSpec {
	all := make([]TensorSpec, 0, len(specs))
	for _, s := range specs {
		all = append(all, TensorSpec{Name: s.Name, Datatype: s.Datatype.String(), Shape: shapeOf(s.Shape)})
	}
	return all
}

// shapeOf gives a scalar the shape [], for which nil would be null.
func shapeOf(shape []int64) []int64 {
	if shape == nil {
		return []int64{}
	}
	return shape
}
