package follow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/catalog/catalogtest"
	"github.com/onda-serving/onda/app/follow"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// rows is the signature of every model here.
var rows = scoring.Signature{
	Inputs:  []scoring.TensorSpec{{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, 4}}},
	Outputs: []scoring.TensorSpec{{Name: "y", Datatype: scoring.FP32, Shape: []int64{-1, 2}}},
}

// serving is a registry and its keeper, with the versions 1 to n of the model "m" in a folder. The
// model of version 9 cannot be loaded.
func serving(t *testing.T, n int, budget int64) follow.Serving {
	t.Helper()
	models := t.TempDir()
	for i := range n {
		dir := filepath.Join(models, "m", strconv.Itoa(i+1))
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "model.onnx"), fmt.Appendf(nil, "version %d", i+1), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	loader := registry.Loader{MaxRows: 1, Lazy: budget > 0, Open: func(model []byte, _ triton.Settings) (registry.Session, error) {
		if strings.HasSuffix(string(model), "9") {
			return nil, errors.New("no model")
		}
		return &onnxtest.Fake{Spec: rows, RunFunc: func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error) { return nil, nil }}, nil
	}}
	r := registry.New()
	keeper := registry.NewKeeper(registry.KeeperConfig{Registry: r, Loader: loader, AtOnce: 1, Budget: budget})
	r.SetWaker(keeper)
	refs, err := loader.Scan(r, models)
	if err == nil {
		err = loader.LoadAll(t.Context(), r, refs)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(keeper.Close(context.Background()), r.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return follow.Serving{Registry: r, Keeper: keeper}
}

// answer is the version that a label of the model "m" names.
func answer(t *testing.T, s follow.Serving, label string) int64 {
	t.Helper()
	var got int64
	err := s.Use(t.Context(), registry.Want{Ref: scoring.ModelRef{Name: "m", Label: label}}, func(l registry.Lease) error {
		got = l.ID.Version
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return got
}

// served runs a follower for what really serves.
func served(t *testing.T, store catalog.Store, s follow.Serving) *replica {
	t.Helper()
	return start(t, store, func(c *follow.Config, _ *runtime) { c.Runtime = s })
}

// TestServing goes from a folder that nobody knows to a label that moves forth and back.
func TestServing(t *testing.T) {
	t.Parallel()
	for _, budget := range []int64{0, 1 << 20} {
		t.Run(fmt.Sprint("budget ", budget), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := serving(t, 3, budget)
				store := &catalogtest.Store{}
				if got := answer(t, s, ""); got != 3 {
					t.Errorf("version %d answers without a document, want the newest", got)
				}
				for v := range int64(3) {
					if err := s.Bring(t.Context(), "m", v+1, nil); err != nil {
						t.Fatal(err)
					}
				}
				r := served(t, store, s)
				pass(3 * time.Second)
				if doc := document(t, store); len(doc.Versions) != 3 || doc.Managed() {
					t.Fatalf("got %+v, want three versions of the folder", doc)
				}
				for _, live := range []int64{1, 2, 1} {
					label(t, store, "live", live)
					pass(1500 * time.Millisecond)
					r.inSync(t, true, "")
					if got := answer(t, s, "live"); got != live {
						t.Errorf("version %d answers, want %d", got, live)
					}
				}
			})
		})
	}
}

func TestHasAndEnsure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, 9, 0)
		if s.Has("m", 9) || s.Has("m", 10) || s.Has("x", 1) || !s.Has("m", 1) {
			t.Error("want only versions that are loaded")
		}
		if err := s.Ensure(t.Context(), "m", 9); err == nil || !strings.Contains(err.Error(), "no model") {
			t.Errorf("got %v, want the reason", err)
		}
		doc := catalog.New("m")
		doc.Versions[1] = follow.Describe(s.Models()[0].Versions[0].Version)
		doc.Standing[1] = catalog.Retired
		s.Take(doc)
		if s.Has("m", 1) {
			t.Error("a retired version can be dealt out")
		}
	})
}

// TestHasWithABudget: what was proven lately need not be loaded to be dealt out.
func TestHasWithABudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, 2, 1<<20)
		if s.Has("m", 1) {
			t.Error("a version is dealt out that was never tried")
		}
		if err := s.Ensure(t.Context(), "m", 1); err != nil || !s.Has("m", 1) || s.Used() != 0 {
			t.Errorf("got %v, dealt out %t, %d bytes: want a version that is proven, and not loaded", err, s.Has("m", 1), s.Used())
		}
		pass(2 * time.Minute)
		if s.Has("m", 1) {
			t.Error("the proof is old")
		}
		s.Take(catalog.New("m"))
		doc := catalog.New("m")
		doc.Labels["live"] = 1
		doc.Versions[1] = version(1)
		s.Take(doc)
		s.Apply("m", doc.Route())
		if !s.Has("m", 1) {
			t.Error("what answers is kept although its proof is old")
		}
	})
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, 1, 0)
		if s.Recorder("m", 1) == nil || s.Recorder("m", 2) != nil || s.Recorder("x", 1) != nil {
			t.Error("want one for the version that is loaded")
		}
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, 1, 0)
		all := s.Unregistered()["m"]
		if len(all) != 1 {
			t.Fatalf("got %d versions, want one", len(all))
		}
		v := all[0]
		if v.Version != 1 || !strings.HasPrefix(v.Digest, "sha256:") || v.Location != catalog.InModelsFolder || v.SizeBytes != int64(len("version 1")) ||
			v.Pipeline != "none" || v.RegisteredBy != "onda" || !v.RegisteredAt.Equal(time.Now().UTC()) {
			t.Errorf("got %+v", v)
		}
		same(t, "inputs", v.Inputs, []catalog.Tensor{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 4}}})
		same(t, "outputs", v.Outputs, []catalog.Tensor{{Name: "y", Datatype: "FP32", Shape: []int64{-1, 2}}})
		doc := catalog.New("m")
		if err := doc.Register(v, nil); err != nil {
			t.Fatal(err)
		}
		s.Take(doc)
		same(t, "versions that no document knows", len(s.Unregistered()), 0)
	})
}
