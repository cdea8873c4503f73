package onnxtest

import (
	"strconv"

	"github.com/onda-serving/onda/app/onnx/internal/pb"
	"github.com/onda-serving/onda/app/scoring"
)

// Crash is a model that ends the process which loads it, with a segmentation fault: a sound
// ONNX file of ten thousand functions, each of which calls the next one. ONNX Runtime
// refuses functions that call themselves, and follows a chain of them however long it is, on
// a stack that has room for a third of these.
func Crash() []byte {
	const (
		depth  = 10_000
		domain = "crash"
	)
	name := func(i int) string { return "f" + strconv.Itoa(i) }
	rows := []int64{-1}
	b := Graph{
		Nodes:   []Node{{Op: name(0), Domain: domain, Inputs: []string{"INPUT"}, Outputs: []string{"OUTPUT"}}},
		Inputs:  []scoring.TensorSpec{{Name: "INPUT", Datatype: scoring.FP32, Shape: rows}},
		Outputs: []scoring.TensorSpec{{Name: "OUTPUT", Datatype: scoring.FP32, Shape: rows}},
	}.Model()
	b = pb.AppendBytes(b, 8, opset(domain, 1))
	for i := range depth {
		b = pb.AppendBytes(b, 25, function(domain, name(i), Node{Op: name(i + 1), Domain: domain}))
	}
	return pb.AppendBytes(b, 25, function(domain, name(depth), Node{Op: "Identity"}))
}

// function writes a FunctionProto from x to y with a body of one node.
func function(domain, name string, body Node) []byte {
	body.Inputs, body.Outputs = []string{"x"}, []string{"y"}
	b := pb.AppendBytes(nil, 1, name)
	b = pb.AppendBytes(b, 4, "x")
	b = pb.AppendBytes(b, 5, "y")
	b = pb.AppendBytes(b, 7, body.encode())
	b = pb.AppendBytes(b, 9, opset("", 21))
	b = pb.AppendBytes(b, 9, opset(domain, 1))
	return pb.AppendBytes(b, 10, domain)
}
