// Package onnx runs ONNX models in ONNX Runtime. It is the only package that links C
// code, and the only importer of onnxruntime_go: everything above it sees the tensors
// and errors of package scoring.
//
// An [Environment] is the loaded library, one for a process. A [Session] is a loaded
// model; it may run any number of requests at once. [Inspect] reads a model file without
// the library.
//
// # Who does what
//
// The binding onnxruntime_go loads the library and the models. Runs go past it, to the
// library's C API (capi.h): a run is one call from Go to C, and what it needs is kept for
// the next one. That is also how outputs without dimensions, of FP16 and of BF16, which the
// binding cannot read, are served.
//
// # Memory
//
// ONNX Runtime reads inputs where the caller has them: [scoring.Tensor.Data] is pinned
// for the time of the run, and copied only when its address does not suit the element
// size. It writes large outputs where the caller gets them, once it is known what shapes a
// model gives (plan.go), and they may be handed back for later runs ([Session.Release]).
// What a session needed for a run that was much larger than usual is given back to the
// system (surge.go), and so is what loading took (memory.go, which also says what a session
// holds: [Session.Memory]). Elements are in little-endian order on both sides, which is the order
// of every platform that ONNX Runtime's library is published for.
//
// # Threads
//
// A session has a pool of its own, of [Options.IntraOpThreads] less one: the thread that
// calls Run is the missing one. With one thread for a run, which is what package config
// comes to unless fewer runs than cores are allowed at once, the library makes none. What
// waits in a pool does not spin.
package onnx
