package pipeline

import (
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/app/scoring"
)

const exampleImage = `
image:
  input: input
  output: probabilities
  size: 224
  crop: 0.875
  resize: bilinear
  colour: rgb
  layout: nchw
  mean: [123.675, 116.28, 103.53]
  scale: [0.01712475, 0.017507, 0.01742919]
  activation: softmax
  labels: labels.json
  top_k: 3
`

func TestSpecFromYAML(t *testing.T) {
	t.Parallel()
	var spec Spec
	if err := yaml.Unmarshal([]byte(exampleImage), &spec); err != nil {
		t.Fatal(err)
	}
	if err := spec.Validate(); err != nil {
		t.Error(err)
	}
	if got := spec.Image; got.Mean[2] != 103.53 || got.Scale[0] != 0.01712475 || got.TopK != 3 || got.Labels != "labels.json" {
		t.Errorf("got %+v", got)
	}
	text := "text: {input: text, output: scores, normalise: [nfkc, lower, whitespace], table: faq.json}"
	spec = Spec{}
	if err := yaml.Unmarshal([]byte(text), &spec); err != nil || spec.Validate() != nil || len(spec.Text.Normalise) != 3 {
		t.Errorf("got %+v, %v, %v", spec.Text, err, spec.Validate())
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	image := func(change func(*ImageSpec)) Spec {
		s := imageSpec(224)
		change(&s)
		return Spec{Image: &s}
	}
	text := func(change func(*TextSpec)) Spec {
		s := textSpec()
		change(&s)
		return Spec{Text: &s}
	}
	tests := []struct {
		name string
		spec Spec
		want string
	}{
		{"none", Spec{}, "pipeline: is empty: say image or text"},
		{"both", Spec{Image: &ImageSpec{}, Text: &TextSpec{}}, "pipeline: has both image and text: keep one of them"},
		{"input", image(func(s *ImageSpec) { s.Input = "" }), "pipeline.image.input: is missing: give the name of the model's input"},
		{"output", image(func(s *ImageSpec) { s.Output = "" }), "pipeline.image.output: is missing: give the name of the model's output"},
		{"size 0", image(func(s *ImageSpec) { s.Size = 0 }), "pipeline.image.size: is 0: give the width and height in pixels, 1 to 4096"},
		{"size too large", image(func(s *ImageSpec) { s.Size = 4097 }), "pipeline.image.size: is 4097: give the width and height in pixels, 1 to 4096"},
		{"crop 0", image(func(s *ImageSpec) { s.Crop = 0 }), "pipeline.image.crop: is 0: give the share of the shorter side to keep, above 0 and at most 1"},
		{"crop NaN", image(func(s *ImageSpec) { s.Crop = math.NaN() }), "pipeline.image.crop: is NaN: give the share of the shorter side to keep, above 0 and at most 1"},
		{"resize", image(func(s *ImageSpec) { s.Resize = "" }), "pipeline.image.resize: is missing: use one of bilinear, bicubic"},
		{"colour", image(func(s *ImageSpec) { s.Colour = "RGB" }), `pipeline.image.colour: is "RGB": use one of rgb, bgr`},
		{"layout", image(func(s *ImageSpec) { s.Layout = "chw" }), `pipeline.image.layout: is "chw": use one of nchw, nhwc`},
		{"mean", image(func(s *ImageSpec) { s.Mean[1] = math.Inf(1) }), "pipeline.image.mean[1]: is +Inf: give a finite number"},
		{"scale", image(func(s *ImageSpec) { s.Scale[2] = 0 }), "pipeline.image.scale[2]: is 0: give a finite number other than 0, such as 1"},
		{"activation", image(func(s *ImageSpec) { s.Activation = "sigmoid" }), `pipeline.image.activation: is "sigmoid": use one of none, softmax`},
		{"labels", image(func(s *ImageSpec) { s.Labels = "" }), `pipeline.image.labels: is "": give the name of a file in the folder of the version`},
		{"labels outside", image(func(s *ImageSpec) { s.Labels = "../x" }), `pipeline.image.labels: is "../x": give the name of a file in the folder of the version`},
		{"top_k", image(func(s *ImageSpec) { s.TopK = -1 }), "pipeline.image.top_k: is -1: give 1 or more, or leave it out for 5"},
		{
			"two problems", image(func(s *ImageSpec) { s.Size, s.TopK = -1, -1 }),
			"pipeline.image.size: is -1: give the width and height in pixels, 1 to 4096\npipeline.image.top_k: is -1: give 1 or more, or leave it out for 5",
		},
		{"normalise", text(func(s *TextSpec) { s.Normalise = []string{"nfc"} }), `pipeline.text.normalise[0]: is "nfc": use one of nfkc, lower, whitespace`},
		{"normalise twice", text(func(s *TextSpec) { s.Normalise = []string{"lower", "lower"} }), `pipeline.text.normalise[1]: repeats "lower": name each step once`},
		{"table", text(func(s *TextSpec) { s.Table = "/faq.json" }), `pipeline.text.table: is "/faq.json": give the name of a file in the folder of the version`},
		{
			"text input", text(func(s *TextSpec) { s.Input, s.Output = "", "" }),
			"pipeline.text.input: is missing: give the name of the model's input\npipeline.text.output: is missing: give the name of the model's output",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := tt.spec.Validate(); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %v", err, tt.want)
			}
			if _, err := New(tt.spec, scoring.Signature{}, nil, Limits{}); err == nil {
				t.Error("New: got no error")
			}
		})
	}
}

