package onnx

import (
	"github.com/onda-serving/onda/app/onnx/internal/pb"
	"github.com/onda-serving/onda/app/scoring"
)

// The binding reads an output back correctly only if it has at least one dimension and
// an element type that Go has too. For any other output, nodes are added to the model:
//
//	output -> [Cast to FP32] -> [Reshape to one dimension] -> what is fetched
//	output -> [Shape] -> its dimensions, fetched too
//
// FP32 holds every value of FP16 and BF16, so that the way back is exact. The model's
// own nodes and outputs stay as they are.

// graftPrefix begins the names of the values added. No exporter writes such names.
const graftPrefix = "onda.graft/"

// flatShape is the name of the constant [-1] that Reshape takes.
const flatShape = graftPrefix + "flat"

// fetch says where an output is found among the values that a run gives.
type fetch struct {
	// data is the index of the elements.
	data int
	// shape is the index of the dimensions, or -1 if data has them.
	shape int
}

// graft is what to add to a model, and what to fetch from it.
type graft struct {
	fetches []fetch
	// names of the values to fetch; fetches holds indices into it.
	names []string
	// suffix, appended to the model's bytes, adds the nodes: Protocol Buffers merge
	// the parts of a message that comes in two.
	suffix []byte
}

// newGraft plans how to fetch outputs.
func newGraft(outputs []scoring.TensorSpec) graft {
	var g graft
	var body []byte
	flattens := false
	for _, o := range outputs {
		name, f := o.Name, fetch{shape: -1}
		if o.Datatype == scoring.FP16 || o.Datatype == scoring.BF16 {
			name = appendNode(&body, "Cast", o.Name, castToFloat())
		}
		// A rank that the file does not give can be 0 too.
		if len(o.Shape) == 0 {
			flattens = true
			name = appendReshape(&body, o.Name, name)
			g.names = append(g.names, appendNode(&body, "Shape", o.Name, nil))
			f.shape = len(g.names) - 1
		}
		g.names = append(g.names, name)
		f.data = len(g.names) - 1
		g.fetches = append(g.fetches, f)
	}
	if flattens {
		body = pb.AppendBytes(body, graphInitializer, flatConstant())
	}
	if len(body) > 0 {
		g.suffix = pb.AppendBytes(nil, modelGraph, body)
	}
	return g
}

// The field numbers of NodeProto.
const (
	nodeInput     = 1
	nodeOutput    = 2
	nodeOp        = 4
	nodeAttribute = 5
)

// appendNode adds a node of one input to a GraphProto, makes its result an output of the
// graph, and gives the result's name.
func appendNode(body *[]byte, op, input string, attribute []byte) string {
	result := graftPrefix + op + "/" + input
	node := pb.AppendBytes(nil, nodeInput, input)
	node = pb.AppendBytes(node, nodeOutput, result)
	node = pb.AppendBytes(node, nodeOp, op)
	if attribute != nil {
		node = pb.AppendBytes(node, nodeAttribute, attribute)
	}
	appendOutput(body, node, result)
	return result
}

// appendReshape adds the node that makes input, which stands for output, one-dimensional.
func appendReshape(body *[]byte, output, input string) string {
	result := graftPrefix + "Reshape/" + output
	node := pb.AppendBytes(nil, nodeInput, input)
	node = pb.AppendBytes(node, nodeInput, flatShape)
	node = pb.AppendBytes(node, nodeOutput, result)
	node = pb.AppendBytes(node, nodeOp, "Reshape")
	appendOutput(body, node, result)
	return result
}

// appendOutput adds a node and its result. The result's type is left to inference.
func appendOutput(body *[]byte, node []byte, result string) {
	*body = pb.AppendBytes(*body, graphNode, node)
	*body = pb.AppendBytes(*body, graphOutput, pb.AppendBytes(nil, 1, result))
}

// castToFloat is Cast's attribute to=FLOAT.
func castToFloat() []byte {
	const name, integer, kind, kindInt, float = 1, 3, 20, 2, 1
	a := pb.AppendBytes(nil, name, "to")
	a = pb.AppendInt(a, integer, float)
	return pb.AppendInt(a, kind, kindInt)
}

// flatConstant is the TensorProto of an INT64 tensor [-1].
func flatConstant() []byte {
	const dims, datatype, int64Data = 1, 2, 7
	t := pb.AppendInt(nil, dims, 1)
	t = pb.AppendInt(t, datatype, elementTypes[scoring.Int64])
	t = pb.AppendInt(t, int64Data, -1)
	return pb.AppendBytes(t, tensorName, flatShape)
}
