package triton_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// leaf is a field that holds no message, by its way from the top, or a message without
// fields.
type leaf []protoreflect.FieldDescriptor

// String writes the path as in config.pbtxt.
func (l leaf) String() string {
	parts := make([]string, len(l))
	for i, field := range l {
		parts[i] = string(field.Name())
	}
	return strings.Join(parts, ".")
}

// leaves lists every leaf below m.
func leaves(m protoreflect.MessageDescriptor, above leaf) []leaf {
	var all []leaf
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		path := append(append(leaf{}, above...), field)
		below := field.Message()
		if field.IsMap() {
			below = field.MapValue().Message()
		}
		if below == nil || below.Fields().Len() == 0 {
			all = append(all, path)
		} else {
			all = append(all, leaves(below, path)...)
		}
	}
	return all
}

// set gives a leaf a value that is not its default, and makes what is above it: one entry
// of each list, and the key "1" of each map. It gives false at its end instead: a
// configuration that lacks nothing but the leaf.
func set(m protoreflect.Message, l leaf, value bool) {
	field, rest := l[0], l[1:]
	switch {
	case len(rest) > 0 && field.IsMap():
		m.Mutable(field).Map().Set(mapKey(field), m.Mutable(field).Map().NewValue())
		set(m.Mutable(field).Map().Mutable(mapKey(field)).Message(), rest, value)
	case len(rest) > 0 && field.IsList():
		set(m.Mutable(field).List().AppendMutable().Message(), rest, value)
	case len(rest) > 0:
		set(m.Mutable(field).Message(), rest, value)
	case !value:
	case field.IsMap():
		m.Mutable(field).Map().Set(mapKey(field), sample(field.MapValue()))
	case field.IsList():
		m.Mutable(field).List().Append(sample(field))
	case field.Message() != nil:
		m.Mutable(field)
	default:
		m.Set(field, sample(field))
	}
}

func mapKey(field protoreflect.FieldDescriptor) protoreflect.MapKey {
	if field.MapKey().Kind() == protoreflect.Uint64Kind {
		return protoreflect.ValueOfUint64(1).MapKey()
	}
	return protoreflect.ValueOfString("1").MapKey()
}

func sample(field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(3)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(3)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(3)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(3)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(3)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(3)
	default:
		return protoreflect.ValueOfString("x")
	}
}

// outcome is all that a configuration leads to.
type outcome struct {
	settings triton.Settings
	errors   string
	warnings []string
}

func outcomeOf(cfg *configpb.ModelConfig) outcome {
	settings, err := triton.SettingsOf(cfg)
	o := outcome{settings: settings, warnings: triton.Warnings(cfg)}
	o.errors = fmt.Sprint(err, "\n", triton.Check(cfg, scoring.Signature{}))
	return o
}

// named says whether a warning or an error is about the leaf, or about what it stands in.
func (o outcome) named(l leaf) bool {
	for _, text := range append(strings.Split(o.errors, "\n"), o.warnings...) {
		name, _, _ := strings.Cut(text, ": ")
		name = strings.NewReplacer("[0]", "", ".1", "").Replace(name)
		if path := l.String(); path == name || strings.HasPrefix(path, name+".") {
			return true
		}
	}
	return false
}