// What fits no model is refused when the model is loaded.
func TestNewChecksTheSignature(t *testing.T) {
	t.Parallel()
	in := func(s *scoring.Signature) *scoring.TensorSpec { return &s.Inputs[0] }
	out := func(s *scoring.Signature) *scoring.TensorSpec { return &s.Outputs[0] }
	tests := []struct {
		name   string
		change func(*scoring.Signature)
		want   string // "" if it fits
	}{
		{"as it is", func(*scoring.Signature) {}, ""},
		{"fixed sizes", func(s *scoring.Signature) { in(s).Shape = []int64{-1, 224, 224, 3} }, ""},
		{"one row", func(s *scoring.Signature) { in(s).Shape = []int64{1, 224, 224, 3} }, ""},
		{"extra axes", func(s *scoring.Signature) { out(s).Shape = []int64{-1, 3, 1, 1} }, ""},
		{"open classes", func(s *scoring.Signature) { out(s).Shape = []int64{-1, -1} }, ""},
		{"half", func(s *scoring.Signature) { in(s).Datatype, out(s).Datatype = scoring.FP16, scoring.FP16 }, ""},
		{"other output unused", func(s *scoring.Signature) { s.Outputs = append(s.Outputs, scoring.TensorSpec{Name: "features"}) }, ""},
		{"input name", func(s *scoring.Signature) { in(s).Name = "data" }, `pipeline.image.input: the model has no input "in": use one of "data"`},
		{"output name", func(s *scoring.Signature) { out(s).Name = "prob" }, `pipeline.image.output: the model has no output "out": use one of "prob"`},
		{
			"two inputs", func(s *scoring.Signature) { s.Inputs = append(s.Inputs, scoring.TensorSpec{Name: "mask"}) },
			`pipeline.image.input: the model has the inputs "in", "mask": this pipeline fills one input only`,
		},
		{"input datatype", func(s *scoring.Signature) { in(s).Datatype = scoring.Uint8 }, `pipeline.image.input: input "in" is UINT8: it must be FP32 or FP16`},
		{"output datatype", func(s *scoring.Signature) { out(s).Datatype = scoring.Int64 }, `pipeline.image.output: output "out" is INT64: it must be FP32 or FP16`},
		{
			"layout", func(s *scoring.Signature) { in(s).Shape = []int64{-1, 3, 224, 224} },
			`pipeline.image.input: input "in" has the shape [-1 3 224 224]: size 224 and layout nhwc make it [-1 224 224 3]`,
		},
		{
			"rank", func(s *scoring.Signature) { in(s).Shape = []int64{-1, -1} },
			`pipeline.image.input: input "in" has the shape [-1 -1]: size 224 and layout nhwc make it [-1 224 224 3]`,
		},
		{
			"classes", func(s *scoring.Signature) { out(s).Shape = []int64{-1, 1000} },
			`pipeline.image.output: output "out" has the shape [-1 1000]: with the 3 entries of labels.txt it must be [rows, 3]`,
		},
		{
			"classes twice", func(s *scoring.Signature) { out(s).Shape = []int64{-1, 3, 3} },
			`pipeline.image.output: output "out" has the shape [-1 3 3]: with the 3 entries of labels.txt it must be [rows, 3]`,
		},
		{
			"no class axis", func(s *scoring.Signature) { out(s).Shape = []int64{-1} },
			`pipeline.image.output: output "out" has the shape [-1]: with the 3 entries of labels.txt it must be [rows, 3]`,
		},
		{
			"four rows", func(s *scoring.Signature) { in(s).Shape = []int64{4, 224, 224, 3} },
			`pipeline.image: tensor "in" has the shape [4 224 224 3]: the first axis must be open or 1`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sig := imageSignature(scoring.FP32)
			tt.change(&sig)
			spec := imageSpec(224)
			p, err := New(Spec{Image: &spec}, sig, testFiles, Limits{})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
				t.Errorf("got  %v\nwant %v", err, tt.want)
			}
			if err == nil && (p.MaxRows() == 1) != (tt.name == "one row") {
				t.Error("MaxRows: got", p.MaxRows())
			}
		})
	}
}

