package wire

import "github.com/onda-serving/onda/app/scoring"

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
		shape := s.Shape
		if shape == nil {
			shape = []int64{} // which nil would make null
		}
		all = append(all, TensorSpec{Name: s.Name, Datatype: s.Datatype.String(), Shape: shape})
	}
	return all
}
