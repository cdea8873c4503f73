package wire

// Extensions are the extensions of the Open Inference Protocol that Onda offers, by the
// names that Triton gives them. Every door's metadata lists these and nothing else: a
// client may rely on each of them.
//
// Not in it, because a request that needs them is refused or changes nothing: "sequence",
// "system_shared_memory", "cuda_shared_memory", "trace", "logging", "generate" and
// "parameters" (unknown parameters are accepted, but ONNX has no place to hand them to).
var Extensions = []string{
	"classification",
	"model_repository",
	"schedule_policy",
	"model_configuration",
	"binary_tensor_data",
	"statistics",
}
