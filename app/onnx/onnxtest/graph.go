package onnxtest

import (
	"github.com/onda-serving/onda/app/onnx/internal/pb"
	"github.com/onda-serving/onda/app/scoring"
)

// Graph is a graph of operators, the body of a model. Operators are those of opset 21.
type Graph struct {
	// Name of the graph; "test" if empty.
	Name string
	// Nodes in an order in which each finds its inputs computed.
	Nodes []Node
	// Inputs and Outputs; -1 stands for a dimension that may vary, and a nil shape for
	// an unknown rank. Axes name the dimensions that may vary.
	Inputs, Outputs []scoring.TensorSpec
	// Weights are constants, under the names that nodes use for them. Those of
	// datatype BYTES are not supported.
	Weights []scoring.Tensor
}

// Node is an application of an operator.
type Node struct {
	// Op is the operator's name, such as "MatMul".
	Op string
	// Inputs and Outputs are names of values; "" leaves out an optional input.
	Inputs, Outputs []string
	// Attributes of the operator.
	Attributes []Attribute
	// Domain is the operator set; "" is ONNX's own.
	Domain string
}

// Attribute is an attribute of a node, made by [Int], [Ints], [Float] or [Body].
type Attribute []byte

// The values of AttributeProto.AttributeType.
const (
	attrFloat = 1
	attrInt   = 2
	attrGraph = 5
	attrInts  = 7
)

// Int makes an attribute that is a whole number.
func Int(name string, v int64) Attribute {
	return attribute(name, attrInt, pb.AppendInt(nil, 3, v))
}

// Ints makes an attribute that is a list of whole numbers.
func Ints(name string, all ...int64) Attribute {
	var b []byte
	for _, v := range all {
		b = pb.AppendInt(b, 8, v)
	}
	return attribute(name, attrInts, b)
}

// Float makes an attribute that is a number.
func Float(name string, v float32) Attribute {
	return attribute(name, attrFloat, pb.AppendFloat(nil, 2, v))
}

// Body makes an attribute that is a graph, such as the body of a Loop.
func Body(name string, g Graph) Attribute {
	return attribute(name, attrGraph, pb.AppendBytes(nil, 6, g.encode()))
}

func attribute(name string, kind int64, value []byte) Attribute {
	b := pb.AppendBytes(nil, 1, name)
	b = append(b, value...)
	return pb.AppendInt(b, 20, kind)
}

// Model gives the bytes of an ONNX file with g as its main graph.
func (g Graph) Model() []byte { return model(g.encode()) }

// model wraps a GraphProto into a ModelProto: IR version 10, opset 21, and the operators
// of classical machine learning.
func model(graph []byte) []byte {
	b := pb.AppendInt(nil, 1, 10)
	b = pb.AppendBytes(b, 2, "onnxtest")
	b = pb.AppendBytes(b, 3, "1")
	b = pb.AppendBytes(b, 7, graph)
	b = pb.AppendBytes(b, 8, opset("", 21))
	b = pb.AppendBytes(b, 8, opset("ai.onnx.ml", 3))
	return pb.AppendBytes(b, 14, pair("purpose", "test"))
}

func opset(domain string, version int64) []byte {
	return pb.AppendInt(pb.AppendBytes(nil, 1, domain), 2, version)
}

func pair(key, value string) []byte {
	return pb.AppendBytes(pb.AppendBytes(nil, 1, key), 2, value)
}

// encode writes a GraphProto.
func (g Graph) encode() []byte {
	name := g.Name
	if name == "" {
		name = "test"
	}
	b := pb.AppendBytes(nil, 2, name)
	for _, n := range g.Nodes {
		b = pb.AppendBytes(b, 1, n.encode())
	}
	for _, w := range g.Weights {
		b = pb.AppendBytes(b, 5, weight(w))
	}
	for _, v := range g.Inputs {
		b = pb.AppendBytes(b, 11, valueInfo(v))
	}
	for _, v := range g.Outputs {
		b = pb.AppendBytes(b, 12, valueInfo(v))
	}
	return b
}

// encode writes a NodeProto.
func (n Node) encode() []byte {
	var b []byte
	for _, in := range n.Inputs {
		b = pb.AppendBytes(b, 1, in)
	}
	for _, out := range n.Outputs {
		b = pb.AppendBytes(b, 2, out)
	}
	b = pb.AppendBytes(b, 4, n.Op)
	for _, a := range n.Attributes {
		b = pb.AppendBytes(b, 5, a)
	}
	return pb.AppendBytes(b, 7, n.Domain)
}

// weight writes a TensorProto.
func weight(t scoring.Tensor) []byte {
	var b []byte
	for _, d := range t.Shape {
		b = pb.AppendInt(b, 1, d)
	}
	b = pb.AppendInt(b, 2, elementType(t.Datatype))
	b = pb.AppendBytes(b, 8, t.Name)
	return pb.AppendBytes(b, 9, t.Data)
}

// valueInfo writes a ValueInfoProto.
func valueInfo(s scoring.TensorSpec) []byte {
	tensor := pb.AppendInt(nil, 1, elementType(s.Datatype))
	if s.Shape != nil {
		var dims []byte
		for i, d := range s.Shape {
			var dim []byte
			switch {
			case d >= 0:
				dim = pb.AppendInt(nil, 1, d)
			case i < len(s.Axes):
				dim = pb.AppendBytes(nil, 2, s.Axes[i])
			}
			dims = pb.AppendBytes(dims, 1, dim)
		}
		tensor = pb.AppendBytes(tensor, 2, dims)
	}
	kind := pb.AppendBytes(nil, 1, tensor)
	return pb.AppendBytes(pb.AppendBytes(nil, 1, s.Name), 2, kind)
}

// elementType gives the number of a datatype in TensorProto.DataType. A datatype that
// does not exist panics: the caller is a test.
func elementType(d scoring.Datatype) int64 {
	n, ok := map[scoring.Datatype]int64{
		scoring.FP32: 1, scoring.Uint8: 2, scoring.Int8: 3, scoring.Uint16: 4, scoring.Int16: 5, scoring.Int32: 6,
		scoring.Int64: 7, scoring.Bytes: 8, scoring.Bool: 9, scoring.FP16: 10, scoring.FP64: 11, scoring.Uint32: 12,
		scoring.Uint64: 13, scoring.BF16: 16,
	}[d]
	if !ok {
		panic("onnxtest: unknown datatype")
	}
	return n
}
