package offline

import (
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// FuzzDecode looks for lines that are neither a request nor an error.
func FuzzDecode(f *testing.F) {
	for _, line := range []string{`"a"`, `{"text":"a","id":7}`, `{"x":[1,2]}`, `{"inputs":[]}`, `{"instances":["a"]}`, `{"id":null}`, `[`, ``, ` `} {
		f.Add([]byte(line))
	}
	inputs := []scoring.TensorSpec{{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, -1}}}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, kind := range []string{"text", "none"} {
			d := decoder{model: Model{Pipeline: kind, Signature: scoring.Signature{Inputs: inputs}}, options: Options{MaxInstances: 3}}
			it := d.decode(raw{data: line})
			if n := b2i(it.err != nil) + b2i(it.predict != nil) + b2i(it.infer != nil); n != 1 {
				t.Fatalf("%q gave %+v", line, it)
			}
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzJournal looks for journals that are taken and cannot be.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"rows": 3, "errors": 1, "bytes": 10}`))
	f.Add([]byte(`{"rows": -1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if j, err := parseJournal(data); err == nil && (j.Rows < 0 || j.Bytes < 0 || j.Errors > j.Rows) {
			t.Fatalf("%q gave %+v", data, j)
		}
	})
}
