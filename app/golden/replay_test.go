package golden_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/onda-serving/onda/app/golden"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// echo answers the n-th question with what the n-th case expects, and notes the questions.
type echo struct {
	cases []struct {
		Classes []scoring.Class `json:"classes"`
		Matches []scoring.Match `json:"matches"`
	}
	instances  []scoring.Instance
	parameters []scoring.Parameters
}

func newEcho(text []byte) *echo {
	e := &echo{}
	_ = json.Unmarshal(text, &struct{ Cases any }{&e.cases}) // what it cannot read, it does not answer
	return e
}

func (e *echo) Predict(_ context.Context, instances []scoring.Instance, parameters scoring.Parameters) ([]scoring.Prediction, error) {
	n := len(e.instances)
	e.instances = append(e.instances, instances...)
	e.parameters = append(e.parameters, parameters)
	switch {
	case n >= len(e.cases):
		return nil, errors.New("asked too often")
	case e.cases[n].Classes != nil:
		return []scoring.Prediction{scoring.Classes{Classes: e.cases[n].Classes}}, nil
	default:
		return []scoring.Prediction{scoring.Matches{Matches: e.cases[n].Matches}}, nil
	}
}

func (e *echo) Infer(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	return inputs, nil
}

// fixed gives the same answer to everything.
type fixed struct {
	predictions []scoring.Prediction
	outputs     []scoring.Tensor
	err         error
}

func (f fixed) Predict(context.Context, []scoring.Instance, scoring.Parameters) ([]scoring.Prediction, error) {
	return f.predictions, f.err
}

func (f fixed) Infer(context.Context, []scoring.Tensor) ([]scoring.Tensor, error) {
	return f.outputs, f.err
}

