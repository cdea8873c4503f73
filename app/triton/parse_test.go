package triton_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// parse reads a configuration that is right.
func parse(t *testing.T, text string) *configpb.ModelConfig {
	t.Helper()
	cfg, err := triton.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// refused checks the text of err.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want %q", want)
	}
	if got := err.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// written are the ways in which people write the same thing.
var written = map[string]string{
	"colons and brackets": `input: [ { name: "a", data_type: TYPE_FP32, dims: [ 3, -1 ] } ]`,
	"none":                `input { name: "a" data_type: TYPE_FP32 dims: 3 dims: -1 }`,
	"list without colon":  "input [\n  {\n    name: 'a'\n    data_type: TYPE_FP32\n    dims: [3,-1]\n  }\n]\n",
	"numbers of enums":    "# a comment\ninput { name: 'a'; data_type: 11; dims: [3, -1]; }\r\n",
	"angle brackets":      `input < name: "a" data_type: TYPE_FP32 dims: [3, -1] >`,
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := &configpb.ModelConfig{Input: []*configpb.ModelInput{{Name: "a", DataType: configpb.DataType_TYPE_FP32, Dims: []int64{3, -1}}}}
	for name, text := range written {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, text); !proto.Equal(got, want) {
				t.Errorf("got %s, want %s", prototext.Format(got), prototext.Format(want))
			}
		})
	}
	if got := parse(t, ""); !proto.Equal(got, new(configpb.ModelConfig)) {
		t.Errorf("an empty file: got %s, want an empty configuration", got)
	}
	if got := parse(t, `parameters { key: "k" value: { string_value: "v" } } model_warmup [ { inputs { key: "a" value { zero_data: True } } } ]`); got.GetParameters()["k"].GetStringValue() != "v" || !got.GetModelWarmup()[0].GetInputs()["a"].GetZeroData() {
		t.Errorf("got %s, want the parameter and the warm-up", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const want = "want the text form of Triton's ModelConfig: "
	tests := []struct{ name, text, want string }{
		{"unknown field", "name: 'a'\nmax_batch: 8\n", want + "(line 2:1): unknown field: max_batch"},
		{"unknown field below", "input {\n  name: 'a'\n  dim: [3]\n}", want + "(line 3:3): unknown field: dim"},
		{"not closed", "input {\n  name: 'a'\n", want + "unexpected EOF (line 2, the last one)"},
		{"a text for a number", "name: 'a'\nmax_batch_size: 'x'\n", want + `(line 2:17): invalid value for int32 type: 'x'`},
		{"unknown value", "input { data_type: FP32 }", want + `(line 1:20): invalid value for enum type: FP32`},
		{"twice", "name: 'a'\nname: 'b'\n", want + `(line 2:1): non-repeated field "name" is repeated`},
		{"two choices", "dynamic_batching { }\nsequence_batching { }\n", want + `(line 2:1): error parsing "sequence_batching", oneof inference.ModelConfig.scheduling_choice is already set`},
		{"too large", strings.Repeat("# ", triton.MaxBytes/2) + "#", "the configuration has 1048577 bytes: at most 1048576 are read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := triton.Parse([]byte(test.text))
			refused(t, err, test.want)
		})
	}
}

func TestParseJSON(t *testing.T) {
	t.Parallel()
	want := &configpb.ModelConfig{MaxBatchSize: 8, Input: []*configpb.ModelInput{{Name: "a", DataType: configpb.DataType_TYPE_FP32, Dims: []int64{3}}}}
	for _, text := range []string{
		`{"max_batch_size": 8, "input": [{"name": "a", "data_type": "TYPE_FP32", "dims": [3]}]}`,
		`{"maxBatchSize": "8", "input": [{"name": "a", "dataType": 11, "dims": ["3"]}]}`,
	} {
		if got, err := triton.ParseJSON([]byte(text)); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	const form = "want the JSON form of Triton's ModelConfig: "
	for text, want := range map[string]string{
		`{"max_batch": 8}`: form + `(line 1:2): unknown field "max_batch"`,
		``:                 form + "syntax error (line 1:1): unexpected token",
		"{\n\"name\": 1}":  form + `(line 2:9): invalid value for string field name: 1`,
	} {
		_, err := triton.ParseJSON([]byte(text))
		refused(t, err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range written {
		f.Add([]byte(text))
	}
	f.Add([]byte(everything))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := triton.Parse(text)
		if err != nil {
			return
		}
		settings, err := triton.SettingsOf(cfg)
		if err == nil && (settings.MaxRows < 0 || settings.Delay < 0 || settings.File == "") {
			t.Fatalf("got %+v from a configuration that is right", settings)
		}
		for _, warning := range triton.Warnings(cfg) {
			if !strings.Contains(warning, ": ") && !strings.Contains(warning, " more fields ") {
				t.Fatalf("got the warning %q, want it to begin with a field", warning)
			}
		}
		_ = triton.Check(cfg, simple)
		full := triton.Complete(cfg, "m", simple, 4)
		// What callers are told can be read again, and means the same.
		data, err := triton.MarshalJSON(full)
		if err != nil {
			return // numbers that JSON does not have
		}
		again, err := triton.ParseJSON(data)
		if len(data) <= triton.MaxBytes && (err != nil || !proto.Equal(again, full)) {
			t.Fatalf("%s: %v", data, err)
		}
	})
}
