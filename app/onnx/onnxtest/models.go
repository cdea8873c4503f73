package onnxtest

import (
	"github.com/onda-serving/onda/app/onnx/internal/pb"
	"github.com/onda-serving/onda/app/scoring"
)

// Identity gives its INPUT back as OUTPUT. In shape, -1 stands for a dimension that may
// vary, [] for a scalar and nil for an unknown rank.
func Identity(d scoring.Datatype, shape []int64) []byte {
	return Graph{
		Nodes:   []Node{{Op: "Identity", Inputs: []string{"INPUT"}, Outputs: []string{"OUTPUT"}}},
		Inputs:  []scoring.TensorSpec{{Name: "INPUT", Datatype: d, Shape: shape}},
		Outputs: []scoring.TensorSpec{{Name: "OUTPUT", Datatype: d, Shape: shape}},
	}.Model()
}

// AddSub is the model "simple" of Triton's examples: INPUT0 and INPUT1, INT32 [-1,16], to
// OUTPUT0, their sum, and OUTPUT1, their difference.
func AddSub() []byte {
	spec := func(name string) scoring.TensorSpec {
		return scoring.TensorSpec{Name: name, Datatype: scoring.Int32, Shape: []int64{-1, 16}}
	}
	return Graph{
		Name: "simple",
		Nodes: []Node{
			{Op: "Add", Inputs: []string{"INPUT0", "INPUT1"}, Outputs: []string{"OUTPUT0"}},
			{Op: "Sub", Inputs: []string{"INPUT0", "INPUT1"}, Outputs: []string{"OUTPUT1"}},
		},
		Inputs:  []scoring.TensorSpec{spec("INPUT0"), spec("INPUT1")},
		Outputs: []scoring.TensorSpec{spec("OUTPUT0"), spec("OUTPUT1")},
	}.Model()
}

// MatMul multiplies INPUT, FP32 [-1,n], with weights, n rows of m in row-major order, to
// OUTPUT, FP32 [-1,m].
func MatMul(n, m int64, weights []float32) []byte {
	return Graph{
		Nodes:   []Node{{Op: "MatMul", Inputs: []string{"INPUT", "weights"}, Outputs: []string{"OUTPUT"}}},
		Inputs:  []scoring.TensorSpec{{Name: "INPUT", Datatype: scoring.FP32, Shape: []int64{-1, n}}},
		Outputs: []scoring.TensorSpec{{Name: "OUTPUT", Datatype: scoring.FP32, Shape: []int64{-1, m}}},
		Weights: []scoring.Tensor{Tensor("weights", []int64{n, m}, weights...)},
	}.Model()
}

// Classifier is a linear classifier: features, FP32 [-1,n], to probabilities, FP32 [-1,m],
// by softmax, and label, INT64 [-1], the index of the largest. Weights are n rows of m;
// bias has m numbers.
func Classifier(n, m int64, weights, bias []float32) []byte {
	return Graph{
		Name: "classifier",
		Nodes: []Node{
			{Op: "Gemm", Inputs: []string{"features", "weights", "bias"}, Outputs: []string{"scores"}},
			{Op: "Softmax", Inputs: []string{"scores"}, Outputs: []string{"probabilities"}, Attributes: []Attribute{Int("axis", 1)}},
			{Op: "ArgMax", Inputs: []string{"scores"}, Outputs: []string{"label"}, Attributes: []Attribute{Int("axis", 1), Int("keepdims", 0)}},
		},
		Inputs: []scoring.TensorSpec{{Name: "features", Datatype: scoring.FP32, Shape: []int64{-1, n}}},
		Outputs: []scoring.TensorSpec{
			{Name: "probabilities", Datatype: scoring.FP32, Shape: []int64{-1, m}},
			{Name: "label", Datatype: scoring.Int64, Shape: []int64{-1}},
		},
		Weights: []scoring.Tensor{Tensor("weights", []int64{n, m}, weights...), Tensor("bias", []int64{m}, bias...)},
	}.Model()
}

