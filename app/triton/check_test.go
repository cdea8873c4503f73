package triton_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// simple is the signature of a model that fits [tensors], with a batch axis.
var simple = scoring.Signature{
	Inputs:  []scoring.TensorSpec{{Name: "a", Datatype: scoring.FP32, Shape: []int64{-1, 4}, Axes: []string{"rows", ""}}},
	Outputs: []scoring.TensorSpec{{Name: "b", Datatype: scoring.FP32, Shape: []int64{-1, 2}}},
}

// of makes a signature of one input and one output.
func of(in, out []int64) scoring.Signature {
	return scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "a", Datatype: scoring.FP32, Shape: in}},
		Outputs: []scoring.TensorSpec{{Name: "b", Datatype: scoring.FP32, Shape: out}},
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		sig        scoring.Signature
		want       string
	}{
		{"nothing is said", "", simple, ""},
		{"it fits", "max_batch_size: 8" + tensors, simple, ""},
		{"no batch axis", tensors, of([]int64{4}, []int64{2}), ""},
		{"of any rank", "max_batch_size: 8" + tensors, of(nil, nil), ""},
		{"narrower than the model", tensors, of([]int64{-1}, []int64{-1}), ""},
		{"a single number", `output { name: "b" data_type: TYPE_FP32 dims: [ 1 ] }`, of([]int64{4}, []int64{}), ""},
		{"reshape", `max_batch_size: 8 output { name: "b" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }`, of([]int64{-1, 4}, []int64{-1}), ""},
		{"optional", `input { name: "w" optional: true data_type: TYPE_FP32 dims: 1 }` + tensors, of([]int64{4}, []int64{2}), ""},
		{"other names", `input { name: "x" data_type: TYPE_FP32 dims: 4 } output { name: "y" data_type: TYPE_FP32 dims: 4 }`, simple, "input[0].name: the model's file has no input \"x\": it has \"a\"\ninput: \"a\" is missing: the model's file has the inputs \"a\"\noutput[0].name: the model's file has no output \"y\": it has \"b\""},
		{"twice", tensors + tensors, of([]int64{4}, []int64{2}), "input[1].name: \"a\" is there twice\noutput[1].name: \"b\" is there twice"},
		{"other datatype", `input { name: "a" data_type: TYPE_FP64 dims: [ -1, 4 ] }`, simple, `input[0].data_type: TYPE_FP64: "a" is TYPE_FP32 in the model's file`},
		{"other dims", `input { name: "a" data_type: TYPE_FP32 dims: [ -1, 5 ] }`, simple, `input[0].dims: [-1,5]: "a" has the shape [-1,4] in the model's file`},
		{"more than the model has", `input { name: "a" data_type: TYPE_FP32 dims: [ -1, -1 ] }`, simple, `input[0].dims: [-1,-1]: "a" has the shape [-1,4] in the model's file`},
		{"batch axis in dims", `max_batch_size: 8 input { name: "a" data_type: TYPE_FP32 dims: [ -1, 4 ] }`, simple, `input[0].dims: [-1,-1,4] with the batch axis of max_batch_size: "a" has the shape [-1,4] in the model's file`},
		{"other reshape", `max_batch_size: 8 input { name: "a" data_type: TYPE_FP32 dims: [ 4 ] reshape { shape: [ 2, 2 ] } }`, simple, `input[0].reshape.shape: [-1,2,2] with the batch axis of max_batch_size: "a" has the shape [-1,4] in the model's file`},
		{"fixed batch axis", "max_batch_size: 8", of([]int64{1, 4}, []int64{}), "max_batch_size: 8: the input \"a\" of the model's file has the shape [1,4]: want a first axis that may vary, or max_batch_size: 0\nmax_batch_size: 8: the output \"b\" of the model's file has the shape []: want a first axis that may vary, or max_batch_size: 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := triton.Check(parse(t, test.text), test.sig)
			if test.want == "" && err == nil {
				return
			}
			refused(t, err, test.want)
		})
	}
	if err := triton.Check(nil, simple); err != nil {
		t.Errorf("without a configuration: got %v", err)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	const (
		head   = `name: "m" platform: "onnxruntime_onnx" backend: "onnxruntime" default_model_filename: "model.onnx" `
		group  = ` instance_group { name: "m" count: 1 kind: KIND_CPU }`
		latest = ` version_policy { latest { num_versions: 1 } }`
		all    = ` version_policy { all { } }`
	)
	tests := []struct {
		name string
		cfg  *configpb.ModelConfig
		sig  scoring.Signature
		rows int
		want string
	}{
		{"without a file", nil, simple, 32, head + all + group + "max_batch_size: 32 dynamic_batching {}" + tensors},
		{"without a file, never batched", nil, simple, 0, head + all + group + `input { name: "a" data_type: TYPE_FP32 dims: [-1, 4] } output { name: "b" data_type: TYPE_FP32 dims: [-1, 2] }`},
		{"without a batch axis", nil, of([]int64{-1, 4}, []int64{2}), 32, head + all + group + `input { name: "a" data_type: TYPE_FP32 dims: [-1, 4] } output { name: "b" data_type: TYPE_FP32 dims: 2 }`},
		{"of any rank", nil, of(nil, []int64{}), 32, head + all + group + `input { name: "a" data_type: TYPE_FP32 } output { name: "b" data_type: TYPE_FP32 }`},
		{"an empty file", parse(t, ""), simple, 32, head + latest + group + "max_batch_size: 32 dynamic_batching {}" + tensors},
		{"only the bound", parse(t, "max_batch_size: 8"), simple, 32, head + latest + group + "max_batch_size: 8 dynamic_batching {}" + tensors},
		{"all tensors, and no bound", parse(t, tensors), of([]int64{4}, []int64{2}), 32, head + latest + group + tensors},
		{"all tensors, one by one", parse(t, "max_batch_size: 8"+tensors), simple, 32, head + latest + group + "max_batch_size: 8" + tensors},
		{
			"what the file says stays", parse(t, `default_model_filename: "x.onnx" version_policy { all {} } instance_group [ { kind: KIND_GPU gpus: [0] }, { count: 2 name: "n" } ] response_cache { enable: true } max_batch_size: 8`+tensors), simple, 32,
			`name: "m" platform: "onnxruntime_onnx" backend: "onnxruntime" default_model_filename: "x.onnx" version_policy { all {} } instance_group [ { name: "m_0" count: 1 kind: KIND_GPU gpus: [0] }, { count: 2 name: "n" kind: KIND_CPU } ] response_cache { enable: true } max_batch_size: 8` + tensors,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := proto.CloneOf(test.cfg)
			got := triton.Complete(test.cfg, "m", test.sig, test.rows)
			if want := parse(t, test.want); !proto.Equal(got, want) {
				t.Errorf("got  %s\nwant %s", prototext.MarshalOptions{}.Format(got), want)
			}
			if !proto.Equal(before, test.cfg) {
				t.Error("the configuration itself was changed")
			}
		})
	}
}

// TestDatatypes takes every datatype there and back.
func TestDatatypes(t *testing.T) {
	t.Parallel()
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		sig := scoring.Signature{Inputs: []scoring.TensorSpec{{Name: "a", Datatype: d, Shape: []int64{1}}}}
		cfg := triton.Complete(nil, "m", sig, 0)
		if err := triton.Check(cfg, sig); err != nil {
			t.Errorf("%s: %v", d, err)
		}
		want := "TYPE_" + d.String()
		if d == scoring.Bytes {
			want = "TYPE_STRING"
		}
		if got := cfg.GetInput()[0].GetDataType().String(); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}
