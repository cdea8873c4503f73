package triton_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// tensors completes a configuration, so that nothing is left to the model's file.
const tensors = ` input { name: "a" data_type: TYPE_FP32 dims: 4 } output { name: "b" data_type: TYPE_FP32 dims: 2 } `

// everything sets what Onda applies.
const everything = `
name: "m"
platform: "onnxruntime_onnx"
backend: "onnxruntime"
max_batch_size: 64
default_model_filename: "fp16.onnx"
version_policy: { latest: { num_versions: 2 }}
input [ { name: "a" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "b" data_type: TYPE_FP32 dims: [ 2 ] label_filename: "labels.txt" } ]
instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 } ]
dynamic_batching {
  max_queue_delay_microseconds: 500
  priority_levels: 3
  default_priority_level: 2
  default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 3000000 max_queue_size: 100 allow_timeout_override: true }
}
optimization { graph { level: 1 } }
response_cache { enable: true }
parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
parameters { key: "inter_op_thread_count" value: { string_value: "2" } }
parameters { key: "execution_mode" value: { string_value: "1" } }
parameters { key: "enable_mem_arena" value: { string_value: "0" } }
parameters { key: "enable_mem_pattern" value: { string_value: "true" } }
model_warmup [ {
  name: "one"
  batch_size: 8
  count: 3
  inputs { key: "a" value: { data_type: TYPE_FP32 dims: [ 4 ] random_data: true } }
} ]
`

func TestSettings(t *testing.T) {
	t.Parallel()
	got, err := triton.SettingsOf(parse(t, everything))
	if err != nil {
		t.Fatal(err)
	}
	want := triton.Settings{
		Name: "m", File: "fp16.onnx", Versions: triton.VersionPolicy{Latest: 2}, MaxRows: 64, Batching: true,
		Delay: 500 * time.Microsecond, PriorityLevels: 3, DefaultPriority: 2,
		Queue: triton.QueuePolicy{MaxRequests: 100, Timeout: 3 * time.Second, Delay: true, Override: true},
		Cache: true, Labels: map[string]string{"b": "labels.txt"}, Instances: 3,
		WarmUp: []triton.WarmUp{{Name: "one", Rows: 8, Count: 3, Inputs: []triton.WarmUpInput{{Name: "a", Datatype: scoring.FP32, Shape: []int64{4}, Random: true}}}},
		Runtime: triton.Runtime{
			IntraOpThreads: 4, InterOpThreads: 2, Parallel: true, Optimization: triton.OptimizeExtended,
			MemArena: new(false), MemPattern: new(true),
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestSettingsOfBatching has the cases of Triton's onnxruntime backend.
func TestSettingsOfBatching(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text     string
		rows           int
		batching, auto bool
	}{
		{"nothing is said", "", 0, false, false},
		{"the outputs are left out", `input { name: "a" data_type: TYPE_FP32 dims: 4 }`, 0, false, false},
		{"no batch axis", tensors, 0, false, false},
		{"no batch axis, but batching", tensors + "dynamic_batching {}", 0, false, false},
		{"one by one", tensors + "max_batch_size: 8", 8, false, false},
		{"batches", tensors + "max_batch_size: 8 dynamic_batching {}", 8, true, false},
		{"batches of one", tensors + "max_batch_size: 1 dynamic_batching {}", 1, false, false},
		{"only the bound", "max_batch_size: 8", 8, true, false},
		{"only the bound, and sequences", "max_batch_size: 8 sequence_batching {}", 8, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := triton.SettingsOf(parse(t, test.text))
			if err != nil || s.MaxRows != test.rows || s.Batching != test.batching || s.Auto != test.auto {
				t.Errorf("got %d rows, batching %t, auto %t, %v, want %d, %t, %t", s.MaxRows, s.Batching, s.Auto, err, test.rows, test.batching, test.auto)
			}
		})
	}
	if s, err := triton.SettingsOf(nil); err != nil || !s.Auto || s.File != "model.onnx" {
		t.Errorf("without a configuration: got %+v, %v", s, err)
	}
}

func TestSettingsRefuse(t *testing.T) {
	t.Parallel()
	input := func(more string) string { return `input { name: "a" data_type: TYPE_FP32 dims: 4 ` + more + ` }` }
	tests := []struct{ name, text, want string }{
		{"platform", `platform: "tensorrt_plan"`, `platform: "tensorrt_plan": only ONNX models are served: want "onnxruntime_onnx"`},
		{"backend", `backend: "python"`, `backend: "python": only ONNX models are served: want "onnxruntime"`},
		{"ensemble", `platform: "ensemble" ensemble_scheduling { step { model_name: "a" } }`, "platform: \"ensemble\": only ONNX models are served: want \"onnxruntime_onnx\"\nensemble_scheduling: several models as one are not offered: ask them one after the other"},
		{"decoupled", `model_transaction_policy { decoupled: true }`, "model_transaction_policy.decoupled: every request gets exactly one answer"},
		{"sequence control", `sequence_batching { control_input { name: "START" } }`, "sequence_batching.control_input[0]: sequences are not offered: nothing would fill this input"},
		{"implicit state", `sequence_batching { state { input_name: "a" } }`, "sequence_batching.state[0]: sequences are not offered: the state would be lost between requests"},
		{"batch input", `batch_input { kind: BATCH_ITEM_SHAPE }`, "batch_input[0]: inputs are not computed from a batch: callers give every input of the model"},
		{"batch output", `batch_output { }`, "batch_output[0]: outputs are shared out by rows alone"},
		{"ragged", input("allow_ragged_batch: true"), "input[0].allow_ragged_batch: tensors without a batch axis are not put together; batching.pad in model.yaml puts rows of different lengths together"},
		{"shape tensor", input("is_shape_tensor: true"), "input[0].is_shape_tensor: shape tensors are TensorRT's: ONNX models have none"},
		{"non-linear format", input("is_non_linear_format_io: true"), "input[0].is_non_linear_format_io: non-linear formats are TensorRT's: ONNX models have none"},
		{"another number of elements", input("reshape { shape: [ 5 ] }"), "input[0].reshape: [5]: want as many elements as dims [4] has, also between one -1 and the next"},
		{"nothing about a tensor", `output { }`, "output[0].name: is missing: give the name in the model's file\noutput[0].data_type: is missing: give one such as TYPE_FP32\noutput[0].dims: is missing: give the shape without the batch axis, such as [ 16 ]"},
		{"no size", `output { name: "b" data_type: TYPE_BF16 dims: [ 0, -2 ] }`, "output[0].dims: 0: want sizes of 1 or more, or -1 for any\noutput[0].dims: -2: want sizes of 1 or more, or -1 for any"},
		{"labels elsewhere", `output { name: "b" data_type: TYPE_FP32 dims: 1 label_filename: "../x" }`, `output[0].label_filename: "../x": want the name of a file in the folder`},
		{"model elsewhere", `default_model_filename: "/etc/passwd"`, `default_model_filename: "/etc/passwd": want the name of a file in the folder`},
		{"negative rows", "max_batch_size: -1", "max_batch_size: -1: want at least 0"},
		{"negative copies", "instance_group { count: -1 }", "instance_group[0].count: -1: want at least 0"},
		{"version 0", "version_policy { specific { versions: [1, 0] } }", "version_policy.specific.versions: 0: want positive whole numbers"},
		{"no default priority", "dynamic_batching { priority_levels: 2 }", "dynamic_batching.default_priority_level: 0: want 1 to 2, the priority_levels"},
		{"a wait of ages", "dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }", "dynamic_batching.max_queue_delay_microseconds: 18446744073709551615: want at most 9223372036854775"},
		{"threads", `parameters { key: "intra_op_thread_count" value { string_value: "many" } }`, `parameters.intra_op_thread_count: "many": want a whole number, 0 to 65536`},
		{"mode", `parameters { key: "execution_mode" value { string_value: "2" } }`, `parameters.execution_mode: "2": want a whole number, 0 to 1`},
		{"switch", `parameters { key: "enable_mem_arena" value { string_value: "on" } }`, `parameters.enable_mem_arena: "on": want 1 or 0`},
		{"warm-up of too many rows", "max_batch_size: 2 model_warmup { batch_size: 3 }", "model_warmup[0].batch_size: 3: want at most 2, the max_batch_size"},
		{"warm-up of rows", "model_warmup { batch_size: 3 }", "model_warmup[0].batch_size: 3: want 1: max_batch_size is 0"},
		{"endless warm-up", "model_warmup { count: 1001 }", "model_warmup[0].count: 1001: want at most 1000"},
		{"warm-up with nothing", `model_warmup { inputs { key: "a" value { dims: -1 } } }`, "model_warmup[0].inputs.a.data_type: is missing: give one such as TYPE_FP32\nmodel_warmup[0].inputs.a.dims: [-1]: want the sizes of all axes\nmodel_warmup[0].inputs.a: want one of zero_data, random_data and input_data_file"},
		{"warm-up from elsewhere", `model_warmup { inputs { key: "a" value { data_type: TYPE_FP32 input_data_file: "../a" } } }`, `model_warmup[0].inputs.a.input_data_file: "../a": want the name of a file in the folder`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := triton.SettingsOf(parse(t, test.text))
			refused(t, err, test.want)
		})
	}
}

