// Package triton reads the configuration of models in a Triton model repository and says
// what of it Onda does: [SettingsOf] takes what applies, [Warnings] names what does not,
// and what would make answers wrong if it were passed over is an error.
//
// The format is Triton's ModelConfig (see configpb): as text in config.pbtxt, as JSON in a
// load request and in the answer of GET .../config. The meaning of each field is that of
// Triton's documentation of the model configuration and, for ONNX Runtime's parameters, of
// its onnxruntime backend.
package triton
