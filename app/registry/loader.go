package registry

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// Loader turns artifacts into versions that can answer.
type Loader struct {
	// Open makes a session of an ONNX model's bytes, with what config.pbtxt says about it.
	Open func(model []byte, settings triton.Settings) (Session, error)
	// OpenNow is Open for a version that a request waits for; nil stands for Open, which may
	// take its time.
	OpenNow func(model []byte, settings triton.Settings) (Session, error)
	// Pause is called again and again while files are read for a version that no request waits
	// for, to leave the processor to others; nil works on.
	Pause func()
	// Batching is what the versions' batchers share.
	Batching batch.Parts
	// Bring loads a version into the registry: see [Keeper.Bring]; nil does so without.
	Bring func(ctx context.Context, name string, version int64, progress Progress) error
	// Lazy leaves versions to be loaded when somebody asks for them.
	Lazy bool
	// MaxRows is the most rows of a run of a version that does not say; 1 keeps its
	// requests apart.
	MaxRows int
	// MaxQueue is how many rows may wait for a version, in each lane.
	MaxQueue int
	// Ahead is how many requests for pictures may be pre-processed before they run; 0 sets no
	// bound.
	Ahead int
	// CacheTTL is how long answers are kept of a version that asks for it without saying how
	// long; 0 where there is no cache.
	CacheTTL time.Duration
	// Observe makes the observer of a version's runs; nil if nobody wants to know.
	Observe func(id scoring.ModelID) batch.Observer
	// Loaded hears of what a [Control] loads; nil if nobody wants to know. A [Keeper] has an
	// observer of its own.
	Loaded func(ref scoring.ModelRef, took time.Duration, err error)
	// Limits for the pipelines.
	Limits pipeline.Limits
	// Log says what was loaded, and what could not be.
	Log zerolog.Logger
}

// urged is the loader of a version that a request waits for, or none does.
func (l Loader) urged(awaited bool) Loader {
	if awaited {
		l.Pause = nil
	}
	if awaited && l.OpenNow != nil {
		l.Open = l.OpenNow
	}
	return l
}

// Scan announces every version below the folder models to r. The error is for a folder that
// cannot be read.
func (l Loader) Scan(r *Registry, models string) ([]artifact.Ref, error) {
	refs, passed, err := artifact.Scan(models)
	if err != nil {
		return nil, err
	}
	for _, err := range passed {
		l.Log.Warn().Err(err).Msg("folder passed over: it is no model")
	}
	if len(refs) == 0 {
		l.Log.Warn().Str("folder", models).Msg("there are no models: want <model>/<version>/model.onnx")
	}
	r.Announce(refs)
	return refs, nil
}

// LoadAll loads announced versions into r, one after the other: loading and warming up take
// every core they get. A version that cannot be loaded is noted and passed over. The error is
// ctx's.
func (l Loader) LoadAll(ctx context.Context, r *Registry, refs []artifact.Ref) error {
	eager, lazy := l.split(r, refs)
	r.AnnounceCold(lazy)
	for _, ref := range eager {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.decided(ref) { // since we began: what its document needs is loaded for that
			r.AnnounceCold([]artifact.Ref{ref})
			continue
		}
		err := l.loadOne(ctx, r, ref)
		if err != nil && ctx.Err() != nil {
			return ctx.Err() // it is us who stop, the version may be well
		}
		if err != nil {
			r.Fail(ref, err)
		}
	}
	r.SetLoaded()
	return nil
}

// loadOne loads a version, together with whoever else wants it.
func (l Loader) loadOne(ctx context.Context, r *Registry, ref artifact.Ref) error {
	if l.Bring != nil {
		err := l.Bring(ctx, ref.Name, ref.Version, nil)
		if err == nil {
			r.unwant(ref) // nobody asked for it
		}
		return err
	}
	v, err := l.Load(ctx, ref, nil)
	if err != nil {
		l.Log.Error().Err(err).Str("model", ref.Name).Int64("version", ref.Version).Msg("model could not be loaded")
		return err
	}
	return r.Add(ref, v)
}

// split tells the versions that are loaded at the start from those that are loaded when they
// are asked for: all of them with a budget of memory, and those whose document decides. One
// that a document decides about and does not have yet is loaded, so that it is registered.
func (l Loader) split(r *Registry, refs []artifact.Ref) (eager, lazy []artifact.Ref) {
	for _, ref := range refs {
		if l.Lazy && !r.Managed(ref.Name) || r.decided(ref) {
			lazy = append(lazy, ref)
		} else {
			eager = append(eager, ref)
		}
	}
	return eager, lazy
}

// Load reads, checks, loads and warms up one version. cfg stands in place of the model's
// config.pbtxt, if it is not nil.
func (l Loader) Load(ctx context.Context, ref artifact.Ref, cfg *configpb.ModelConfig) (*Version, error) {
	a, err := artifact.OpenWith(ref, cfg, l.Pause)
	if err != nil {
		return nil, err
	}
	return l.load(ctx, ref, a)
}

// LoadArtifact is [Loader.Load] for those who need the files, too.
func (l Loader) LoadArtifact(ctx context.Context, ref artifact.Ref) (*Version, *artifact.Artifact, error) {
	a, err := artifact.OpenWith(ref, nil, l.Pause)
	if err != nil {
		return nil, nil, err
	}
	v, err := l.load(ctx, ref, a)
	return v, a, err
}

