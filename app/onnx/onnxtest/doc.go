// Package onnxtest helps to test code that scores models: it builds tiny ONNX models in
// memory ([Identity], [AddSub], [Classifier], [Slow], [Crash] and more, or any [Graph]),
// makes and reads tensors ([Tensor], [Values]), finds ONNX Runtime's library ([Library]) and
// stands in for a session ([Fake]). It links no C code: a test that uses only a Fake runs
// without the library.
package onnxtest
