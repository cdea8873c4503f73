package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/config"
	"github.com/onda-serving/onda/app/offline"
	"github.com/onda-serving/onda/app/scoring"
)

// Offline is an engine without doors: one version, and no sidecar, listener or registry. It
// implements offline.Scorer.
type Offline struct {
	app   *App
	model offline.Model
}

// offlineQueue is how many requests may wait: the caller bounds how many there are.
const offlineQueue = 1 << 16

// OpenOffline loads the version that ref names from the models folder of cfg, the newest one
// where ref names none. Requests to it run one by one and whole: what others ask for at the same
// time does not change a bit of an answer.
func OpenOffline(ctx context.Context, cfg config.Config, ref scoring.ModelRef, log zerolog.Logger) (*Offline, error) {
	found, err := findVersion(cfg.ModelsDir, ref)
	if err != nil {
		return nil, err
	}
	cfg.ReplayRequests, cfg.Dapr = 0, "off"
	o := &Offline{app: newApp(cfg, "", log)}
	a := o.app
	a.engine = a.newEngine()
	if err := a.openRuntime(); err != nil {
		return nil, errors.Join(err, a.free())
	}
	if err := o.load(ctx, found); err != nil {
		return nil, errors.Join(err, o.Close(ctx))
	}
	return o, nil
}

// thereAre names the models of a folder, for who misspelt one.
func thereAre(models string) string {
	entries, _ := os.ReadDir(models)
	var names []string
	for _, e := range entries {
		if versions, err := artifact.ScanModel(models, e.Name(), nil); err == nil && len(versions) > 0 {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": there are " + strings.Join(names, ", ")
}

// findVersion finds a version in the models folder.
func findVersion(models string, ref scoring.ModelRef) (artifact.Ref, error) {
	if ref.Label != "" && ref.Label != scoring.LabelLive {
		return artifact.Ref{}, scoring.Errorf(scoring.Invalid, "label %q: labels are kept by the registry, which is not read here: name a version, such as %s@1", ref.Label, ref.Name)
	}
	versions, err := artifact.ScanModel(models, ref.Name, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return artifact.Ref{}, fmt.Errorf("there is no model %s in %s (ONDA_MODELS_DIR)%s", ref.Name, models, thereAre(models))
	}
	if len(versions) == 0 {
		return artifact.Ref{}, fmt.Errorf("model %s: %w (ONDA_MODELS_DIR=%s)", ref.Name, err, models)
	}
	newest := versions[0]
	for _, v := range versions {
		if v.Version == ref.Version {
			return v, nil
		}
		if v.Version > newest.Version {
			newest = v
		}
	}
	if ref.Version != 0 {
		return artifact.Ref{}, scoring.Errorf(scoring.NotFound, "model %s has no version %d: the newest is %d", ref.Name, ref.Version, newest.Version)
	}
	return newest, nil
}

// load loads the version, and gives it a batcher that puts no requests together.
func (o *Offline) load(ctx context.Context, ref artifact.Ref) error {
	a := o.app
	loader := a.loader()
	a.registry.Announce([]artifact.Ref{ref})
	v, err := loader.Load(ctx, ref, nil)
	if err != nil {
		return err
	}
	v.CacheTTL = 0
	v.Batcher = batch.New(v.Session, batch.Config{MaxQueue: offlineQueue}, loader.Batching)
	o.model = offline.Model{
		ID: v.ID, Signature: v.Session.Signature(), Pipeline: v.PipelineKind(), MaxRows: v.MaxRows,
		Engine: fmt.Sprintf("onnxruntime %s, %s, %d threads", a.runtime.Version(), a.config.Device, a.config.Threads()),
	}
	if err := a.registry.Add(ref, v); err != nil {
		return err
	}
	a.registry.SetLoaded()
	return nil
}

// Model is the version that was loaded.
func (o *Offline) Model() offline.Model { return o.model }

// Predict implements offline.Scorer.
func (o *Offline) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	return o.app.engine.Predict(ctx, req)
}

// Infer implements offline.Scorer.
func (o *Offline) Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	return o.app.engine.Infer(ctx, req)
}

// Close frees the version. It is for after the last request.
func (o *Offline) Close(ctx context.Context) error {
	o.app.flights.Close()
	return errors.Join(o.app.engine.Close(ctx), o.app.registry.Close(ctx), o.app.free())
}
