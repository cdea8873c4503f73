package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// place puts a version's files into a models folder. A manifest gets the digests of the
// other files; rest is the part of it that differs between tests.
func place(t *testing.T, models, name string, number int64, rest string) artifact.Ref {
	t.Helper()
	r := artifact.Ref{Name: name, Version: number, Dir: filepath.Join(models, name, strconv.FormatInt(number, 10))}
	if err := os.MkdirAll(r.Dir, 0o750); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"model.onnx": "onnx of " + r.String()}
	sums := map[string]string{}
	var list strings.Builder
	for file, text := range files {
		digest := sha256.Sum256([]byte(text))
		sums[file] = hex.EncodeToString(digest[:])
		fmt.Fprintf(&list, "  %s: %s\n", file, sums[file])
	}
	if rest != "" {
		files["model.yaml"] = fmt.Sprintf("schema: onda/v1\nname: %s\nversion: %d\nfiles:\n%sdigest: %s\n%s", name, number, list.String(), artifact.Digest(sums), rest)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(r.Dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// twoInputs takes rows of four numbers and a text of free length each.
var twoInputs = scoring.Signature{
	Inputs: []scoring.TensorSpec{
		{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 4}},
		{Name: "s", Datatype: scoring.Bytes, Shape: []int64{-1, -1}},
	},
	Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.FP32, Shape: []int64{-1, 2}}},
}

func TestLoadWarmsUpWithTheManifestsRows(t *testing.T) {
	t.Parallel()
	var shapes []string
	fake := &onnxtest.Fake{Spec: twoInputs, RunFunc: func(_ context.Context, inputs []scoring.Tensor, _ []string) ([]scoring.Tensor, error) {
		shapes = append(shapes, fmt.Sprint(inputs[0].Shape, len(inputs[0].Data), inputs[1].Shape, len(inputs[1].Strings)))
		return nil, nil
	}}
	at := place(t, t.TempDir(), "m", 3, "warm_up: [1, 8]\n")
	v, err := registry.Loader{Open: func([]byte, triton.Settings) (registry.Session, error) { return fake, nil }}.Load(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(shapes, "; "), "[1 4] 16 [1 1] 1; [8 4] 128 [8 1] 8"; got != want {
		t.Errorf("warmed up with %s, want %s", got, want)
	}
	if v.ID.Name != "m" || v.ID.Version != 3 || v.ID.Digest != v.Manifest.Digest || v.LoadedAt.IsZero() || v.PipelineKind() != "none" {
		t.Errorf("got %+v", v)
	}
}

func TestLoadPassesOnTheBytesThatWereChecked(t *testing.T) {
	t.Parallel()
	var got string
	at := place(t, t.TempDir(), "m", 1, "")
	_, err := registry.Loader{Open: func(model []byte, _ triton.Settings) (registry.Session, error) {
		got = string(model)
		return &onnxtest.Fake{}, nil
	}}.Load(t.Context(), at, nil)
	if err != nil || got != "onnx of m@1" {
		t.Errorf("opened %q (%v)", got, err)
	}
}

func TestLoadThatFailsFreesTheSession(t *testing.T) {
	t.Parallel()
	const text = "pipeline:\n  text: {input: x, output: y, normalise: [lower], table: faq.json, top_k: 3}\n"
	tests := []struct {
		name, manifest string
		run            func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error)
		want           string
	}{
		{"pipeline that does not fit", text, nil, "load m@1: pipeline"},
		{"warm-up", "warm_up: [4]\n", func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error) {
			return nil, errors.New("broken")
		}, "load m@1: warm up with 4 rows: broken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := &onnxtest.Fake{Spec: twoInputs, RunFunc: tt.run}
			at := place(t, t.TempDir(), "m", 1, tt.manifest)
			_, err := registry.Loader{Open: func([]byte, triton.Settings) (registry.Session, error) { return fake, nil }}.Load(t.Context(), at, nil)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want it to begin with %q", err, tt.want)
			}
			if fake.Closes() != 1 {
				t.Errorf("the session was closed %d times, want once", fake.Closes())
			}
		})
	}
}

func TestLoadAllServesWhatItCan(t *testing.T) {
	t.Parallel()
	models := t.TempDir()
	place(t, models, "good", 1, "")
	place(t, models, "good", 2, "schema: again\n")
	place(t, models, "refused", 1, "")
	var log strings.Builder
	loader := registry.Loader{Log: zerolog.New(&log), Open: func(model []byte, _ triton.Settings) (registry.Session, error) {
		if strings.Contains(string(model), "refused") {
			return nil, errors.New("not for this runtime")
		}
		return &onnxtest.Fake{}, nil
	}}
	r := registry.New()
	if err := scanAndLoad(t.Context(), loader, r, models); err != nil {
		t.Fatal(err)
	}
	expectReady(t, r, true, "one version answers")
	want := map[scoring.ModelRef]registry.State{
		{Name: "good", Version: 1}:    registry.Available,
		{Name: "good", Version: 2}:    registry.Failed,
		{Name: "refused", Version: 1}: registry.Failed,
	}
	for ref, state := range want {
		if s, err := r.Status(ref); err != nil || s.State != state {
			t.Errorf("%v is %v (%v), want %v", ref, s.State, err, state)
		}
	}
	if !strings.Contains(log.String(), `"model":"refused","version":1,"message":"model could not be loaded"`) {
		t.Errorf("log %s: want it to name the version that failed", log.String())
	}
}

func TestLoadAllSaysThatThereIsNothing(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	r := registry.New()
	if err := scanAndLoad(t.Context(), registry.Loader{Log: zerolog.New(&log)}, r, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "there are no models: want <model>/<version>/model.onnx") {
		t.Errorf("log %s", log.String())
	}
	if err := scanAndLoad(t.Context(), registry.Loader{}, r, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that does not exist is no error")
	}
}

func TestLoadAllEndsWithItsContext(t *testing.T) {
	t.Parallel()
	models := t.TempDir()
	place(t, models, "m", 1, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := registry.New()
	if err := scanAndLoad(ctx, registry.Loader{}, r, models); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	expectReady(t, r, false, "loading was broken off")
}

// scanAndLoad loads every version of a folder.
func scanAndLoad(ctx context.Context, loader registry.Loader, r *registry.Registry, models string) error {
	refs, err := loader.Scan(r, models)
	if err != nil {
		return err
	}
	return loader.LoadAll(ctx, r, refs)
}
