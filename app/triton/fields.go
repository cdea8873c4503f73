package triton

// The fields of a configuration and what becomes of them: "" for what [SettingsOf] or
// [Check] uses or refuses, and otherwise the words of a warning. A field stands for all
// that is below it. A set field that is not here is warned about too, in general words: so
// nothing is passed over without a sound, whatever a later Triton adds.
var fields = map[string]string{
	"name":                   "",
	"platform":               "",
	"backend":                "",
	"runtime":                "the backend is Onda itself",
	"version_policy":         "",
	"max_batch_size":         "",
	"default_model_filename": "",
	"cc_model_filenames":     "the model's file is the same on every device: default_model_filename, or model.onnx",
	"metric_tags":            "metrics have the labels of the server's own",
	"model_metrics":          "the buckets of histograms are the server's own",
	"batch_input":            "",
	"batch_output":           "",
	"ensemble_scheduling":    "",

	"input.name":                    "",
	"input.data_type":               "",
	"input.dims":                    "",
	"input.reshape":                 "",
	"input.is_shape_tensor":         "",
	"input.is_non_linear_format_io": "",
	"input.allow_ragged_batch":      "",
	"input.format":                  "pipeline.image.layout in model.yaml says what the axes of a picture are",
	"input.optional":                "a request gives every input that the model's file leaves open, and no others",

	"output.name":                    "",
	"output.data_type":               "",
	"output.dims":                    "",
	"output.reshape":                 "",
	"output.label_filename":          "",
	"output.is_shape_tensor":         "",
	"output.is_non_linear_format_io": "",

	"optimization.graph.level":                    "",
	"optimization.priority":                       "it is for TensorRT; priorities of requests are in dynamic_batching",
	"optimization.cuda":                           "it is for TensorRT",
	"optimization.execution_accelerators":         "execution providers are a setting of the server",
	"optimization.input_pinned_memory":            "memory for inputs is a setting of the server",
	"optimization.output_pinned_memory":           "memory for outputs is a setting of the server",
	"optimization.gather_kernel_buffer_threshold": "it is for TensorRT",
	"optimization.eager_batching":                 "it is for TensorRT",

	"dynamic_batching":                              "",
	"dynamic_batching.preferred_batch_size":         "a batch is run as soon as a session is free, or when it has max_batch_size rows",
	"dynamic_batching.max_queue_delay_microseconds": "",
	"dynamic_batching.preserve_ordering":            "answers are given as they are ready, each to its own caller",
	"dynamic_batching.priority_levels":              "",
	"dynamic_batching.default_priority_level":       "",
	"dynamic_batching.priority_queue_policy":        "default_queue_policy is that of every priority",

	"dynamic_batching.default_queue_policy.timeout_action":               "",
	"dynamic_batching.default_queue_policy.default_timeout_microseconds": "",
	"dynamic_batching.default_queue_policy.allow_timeout_override":       "",
	"dynamic_batching.default_queue_policy.max_queue_size":               "",

	"sequence_batching":               "sequences are not offered: every request is answered by itself",
	"sequence_batching.control_input": "",
	"sequence_batching.state":         "",

	"instance_group.name":              "there is one session, and it has the model's name",
	"instance_group.kind":              "the device is a setting of the server",
	"instance_group.count":             "one session runs several batches at once, and the server says how many",
	"instance_group.gpus":              "the device is a setting of the server",
	"instance_group.rate_limiter":      "runs are limited by the slots of the device",
	"instance_group.secondary_devices": "it is for TensorRT",
	"instance_group.profile":           "it is for TensorRT",
	"instance_group.passive":           "every version that is loaded takes requests",
	"instance_group.host_policy":       "the threads are a setting of the server",

	"model_warmup":                       "",
	"model_operations":                   "libraries of custom operators are not loaded: a model that needs them cannot be either",
	"model_transaction_policy.decoupled": "",
	"model_repository_agents":            "agents are not run: the files are served as they are, and digests in model.yaml prove them",
	"response_cache.enable":              "",

	"parameters.intra_op_thread_count":                         "",
	"parameters.inter_op_thread_count":                         "",
	"parameters.execution_mode":                                "",
	"parameters.enable_mem_arena":                              "",
	"parameters.enable_mem_pattern":                            "",
	"parameters.session.use_device_allocator_for_initializers": "weights stay in the memory that ONNX Runtime chooses",
	"parameters.memory.enable_memory_arena_shrinkage":          "memory is given back after runs that were larger than usual, without a setting",
	"parameters.cudnn_conv_algo_search":                        "options of CUDA are settings of the server",
	"parameters.gpu_mem_limit":                                 "options of CUDA are settings of the server",
	"parameters.arena_extend_strategy":                         "options of CUDA are settings of the server",
	"parameters.do_copy_in_default_stream":                     "options of CUDA are settings of the server",
}

// Words for what is not in fields.
const (
	unknownField     = "it has no effect"
	unknownParameter = "it is not one of the parameters for ONNX Runtime that have an effect"
)