// load makes a version of files that were read.
func (l Loader) load(ctx context.Context, ref artifact.Ref, a *artifact.Artifact) (*Version, error) {
	start := time.Now()
	log := l.Log.With().Str("model", ref.Name).Int64("version", ref.Version).Logger()
	for _, warning := range a.Warnings {
		log.Warn().Str("warning", warning).Msg("a field of config.pbtxt does not apply")
	}
	session, err := l.Open(a.Model, a.Settings)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", ref, err)
	}
	v, err := l.assemble(ctx, a, session)
	if err != nil {
		_ = session.Close() // the error that is returned says what matters
		return nil, fmt.Errorf("load %s: %w", ref, err)
	}
	if s, ok := session.(settler); ok {
		s.Settle()
	}
	v.Memory = a.Size
	if m, ok := session.(measured); ok {
		if bytes, ok := m.Memory(); ok {
			v.Memory = bytes
		}
	}
	log.Info().Str("digest", v.ID.Digest).Dur("took_ms", time.Since(start)).Int64("bytes", a.Size).Int("max_rows", v.MaxRows).Msg("model loaded")
	return v, nil
}

// settler is a session that is tried out before callers wait for it: see onnx.Session.
type settler interface {
	// Settle ends that.
	Settle()
}

// measured is a session that knows how much memory it holds: see onnx.Session.
type measured interface {
	// Memory gives bytes; ok is false where that cannot be measured.
	Memory() (bytes int64, ok bool)
}

// assemble makes a version of a session: its pipeline, its warm-up, its batcher.
func (l Loader) assemble(ctx context.Context, a *artifact.Artifact, session Session) (*Version, error) {
	session, err := a.Configure(session)
	if err != nil {
		return nil, err
	}
	v := &Version{
		ID:       scoring.ModelID{Name: a.Name, Version: a.Version, Digest: a.Manifest.Digest},
		Manifest: a.Manifest,
		Size:     a.Size,
		Session:  session,
		Labels:   a.Labels,
		Serial:   serial.Add(1),
	}
	if spec := a.Manifest.Pipeline; spec.Image != nil || spec.Text != nil {
		p, err := pipeline.New(spec, session.Signature(), a.Files, l.Limits)
		if err != nil {
			return nil, fmt.Errorf("pipeline: %w", err)
		}
		v.Pipeline = p
		if p.Kind() == scoring.Binary && l.Ahead > 0 {
			// Who waits has room in the version's queue.
			v.Ahead = [2]*admit.Gate{scoring.Interactive: admit.New(l.Ahead), scoring.Bulk: admit.New(l.Ahead)}
		}
	}
	plan := a.Plan()
	if err := v.warmUpAll(ctx, a, plan); err != nil {
		return nil, err
	}
	if err := l.addBatcher(ctx, v, plan); err != nil {
		return nil, err
	}
	v.Config = triton.Complete(a.Config, a.Name, session.Signature(), v.MaxRows)
	v.LoadedAt = time.Now()
	return v, nil
}

// serial counts the versions that were loaded.
var serial atomic.Uint64

// warmUpAll runs what the files want run before the first caller comes.
func (v *Version) warmUpAll(ctx context.Context, a *artifact.Artifact, plan artifact.Plan) error {
	for _, rows := range plan.WarmUpRows {
		if err := v.warmUp(ctx, rows); err != nil {
			return fmt.Errorf("warm up with %d rows: %w", rows, err)
		}
	}
	for _, w := range plan.WarmUp {
		inputs, err := a.WarmUpInputs(w)
		if err != nil {
			return fmt.Errorf("warm-up %q: %w", w.Name, err)
		}
		for range w.Count {
			if _, err := v.Session.Run(ctx, inputs, nil); err != nil {
				return fmt.Errorf("warm-up %q: %w", w.Name, err)
			}
		}
	}
	return nil
}

// warmUp runs the model once on zeros, so that the first caller does not pay for what
// ONNX Runtime does only once. An input with a free dimension besides the rows gets 1.
func (v *Version) warmUp(ctx context.Context, rows int) error {
	var inputs []scoring.Tensor
	for _, spec := range v.Session.Signature().Inputs {
		t, err := zeros(spec, rows)
		if err != nil {
			return err
		}
		inputs = append(inputs, t)
	}
	_, err := v.Session.Run(ctx, inputs, nil)
	return err
}

// zeros makes a tensor of zeros, or of empty strings, for spec.
func zeros(spec scoring.TensorSpec, rows int) (scoring.Tensor, error) {
	t := scoring.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: make([]int64, len(spec.Shape))}
	for i, d := range spec.Shape {
		switch {
		case d >= 0:
			t.Shape[i] = d
		case i == 0:
			t.Shape[i] = int64(rows)
		default:
			t.Shape[i] = 1
		}
	}
	n, ok := scoring.Elements(t.Shape)
	if !ok || n > maxWarmUp {
		return t, fmt.Errorf("input %q of shape %s is too large to warm up with: leave warm_up out", spec.Name, scoring.FormatShape(t.Shape))
	}
	if spec.Datatype == scoring.Bytes {
		t.Strings = make([][]byte, n)
	} else {
		t.Data = make([]byte, n*int64(spec.Datatype.Size()))
	}
	return t, nil
}

// maxWarmUp bounds the elements of a warm-up's input: half a gigabyte of numbers.
const maxWarmUp = 1 << 26
