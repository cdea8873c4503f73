package clients_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// casts are the numbers of element types in the attribute of the operator Cast.
var casts = map[scoring.Datatype]int64{scoring.FP32: 1, scoring.Int8: 3, scoring.Int32: 6, scoring.Bytes: 8, scoring.FP16: 10}

// classifyConfig gives an output of the model classify its labels, as Triton has it.
const classifyConfig = `name: "classify"
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "features" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [
  { name: "probabilities" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" },
  { name: "label" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } }
]
`

// writeModels makes a models folder: the family of Triton's examples, a model for each
// datatype that gives back what it gets, and what the tests need besides.
func writeModels(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	rows := []int64{-1, -1}
	eye := []float32{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
	for name, model := range map[string][]byte{
		"simple":          onnxtest.AddSub(),
		"simple_int8":     addSub(scoring.Int8, scoring.Int32),
		"simple_fp16":     addSub(scoring.FP16, scoring.FP32),
		"simple_string":   addSub(scoring.Bytes, scoring.Int32),
		"simple_identity": onnxtest.Identity(scoring.Bytes, rows),
		"raw_fp32":        onnxtest.Identity(scoring.FP32, []int64{-1}),
		"slow":            onnxtest.Slow(1_000_000),
		"classify":        onnxtest.Classifier(4, 4, eye, make([]float32, 4)),
		"broken":          []byte("this is no model"),
	} {
		write(t, filepath.Join(dir, name, "1", "model.onnx"), model)
	}
	for name, datatype := range map[string]scoring.Datatype{
		"bool": scoring.Bool, "uint8": scoring.Uint8, "uint16": scoring.Uint16, "uint32": scoring.Uint32, "uint64": scoring.Uint64,
		"int8": scoring.Int8, "int16": scoring.Int16, "int32": scoring.Int32, "int64": scoring.Int64,
		"fp16": scoring.FP16, "bf16": scoring.BF16, "fp32": scoring.FP32, "fp64": scoring.FP64,
	} {
		write(t, filepath.Join(dir, "identity_"+name, "1", "model.onnx"), onnxtest.Identity(datatype, rows))
	}
	write(t, filepath.Join(dir, "classify", "config.pbtxt"), []byte(classifyConfig))
	write(t, filepath.Join(dir, "classify", "labels.txt"), []byte("cat\ndog\nfish\nbird\n"))
	link(t, dir, "faq-matching")
	return dir
}

// addSub is the model simple for another datatype, which is cast to one that can be added
// and back.
func addSub(outside, inside scoring.Datatype) []byte {
	cast := func(from, to string, d scoring.Datatype) onnxtest.Node {
		return onnxtest.Node{Op: "Cast", Inputs: []string{from}, Outputs: []string{to}, Attributes: []onnxtest.Attribute{onnxtest.Int("to", casts[d])}}
	}
	spec := func(name string) scoring.TensorSpec {
		return scoring.TensorSpec{Name: name, Datatype: outside, Shape: []int64{-1, 16}}
	}
	return onnxtest.Graph{
		Name: "simple",
		Nodes: []onnxtest.Node{
			cast("INPUT0", "a", inside), cast("INPUT1", "b", inside),
			{Op: "Add", Inputs: []string{"a", "b"}, Outputs: []string{"sum"}},
			{Op: "Sub", Inputs: []string{"a", "b"}, Outputs: []string{"difference"}},
			cast("sum", "OUTPUT0", outside), cast("difference", "OUTPUT1", outside),
		},
		Inputs:  []scoring.TensorSpec{spec("INPUT0"), spec("INPUT1")},
		Outputs: []scoring.TensorSpec{spec("OUTPUT0"), spec("OUTPUT1")},
	}.Model()
}

// link adds a model of the repository.
func link(t *testing.T, dir, name string) {
	t.Helper()
	root, err := ondatest.Root()
	if err == nil {
		err = os.Symlink(filepath.Join(root, "models", name), filepath.Join(dir, name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
