package golden_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/onda-serving/onda/app/golden"
	"github.com/onda-serving/onda/app/scoring"
)

// folder is a version's folder with a golden.json.
func folder(text string) fstest.MapFS {
	return fstest.MapFS{"golden.json": {Data: []byte(text)}, "cat.png": {Data: []byte("a cat")}}
}

// file is a golden.json of cases.
func file(cases ...string) string {
	return `{"tolerance": 0.01, "cases": [` + strings.Join(cases, ",") + `]}`
}

func TestLoadWithoutAFile(t *testing.T) {
	t.Parallel()
	if s, err := golden.Load(fstest.MapFS{}); s != nil || err != nil {
		t.Errorf("got %v, %v; want neither", s, err)
	}
}

func TestLoadReadsTheRepositorysOwn(t *testing.T) {
	t.Parallel()
	for model, cases := range map[string]int{"image-classification": 4, "faq-matching": 21} {
		dir := filepath.Join("..", "..", "models", model, "1")
		s, err := golden.Load(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
		if err != nil {
			t.Fatal(err)
		}
		e := newEcho(text)
		r, err := s.Replay(t.Context(), e)
		if err != nil || r.Cases != cases || r.MaxDifference > 1e-6 {
			t.Errorf("%s: got %+v, %v; want %d cases as expected", model, r, err, cases)
		}
		if len(e.instances) != cases || len(e.instances[0].Data) == 0 {
			t.Errorf("%s: asked %d instances, want %d, and none of them empty", model, len(e.instances), cases)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const class = `"classes": [{"index": 1, "score": 0.5}]`
	const x = `{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}`
	tests := []struct{ name, text, want string }{
		{"no JSON", `{"tolerance": 0.01, "cases": [}`, "it is not valid JSON: invalid character '}' looking for beginning of value at offset 31"},
		{"nothing", ``, "it is not valid JSON: it ends before the value does"},
		{"half", `{"tolerance"`, "it is not valid JSON: it ends before the value does"},
		{"more than a value", file(`{"instance": "a", `+class+`}`) + "{}", "it is not valid JSON: something follows the value"},
		{"an array", `[]`, "it is a JSON array: want an object"},
		{"no tolerance", `{"cases": []}`, "tolerance is missing: want how far a score may be from the expected one, such as 0.001"},
		{"negative tolerance", `{"tolerance": -1, "cases": []}`, "tolerance is -1: want 0 or more, and less than 1"},
		{"all is tolerated", `{"tolerance": 1, "cases": []}`, "tolerance is 1: want 0 or more, and less than 1"},
		{"tolerance in words", `{"tolerance": "1", "cases": []}`, `"tolerance" is a JSON string: want a number`},
		{"no cases", file(), "there are 0 cases: want 1 to 64"},
		{"many cases", file(strings.Split(strings.Repeat("{}-", 65), "-")[:65]...), "there are 65 cases: want 1 to 64"},
		{"misspelt key", `{"tolerances": 1}`, `unknown key "tolerances"`},
		{"misspelt key of a case", file(`{"instance": "a", `+class+`}`, `{"instance": "a", "clases": []}`), `cases[1]: unknown key "clases"`},
		{"misspelt key of a class", file(`{"instance": "a", "classes": [{"indx": 1}]}`), `cases[0]: unknown key "indx"`},
		{"a case that is no object", file(`3`), `cases[0]: it is a JSON number: want an object`},
		{"no instance", file(`{` + class + `}`), `cases[0]: there is neither "instance" nor "inputs": want one of them`},
		{"instance and inputs", file(`{"instance": "a", "inputs": [], ` + class + `}`), `cases[0]: there is "instance" beside "inputs" or "outputs": want an instance with classes or matches, or inputs with outputs`},
		{"nothing expected", file(`{"instance": "a"}`), `cases[0]: want "classes" or "matches" beside "instance", one of them and not empty`},
		{"both expected", file(`{"instance": "a", "matches": [{"id": "a", "score": 1}], ` + class + `}`), `cases[0]: want "classes" or "matches" beside "instance", one of them and not empty`},
		{"an empty list", file(`{"instance": "a", "classes": []}`), `cases[0]: want "classes" or "matches" beside "instance", one of them and not empty`},
		{"instance of nothing", file(`{"instance": {}, ` + class + `}`), `cases[0]: instance: want a text, {"text": ...}, {"file": ...} or {"b64": ...}`},
		{"instance of null", file(`{"instance": null, ` + class + `}`), `cases[0]: instance: want a text, {"text": ...}, {"file": ...} or {"b64": ...}`},
		{"instance of two", file(`{"instance": {"text": "a", "file": "cat.png"}, ` + class + `}`), `cases[0]: instance: want a text, {"text": ...}, {"file": ...} or {"b64": ...}`},
		{"instance of a number", file(`{"instance": 7, ` + class + `}`), `cases[0]: instance: it is a JSON number: want an object`},
		{"missing file", file(`{"instance": {"file": "dog.png"}, ` + class + `}`), `cases[0]: instance: file: there is no "dog.png": want a file in the version's folder that model.yaml lists under files`},
		{"no base64", file(`{"instance": {"b64": "!"}, ` + class + `}`), `cases[0]: instance: b64: illegal base64 data at input byte 0`},
		{"class without index", file(`{"instance": "a", "classes": [{"index": 1, "score": 1}, {"score": 0.5}]}`), `cases[0]: classes[1]: want "index" and "score"`},
		{"class without score", file(`{"instance": "a", "classes": [{"index": 1}]}`), `cases[0]: classes[0]: want "index" and "score"`},
		{"half a class", file(`{"instance": "a", "classes": [{"index": 1.5, "score": 1}]}`), `cases[0]: "classes.index" is a JSON number 1.5: want a whole number`},
		{"match without id", file(`{"instance": "a", "matches": [{"score": 1}]}`), `cases[0]: matches[0]: want "id" and "score"`},
		{"worst first", file(`{"instance": "a", "matches": [{"id": "a", "score": 0.5}, {"id": "b", "score": 0.75}]}`), `cases[0]: matches[1]: score 0.75 is above the one before it: want the best first`},
		{"inputs and classes", file(`{"inputs": [` + x + `], ` + class + `}`), `cases[0]: there is "classes" or "matches" beside "inputs": want "outputs"`},
		{"inputs alone", file(`{"inputs": [` + x + `]}`), `cases[0]: want "inputs" and "outputs", none of them empty`},
		{"datatype", file(`{"inputs": [{"name": "x", "shape": [1], "datatype": "F32", "data": [1]}], "outputs": [` + x + `]}`), `cases[0]: inputs[0]: datatype "F32": want one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES`},
		{"number of values", file(`{"inputs": [` + x + `], "outputs": [` + x + `, {"name": "y", "shape": [2], "datatype": "INT64", "data": [1]}]}`), `cases[0]: outputs[1]: "y" has 1 values, its shape [2] wants 2`},
		{"no data", file(`{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}], "outputs": [` + x + `]}`), `cases[0]: inputs[0]: "x": "data": want an array`},
		{"no shape", file(`{"inputs": [{"name": "x", "datatype": "FP32", "data": [1]}], "outputs": [` + x + `]}`), `cases[0]: inputs[0]: "x" has no "shape"`},
		{"misspelt key of a tensor", file(`{"inputs": [{"name": "x", "dtype": "FP32"}], "outputs": [` + x + `]}`), `cases[0]: unknown key "dtype"`},
		{"too large for FP16", file(`{"inputs": [{"name": "x", "shape": [1], "datatype": "FP16", "data": [65520]}], "outputs": [` + x + `]}`), `cases[0]: inputs[0]: "x" has the value 65520, which is too large for FP16`},
		{"too large for BF16", file(`{"inputs": [{"name": "x", "shape": [1], "datatype": "BF16", "data": [3.4e38]}], "outputs": [` + x + `]}`), `cases[0]: inputs[0]: "x" has the value 3.4e+38, which is too large for BF16`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := golden.Load(folder(tt.text))
			if s != nil || scoring.CodeOf(err) != scoring.Invalid {
				t.Fatalf("got %v, %v; want an error that says Invalid", s, err)
			}
			if got, want := scoring.AsError(err).Message, "golden.json: "+tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestLoadIsBounded(t *testing.T) {
	t.Parallel()
	const want = "is too large: want at most 16 MiB with all files that golden.json names"
	large := fstest.MapFS{"golden.json": {Data: make([]byte, 16<<20+1)}}
	if _, err := golden.Load(large); err == nil || !strings.HasSuffix(err.Error(), "golden.json "+want) {
		t.Errorf("a large file: got %v", err)
	}
	files := folder(file(strings.Repeat(`{"instance": {"file": "large.png"}, "classes": [{"index": 1, "score": 1}]}, `, 3) +
		`{"instance": {"file": "cat.png"}, "classes": [{"index": 1, "score": 1}]}`))
	files["large.png"] = &fstest.MapFile{Data: make([]byte, 5<<20)}
	if _, err := golden.Load(files); err != nil {
		t.Errorf("files of 15 MiB: got %v", err)
	}
	files["cat.png"] = &fstest.MapFile{Data: make([]byte, 1<<20)}
	if _, err := golden.Load(files); err == nil || !strings.HasSuffix(err.Error(), "cases[3]: instance: file: cat.png "+want) {
		t.Errorf("files of 16 MiB and golden.json: got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		file(`{"instance": "a", "matches": [{"id": "a", "score": 1}]}`),
		file(`{"instance": {"file": "cat.png"}, "classes": [{"index": 1, "score": 0.5, "label": "cat"}]}`),
		file(`{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP16", "data": [[1, 2.5]]}], "outputs": [{"name": "s", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}`),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := golden.Load(folder(text))
		if err != nil {
			if s != nil || scoring.CodeOf(err) != scoring.Invalid {
				t.Errorf("got %v with %v", s, err)
			}
			return
		}
		// What was read can be asked, whatever comes of it.
		if r, err := s.Replay(t.Context(), newEcho([]byte(text))); err == nil && r.Cases == 0 {
			t.Error("no case, and no error")
		}
	})
}

func ExampleLoad() {
	_, err := golden.Load(folder(file(`{"instance": "should i use var or let", "matches": [{"id": "js-let", "scroe": 0.9}]}`)))
	fmt.Println(scoring.AsError(err).Message)
	// Output: golden.json: cases[0]: unknown key "scroe"
}
