package verify_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/onnx"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/verify"
)

// loadReal loads a version with ONNX Runtime, in a child. Its library is the argument.
func loadReal(ref artifact.Ref, _ json.RawMessage, args []string) (verify.Loaded, error) {
	environment, err := onnx.Open(args[0])
	if err != nil {
		return verify.Loaded{}, err
	}
	a, err := artifact.Open(ref)
	if err != nil {
		return verify.Loaded{}, err
	}
	session, err := environment.Load(a.Model, onnx.Options{IntraOpThreads: 1})
	if err != nil {
		return verify.Loaded{}, err
	}
	asker := &realAsker{session: session}
	if a.Manifest.Pipeline != (pipeline.Spec{}) {
		if asker.pipeline, err = pipeline.New(a.Manifest.Pipeline, session.Signature(), a.Files, pipeline.Limits{}); err != nil {
			return verify.Loaded{}, err
		}
	}
	return verify.Loaded{Signature: session.Signature(), Manifest: a.Manifest, Size: a.Size, Files: a.Files, Asker: asker, Close: session.Close}, nil
}

type realAsker struct {
	session  *onnx.Session
	pipeline pipeline.Pipeline
}

func (r *realAsker) Predict(ctx context.Context, instances []scoring.Instance, parameters scoring.Parameters) ([]scoring.Prediction, error) {
	inputs, err := r.pipeline.Preprocess(ctx, instances)
	if err != nil {
		return nil, err
	}
	outputs, err := r.session.Run(ctx, inputs, r.pipeline.Outputs())
	if err != nil {
		return nil, err
	}
	return r.pipeline.Postprocess(outputs, len(instances), parameters)
}

func (r *realAsker) Infer(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	return r.session.Run(ctx, inputs, nil)
}

// place makes a version of a model's bytes.
func place(t *testing.T, model []byte) artifact.Ref {
	t.Helper()
	r := artifact.Ref{Name: "m", Version: 3, Dir: filepath.Join(t.TempDir(), "m", "3")}
	if err := os.MkdirAll(r.Dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "model.onnx"), model, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCrash shows a model that does end the process which loads it, and that this process
// lives through that.
func TestCrash(t *testing.T) {
	t.Parallel()
	_, err := started(t, "real", onnxtest.Library(t)).Check(t.Context(), place(t, onnxtest.Crash()))
	if got, want := scoring.AsError(err).Message, "m@3: loading it ended the process with signal: segmentation fault"; got != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestEndlessRun(t *testing.T) {
	t.Parallel()
	c := started(t, "real", onnxtest.Library(t))
	c.Timeout = 3 * time.Second
	_, err := c.Check(t.Context(), place(t, onnxtest.Slow(1<<40)))
	if got, want := scoring.AsError(err).Message, "m@3: loading it took longer than 3s"; got != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestNoModel(t *testing.T) {
	t.Parallel()
	_, err := started(t, "real", onnxtest.Library(t)).Check(t.Context(), place(t, []byte("no model")))
	if got, want := scoring.AsError(err).Message, "m@3: the model is not an ONNX file, or is cut short"; !strings.HasPrefix(got, want) || scoring.CodeOf(err) != scoring.Invalid {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestRepositorysModels replays the golden inputs of the models that come with Onda.
func TestRepositorysModels(t *testing.T) {
	t.Parallel()
	tests := []struct {
		model, pipeline, input string
		cases                  int
		tolerance              float64
	}{
		{"image-classification", "image", "FP32", 4, 0.01},
		{"faq-matching", "text", "BYTES", 21, 0.001},
	}
	for _, tt := range tests {
		t.Run(tt.model, func(t *testing.T) {
			t.Parallel()
			dir, err := filepath.Abs(filepath.Join("..", "..", "models", tt.model, "1"))
			if err != nil {
				t.Fatal(err)
			}
			c := started(t, "real", onnxtest.Library(t))
			got, err := c.Check(t.Context(), artifact.Ref{Name: tt.model, Version: 1, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if got.Golden.Cases != tt.cases || got.Golden.MaxDifference > tt.tolerance || got.Pipeline != tt.pipeline || got.Inputs[0].Datatype != tt.input {
				t.Errorf("got %+v", got)
			}
			if got.MemoryBytes < 1<<20 || got.MemoryBytes > 512<<20 || got.RunMS <= 0 || got.LoadMS <= 0 || len(got.Warnings) > 0 {
				t.Errorf("got %+v", got)
			}
			t.Logf("%s: %d KiB of files, %d KiB of memory, loaded in %v ms, run in %v ms, off by %.2g", tt.model, got.SizeBytes>>10, got.MemoryBytes>>10, got.LoadMS, got.RunMS, got.Golden.MaxDifference)
		})
	}
}
