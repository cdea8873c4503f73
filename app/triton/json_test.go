package triton_test

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// TestMarshalJSON has the answer of Triton's server to GET .../config for such a model: the
// fields, their order, their defaults, and 64-bit integers as numbers.
func TestMarshalJSON(t *testing.T) {
	t.Parallel()
	cfg := parse(t, `name: "simple" platform: "onnxruntime_onnx" max_batch_size: 8 version_policy { specific { versions: [1, 9007199254740993] } }
		input { name: "INPUT0" data_type: TYPE_INT32 dims: 16 reshape { shape: [4, 4] } }
		output { name: "O<&>" data_type: TYPE_STRING dims: -1 label_filename: "labels.txt" }
		optimization { execution_accelerators { cpu_execution_accelerator { name: "openvino" } } }
		dynamic_batching { max_queue_delay_microseconds: 100 priority_queue_policy { key: 10 value { default_timeout_microseconds: 7 } } priority_queue_policy { key: 9 value {} } }
		instance_group { kind: KIND_CPU count: 2 secondary_devices { device_id: 3 } }
		parameters { key: "b" value { string_value: "1" } } parameters { key: "a" value { } }`)
	const want = `{"name":"simple","platform":"onnxruntime_onnx","backend":"","runtime":"",` +
		`"version_policy":{"specific":{"versions":[1,9007199254740993]}},"max_batch_size":8,` +
		`"input":[{"name":"INPUT0","data_type":"TYPE_INT32","format":"FORMAT_NONE","dims":[16],"reshape":{"shape":[4,4]},"is_shape_tensor":false,"allow_ragged_batch":false,"optional":false,"is_non_linear_format_io":false}],` +
		`"output":[{"name":"O\u003c\u0026\u003e","data_type":"TYPE_STRING","dims":[-1],"label_filename":"labels.txt","is_shape_tensor":false,"is_non_linear_format_io":false}],` +
		`"batch_input":[],"batch_output":[],` +
		`"optimization":{"priority":"PRIORITY_DEFAULT","execution_accelerators":{"gpu_execution_accelerator":[],"cpu_execution_accelerator":[{"name":"openvino","parameters":{}}]},"gather_kernel_buffer_threshold":0,"eager_batching":false},` +
		`"dynamic_batching":{"preferred_batch_size":[],"max_queue_delay_microseconds":100,"preserve_ordering":false,"priority_levels":0,"default_priority_level":0,"priority_queue_policy":{` +
		`"9":{"timeout_action":"REJECT","default_timeout_microseconds":0,"allow_timeout_override":false,"max_queue_size":0},` +
		`"10":{"timeout_action":"REJECT","default_timeout_microseconds":7,"allow_timeout_override":false,"max_queue_size":0}}},` +
		`"instance_group":[{"name":"","kind":"KIND_CPU","count":2,"gpus":[],"secondary_devices":[{"kind":"KIND_NVDLA","device_id":3}],"profile":[],"passive":false,"host_policy":""}],` +
		`"default_model_filename":"","cc_model_filenames":{},"metric_tags":{},"parameters":{"a":{"string_value":""},"b":{"string_value":"1"}},"model_warmup":[]}`
	got, err := triton.MarshalJSON(cfg)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if !json.Valid(got) {
		t.Error("got no JSON")
	}
}

func TestMarshalJSONIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, text := range []string{everything, `sequence_batching { direct { minimum_slot_utilization: 1e-20 } }`, `input { data_type: 99 }`} {
		cfg := parse(t, text)
		data, err := triton.MarshalJSON(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := triton.ParseJSON(data); err != nil || !proto.Equal(again, cfg) {
			t.Errorf("%s: read again, got %s, %v", data, again, err)
		}
	}
}

func TestMarshalJSONRefusesWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	_, err := triton.MarshalJSON(parse(t, `sequence_batching { direct { minimum_slot_utilization: nan } }`))
	refused(t, err, "inference.ModelConfig.sequence_batching: inference.ModelSequenceBatching.direct: inference.ModelSequenceBatching.StrategyDirect.minimum_slot_utilization: NaN is no number in JSON")
}

func TestMarshalJSONOfNothing(t *testing.T) {
	t.Parallel()
	got, err := triton.MarshalJSON(new(configpb.ModelConfig))
	const want = `{"name":"","platform":"","backend":"","runtime":"","max_batch_size":0,"input":[],"output":[],"batch_input":[],"batch_output":[],"instance_group":[],"default_model_filename":"","cc_model_filenames":{},"metric_tags":{},"parameters":{},"model_warmup":[]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}
