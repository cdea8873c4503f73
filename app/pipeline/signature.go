package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// findInput gives the input that the pipeline fills. A model with a second input cannot
// run: nothing would fill it.
func findInput(sig scoring.Signature, key, name string) (scoring.TensorSpec, error) {
	spec, err := find(sig.Inputs, key, "input", name)
	if err == nil && len(sig.Inputs) > 1 {
		err = fmt.Errorf("%s: the model has the inputs %s: this pipeline fills one input only", key, names(sig.Inputs))
	}
	return spec, err
}

func findOutput(sig scoring.Signature, key, name string) (scoring.TensorSpec, error) {
	return find(sig.Outputs, key, "output", name)
}

func find(specs []scoring.TensorSpec, key, what, name string) (scoring.TensorSpec, error) {
	i := slices.IndexFunc(specs, func(s scoring.TensorSpec) bool { return s.Name == name })
	if i < 0 {
		return scoring.TensorSpec{}, fmt.Errorf("%s: the model has no %s %q: use one of %s", key, what, name, names(specs))
	}
	return specs[i], nil
}

func names(specs []scoring.TensorSpec) string {
	quoted := make([]string, len(specs))
	for i, s := range specs {
		quoted[i] = fmt.Sprintf("%q", s.Name)
	}
	return strings.Join(quoted, ", ")
}

// fits says whether a signature's shape allows want. In both, -1 stands for any size.
func fits(shape, want []int64) bool {
	return slices.EqualFunc(shape, want, func(a, b int64) bool { return a == b || a < 0 || b < 0 })
}

// maxRows reads the first axis of the tensors. Only "any" and 1 make sense: a model fixed
// to four rows could not answer a request with three.
func maxRows(key string, specs ...scoring.TensorSpec) (int, error) {
	rows := 0
	for _, s := range specs {
		switch {
		case len(s.Shape) == 0:
			return 0, fmt.Errorf("%s: tensor %q has no axes: the first axis must be the rows", key, s.Name)
		case s.Shape[0] == 1:
			rows = 1
		case s.Shape[0] >= 0:
			return 0, fmt.Errorf("%s: tensor %q has the shape %v: the first axis must be open or 1", key, s.Name, s.Shape)
		}
	}
	return rows, nil
}