// TestEveryFieldHasAnEffectOrAWarning sets every field that Triton's configuration has, one
// after the other. Each must change the settings, be refused, or be named by a warning.
func TestEveryFieldHasAnEffectOrAWarning(t *testing.T) {
	t.Parallel()
	all := leaves(new(configpb.ModelConfig).ProtoReflect().Descriptor(), nil)
	if len(all) < 120 {
		t.Fatalf("found %d fields: the test looks in the wrong place", len(all))
	}
	for _, l := range all {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			with, without := new(configpb.ModelConfig), new(configpb.ModelConfig)
			if l.String() != "max_batch_size" {
				with.MaxBatchSize, without.MaxBatchSize = 8, 8 // or all of dynamic_batching would be in vain
			}
			set(with.ProtoReflect(), l, true)
			set(without.ProtoReflect(), l, false)
			got, base := outcomeOf(with), outcomeOf(without)
			if !got.named(l) && got.errors == base.errors && reflect.DeepEqual(got.settings, base.settings) {
				t.Errorf("%s: nobody is told that it has no effect: warnings %q", prototext.MarshalOptions{}.Format(with), got.warnings)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"all that applies", everything, []string{
			"instance_group[0].kind: the device is a setting of the server",
			"instance_group[0].count: one session runs several batches at once, and the server says how many",
			"instance_group[1].count: one session runs several batches at once, and the server says how many",
			"dynamic_batching.default_queue_policy.timeout_action: DELAY: requests keep their place in the queue, and are not refused for waiting",
		}},
		{"GPU", `instance_group [ { kind: KIND_GPU gpus: [ 0, 1 ] rate_limiter { resources { name: "R" } } } ]`, []string{
			"instance_group[0].kind: the device is a setting of the server",
			"instance_group[0].rate_limiter: runs are limited by the slots of the device",
			"instance_group[0].gpus: the device is a setting of the server",
		}},
		{"sequences", `sequence_batching { oldest { max_candidate_sequences: 4 } }`, []string{"sequence_batching: sequences are not offered: every request is answered by itself"}},
		{"TensorRT", `optimization { execution_accelerators { gpu_execution_accelerator { name: "tensorrt" parameters { key: "precision_mode" value: "FP16" } } } cuda { graphs: true } priority: PRIORITY_MAX }`, []string{
			"optimization.priority: it is for TensorRT; priorities of requests are in dynamic_batching",
			"optimization.cuda: it is for TensorRT",
			"optimization.execution_accelerators: execution providers are a setting of the server",
		}},
		{"batching", `max_batch_size: 8 dynamic_batching { preferred_batch_size: [4, 8] preserve_ordering: true priority_queue_policy { key: 1 value { } } }`, []string{
			"dynamic_batching.preferred_batch_size: a batch is run as soon as a session is free, or when it has max_batch_size rows",
			"dynamic_batching.preserve_ordering: answers are given as they are ready, each to its own caller",
			"dynamic_batching.priority_queue_policy: default_queue_policy is that of every priority",
		}},
		{"batching without a batch axis", `dynamic_batching { }`, []string{"dynamic_batching: requests run alone, because max_batch_size is 0"}},
		{"parameters", `parameters { key: "xyz" value { } } parameters { key: "gpu_mem_limit" value { } } parameters { key: "a b\n" value { } } parameters { key: "execution_mode" value { string_value: "0" } }`, []string{
			`parameters."a b\n": it is not one of the parameters for ONNX Runtime that have an effect`,
			"parameters.gpu_mem_limit: options of CUDA are settings of the server",
			"parameters.xyz: it is not one of the parameters for ONNX Runtime that have an effect",
		}},
		{"parameters of ONNX Runtime", `parameters { key: "inter_op_thread_count" value { string_value: "2" } } parameters { key: "session.use_device_allocator_for_initializers" value { string_value: "1" } } parameters { key: "memory.enable_memory_arena_shrinkage" value { string_value: "cpu:0" } }`, []string{
			"parameters.memory.enable_memory_arena_shrinkage: memory is given back after runs that were larger than usual, without a setting",
			"parameters.session.use_device_allocator_for_initializers: weights stay in the memory that ONNX Runtime chooses",
			"parameters.inter_op_thread_count: operators run one after the other, because execution_mode is not 1",
		}},
		{"level", `optimization { graph { level: 7 } }`, []string{"optimization.graph.level: 7 is none of -1, 0, 1 and 2: all optimisations are on"}},
		{"what is empty says nothing", `optimization { } version_policy { } response_cache { } model_transaction_policy { }`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := triton.Warnings(parse(t, test.text))
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestWarningsAreBounded(t *testing.T) {
	t.Parallel()
	cfg := &configpb.ModelConfig{Parameters: map[string]*configpb.ModelParameter{}}
	for i := range 300 {
		cfg.Parameters[strings.Repeat("x", i+1)] = nil
	}
	got := triton.Warnings(cfg)
	if len(got) != 101 || got[100] != "and 200 more fields that have no effect" {
		t.Errorf("got %d warnings, the last one %q", len(got), got[len(got)-1])
	}
	for _, warning := range got {
		if len(warning) > 200 {
			t.Errorf("got a warning of %d bytes", len(warning))
		}
	}
}
