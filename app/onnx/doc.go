// Package onnx runs ONNX models in ONNX Runtime. It is the only package that links C
// code, and the only importer of onnxruntime_go: everything above it sees the tensors
// and errors of package scoring.
//
// An [Environment] is the loaded library, one for a process. A [Session] is a loaded
// model; it may run any number of requests at once. [Inspect] reads a model file without
// the library.
//
// # Memory
//
// ONNX Runtime reads inputs where the caller has them: [scoring.Tensor.Data] is pinned
// for the time of the run, and copied only when its address does not suit the element
// size. Outputs are copied once, into Go memory that belongs to the caller. Elements are
// in little-endian order on both sides, which is the order of every platform that ONNX
// Runtime's library is published for.
//
// # What onnxruntime_go cannot do
//
// The binding fails on outputs that are scalars, and on outputs of FP16 and BF16. The
// package adds a few nodes to such a model while loading it (see graft.go), so callers
// need not know.
package onnx
