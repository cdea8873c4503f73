// Package registry knows which versions there are, which are loaded, and which one
// answers. It leases versions for the time of a request, so that a change never frees
// what is in use, and records them in the state store, where others can read them.
package registry

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/pipeline"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
	"github.com/onda-serving/onda/app/triton/configpb"
)

// State is where a version stands. The words are those of the V1 protocol.
type State string

// The states of a version.
const (
	// Loading means that the version is not ready yet.
	Loading State = "LOADING"
	// Available means that the version answers.
	Available State = "AVAILABLE"
	// Failed means that the version could not be loaded.
	Failed State = "FAILED"
	// Unloaded means that an operator took the version out of service.
	Unloaded State = "END"
)

// Session runs a loaded model: see onnx.Session, which implements it.
type Session interface {
	// Signature of the model.
	Signature() scoring.Signature
	// Check says whether Run would take inputs and outputs.
	Check(inputs []scoring.Tensor, outputs []string) error
	// Run computes outputs, by name; all of them if outputs is empty.
	Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)
	// Close frees the model.
	Close() error
}

// Version is a version that is loaded and can answer. Its fields do not change.
type Version struct {
	// ID says which version it is.
	ID scoring.ModelID
	// Manifest of the version.
	Manifest artifact.Manifest
	// Size of its files, in bytes.
	Size int64
	// Session is the loaded model.
	Session Session
	// Batcher runs requests on it.
	Batcher *batch.Batcher
	// MaxRows is the most rows of a run: see batch.Config.
	MaxRows int
	// Config is the version's configuration in Triton's form, complete.
	Config *configpb.ModelConfig
	// Statistics counts what becomes of its requests.
	Statistics *statistics.Recorder
	// CacheTTL is how long its answers are kept; 0 keeps none.
	CacheTTL time.Duration
	// Serial is another for each version that is loaded: two loads of the same files with
	// another manifest or configuration answer differently.
	Serial uint64
	// Pipeline of the version; nil where its manifest has none.
	Pipeline pipeline.Pipeline
	// Ahead bounds the requests that are pre-processed and not run yet: the tensor of a
	// picture is many times as large as the picture. nil sets no bound.
	Ahead *admit.Gate
	// Labels names the classes of outputs, by output: the n-th label is for index n. Only
	// outputs with a label file are in it.
	Labels map[string][]string
	// LoadedAt is when it became ready.
	LoadedAt time.Time

	leases sync.WaitGroup
}

// Status is what is known about a version, loaded or not.
type Status struct {
	// Ref is the place of the version.
	Ref artifact.Ref
	// State of the version.
	State State
	// Reason says why a version failed, for people.
	Reason string
	// Version is set while State is Available. It may be read, not run: see [Registry.Use].
	Version *Version
}

// Model is a model with its versions and labels.
type Model struct {
	// Name of the model.
	Name string
	// Labels maps each label to the version that it names.
	Labels map[string]int64
	// Versions in rising order.
	Versions []Status
}

// Registry holds the versions. It is safe for concurrent use.
type Registry struct {
	mu     sync.RWMutex
	models map[string]map[int64]*Status
	// loaded is true when every version was tried.
	loaded bool
	closed bool
	// retiring counts versions that were replaced and still answer who has a lease.
	retiring sync.WaitGroup
}

// New makes an empty registry.
func New() *Registry { return &Registry{models: map[string]map[int64]*Status{}} }

// Announce says that the versions at refs are about to be loaded.
func (r *Registry) Announce(refs []artifact.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		r.setLocked(&Status{Ref: ref, State: Loading})
	}
}

// Add puts a loaded version to work. After [Registry.Close] it closes the version
// instead: a load can outlast the decision to stop.
func (r *Registry) Add(ref artifact.Ref, v *Version) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.models[ref.Name][ref.Version]; r.closed || s != nil && s.State != Loading {
		// Somebody loaded, or unloaded, this version in the meantime: theirs counts.
		return v.Session.Close()
	}
	r.setLocked(&Status{Ref: ref, State: Available, Version: v})
	return nil
}

// Fail notes that the version at ref could not be loaded. The reason is for people and
// may hold paths of the server: it is not for callers of `:predict`.
func (r *Registry) Fail(ref artifact.Ref, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.models[ref.Name][ref.Version]; s != nil && s.State != Loading {
		return // somebody loaded, or unloaded, this version in the meantime
	}
	r.setLocked(&Status{Ref: ref, State: Failed, Reason: reason.Error()})
}

// setLocked replaces the status of a version.
func (r *Registry) setLocked(s *Status) {
	versions := r.models[s.Ref.Name]
	if versions == nil {
		versions = map[int64]*Status{}
		r.models[s.Ref.Name] = versions
	}
	versions[s.Ref.Version] = s
}

// SetLoaded says that every version was tried: from now on the registry is ready.
func (r *Registry) SetLoaded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = true
}

// Ready says whether every version was tried and there is one to answer with. A single
// version that cannot be loaded does not make all others unavailable.
func (r *Registry) Ready() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.loaded || r.closed {
		return false
	}
	for _, versions := range r.models {
		for _, s := range versions {
			if s.State == Available {
				return true
			}
		}
	}
	return false
}

// Use calls fn with the version that ref names. The version stays loaded until fn
// returns. The error is fn's, or an [scoring.Error]: NotFound for a model, version or
// label that does not exist, Unavailable for one that is not loaded.
func (r *Registry) Use(ref scoring.ModelRef, fn func(*Version) error) error {
	v, err := r.lease(ref)
	if err != nil {
		return err
	}
	defer v.leases.Done()
	return fn(v)
}

