package lifecycle_test

import (
	"context"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/lifecycle"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

func TestOffline(t *testing.T) {
	o, err := lifecycle.OpenOffline(context.Background(), settings(t), scoring.ModelRef{Name: "addsub"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	m := o.Model()
	if m.ID.String() != "addsub@1" || m.Pipeline != "none" || len(m.Signature.Inputs) != 2 || !strings.Contains(m.Engine, "threads") {
		t.Errorf("got the model %+v", m)
	}
	var inputs []scoring.Tensor
	for _, spec := range m.Signature.Inputs {
		shape := make([]int64, len(spec.Shape))
		n := int64(1)
		for i, d := range spec.Shape {
			shape[i] = max(d, 1)
			n *= shape[i]
		}
		inputs = append(inputs, onnxtest.Tensor(spec.Name, shape, make([]int32, n)...))
	}
	resp, err := o.Infer(context.Background(), &scoring.InferRequest{Model: scoring.ModelRef{Name: "addsub", Version: 1}, Inputs: inputs})
	if err != nil || len(resp.Outputs) != 2 {
		t.Errorf("got %+v, %v, want two outputs", resp, err)
	}
	if err := o.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestOfflineRefuses(t *testing.T) {
	cfg := settings(t)
	for _, test := range []struct {
		ref  scoring.ModelRef
		want string
	}{
		{scoring.ModelRef{Name: "nothing"}, "(ONDA_MODELS_DIR): there are addsub, "},
		{scoring.ModelRef{Name: "addsub", Version: 7}, "has no version 7: the newest is 1"},
		{scoring.ModelRef{Name: "addsub", Label: "canary"}, `label "canary"`},
		{scoring.ModelRef{Name: "damaged"}, "load damaged@1"},
	} {
		_, err := lifecycle.OpenOffline(context.Background(), cfg, test.ref, zerolog.Nop())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.ref, err, test.want)
		}
	}
}