func TestVersionPolicy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text      string
		served, missing []int64
	}{
		{"default", "", []int64{12}, nil},
		{"no policy in it", "version_policy { }", []int64{12}, nil},
		{"latest of none", "version_policy { latest { } }", []int64{12}, nil},
		{"latest 2", "version_policy { latest { num_versions: 2 } }", []int64{3, 12}, nil},
		{"latest of more than there are", "version_policy { latest { num_versions: 9 } }", []int64{1, 3, 12}, nil},
		{"all", "version_policy { all { } }", []int64{1, 3, 12}, nil},
		{"specific", "version_policy { specific { versions: [12, 1, 1, 7] } }", []int64{1, 12}, []int64{7}},
		{"specific of none", "version_policy { specific { } }", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := triton.SettingsOf(parse(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			served, missing := s.Versions.Select([]int64{3, 12, 1})
			if !slices.Equal(served, test.served) || !slices.Equal(missing, test.missing) {
				t.Errorf("got %v, without %v, want %v, without %v", served, missing, test.served, test.missing)
			}
			if served, _ := s.Versions.Select(nil); len(served) != 0 {
				t.Errorf("of none: got %v", served)
			}
		})
	}
}

func TestOptimizationOfAnyOtherLevelIsAll(t *testing.T) {
	t.Parallel()
	for level, want := range map[int32]triton.Optimization{-2: triton.OptimizeAll, -1: triton.OptimizeBasic, 0: triton.OptimizeAll, 1: triton.OptimizeExtended, 2: triton.OptimizeNone, 3: triton.OptimizeAll} {
		cfg := &configpb.ModelConfig{Optimization: &configpb.ModelOptimizationPolicy{Graph: &configpb.ModelOptimizationPolicy_Graph{Level: level}}}
		if s, err := triton.SettingsOf(cfg); err != nil || s.Runtime.Optimization != want {
			t.Errorf("level %d: got %d, %v, want %d", level, s.Runtime.Optimization, err, want)
		}
	}
}
