package artifact_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/onnx"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// classifier is a configuration as people write it, for a model with features, labels and
// probabilities.
const classifier = `
name: "classifier"
backend: "onnxruntime"
max_batch_size: 16
default_model_filename: "fp32.onnx"
version_policy: { all { } }
input [ { name: "features" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [
  { name: "probabilities" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "names/classes.txt" },
  { name: "label" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } }
]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 250
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy { default_timeout_microseconds: 2000000 max_queue_size: 32 }
}
instance_group [ { count: 2 kind: KIND_CPU } ]
response_cache { enable: true }
model_warmup [ { name: "drawn" batch_size: 2 inputs { key: "features" value { data_type: TYPE_FP32 dims: [ 2 ] input_data_file: "row" } } } ]
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
`

// repository makes a Triton model repository.
func repository(t *testing.T) string {
	t.Helper()
	addSub, scorer := string(onnxtest.AddSub()), string(onnxtest.Classifier(2, 3, make([]float32, 6), make([]float32, 3)))
	dir := t.TempDir()
	write(t, dir, files{
		"simple/config.pbtxt": "platform: \"onnxruntime_onnx\"\nmax_batch_size: 8\ninput [ { name: \"INPUT0\" data_type: TYPE_INT32 dims: [ 16 ] }, { name: \"INPUT1\" data_type: TYPE_INT32 dims: [ 16 ] } ]\n" +
			"output [ { name: \"OUTPUT0\" data_type: TYPE_INT32 dims: [ 16 ] }, { name: \"OUTPUT1\" data_type: TYPE_INT32 dims: [ 16 ] } ]\n",
		"simple/1/model.onnx": addSub, "simple/2/model.onnx": addSub, "simple/10/model.onnx": addSub, "simple/11/notes.txt": "no model yet",

		"classifier/config.pbtxt":      classifier,
		"classifier/names/classes.txt": "cat\r\ndog\nowl \xff\n",
		"classifier/warmup/row":        "\x00\x00\x80\x3f\x00\x00\x00\x00",
		"classifier/initial_state/x":   "no version",
		"classifier/configs/gpu.pbtxt": "no version",
		"classifier/1/fp32.onnx":       scorer, "classifier/1/fp32.json": "what the exporter left", "classifier/3/fp32.onnx": scorer, "classifier/4/model.onnx": "of another name",

		"picture/config.pbtxt": `input { name: "INPUT" data_type: TYPE_FP32 dims: [ 3, 4 ] reshape { shape: [ 1, 3, 4 ] } } output { name: "OUTPUT" data_type: TYPE_FP32 dims: [ 12 ] reshape { shape: [ 1, 3, 4 ] } }`,
		"picture/1/model.onnx": string(onnxtest.Identity(scoring.FP32, []int64{1, 3, 4})),

		"specific/config.pbtxt": "version_policy: { specific: { versions: [ 1, 3, 7 ] } }", "specific/1/model.onnx": addSub, "specific/2/model.onnx": addSub, "specific/3/model.onnx": addSub,
		"plain/1/model.onnx": addSub, "plain/2/model.onnx": addSub,
		"ensemble/config.pbtxt": `platform: "ensemble" ensemble_scheduling { }`, "ensemble/1/.keep": "",
		"engine/config.pbtxt": `platform: "tensorrt_plan"`, "engine/1/model.plan": "an engine", "engine/2/model.plan": "an engine",
		"broken/config.pbtxt": "name: \"broken\"\nmax_batch_size: many\n", "broken/1/model.onnx": addSub,
		"empty/config.pbtxt": `platform: "ensemble"`,
	})
	return dir
}

