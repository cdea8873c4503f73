package offline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"go.uber.org/goleak"

	"github.com/onda-serving/onda/app/offline"
	"github.com/onda-serving/onda/app/scoring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake answers with what it was asked. It refuses "bad", and ends what it serves at "stop".
type fake struct{ stop func() }

func (f fake) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	if req.Schedule.Lane != scoring.Bulk {
		return nil, scoring.Errorf(scoring.Unavailable, "not the bulk lane")
	}
	var all []scoring.Prediction
	for _, i := range req.Instances {
		switch string(i.Data) {
		case "bad":
			return nil, scoring.Errorf(scoring.Invalid, "instances[0]: bad")
		case "stop":
			f.stop()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		all = append(all, scoring.Matches{Matches: []scoring.Match{{ID: "m", Question: string(i.Data), Answer: "a,b", Score: 0.1}}})
	}
	return &scoring.PredictResponse{Predictions: all}, nil
}

// Infer doubles x.
func (fake) Infer(_ context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	out := req.Inputs[0]
	out.Name, out.Data = "y", slices.Clone(out.Data)
	for i := 0; i < len(out.Data); i += 4 {
		f := math.Float32frombits(binary.LittleEndian.Uint32(out.Data[i:]))
		binary.LittleEndian.PutUint32(out.Data[i:], math.Float32bits(2*f))
	}
	return &scoring.InferResponse{Outputs: []scoring.Tensor{out}}, nil
}

var (
	texts   = offline.Model{ID: scoring.ModelID{Name: "faq", Version: 1, Digest: "d"}, Pipeline: "text", MaxRows: 4}
	numbers = offline.Model{ID: scoring.ModelID{Name: "n", Version: 1, Digest: "d"}, Pipeline: "none", MaxRows: 4, Signature: scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 1}}},
		Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.FP32, Shape: []int64{-1, 1}}},
	}}
)

// score runs content into a file of a format and gives what is in it.
func score(t *testing.T, m offline.Model, in, content, out string) (string, offline.Progress) {
	t.Helper()
	o := offline.Options{Input: filepath.Join(t.TempDir(), in), Output: filepath.Join(t.TempDir(), out), MaxErrors: -1, MaxRow: 200}
	if err := os.WriteFile(o.Input, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := offline.Run(t.Context(), fake{}, m, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), p
}

func TestRun(t *testing.T) {
	t.Parallel()
	match := func(place, text string) string {
		return `{` + place + `,"predictions":[{"matches":[{"id":"m","question":"` + text + `","answer":"a,b","score":0.1}]}]}` + "\n"
	}
	for _, test := range []struct {
		name     string
		model    offline.Model
		in, text string
		out      string
		want     string
		errors   int64
	}{
		{
			"lines", texts, "in.jsonl", "\"a\"\n\n{\"id\":\"7\",\"text\":\"b\"}\nnope\n\"bad\"\n{\"instances\":[\"c\"]}\n" + strings.Repeat("x", 300) + "\n\"e\"", "out.jsonl",
			match(`"row":1`, "a") + match(`"row":2,"id":"7"`, "b") +
				`{"row":3,"error":{"code":"Invalid","error":"the line is not valid JSON"}}` + "\n" +
				`{"row":4,"error":{"code":"Invalid","error":"bad"}}` + "\n" + match(`"row":5`, "c") +
				`{"row":6,"error":{"code":"TooLarge","error":"the line is longer than 200 bytes"}}` + "\n" + match(`"row":7`, "e"), 3,
		},
		{
			"table of texts", texts, "in.csv", "id,text,more\n1,\"a\nb\",z\n2,bad,\n", "out.csv",
			"row,id,match,question,answer,score,error_code,error\n1,1,m,\"a\nb\",\"a,b\",0.1,,\n2,2,,,,,Invalid,bad\n", 1,
		},
		{
			"table of numbers", numbers, "in.csv", "x\n1.5\n-2\nmany\n,\n3\n", "out.csv",
			"row,id,output_y,error_code,error\n1,,3,,\n2,,-4,,\n3,,,Invalid,\"input \"\"x\"\": \"\"data\"\": want FP32, got a string at value 0\"\n4,,,Invalid,\"line 5 of the CSV, column 1: wrong number of fields\"\n5,,6,,\n", 2,
		},
		{
			"numbers as lines", numbers, "in.ndjson", `{"x":2}` + "\n" + `{"inputs":[{"name":"x","datatype":"FP32","shape":[2,1],"data":[1,2]}]}`, "out.jsonl",
			`{"row":1,"outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":[4]}]}` + "\n" +
				`{"row":2,"outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"data":[2,4]}]}` + "\n", 0,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, p := score(t, test.model, test.in, test.text, test.out)
			if got != test.want || p.Errors != test.errors {
				t.Errorf("got %d errors and\n%s\nwant %d and\n%s", p.Errors, got, test.errors, test.want)
			}
		})
	}
}

func TestParquet(t *testing.T) {
	t.Parallel()
	type row struct {
		X     float32
		Other string
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, []row{{1, "a"}, {2, "b"}}); err != nil {
		t.Fatal(err)
	}
	m := numbers
	m.Signature.Inputs = []scoring.TensorSpec{{Name: "X", Datatype: scoring.FP32, Shape: []int64{-1, 1}}}
	data, _ := score(t, m, "in.parquet", b.String(), "out.parquet")
	type scored struct {
		Row int64   `parquet:"row,optional"`
		Y   float32 `parquet:"output_y,optional"`
	}
	got, err := parquet.Read[scored](strings.NewReader(data), int64(len(data)))
	if err != nil || !slices.Equal(got, []scored{{1, 2}, {2, 4}}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestResume stops a run, and goes on; another model may not.
func TestResume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := offline.Options{Input: filepath.Join(dir, "in.jsonl"), Output: filepath.Join(dir, "out.jsonl"), MaxErrors: -1, SaveEvery: time.Nanosecond}
	if err := os.WriteFile(o.Input, []byte(strings.Repeat("\"a\"\n", 10)+"\"stop\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := offline.Run(ctx, fake{cancel}, texts, o)
	if !errors.Is(err, context.Canceled) || p.Rows > 8 || p.Rows%4 != 0 {
		t.Fatalf("got %+v, %v, want whole groups", p, err)
	}
	other := texts
	other.ID.Digest = "e"
	if _, err := offline.Run(t.Context(), fake{}, other, o); err == nil || !strings.Contains(err.Error(), "the model was faq@1 d and is faq@1 e") || !strings.Contains(err.Error(), "--restart") {
		t.Errorf("got %v, want what differs", err)
	}
	o.MaxErrors = 0
	again, err := offline.Run(t.Context(), fake{func() {}}, texts, o)
	if err != nil || again.Rows != 11 || again.Resumed != p.Rows {
		t.Errorf("got %+v, %v, want 11 rows, %d of them resumed", again, err, p.Rows)
	}
	for output, want := range map[string]string{
		o.Output: "there is such a file", o.Input: "it is the input", filepath.Join(filepath.Dir(o.Input), "out.txt"): "want .jsonl, .ndjson, .csv or .parquet",
	} {
		o.Output = output
		if _, err := offline.Run(t.Context(), fake{}, texts, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("output %s: got %v, want %q", output, err, want)
		}
	}
}
