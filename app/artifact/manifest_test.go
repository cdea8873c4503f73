package artifact_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
