// Package testmodel makes the models folders that the bench serves: synthetic models of
// known cost beside copies of the shipped ones, with the batching of the manifest as
// each measurement wants it.
package testmodel

import (
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// The synthetic models have one input, [Input], of rows of numbers, and one output.
const (
	// Input is the name of the input.
	Input = "x"
	// Output is the name of the output.
	Output = "y"
)

// Synthetic is a model whose cost is known beforehand.
type Synthetic struct {
	// Name of the model.
	Name string
	// Width of a row.
	Width int
	// What it is, for people.
	What  string
	build func() []byte
}

// Synthetics are the synthetic models, from the cheapest on. The times are those of one
// row on one core of a server of 2023; the bench measures its own.
var Synthetics = []Synthetic{
	{"mlp-32", 32, "perceptron 32-64-64-2, about 5 µs", func() []byte { return perceptron(32, 64, 64, 2) }},
	{"mlp-128", 128, "perceptron 128-512-512-10, about 20 µs", func() []byte { return perceptron(128, 512, 512, 10) }},
	{"mlp-512", 512, "perceptron 512-1024-1024-10, about 100 µs", func() []byte { return perceptron(512, 1024, 1024, 10) }},
	{"mlp-768", 768, "perceptron 768-3072-768-10, about 250 µs", func() []byte { return perceptron(768, 3072, 768, 10) }},
	{"conv-256", 256, "fifteen convolutions of 128 channels over 16 x 16, about 10 ms", func() []byte { return convolutions(14) }},
}

// ByName finds a synthetic model.
func ByName(name string) (Synthetic, bool) {
	for _, s := range Synthetics {
		if s.Name == name {
			return s, true
		}
	}
	return Synthetic{}, false
}

// network is a graph that is built layer by layer.
type network struct {
	graph  onnxtest.Graph
	random *rand.Rand
	last   string
}

func newNetwork(name string, width int64) *network {
	return &network{
		graph: onnxtest.Graph{
			Name:   name,
			Inputs: []scoring.TensorSpec{{Name: Input, Datatype: scoring.FP32, Shape: []int64{-1, width}}},
		},
		// The same weights every time, so that the same files come out.
		random: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // weights are no secret
		last:   Input,
	}
}

// weight adds random weights that keep numbers of the size they had.
func (n *network) weight(fanIn int64, shape ...int64) string {
	size := int64(1)
	for _, d := range shape {
		size *= d
	}
	values := make([]float32, size)
	for i := range values {
		values[i] = float32(n.random.NormFloat64() * math.Sqrt(2/float64(fanIn)))
	}
	name := "w" + strconv.Itoa(len(n.graph.Weights))
	n.graph.Weights = append(n.graph.Weights, onnxtest.Tensor(name, shape, values...))
	return name
}

// add appends an operator that takes the last value and further inputs.
func (n *network) add(op string, inputs []string, attributes ...onnxtest.Attribute) {
	out := "v" + strconv.Itoa(len(n.graph.Nodes))
	n.graph.Nodes = append(n.graph.Nodes, onnxtest.Node{
		Op: op, Inputs: append([]string{n.last}, inputs...), Outputs: []string{out}, Attributes: attributes,
	})
	n.last = out
}

// finish names the last value as the output.
func (n *network) finish(width int64) []byte {
	n.graph.Nodes[len(n.graph.Nodes)-1].Outputs = []string{Output}
	n.graph.Outputs = []scoring.TensorSpec{{Name: Output, Datatype: scoring.FP32, Shape: []int64{-1, width}}}
	return n.graph.Model()
}

// perceptron is fully connected layers with rectifiers between them.
func perceptron(widths ...int64) []byte {
	n := newNetwork("perceptron", widths[0])
	for i := 1; i < len(widths); i++ {
		from, to := widths[i-1], widths[i]
		n.add("Gemm", []string{n.weight(from, from, to), n.weight(from, to)})
		if i < len(widths)-1 {
			n.add("Relu", nil)
		}
	}
	return n.finish(widths[len(widths)-1])
}

// convolutions see a row of 256 numbers as a picture of 16 x 16: much work on few
// weights, so that, unlike with wide layers, the memory is not what takes the time.
func convolutions(layers int) []byte {
	const channels, classes = 128, 10
	n := newNetwork("convolutions", 256)
	n.graph.Weights = append(n.graph.Weights, onnxtest.Tensor("picture", []int64{4}, []int64{0, 1, 16, 16}...))
	n.add("Reshape", []string{"picture"})
	from := int64(1)
	for range layers + 1 {
		n.add("Conv", []string{n.weight(from*9, channels, from, 3, 3)},
			onnxtest.Ints("kernel_shape", 3, 3), onnxtest.Ints("pads", 1, 1, 1, 1))
		n.add("Relu", nil)
		from = channels
	}
	n.add("GlobalAveragePool", nil)
	n.add("Flatten", nil)
	n.add("Gemm", []string{n.weight(channels, channels, classes)})
	return n.finish(classes)
}