// Retain leases a version that the caller has a lease of, for work that can outlast the
// caller's. release ends it; it must be called exactly once.
func (v *Version) Retain() (release func()) {
	v.leases.Add(1)
	return v.leases.Done
}

// Identity names the version among all that were ever loaded, for keys of what it answered.
func (v *Version) Identity() string { return v.ID.Digest + "/" + strconv.FormatUint(v.Serial, 10) }

// Check says whether [Registry.Use] would find a version that ref names, now. The error
// is the one that Use would give.
func (r *Registry) Check(ref scoring.ModelRef) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, err := r.usableLocked(ref)
	return err
}

// lease finds the version and counts a lease. Counting under the lock means that
// whoever removes the version afterwards waits for this lease too.
func (r *Registry) lease(ref scoring.ModelRef) (*Version, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, err := r.usableLocked(ref)
	if err != nil {
		return nil, err
	}
	v.leases.Add(1)
	return v, nil
}

// usableLocked finds the version and says why it cannot be used where it cannot.
func (r *Registry) usableLocked(ref scoring.ModelRef) (*Version, error) {
	s, err := r.findLocked(ref)
	if err != nil {
		return nil, err
	}
	switch {
	case r.closed:
		return nil, scoring.Errorf(scoring.Unavailable, "the server is shutting down").WithRetryAfter(time.Second)
	case s.State == Loading:
		return nil, scoring.Errorf(scoring.Unavailable, "model %s is loading", s.Ref).WithRetryAfter(time.Second)
	case s.State == Unloaded:
		e := scoring.Errorf(scoring.Unavailable, "model %s was unloaded: POST /v2/repository/models/%s/load loads it again", s.Ref, s.Ref.Name)
		e.Final = true
		return nil, e
	case s.State == Failed:
		e := scoring.Errorf(scoring.Unavailable, "model %s could not be loaded: GET /v1/models/%s/versions/%d or the server's log says why", s.Ref, s.Ref.Name, s.Ref.Version).WithRetryAfter(failedRetry)
		e.Final = true // an event that waits for it would only keep others waiting
		return nil, e
	}
	return s.Version, nil
}

// failedRetry is when a caller may ask again for a version that could not be loaded: not
// before somebody has mended it.
const failedRetry = time.Minute

// findLocked resolves ref to a version that exists.
func (r *Registry) findLocked(ref scoring.ModelRef) (*Status, error) {
	versions, ok := r.models[ref.Name]
	if !ok {
		return nil, scoring.Errorf(scoring.NotFound, "Request for unknown model: '%s' is not found: GET /v1/models lists the models", ref.Name)
	}
	number := ref.Version
	if number == 0 {
		label := cmp.Or(ref.Label, scoring.LabelLive)
		if label != scoring.LabelLive {
			return nil, scoring.Errorf(scoring.NotFound, "model %q has no label %q: GET /v1/models/%s lists its labels", ref.Name, label, ref.Name)
		}
		number = live(versions)
	}
	s, ok := versions[number]
	if !ok {
		return nil, scoring.Errorf(scoring.NotFound, "model %q has no version %d: GET /v1/models/%s lists its versions", ref.Name, number, ref.Name)
	}
	return s, nil
}

// live is the version that answers without version or label: the newest that is
// loaded, or the newest of all where none is.
func live(versions map[int64]*Status) int64 {
	var newest, loaded int64
	for number, s := range versions {
		newest = max(newest, number)
		if s.State == Available {
			loaded = max(loaded, number)
		}
	}
	return cmp.Or(loaded, newest)
}

// Status gives what is known about the version that ref names. The error is that of
// [Registry.Use] for a version that does not exist.
func (r *Registry) Status(ref scoring.ModelRef) (Status, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, err := r.findLocked(ref)
	if err != nil {
		return Status{}, err
	}
	return *s, nil
}

// Model gives one model. The error is an [scoring.Error] with code NotFound.
func (r *Registry) Model(name string) (Model, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, err := r.findLocked(scoring.ModelRef{Name: name}); err != nil {
		return Model{}, err
	}
	return r.modelLocked(name), nil
}

// Models lists all models, by name.
func (r *Registry) Models() []Model {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Model, 0, len(r.models))
	for _, name := range slices.Sorted(maps.Keys(r.models)) {
		all = append(all, r.modelLocked(name))
	}
	return all
}

func (r *Registry) modelLocked(name string) Model {
	versions := r.models[name]
	m := Model{Name: name, Labels: map[string]int64{scoring.LabelLive: live(versions)}}
	for _, number := range slices.Sorted(maps.Keys(versions)) {
		m.Versions = append(m.Versions, *versions[number])
	}
	return m
}

// Close refuses new leases, waits for those there are, and frees every version. It
// returns early with ctx's error, and then frees nothing that is in use.
func (r *Registry) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	var loaded []*Version
	for _, versions := range r.models {
		for _, s := range versions {
			if s.State == Available {
				loaded = append(loaded, s.Version)
			}
		}
	}
	r.mu.Unlock()
	freed := make(chan error, 1)
	go func() {
		var first error
		for _, v := range loaded {
			if err := v.retire(); err != nil && first == nil {
				first = err
			}
		}
		r.retiring.Wait()
		freed <- first
	}()
	select {
	case err := <-freed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("free the models: %w", ctx.Err())
	}
}