// Concat joins strings: LEFT and RIGHT, BYTES [-1], to OUTPUT, BYTES [-1].
func Concat() []byte {
	spec := func(name string) scoring.TensorSpec {
		return scoring.TensorSpec{Name: name, Datatype: scoring.Bytes, Shape: []int64{-1}}
	}
	return Graph{
		Nodes:   []Node{{Op: "StringConcat", Inputs: []string{"LEFT", "RIGHT"}, Outputs: []string{"OUTPUT"}}},
		Inputs:  []scoring.TensorSpec{spec("LEFT"), spec("RIGHT")},
		Outputs: []scoring.TensorSpec{spec("OUTPUT")},
	}.Model()
}

// Slow takes its time: INPUT, FP32 [-1,16], comes back unchanged as OUTPUT after so many
// steps of a loop, each of which multiplies it with the identity matrix. A step takes
// some microseconds, and a run can be stopped between any two.
func Slow(steps int64) []byte {
	const width = 16
	eye := make([]float32, width*width)
	for i := range width {
		eye[i*width+i] = 1
	}
	rows := []int64{-1, width}
	body := Graph{
		Name: "step",
		Nodes: []Node{
			{Op: "Identity", Inputs: []string{"go_on"}, Outputs: []string{"go_on_out"}},
			{Op: "MatMul", Inputs: []string{"x", "eye"}, Outputs: []string{"x_out"}},
		},
		Inputs: []scoring.TensorSpec{
			{Name: "step", Datatype: scoring.Int64, Shape: []int64{}},
			{Name: "go_on", Datatype: scoring.Bool, Shape: []int64{}},
			{Name: "x", Datatype: scoring.FP32, Shape: rows},
		},
		Outputs: []scoring.TensorSpec{
			{Name: "go_on_out", Datatype: scoring.Bool, Shape: []int64{}},
			{Name: "x_out", Datatype: scoring.FP32, Shape: rows},
		},
	}
	return Graph{
		Name: "slow",
		Nodes: []Node{{
			Op: "Loop", Inputs: []string{"steps", "", "INPUT"}, Outputs: []string{"OUTPUT"},
			Attributes: []Attribute{Body("body", body)},
		}},
		Inputs:  []scoring.TensorSpec{{Name: "INPUT", Datatype: scoring.FP32, Shape: rows}},
		Outputs: []scoring.TensorSpec{{Name: "OUTPUT", Datatype: scoring.FP32, Shape: rows}},
		Weights: []scoring.Tensor{Tensor("steps", []int64{}, steps), Tensor("eye", []int64{width, width}, eye...)},
	}.Model()
}

// ZipMap is a model whose output, "probabilities", is a sequence of maps from class names
// to FP32: what scikit-learn's exporter makes of a classifier unless it is told not to.
// Its input is "features", FP32 [-1,2].
func ZipMap() []byte {
	classes := pb.AppendBytes(nil, 1, "classlabels_int64s")
	classes = pb.AppendInt(pb.AppendInt(classes, 8, 0), 8, 1)
	g := Graph{
		Nodes: []Node{{
			Op: "ZipMap", Domain: "ai.onnx.ml", Inputs: []string{"features"}, Outputs: []string{"probabilities"},
			Attributes: []Attribute{pb.AppendInt(classes, 20, attrInts)},
		}},
		Inputs: []scoring.TensorSpec{{Name: "features", Datatype: scoring.FP32, Shape: []int64{-1, 2}}},
	}.encode()
	const sequence, mapping = 4, 5
	number := pb.AppendBytes(nil, 1, pb.AppendInt(nil, 1, elementType(scoring.FP32)))
	entry := pb.AppendBytes(pb.AppendInt(nil, 1, elementType(scoring.Int64)), 2, number)
	list := pb.AppendBytes(nil, 1, pb.AppendBytes(nil, mapping, entry))
	output := pb.AppendBytes(pb.AppendBytes(nil, 1, "probabilities"), 2, pb.AppendBytes(nil, sequence, list))
	return model(pb.AppendBytes(g, 12, output))
}
