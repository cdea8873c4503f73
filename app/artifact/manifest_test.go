package artifact_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/app/artifact"
)

const minimal = "schema: onda/v1\nname: m\nversion: 1\n"

func TestParseManifest(t *testing.T) {
	t.Parallel()
	m, err := artifact.ParseManifest([]byte(minimal + "pipeline: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "m" || m.Version != 1 || m.Pipeline.Image != nil || m.Pipeline.Text != nil {
		t.Errorf("got %+v, want m@1 without a pipeline", m)
	}
	m, err = artifact.ParseManifest([]byte(minimal + "pipeline: {text: {input: i, output: o, table: faq.json, normalise: [lower]}}\n"))
	if err != nil || m.Pipeline.Text == nil || m.Pipeline.Text.Table != "faq.json" {
		t.Errorf("got %+v, %v, want a pipeline for texts", m, err)
	}
}

func TestParseManifestOfBatches(t *testing.T) {
	t.Parallel()
	m, err := artifact.ParseManifest([]byte(minimal + `batching:
  max_rows: 32
  delay: 2ms
  pad:
    - {input: ids, axis: 1, value: 1, buckets: [16, 64, 256], outputs: [{output: states, axis: 1}]}
    - {input: mask, axis: 1}
cache: {ttl: 10m}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := artifact.Batching{MaxRows: 32, Delay: 2 * time.Millisecond, Pad: []artifact.Pad{
		{Input: "ids", Axis: 1, Value: 1, Buckets: []int{16, 64, 256}, Outputs: []artifact.PadOutput{{Output: "states", Axis: 1}}},
		{Input: "mask", Axis: 1},
	}}
	if !reflect.DeepEqual(m.Batching, want) || m.Cache.TTL != 10*time.Minute {
		t.Errorf("got %+v, %s, want %+v, 10m", m.Batching, m.Cache.TTL, want)
	}
}

func TestParseManifestRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
	}{
		{"empty", "", "the file is empty"},
		{"only a comment", "# soon\n", "the file is empty"},
		{"not YAML", "schema: [", "yaml: line 1: did not find expected node content"},
		{"list", "- schema: onda/v1\n", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into artifact.Manifest"},
		{"two documents", minimal + "---\nbatching: {max_rows: 4}\n", "the file has more than one YAML document: want one"},
		{"broken second document", minimal + "---\n[", "the file has more than one YAML document: want one"},
		{"key twice", minimal + "name: n\n", "yaml: unmarshal errors:\n  line 4: mapping key \"name\" already defined at line 2"},
		{"unknown key", minimal + "licence: MIT\nlicense: MIT\n", "yaml: unmarshal errors:\n  line 5: field license not found in type artifact.Manifest"},
		{"unknown key below", minimal + "batching: {max_row: 4}\n", "yaml: unmarshal errors:\n  line 4: field max_row not found in type artifact.Batching"},
		{"version is a text", strings.Replace(minimal, "version: 1", "version: one", 1), "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `one` into int64"},
		{"no schema", "name: m\nversion: 1\n", `schema: "": want "onda/v1"`},
		{"later schema", strings.Replace(minimal, "onda/v1", "onda/v2", 1), `schema: "onda/v2": want "onda/v1"`},
		{"no version", "schema: onda/v1\n", "version: 0: want a positive whole number"},
		{"negative bound", minimal + "batching: {max_rows: -1}\n", "batching.max_rows: -1: want at least 0"},
		{"negative delay", minimal + "batching: {delay: -1ms}\n", "batching.delay: -1ms: want a time such as 2ms, 0 to 1m0s"},
		{"delay of ages", minimal + "batching: {delay: 61s}\n", "batching.delay: 1m1s: want a time such as 2ms, 0 to 1m0s"},
		{"delay without unit", minimal + "batching: {delay: fast}\n", "yaml: unmarshal errors:\n  line 4: cannot unmarshal !!str `fast` into time.Duration"},
		{"padding of nothing", minimal + "batching: {pad: [{outputs: [{}]}]}\n", "batching.pad[0].input: is missing: give the name of an input\nbatching.pad[0].axis: 0: want 1 or more: axis 0 is the rows\nbatching.pad[0].outputs[0].output: is missing: give the name of an output\nbatching.pad[0].outputs[0].axis: 0: want 1 or more: axis 0 is the rows"},
		{"buckets that fall", minimal + "batching: {pad: [{input: a, axis: 1, buckets: [16, 8]}]}\n", "batching.pad[0].buckets: [16 8]: want lengths of 1 or more, in rising order"},
		{"bucket of nothing", minimal + "batching: {pad: [{input: a, axis: 1, buckets: [0, 8]}]}\n", "batching.pad[0].buckets: [0 8]: want lengths of 1 or more, in rising order"},
		{"axis twice", minimal + "batching: {pad: [{input: a, axis: 1, outputs: [{output: b, axis: 2}, {output: b, axis: 2}]}, {input: a, axis: 1}]}\n", "batching.pad[0].outputs[1].axis: 2: this axis of \"b\" is there twice\nbatching.pad[1].axis: 1: this axis of \"a\" is there twice"},
		{"negative time", minimal + "cache: {ttl: -1s}\n", "cache.ttl: -1s: want a time such as 10m, or 0 to keep no answers"},
		{"warm-up of nothing", minimal + "warm_up: [1, 0]\n", "warm_up[1]: 0: want a number of rows, 1 to 1024"},
		{"warm-up of too much", minimal + "warm_up: [1025]\n", "warm_up[0]: 1025: want a number of rows, 1 to 1024"},
		{"no day", minimal + "provenance: {created: 23.11.2026}\n", `provenance.created: "23.11.2026": want a day such as 2026-11-23`},
		{"pipeline", minimal + "pipeline: {text: {output: o, table: ../faq.json}}\n", "pipeline.text.input: is missing: give the name of the model's input\npipeline.text.table: is \"../faq.json\": give the name of a file in the folder of the version"},
		{"two pipelines", minimal + "pipeline: {text: {input: i}, image: {input: i}}\n", "pipeline: has both image and text: keep one of them"},
		{"all at once", "schema: x\nversion: -1\nbatching: {max_rows: -1}\n", "schema: \"x\": want \"onda/v1\"\nversion: -1: want a positive whole number\nbatching.max_rows: -1: want at least 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := artifact.ParseManifest([]byte(test.text))
			refused(t, err, test.want)
		})
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(minimal + "pipeline: {text: {input: i, output: o, table: faq.json}}\nwarm_up: [1]\nmetrics: {a: .nan}\n"))
	f.Add([]byte(minimal + "batching: {max_rows: 4, delay: 1ms, pad: [{input: a, axis: 1, value: .inf, buckets: [1, 2], outputs: [{output: b, axis: 1}]}]}\ncache: {ttl: 1m}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? {}\n"))
	shipped, err := filepath.Glob("../../models/*/*/model.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range shipped {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := artifact.ParseManifest(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("got an error without a text")
			}
			return
		}
		if m.Schema != artifact.SchemaV1 || m.Version < 1 || m.Batching.MaxRows < 0 {
			t.Fatalf("got %+v from a valid manifest", m)
		}
		// What was read can be written and read again.
		again, err := yaml.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := artifact.ParseManifest(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