func load(t *testing.T, cases ...string) *golden.Set {
	t.Helper()
	s, err := golden.Load(folder(file(cases...)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReplayAsksWhatIsInTheFile(t *testing.T) {
	t.Parallel()
	text := file(
		`{"instance": "plain", "matches": [{"id": "a", "score": 1}]}`,
		`{"instance": {"text": "in an object"}, "matches": [{"id": "a", "score": 1}, {"id": "b", "score": 0}]}`,
		`{"instance": {"file": "cat.png"}, "classes": [{"index": 3, "score": 1}]}`,
		`{"instance": {"b64": "YSBkb2c="}, "classes": [{"index": 3, "score": 1}, {"index": 4, "score": 0}, {"index": 5, "score": 0}]}`,
	)
	e := newEcho([]byte(text))
	r, err := load(t, text[len(`{"tolerance": 0.01, "cases": [`):len(text)-2]).Replay(t.Context(), e)
	if want := (golden.Result{Cases: 4}); err != nil || r != want {
		t.Errorf("got %+v, %v; want %+v", r, err, want)
	}
	want := []scoring.Instance{
		{Kind: scoring.Text, Data: []byte("plain")},
		{Kind: scoring.Text, Data: []byte("in an object")},
		{Kind: scoring.Binary, Data: []byte("a cat")},
		{Kind: scoring.Binary, Data: []byte("a dog")},
	}
	if !slices.EqualFunc(e.instances, want, func(a, b scoring.Instance) bool { return a.Kind == b.Kind && string(a.Data) == string(b.Data) }) {
		t.Errorf("asked %v, want %v", e.instances, want)
	}
	if want := []scoring.Parameters{{TopK: 1}, {TopK: 2}, {TopK: 1}, {TopK: 3}}; !slices.Equal(e.parameters, want) {
		t.Errorf("asked with %v, want %v", e.parameters, want)
	}
}

func class(index int, score float32) scoring.Class {
	return scoring.Class{Index: index, Label: "label of it", Score: score}
}

func prediction(all ...scoring.Class) []scoring.Prediction {
	return []scoring.Prediction{scoring.Classes{Classes: all}}
}

func TestReplayOfClasses(t *testing.T) {
	t.Parallel()
	const expected = `{"instance": "a", "classes": [{"index": 918, "score": 0.75}, {"index": 646, "score": 0.02}, {"index": 409, "score": 0.0125}]}`
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		name       string
		got        []scoring.Prediction
		difference float64
		want       string // of the error; "" for none
	}{
		{"as expected", prediction(class(918, 0.75), class(646, 0.02), class(409, 0.0125)), 0, ""},
		{"within the tolerance", prediction(class(918, 0.7578125), class(646, 0.02), class(409, 0.0125)), 0.0078125, ""},
		{"beyond it", prediction(class(918, 0.765625), class(646, 0.02), class(409, 0.0125)), 0, "class 918 has 0.765625, want 0.75 (tolerance 0.01)"},
		{"beyond it further down", prediction(class(918, 0.75), class(646, 0.0625), class(409, 0.0125)), 0, "class 646 has 0.0625, want 0.02 (tolerance 0.01)"},
		{"another best", prediction(class(409, 0.612), class(918, 0.3), class(646, 0.02)), 0, "best class is 409 with 0.612, want 918 with 0.75 (tolerance 0.01)"},
		{"a best that is not in the list", prediction(class(7, 0.75), class(918, 0.75), class(646, 0.02)), 0, "best class is 7 with 0.75, want 918 with 0.75 (tolerance 0.01)"},
		{"other places within the tolerance", prediction(class(918, 0.75), class(409, 0.02), class(646, 0.0125)), 0.0075, ""},
		{"another last within the tolerance", prediction(class(918, 0.75), class(646, 0.02), class(5, 0.0203125)), 0.0078125, ""},
		{"another last beyond it", prediction(class(918, 0.75), class(5, 0.03125), class(646, 0.02)), 0, "class 5 has 0.03125, want at most 0.0125, the last of those expected (tolerance 0.01)"},
		{"one that is missing beyond it", prediction(class(918, 0.75), class(409, 0.0125), class(5, 0.001)), 0, "class 646 is not in the answer, whose last has 0.001: want it with 0.02 (tolerance 0.01)"},
		{"more than expected", prediction(class(918, 0.75), class(646, 0.02), class(409, 0.0125), class(5, 0.001)), 0, ""},
		{"fewer than expected", prediction(class(918, 0.75), class(646, 0.02)), 0, "the answer has 2 entries, want 3"},
		{"none", prediction(), 0, "the answer has 0 entries, want 3"},
		{"NaN", prediction(class(918, 0.75), class(646, nan), class(409, 0.0125)), 0, "class 646 has the score NaN: want a finite number"},
		{"infinite, and not expected", prediction(class(918, 0.75), class(646, 0.02), class(409, 0.0125), class(5, inf)), 0, "class 5 has the score +Inf: want a finite number"},
		{"no prediction", nil, 0, "0 predictions came, want one"},
		{"two predictions", append(prediction(), prediction()...), 0, "2 predictions came, want one"},
		{"another kind", []scoring.Prediction{scoring.Matches{}}, 0, "a prediction of another kind came, a match: want a class"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			replay(t, load(t, expected), fixed{predictions: tt.got}, tt.difference, tt.want)
		})
	}
}

// replay replays a file of one case.
func replay(t *testing.T, s *golden.Set, asker golden.Asker, difference float64, want string) {
	t.Helper()
	r, err := s.Replay(t.Context(), asker)
	if want == "" {
		if err != nil || r.Cases != 1 || math.Abs(r.MaxDifference-difference) > 1e-8 {
			t.Errorf("got %+v, %v; want it as expected, with a difference of %v", r, err, difference)
		}
		return
	}
	if r.Cases != 0 || scoring.CodeOf(err) != scoring.Invalid {
		t.Fatalf("got %+v, %v; want no case, and an error that says Invalid", r, err)
	}
	if got, want := scoring.AsError(err).Message, "golden.json: cases[0]: "+want; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReplayTellsTiesFromMistakes(t *testing.T) {
	t.Parallel()
	s := load(t, `{"instance": "a", "classes": [{"index": 1, "score": 0.5}, {"index": 2, "score": 0.4921875}]}`)
	replay(t, s, fixed{predictions: prediction(class(2, 0.5), class(1, 0.4921875))}, 0.0078125, "")
	s = load(t, `{"instance": "a", "classes": [{"index": 1, "score": 0.5}, {"index": 2, "score": 0.484375}]}`)
	replay(t, s, fixed{predictions: prediction(class(2, 0.4921875), class(1, 0.4921875))}, 0, "best class is 2 with 0.4921875, want 1 with 0.5 (tolerance 0.01)")
}

func TestReplayComparesTextsThatAreExpected(t *testing.T) {
	t.Parallel()
	match := fixed{predictions: []scoring.Prediction{scoring.Matches{Matches: []scoring.Match{{ID: "js-let", Question: "q", Answer: "a", Score: 0.5}}}}}
	tests := []struct {
		name, expected, want string
		asker                golden.Asker
	}{
		{"none", `"matches": [{"id": "js-let", "score": 0.5}]`, "", match},
		{"both", `"matches": [{"id": "js-let", "score": 0.5, "question": "q", "answer": "a"}]`, "", match},
		{"question", `"matches": [{"id": "js-let", "score": 0.5, "question": "Q"}]`, `match "js-let" has the question "q", want "Q"`, match},
		{"answer", `"matches": [{"id": "js-let", "score": 0.5, "answer": "A"}]`, `match "js-let" has the answer "a", want "A"`, match},
		{"best", `"matches": [{"id": "js-var", "score": 0.5}]`, `best match is "js-let" with 0.5, want "js-var" with 0.5 (tolerance 0.01)`, match},
		{"label", `"classes": [{"index": 1, "label": "cat", "score": 0.5}]`, `class 1 has the label "label of it", want "cat"`, fixed{predictions: prediction(class(1, 0.5))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			replay(t, load(t, `{"instance": "a", `+tt.expected+`}`), tt.asker, 0, tt.want)
		})
	}
}

func TestReplayOfTensors(t *testing.T) {
	t.Parallel()
	output := func(shape, datatype, data string) string {
		return `{"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}], "outputs": [{"name": "y", "shape": ` + shape + `, "datatype": "` + datatype + `", "data": ` + data + `}]}`
	}
	half := func(d scoring.Datatype, bits ...byte) scoring.Tensor {
		return scoring.Tensor{Name: "y", Datatype: d, Shape: []int64{int64(len(bits) / 2)}, Data: bits}
	}
	tests := []struct {
		name, expected string
		got            scoring.Tensor
		difference     float64
		want           string
	}{
		{"FP32", output("[2, 2]", "FP32", "[[0.5, 1], [2, 3]]"), onnxtest.Tensor("y", []int64{2, 2}, float32(0.5), 1, 2, 3), 0, ""},
		{"FP32 within the tolerance", output("[2]", "FP32", "[0.5, 1]"), onnxtest.Tensor("y", []int64{2}, float32(0.5078125), 1), 0.0078125, ""},
		{"FP32 within the tolerance of a large number", output("[1]", "FP32", "[1024]"), onnxtest.Tensor("y", []int64{1}, float32(1032)), 0.0078125, ""},
		{"FP32 beyond it", output("[1, 2]", "FP32", "[0.5, 1]"), onnxtest.Tensor("y", []int64{1, 2}, float32(0.5), 1.1), 0, `output "y" has 1.1 at [0,1], want 1 (tolerance 0.01)`},
		{"FP32 beyond it of a large number", output("[1]", "FP32", "[1024]"), onnxtest.Tensor("y", []int64{1}, float32(1040)), 0, `output "y" has 1040 at [0], want 1024 (tolerance 0.01)`},
		{"FP32 NaN", output("[1]", "FP32", "[1]"), onnxtest.Tensor("y", []int64{1}, float32(math.NaN())), 0, `output "y" has NaN at [0], want 1 (tolerance 0.01)`},
		{"FP32 infinite", output("[1]", "FP32", "[1]"), onnxtest.Tensor("y", []int64{1}, float32(math.Inf(-1))), 0, `output "y" has -Inf at [0], want 1 (tolerance 0.01)`},
		{"FP64", output("[]", "FP64", "[0.1]"), onnxtest.Tensor("y", []int64{}, 0.1), 0, ""},
		{"FP64 beyond the tolerance", output("[]", "FP64", "[0.1]"), onnxtest.Tensor("y", []int64{}, 0.2), 0, `output "y" has 0.2 at [], want 0.1 (tolerance 0.01)`},
		{"FP16", output("[2]", "FP16", "[1, -0.5]"), half(scoring.FP16, 0, 0x3c, 0, 0xb8), 0, ""},
		{"FP16 beyond the tolerance", output("[2]", "FP16", "[1, -0.5]"), half(scoring.FP16, 0, 0x3c, 0, 0x38), 0, `output "y" has 0.5 at [1], want -0.5 (tolerance 0.01)`},
		{"BF16, rounded to even", output("[3]", "BF16", "[1, 1.01171875, 1.00390625]"), half(scoring.BF16, 0x80, 0x3f, 0x82, 0x3f, 0x80, 0x3f), 0, ""},
		{"INT8", output("[2]", "INT8", "[1, -1]"), onnxtest.Tensor("y", []int64{2}, int8(1), -1), 0, ""},
		{"INT8, another", output("[2]", "INT8", "[1, -1]"), onnxtest.Tensor("y", []int64{2}, int8(1), -2), 0, `output "y" has -2 at [1], want -1`},
		{"INT64, another", output("[1]", "INT64", "[9007199254740993]"), onnxtest.Tensor("y", []int64{1}, int64(9007199254740992)), 0, `output "y" has 9007199254740992 at [0], want 9007199254740993`},
		{"UINT8, another", output("[1]", "UINT8", "[255]"), onnxtest.Tensor("y", []int64{1}, uint8(0)), 0, `output "y" has 0 at [0], want 255`},
		{"BOOL, another", output("[1]", "BOOL", "[true]"), onnxtest.Tensor("y", []int64{1}, false), 0, `output "y" has false at [0], want true`},
		{"BYTES", output("[2]", "BYTES", `["a", "b"]`), onnxtest.Strings("y", []int64{2}, "a", "b"), 0, ""},
		{"BYTES, another", output("[2]", "BYTES", `["a", "b"]`), onnxtest.Strings("y", []int64{2}, "a", "B"), 0, `output "y" has "B" at [1], want "b"`},
		{"another shape", output("[2]", "FP32", `[1, 2]`), onnxtest.Tensor("y", []int64{1, 2}, float32(1), 2), 0, `output "y" has the shape [1,2], want [2]`},
		{"another datatype", output("[2]", "FP32", `[1, 2]`), onnxtest.Tensor("y", []int64{2}, 1.0, 2), 0, `output "y" is FP64, want FP32`},
		{"too few values", output("[2]", "FP32", `[1, 2]`), onnxtest.Tensor("y", []int64{2}, float32(1)), 0, `output "y" has another number of values than its shape`},
		{"another name", output("[2]", "FP32", `[1, 2]`), onnxtest.Tensor("z", []int64{2}, float32(1), 2), 0, `output "y" is not in the answer`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spare := onnxtest.Tensor("spare", []int64{1}, float32(math.NaN())) // not expected to be anything
			replay(t, load(t, tt.expected), fixed{outputs: []scoring.Tensor{spare, tt.got}}, tt.difference, tt.want)
		})
	}
}

func TestReplayWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	good := `{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}], "outputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}`
	s, err := golden.Load(fstest.MapFS{"golden.json": {Data: []byte(file(good, `{"instance": "a", "matches": [{"id": "a", "score": 1}]}`))}})
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the cause")
	none := scoring.Errorf(scoring.Unavailable, "there is no pipeline").WithCause(cause)
	r, err := s.Replay(t.Context(), failing{err: none})
	if e := scoring.AsError(err); r.Cases != 1 || e.Code != scoring.Unavailable || e.Message != "golden.json: cases[1]: there is no pipeline" || !errors.Is(err, cause) {
		t.Errorf("got %+v, %v; want one case, and the asker's own error with its place", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Replay(ctx, failing{err: ctx.Err()}); !errors.Is(err, context.Canceled) || scoring.CodeOf(err) != scoring.Canceled {
		t.Errorf("with an ended context: got %v", err)
	}
}

// failing answers on tensors with its inputs, and not at all on instances.
type failing struct{ err error }

func (f failing) Predict(context.Context, []scoring.Instance, scoring.Parameters) ([]scoring.Prediction, error) {
	return nil, f.err
}

func (failing) Infer(_ context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	return inputs, nil
}