func TestNewChecksTheSignatureOfTexts(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, want string }{
		{"datatype", `pipeline.text.input: input "in" is FP32: it must be BYTES (strings)`},
		{"shape", `pipeline.text.input: input "in" has the shape [-1 2]: it must be [rows] or [rows, 1]`},
		{"classes", `pipeline.text.output: output "out" has the shape [-1 9]: with the 2 entries of faq.json it must be [rows, 2]`},
		{"input", `pipeline.text.input: the model has no input "in": use one of `},
		{"output", `pipeline.text.output: the model has no output "out": use one of `},
		{"rows", `pipeline.text: tensor "in" has the shape [7]: the first axis must be open or 1`},
	}
	for _, tt := range tests {
		sig := textSignature()
		switch tt.name {
		case "datatype":
			sig.Inputs[0].Datatype = scoring.FP32
		case "shape":
			sig.Inputs[0].Shape = []int64{-1, 2}
		case "classes":
			sig.Outputs[0].Shape = []int64{-1, 9}
		case "input":
			sig.Inputs = nil
		case "output":
			sig.Outputs = nil
		case "rows":
			sig.Inputs[0].Shape = []int64{7}
		}
		spec := textSpec()
		if _, err := New(Spec{Text: &spec}, sig, testFiles, Limits{}); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got  %v\nwant %v", tt.name, err, tt.want)
		}
	}
}

func TestScaleMustFitTheDatatype(t *testing.T) {
	t.Parallel()
	spec := imageSpec(224)
	spec.Scale[1] = 300
	_, err := New(Spec{Image: &spec}, imageSignature(scoring.FP16), testFiles, Limits{})
	if want := "pipeline.image.scale[1]: (219 - mean) * scale does not fit FP16"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	tests := []struct{ file, data, want string }{
		{"l.txt", "tench\ngoldfish\nray", "tench|goldfish|ray"},
		{"l.txt", "\ufefftench\r\ngoldfish\r\nray\r\n\r\n", "tench|goldfish|ray"},
		{"l.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish\n", "n01440764 tench, Tinca tinca|n01443537 goldfish"},
		{"l.json", `["tench", "goldfish"]`, "tench|goldfish"},
		{"l.json", ` {"1": "goldfish", "0": "tench"}`, "tench|goldfish"},
		{"l.txt", "", "key: file l.txt: the name of class 0 is empty"},
		{"l.txt", "a\n \nb", "key: file l.txt: the name of class 1 is empty"},
		{"l.txt", "a\xff", "key: file l.txt is not text in UTF-8"},
		{"l.json", `[]`, "key: file l.json holds no names"},
		{"l.json", `[""]`, "key: file l.json: the name of class 0 is empty"},
		{"l.json", `{"0": "a", "2": "b"}`, `key: file l.json: has 2 names but none with the key "1"`},
		{"l.json", `{"00": "a"}`, `key: file l.json: has 1 names but none with the key "0"`},
		{"l.json", `[1]`, "key: file l.json: json: cannot unmarshal number into Go value of type string"},
		{"l.json", `{"0": ["a"]}`, "key: file l.json: json: cannot unmarshal array into Go value of type string"},
		{"none.txt", "", "key: read file: open none.txt: file does not exist"},
	}
	for _, tt := range tests {
		files := fstest.MapFS{"l.txt": {Data: []byte(tt.data)}, "l.json": {Data: []byte(tt.data)}}
		labels, err := readLabels(files, "key", tt.file)
		got := strings.Join(labels, "|")
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s %q:\ngot  %s\nwant %s", tt.file, tt.data, got, tt.want)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	tests := []struct{ data, want string }{
		{`[{"id": "a", "question": "q", "answer": "x", "more": 1}]`, ""},
		{`[]`, "key: file faq.json holds no entries"},
		{`[{"id": "a", "question": "q"}]`, "key: file faq.json: entry 0 needs an id, a question and an answer"},
		{`[{"id": "a", "question": "q", "answer": "x"}, {"id": "a", "question": "r", "answer": "y"}]`, `key: file faq.json: entries 0 and 1 have the same id "a"`},
		{`{`, "key: file faq.json: unexpected end of JSON input"},
	}
	for _, tt := range tests {
		_, err := readTable(fstest.MapFS{"faq.json": {Data: []byte(tt.data)}}, "key", "faq.json")
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
			t.Errorf("%s: got %v, want %s", tt.data, err, tt.want)
		}
	}
	if _, err := readTable(fstest.MapFS{}, "key", "faq.json"); err == nil || !strings.Contains(err.Error(), fs.ErrNotExist.Error()) {
		t.Error("got", err)
	}
}
