package offline_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/onda-serving/onda/app/offline"
	"github.com/onda-serving/onda/app/scoring"
)

// TestTwoRuns on one output: the second is refused, and harms nothing.
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := offline.Options{Input: filepath.Join(dir, "in.jsonl"), Output: filepath.Join(dir, "out.jsonl"), MaxErrors: -1}
	if err := os.WriteFile(o.Input, []byte(strings.Repeat("\"a\"\n", 10)+"\"stop\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := offline.Run(t.Context(), fake{func() {
		for _, restart := range []bool{false, true} {
			second := o
			second.Restart = restart
			if _, err := offline.Run(t.Context(), fake{func() {}}, texts, second); err == nil || !strings.Contains(err.Error(), "another run writes it") {
				t.Errorf("with restart %t: got %v", restart, err)
			}
		}
	}}, texts, o)
	data, readErr := os.ReadFile(o.Output)
	if err != nil || readErr != nil || p.Rows != 11 || bytes.Count(data, []byte("\n")) != 11 {
		t.Errorf("got %+v, %v, %v and\n%s", p, err, readErr, data)
	}
	o.Output, o.Restart, o.InputFormat = o.Input, true, offline.JSONLines
	if _, err := offline.Run(t.Context(), fake{func() {}}, texts, o); err == nil || !strings.Contains(err.Error(), "it is the input") {
		t.Errorf("onto the input: got %v", err)
	}
}

// TestValuesThatAreOthers: what a file has is what is scored, or an error.
func TestValuesThatAreOthers(t *testing.T) {
	t.Parallel()
	got, p := score(t, texts, "in.csv", "text,more,more\ncaf\xe9,\xe9,1\n", "out.jsonl")
	if p.Errors != 1 || !strings.Contains(got, "not valid UTF-8") {
		t.Errorf("Latin-1: got %s", got)
	}
	type more struct{ A, B int32 }
	type row struct {
		X    uint32
		More more
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, []row{{X: 3_000_000_000}}); err != nil {
		t.Fatal(err)
	}
	m := numbers
	m.Signature.Inputs = []scoring.TensorSpec{{Name: "X", Datatype: scoring.FP32, Shape: []int64{-1, 1}}}
	if got, _ := score(t, m, "in.parquet", b.String(), "out.jsonl"); !strings.Contains(got, `"data":[6000000000]`) && !strings.Contains(got, `"data":[6e+09]`) {
		t.Errorf("unsigned: got %s", got)
	}
	type price struct {
		X int64 `parquet:",decimal(2:18)"`
	}
	b.Reset()
	if err := parquet.Write(&b, []price{{1234}}); err != nil {
		t.Fatal(err)
	}
	o := offline.Options{Input: filepath.Join(t.TempDir(), "in.parquet"), Output: filepath.Join(t.TempDir(), "out.jsonl")}
	if err := os.WriteFile(o.Input, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := offline.Run(t.Context(), fake{}, m, o); err == nil || !strings.Contains(err.Error(), "holds decimals") {
		t.Errorf("a decimal: got %v", err)
	}
}