func TestTritonRepository(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	refs, passed, err := artifact.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	const want = "[broken@1 classifier@1 classifier@3 engine@2 ensemble@1 picture@1 plain@1 plain@2 simple@10 specific@1 specific@3]"
	if got := fmt.Sprint(refs); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	reasons := []string{
		filepath.Join(dir, "empty") + " has no version: want " + filepath.Join(dir, "empty", "<number>", "model.onnx") + "\nplatform: \"ensemble\": only ONNX models are served: want \"onnxruntime_onnx\"",
		filepath.Join(dir, "specific") + ": config.pbtxt: version_policy.specific.versions: [7]: there is no " + filepath.Join("<number>", "model.onnx") + " for them",
	}
	if len(passed) != len(reasons) {
		t.Fatalf("passed over %v, want %q", passed, reasons)
	}
	for i, want := range reasons {
		refused(t, passed[i], want)
	}
	failures := map[string]string{
		"broken@1":   "open broken@1: config.pbtxt: want the text form of Triton's ModelConfig: (line 2:17): invalid value for int32 type: many",
		"engine@2":   `open engine@2: config.pbtxt: platform: "tensorrt_plan": only ONNX models are served: want "onnxruntime_onnx"`,
		"ensemble@1": "open ensemble@1: config.pbtxt: platform: \"ensemble\": only ONNX models are served: want \"onnxruntime_onnx\"\nensemble_scheduling: several models as one are not offered: ask them one after the other",
	}
	for _, ref := range refs {
		a, err := artifact.Open(ref)
		if want := failures[ref.String()]; want != "" {
			refused(t, err, want)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := onnx.Inspect(a.Model)
		if err != nil {
			t.Fatal(err)
		}
		s, err := a.Configure(&session{Fake: onnxtest.Fake{Spec: info.Signature}})
		if err != nil {
			t.Fatal(err)
		}
		// What callers are told of the model is a configuration of it.
		full := triton.Complete(a.Config, a.Name, s.Signature(), 4)
		if err := triton.Check(full, info.Signature); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// session adds what [onnxtest.Fake] has not.
type session struct{ onnxtest.Fake }

func (*session) Check([]scoring.Tensor, []string) error { return nil }

func TestOpenReadsConfig(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(repository(t), "classifier")
	a, err := artifact.Open(artifact.Ref{Name: "classifier", Version: 3, Dir: filepath.Join(dir, "3")})
	if err != nil {
		t.Fatal(err)
	}
	if a.Config.GetMaxBatchSize() != 16 || a.Settings.File != "fp32.onnx" || a.Settings.Runtime.IntraOpThreads != 1 {
		t.Errorf("got the configuration %s and %+v", a.Config, a.Settings)
	}
	if want := map[string][]string{"probabilities": {"cat", "dog", "owl \ufffd"}}; !reflect.DeepEqual(a.Labels, want) {
		t.Errorf("got the labels %q, want %q", a.Labels, want)
	}
	warnings := []string{
		"dynamic_batching.preferred_batch_size: a batch is run as soon as a session is free, or when it has max_batch_size rows",
		"instance_group[0].kind: the device is a setting of the server",
		"instance_group[0].count: one session runs several batches at once, and the server says how many",
	}
	if !slices.Equal(a.Warnings, warnings) {
		t.Errorf("got the warnings %q, want %q", a.Warnings, warnings)
	}
	plan := artifact.Plan{
		MaxRows: 16, Delay: 250 * time.Microsecond, MaxRequests: 32, Timeout: 2 * time.Second,
		PriorityLevels: 2, Priority: 2, Cache: true, WarmUp: a.Settings.WarmUp,
	}
	if got := a.Plan(); !reflect.DeepEqual(got, plan) {
		t.Errorf("got  %+v\nwant %+v", got, plan)
	}
	inputs, err := a.WarmUpInputs(a.Settings.WarmUp[0])
	if err != nil || len(inputs) != 1 || !slices.Equal(onnxtest.Values[float32](inputs[0]), []float32{1, 0, 1, 0}) {
		t.Errorf("got the warm-up %v, %v, want the row of the file twice", inputs, err)
	}
	sums := map[string]string{}
	for _, name := range []string{"fp32.onnx", "../config.pbtxt", "../names/classes.txt"} {
		content, err := os.ReadFile(filepath.Join(dir, "3", name))
		if err != nil {
			t.Fatal(err)
		}
		sums[name] = sum(string(content))
	}
	if !maps.Equal(a.Manifest.Files, sums) || a.Manifest.Digest != artifact.Digest(sums) {
		t.Errorf("got the files %v, want %v: answers depend on them", a.Manifest.Files, sums)
	}
}

// TestConfigAndManifest has both: the manifest wins, and its digest covers its own files.
func TestConfigAndManifest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := files{"1/model.onnx": "the model"}
	write(t, dir, all)
	text := manifest(files{"model.onnx": "the model"}, "batching: {max_rows: 4, delay: 3ms, pad: [{input: a, axis: 1}]}", "cache: {ttl: 1m}", "warm_up: [2]")
	write(t, dir, files{"1/model.yaml": text, "config.pbtxt": `max_batch_size: 16 dynamic_batching { max_queue_delay_microseconds: 250 }
		model_warmup { inputs { key: "a" value { data_type: TYPE_FP32 zero_data: true } } }`})
	ref := artifact.Ref{Name: "m", Version: 1, Dir: filepath.Join(dir, "1")}
	a, err := artifact.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	want := artifact.Plan{MaxRows: 4, Delay: 3 * time.Millisecond, Pad: []artifact.Pad{{Input: "a", Axis: 1}}, Cache: true, CacheTTL: time.Minute, WarmUpRows: []int{2}}
	if got := a.Plan(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if want := artifact.Digest(map[string]string{"model.onnx": sum("the model")}); a.Manifest.Digest != want {
		t.Errorf("got the digest %s, want %s", a.Manifest.Digest, want)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const tensors = `input { name: "a" data_type: TYPE_FP32 dims: 4 } output { name: "b" data_type: TYPE_FP32 dims: 2 } `
	tests := []struct {
		name, config string
		want         artifact.Plan
	}{
		{"nothing is said", "", artifact.Plan{Alone: true}},
		{"no batch axis", tensors, artifact.Plan{Alone: true}},
		{"one by one", tensors + "max_batch_size: 8", artifact.Plan{Alone: true}},
		{"batches", tensors + "max_batch_size: 8 dynamic_batching {}", artifact.Plan{MaxRows: 8}},
		{"only the bound", "max_batch_size: 8", artifact.Plan{MaxRows: 8}},
		{"never refused for waiting", tensors + "max_batch_size: 8 dynamic_batching { default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5 } }", artifact.Plan{MaxRows: 8}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := triton.Parse([]byte(test.config))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			write(t, dir, files{"1/model.onnx": "x"})
			a, err := artifact.OpenWith(artifact.Ref{Name: "m", Version: 1, Dir: filepath.Join(dir, "1")}, cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Plan(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestGivenConfig puts a configuration in place of the file, as a load request can.
func TestGivenConfig(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	given := &configpb.ModelConfig{VersionPolicy: &configpb.ModelVersionPolicy{PolicyChoice: &configpb.ModelVersionPolicy_All_{}}}
	for _, name := range []string{"simple", "plain", "broken"} {
		refs, err := artifact.ScanModel(dir, name, given)
		if err != nil || len(refs) != len(glob(t, dir, name, "*", "model.onnx")) {
			t.Fatalf("%s: got %v, %v, want all versions", name, refs, err)
		}
		a, err := artifact.OpenWith(refs[0], given, nil)
		if err != nil || a.Config != given {
			t.Fatalf("%s: got %v, %v", name, a.Config, err)
		}
	}
	refs, err := artifact.ScanModel(dir, "plain", new(configpb.ModelConfig))
	if err != nil || fmt.Sprint(refs) != "[plain@2]" {
		t.Errorf("got %v, %v, want the latest, as Triton has it", refs, err)
	}
	_, err = artifact.ScanModel(dir, "none", nil)
	refused(t, err, "read model folder: open "+filepath.Join(dir, "none")+": no such file or directory")
	_, err = artifact.ScanModel(dir, "..", nil)
	refused(t, err, `Invalid: model folder "..": use letters, digits, '.', '_' and '-', a letter or digit first`)
}

func glob(t *testing.T, parts ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestOpenRefusesConfig(t *testing.T) {
	t.Parallel()
	const labels = `output { name: "b" data_type: TYPE_FP32 dims: 2 label_filename: "labels.txt" }`
	tests := []struct {
		name  string
		files files
		want  string
	}{
		{"another name", files{"config.pbtxt": `name: "n"`}, `open m@1: config.pbtxt: name: "n": want the folder's own name, "m"`},
		{"another file", files{"config.pbtxt": `default_model_filename: "x.onnx"`}, "open m@1: openat x.onnx: no such file or directory"},
		{"a file that the manifest does not name", files{"config.pbtxt": `default_model_filename: "x.onnx"`, "1/x.onnx": "x", "1/model.yaml": manifest(files{"model.onnx": "x"})}, "open m@1: model.yaml: files: x.onnx is missing: every file needs its SHA-256"},
		{"no labels", files{"config.pbtxt": labels}, `open m@1: config.pbtxt: labels of output "b": openat labels.txt: no such file or directory`},
		{"a folder of labels", files{"config.pbtxt": labels, "labels.txt/x": ""}, `open m@1: config.pbtxt: labels of output "b": labels.txt: want a regular file of at most 16777216 bytes`},
		{"no warm-up", files{"config.pbtxt": `model_warmup { name: "w" inputs { key: "a" value { data_type: TYPE_FP32 input_data_file: "x" } } }`}, `open m@1: config.pbtxt: warm-up "w": input "a": openat warmup/x: no such file or directory`},
		{"too large", files{"config.pbtxt": strings.Repeat("#", triton.MaxBytes+1)}, "open m@1: config.pbtxt: want a regular file of at most 1048576 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, files{"1/model.onnx": "x"})
			write(t, dir, test.files)
			_, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: filepath.Join(dir, "1")})
			refused(t, err, test.want)
		})
	}
}

func TestOpenRefusesLinksOutOfTheModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"secret": "", "m/1/model.onnx": "x"})
	link(t, filepath.Join("..", "secret"), filepath.Join(dir, "m", "config.pbtxt"))
	_, err := artifact.Open(artifact.Ref{Name: "m", Version: 1, Dir: filepath.Join(dir, "m", "1")})
	refused(t, err, "open m@1: openat config.pbtxt: path escapes from parent")
}

func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	a, err := artifact.Open(artifact.Ref{Name: "picture", Version: 1, Dir: filepath.Join(dir, "picture", "1")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Configure(new(session))
	refused(t, err, "config.pbtxt: input[0].name: the model's file has no input \"INPUT\": it has none\noutput[0].name: the model's file has no output \"OUTPUT\": it has none")
}

// TestTritonRepositoryRuns asks models as Triton's callers do, with the shapes of
// config.pbtxt.
func TestTritonRepositoryRuns(t *testing.T) {
	t.Parallel()
	environment, err := onnx.Open(onnxtest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := repository(t)
	run := func(name string, inputs ...scoring.Tensor) []scoring.Tensor {
		a, err := artifact.Open(artifact.Ref{Name: name, Version: 1, Dir: filepath.Join(dir, name, "1")})
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := environment.Load(a.Model, onnx.Options{IntraOpThreads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer loaded.Close()
		s, err := a.Configure(loaded)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(inputs, nil); err != nil {
			t.Fatal(err)
		}
		outputs, err := s.Run(t.Context(), inputs, nil)
		if err != nil {
			t.Fatal(err)
		}
		return outputs
	}
	picture := onnxtest.Tensor("INPUT", []int64{3, 4}, make([]float32, 12)...)
	if got := run("picture", picture); len(got) != 1 || !slices.Equal(got[0].Shape, []int64{12}) {
		t.Errorf("got %v, want 12 numbers, without the model's axis of 1", got)
	}
	rows := onnxtest.Tensor("features", []int64{5, 2}, make([]float32, 10)...)
	if got := run("classifier", rows); len(got) != 2 || !slices.Equal(got[0].Shape, []int64{5, 3}) || !slices.Equal(got[1].Shape, []int64{5, 1}) {
		t.Errorf("got %v, want 5 rows of 3 numbers, and of one label each", got)
	}
}
