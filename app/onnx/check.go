package onnx

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onda-serving/onda/app/scoring"
)

// checkInputs says whether inputs are what the model takes, and fills in order: for each
// input of the model, the position in inputs. It sees to everything that the library
// would trust: after it, names, datatypes, shapes and sizes agree with each other and
// with the signature.
func (s *Session) checkInputs(inputs []scoring.Tensor, order []int) error {
	for i := range order {
		order[i] = -1
	}
	for i := range inputs {
		t := &inputs[i]
		at, known := s.inputs[t.Name]
		switch {
		case !known:
			return scoring.Errorf(scoring.Invalid, "input %q: the model has no such input: want %s", clip(t.Name), listNames(s.info.Signature.Inputs))
		case order[at] >= 0:
			return scoring.Errorf(scoring.Invalid, "input %q is given twice", t.Name)
		}
		order[at] = i
		if err := checkTensor(t, &s.info.Signature.Inputs[at]); err != nil {
			return err
		}
	}
	for at, i := range order {
		if i < 0 {
			want := &s.info.Signature.Inputs[at]
			return scoring.Errorf(scoring.Invalid, "input %q is missing: want %s %s", want.Name, want.Datatype, scoring.FormatShape(want.Shape))
		}
	}
	return nil
}

// checkOutputs appends the positions of the outputs asked for to wanted, which is empty,
// and stays so for all of them in the model's order.
func (s *Session) checkOutputs(outputs []string, wanted []int) ([]int, error) {
	for _, name := range outputs {
		at, known := s.outputs[name]
		switch {
		case !known:
			return wanted, scoring.Errorf(scoring.Invalid, "output %q: the model has no such output: want %s", clip(name), listNames(s.info.Signature.Outputs))
		// No more than the model has can be right: this bounds the search as well.
		case slices.Contains(wanted, at):
			return wanted, scoring.Errorf(scoring.Invalid, "output %q is asked for twice", name)
		}
		wanted = append(wanted, at)
	}
	if len(wanted) == len(s.outputs) && slices.IsSorted(wanted) {
		return wanted[:0], nil
	}
	return wanted, nil
}

// checkTensor holds t against want, and t's elements against its own shape.
func checkTensor(t *scoring.Tensor, want *scoring.TensorSpec) error {
	if t.Datatype != want.Datatype {
		return scoring.Errorf(scoring.Invalid, "input %q: datatype %s: want %s", t.Name, formatDatatype(t.Datatype), want.Datatype)
	}
	if !shapeFits(t.Shape, want.Shape) {
		return scoring.Errorf(scoring.Invalid, "input %q: shape %s: want %s", t.Name, scoring.FormatShape(t.Shape), scoring.FormatShape(want.Shape))
	}
	if len(t.Shape) > maxRank {
		return scoring.Errorf(scoring.Invalid, "input %q: the shape has %d dimensions: at most %d are allowed", t.Name, len(t.Shape), maxRank)
	}
	n, ok := scoring.Elements(t.Shape)
	if ok && n == 0 && !smallWithoutZeros(t.Shape) {
		return scoring.Errorf(scoring.TooLarge, "input %q: shape %s: a tensor without elements may not claim more than %d of the other dimensions", t.Name, scoring.FormatShape(t.Shape), maxEmpty)
	}
	if !ok {
		return scoring.Errorf(scoring.Invalid, "input %q: shape %s: want dimensions of 0 or more, and a product that fits 64 bits", t.Name, scoring.FormatShape(t.Shape))
	}
	switch t.Datatype {
	case scoring.Bytes:
		return checkStrings(t, n)
	case scoring.Bool:
		if err := checkSize(t, n); err != nil {
			return err
		}
		return checkBools(t)
	default:
		return checkSize(t, n)
	}
}

const (
	// maxRank bounds the dimensions of an input whose rank the model leaves open.
	maxRank = 64
	// maxEmpty bounds the product of the other dimensions of a tensor with a 0 among them.
	// It costs nothing to send, and a sum over the 0 has an element for each of them.
	maxEmpty = 1 << 16
)

// smallWithoutZeros says whether the product of the dimensions that are not 0 is small.
func smallWithoutZeros(shape []int64) bool {
	product := int64(1)
	for _, d := range shape {
		if d > maxEmpty {
			return false
		}
		if product *= max(d, 1); product > maxEmpty {
			return false
		}
	}
	return true
}

// shapeFits says whether shape has the rank and the fixed dimensions of want; a nil want
// takes any shape. Negative dimensions never fit.
func shapeFits(shape, want []int64) bool {
	if want == nil {
		return true
	}
	if len(shape) != len(want) {
		return false
	}
	for i, d := range shape {
		if d < 0 || want[i] >= 0 && d != want[i] {
			return false
		}
	}
	return true
}

// checkSize compares bytes with elements. It divides, because a product could overflow.
func checkSize(t *scoring.Tensor, elements int64) error {
	size := int64(sizes[t.Datatype])
	if have := int64(len(t.Data)); have%size != 0 || have/size != elements {
		return scoring.Errorf(scoring.Invalid, "input %q: %d bytes for shape %s of %s: want %d elements of %d bytes", t.Name, have, scoring.FormatShape(t.Shape), t.Datatype, elements, size)
	}
	if len(t.Strings) > 0 {
		return scoring.Errorf(scoring.Invalid, "input %q: strings for a tensor of %s: want numbers", t.Name, t.Datatype)
	}
	return nil
}

// checkBools sees to it that each byte is a bool: C++ makes no promise for others.
func checkBools(t *scoring.Tensor) error {
	for i, b := range t.Data {
		if b > 1 {
			return scoring.Errorf(scoring.Invalid, "input %q: element %d of BOOL is %d: want 0 or 1", t.Name, i, b)
		}
	}
	return nil
}

// checkStrings compares strings with elements, and looks into them: ONNX has UTF-8 text
// in its strings.
func checkStrings(t *scoring.Tensor, elements int64) error {
	if have := int64(len(t.Strings)); have != elements {
		return scoring.Errorf(scoring.Invalid, "input %q: %d strings for shape %s: want %d", t.Name, have, scoring.FormatShape(t.Shape), elements)
	}
	if len(t.Data) > 0 {
		return scoring.Errorf(scoring.Invalid, "input %q: numbers for a tensor of BYTES: want strings", t.Name)
	}
	for i, s := range t.Strings {
		if !utf8.Valid(s) {
			return scoring.Errorf(scoring.Invalid, "input %q: element %d is not text: want UTF-8", t.Name, i)
		}
	}
	return nil
}

func formatDatatype(d scoring.Datatype) string {
	if name := d.String(); name != "" {
		return name
	}
	return "not given"
}

// listNames writes `"a", "b"`, with the end of long lists left out.
func listNames(specs []scoring.TensorSpec) string {
	const most = 16
	var b strings.Builder
	for i, s := range specs {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == most {
			b.WriteString("...")
			break
		}
		b.WriteString(strconv.Quote(s.Name))
	}
	return b.String()
}

// clip shortens what a caller, or a model's file, gave before it is repeated in an error.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
