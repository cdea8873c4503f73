package onnx

import (
	"fmt"
	"strconv"

	"github.com/onda-serving/onda/app/onnx/internal/pb"
	"github.com/onda-serving/onda/app/scoring"
)

// value is an input or output as the file declares it.
type value struct {
	name string
	// kind is the field number of the type's variant; 0 if the file has no type.
	kind int
	// elem is a TensorProto.DataType.
	elem int64
	// ranked says that the file gives a shape, even an empty one.
	ranked bool
	shape  []int64
	// axes are the names of the dimensions, as many as shape has.
	axes []string
}

// datatypes maps TensorProto.DataType, whose numbers ONNX Runtime's C API shares, to the
// datatypes of the protocol.
var datatypes = map[int64]scoring.Datatype{
	1: scoring.FP32, 2: scoring.Uint8, 3: scoring.Int8, 4: scoring.Uint16, 5: scoring.Int16, 6: scoring.Int32,
	7: scoring.Int64, 8: scoring.Bytes, 9: scoring.Bool, 10: scoring.FP16, 11: scoring.FP64, 12: scoring.Uint32,
	13: scoring.Uint64, 16: scoring.BF16,
}

// elementTypes is the inverse of datatypes.
var elementTypes = func() map[scoring.Datatype]int64 {
	m := make(map[scoring.Datatype]int64, len(datatypes))
	for elem, d := range datatypes {
		m[d] = elem
	}
	return m
}()

// kinds names the variants of TypeProto that are not dense tensors.
var kinds = map[int]string{4: "sequence", 5: "map", 7: "opaque type", 8: "sparse tensor", 9: "optional"}

// spec gives the value as a spec, or a clause that says what is wrong with it.
func (v value) spec() (s scoring.TensorSpec, problem string) {
	switch {
	case v.name == "":
		return s, "has no name"
	case v.kind == 0 || v.kind == typeTensor && v.elem == 0:
		return s, "has no type: run onnx.shape_inference.infer_shapes on the model"
	case v.kind == 4 || v.kind == 5:
		return s, fmt.Sprintf("is a %s: want a tensor; for a classifier of scikit-learn or LightGBM, export with zipmap=False", kinds[v.kind])
	case v.kind != typeTensor:
		return s, fmt.Sprintf("is of kind %s: want a tensor", kindName(v.kind))
	}
	d, known := datatypes[v.elem]
	if !known {
		return s, fmt.Sprintf("has ONNX element type %d, which the protocol cannot carry: cast it to FP32 or FP16 in the model", v.elem)
	}
	s = scoring.TensorSpec{Name: v.name, Datatype: d}
	if v.ranked {
		s.Shape = append([]int64{}, v.shape...)
		s.Axes = axisNames(v.axes)
	}
	return s, ""
}

// axisNames gives nil where no axis has a name.
func axisNames(axes []string) []string {
	for _, name := range axes {
		if name != "" {
			return axes
		}
	}
	return nil
}

func kindName(kind int) string {
	if name, ok := kinds[kind]; ok {
		return name
	}
	return strconv.Itoa(kind)
}

// appendValue walks a ValueInfoProto.
func appendValue(values *[]value, b []byte) error {
	var v value
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Number {
		case 1:
			v.name = string(f.Bytes)
		case 2:
			err = v.readType(f.Bytes)
		}
		if err != nil {
			return err
		}
	}
	*values = append(*values, v)
	return nil
}

// readType walks a TypeProto. Field 6 is a denotation, every other one a variant.
func (v *value) readType(b []byte) error {
	const denotation = 6
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		if f.Number == denotation {
			continue
		}
		v.kind = f.Number
		if f.Number == typeTensor {
			if err := v.readTensor(f.Bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// readTensor walks a TypeProto.Tensor: element type and shape.
func (v *value) readTensor(b []byte) error {
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Number {
		case 1:
			v.elem = int64(f.Uint)
		case 2:
			v.ranked = true
			err = v.readShape(f.Bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readShape walks a TensorShapeProto. A dimension with a name, with nothing at all or,
// as some exporters write it, with a negative number may vary.
func (v *value) readShape(b []byte) error {
	const dim, dimValue, dimParam = 1, 1, 2
	for f, err := range pb.Fields(b) {
		if err != nil {
			return err
		}
		if f.Number != dim {
			continue
		}
		size, name := int64(-1), ""
		for d, err := range pb.Fields(f.Bytes) {
			if err != nil {
				return err
			}
			switch d.Number {
			case dimValue:
				size, name = max(int64(d.Uint), -1), ""
			case dimParam:
				size, name = -1, string(d.Bytes)
			}
		}
		v.shape, v.axes = append(v.shape, size), append(v.axes, name)
	}
	return nil
}
