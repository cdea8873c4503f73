package grpcapi

import (
	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// decodeInputs reads the inputs with their raw or typed contents.
func decodeInputs(in *inferencepb.ModelInferRequest) ([]scoring.Tensor, error) {
	inputs, raw := in.GetInputs(), in.GetRawInputContents()
	if len(inputs) == 0 {
		return nil, scoring.Errorf(scoring.Invalid, `"inputs" is empty: want one entry for each input of the model`)
	}
	if len(raw) > 0 && len(raw) != len(inputs) {
		return nil, scoring.Errorf(scoring.Invalid, "%d inputs, and raw_input_contents has %d entries: want one for each input, or none at all", len(inputs), len(raw))
	}
	tensors := make([]scoring.Tensor, len(inputs))
	for i, input := range inputs {
		want, err := decodeHead(&tensors[i], input)
		if err != nil {
			return nil, err
		}
		used := fieldsOf(input.GetContents())
		switch {
		case len(raw) > 0 && len(used) > 0:
			err = scoring.Errorf(scoring.Invalid, "input %q has contents in %s beside raw_input_contents: want one of the two for all inputs", clip(input.GetName()), used[0].name)
		case len(raw) > 0:
			err = decodeRaw(&tensors[i], raw[i], want)
		default:
			err = decodeTyped(&tensors[i], input.GetContents(), want)
		}
		if err != nil {
			return nil, err
		}
	}
	return tensors, nil
}

// decodeHead reads everything of an input but its elements, and gives their number.
func decodeHead(t *scoring.Tensor, in *inferencepb.ModelInferRequest_InferInputTensor) (want int64, err error) {
	t.Name, t.Shape = in.GetName(), in.GetShape()
	if t.Shape == nil {
		// A message cannot tell a missing shape from a scalar's; below, nil is no shape.
		t.Shape = []int64{}
	}
	if t.Name == "" {
		return 0, scoring.Errorf(scoring.Invalid, `an input has no "name"`)
	}
	if err := checkSharedMemory("input", t.Name, in.GetParameters()); err != nil {
		return 0, err
	}
	if t.Datatype, err = scoring.ParseDatatype(in.GetDatatype()); err != nil {
		return 0, scoring.Errorf(scoring.Invalid, "input %q: %s", clip(t.Name), scoring.AsError(err).Message)
	}
	return elements(t)
}

// elements is the number of elements that t's shape wants.
func elements(t *scoring.Tensor) (int64, error) {
	n, ok := scoring.Elements(t.Shape)
	if !ok {
		return 0, scoring.Errorf(scoring.Invalid, "input %q: shape %s: want dimensions of 0 or more, and a product that fits 64 bits", clip(t.Name), scoring.FormatShape(t.Shape))
	}
	return n, nil
}

// countError says that a tensor has another number of elements than its shape.
func countError(t *scoring.Tensor, got, want int64) error {
	return scoring.Errorf(scoring.Invalid, "input %q has %d values, its shape %s wants %d", clip(t.Name), got, scoring.FormatShape(t.Shape), want)
}
