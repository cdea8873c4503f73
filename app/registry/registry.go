// Package registry knows which versions there are on this replica, which are loaded, and
// which one answers. It leases versions for the time of a request, so that a change never
// frees what is in use. What the replicas share, the documents of package catalog, comes in
// through [Registry.Take] and [Registry.Apply]: see package follow.
package registry

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// State is where a version stands. The words are those of the V1 protocol, but for [Cold].
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
	// Cold means that the version is not in memory, and is loaded when somebody asks for it.
	Cold State = "COLD"
)

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
	// Past is the version that was loaded last, of one that is cold and in no document: what it
	// is, and not what could answer.
	Past *Version
	// Registered is what the registry's document says; nil for a version that is in none.
	Registered *catalog.Version
	// Retired versions answer nobody.
	Retired bool
}

// Ready says whether the version answers, if need be after it was loaded.
func (s Status) Ready() bool {
	return s.State == Available || s.State == Cold && !s.Retired && s.Reason == ""
}

// Public is the state in the words of the V1 protocol, whose clients wait for AVAILABLE.
func (s Status) Public() State {
	switch {
	case s.Retired:
		return Unloaded
	case s.State != Cold:
		return s.State
	case s.Ready():
		return Available
	default:
		return Failed
	}
}

// RepositoryState is the state in the words of the model repository extension, and the
// reason where it is not "READY" or "LOADING".
func (s Status) RepositoryState() (state, reason string) {
	switch {
	case s.Ready():
		return "READY", ""
	case s.State == Loading:
		return "LOADING", ""
	case s.Retired:
		return "UNAVAILABLE", "retired"
	case s.State == Unloaded:
		return "UNAVAILABLE", "unloaded"
	default:
		return "UNAVAILABLE", s.Reason
	}
}

// Model is a model with its versions and labels.
type Model struct {
	// Name of the model.
	Name string
	// Labels maps each label to the version that it names on this replica, now.
	Labels map[string]int64
	// Versions in rising order.
	Versions []Status
	// Managed says that a document decides which version answers.
	Managed bool
	// Pinned says that what the document needs stays in memory.
	Pinned bool
}

// model is what is known about a model. The registry's lock guards it.
type model struct {
	versions map[int64]*Status
	// managed says that a document decides; route is how, nil until what it needs is loaded.
	managed bool
	route   *catalog.Route
	// labels are what the document names, in force or not.
	labels map[string]int64
	// documented says that there is a document, whatever it says.
	documented bool
	pinned     bool
}

// Registry holds the versions. It is safe for concurrent use.
type Registry struct {
	mu     sync.RWMutex
	models map[string]*model
	// loaded is true when every version was tried.
	loaded bool
	closed bool
	// awaiting is true while documents may decide and not all were read yet.
	awaiting bool
	// gate says whether what the documents need was tried; nil where none decides.
	gate func() bool
	// waker loads cold versions; nil where there are none.
	waker Waker
	// draw gives a number of [0, 1), for traffic that is split by chance.
	draw func() float64
	// retiring counts versions that were replaced and still answer who has a lease.
	retiring sync.WaitGroup
}

// New makes an empty registry.
func New() *Registry { return &Registry{models: map[string]*model{}, draw: rand.Float64} }

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
	s := r.statusLocked(ref.Name, ref.Version)
	if r.closed || s != nil && s.State != Loading {
		// Somebody loaded, or unloaded, this version in the meantime: theirs counts.
		return v.Session.Close()
	}
	if r.foreignLocked(s, v) {
		r.setLocked(&Status{Ref: ref, State: Cold, Reason: "the models folder has other files than the registry"})
		return v.Session.Close()
	}
	v.used.Store(v.LoadedAt.UnixNano())
	r.setLocked(&Status{Ref: ref, State: Available, Version: v})
	return nil
}

// Fail notes that the version at ref could not be loaded. The reason is for people and
// may hold paths of the server: it is not for callers of `:predict`.
func (r *Registry) Fail(ref artifact.Ref, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.statusLocked(ref.Name, ref.Version); s != nil && s.State != Loading {
		return // somebody loaded, or unloaded, this version in the meantime
	}
	r.setLocked(&Status{Ref: ref, State: Failed, Reason: reason.Error()})
}

// setLocked replaces the status of a version. What the documents say of it stays.
func (r *Registry) setLocked(s *Status) {
	m := r.modelOf(s.Ref.Name)
	if old := m.versions[s.Ref.Version]; old != nil {
		s.Registered, s.Retired = old.Registered, old.Retired
	}
	m.versions[s.Ref.Version] = s
}

// modelOf finds a model, or begins one. The lock is held.
func (r *Registry) modelOf(name string) *model {
	m := r.models[name]
	if m == nil {
		m = &model{versions: map[int64]*Status{}}
		r.models[name] = m
	}
	return m
}

// statusLocked is nil for a version that nobody knows.
func (r *Registry) statusLocked(name string, version int64) *Status {
	if m := r.models[name]; m != nil {
		return m.versions[version]
	}
	return nil
}

// SetLoaded says that every version was tried: from now on the registry is ready.
func (r *Registry) SetLoaded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = true
}

// Ready says whether every version was tried, or what the documents need of them, and there
// is one to answer with. A single version that cannot be loaded does not make all others
// unavailable.
func (r *Registry) Ready() bool {
	r.mu.RLock()
	gate := r.gate
	r.mu.RUnlock()
	if gate != nil && !gate() { // which may want to know something of the registry
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.loaded || r.closed {
		return false
	}
	for _, m := range r.models {
		for _, s := range m.versions {
			if s.Ready() {
				return true
			}
		}
	}
	return false
}

// Status gives what is known about the version that ref names. The error is that of
// [Registry.Use] for a version that does not exist.
func (r *Registry) Status(ref scoring.ModelRef) (Status, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m := r.models[ref.Name]
	if ref.Version == 0 && m != nil && (r.undecidedLocked(m) || m.managed && m.route == nil) {
		// Nobody knows yet which version that will be: for those who ask, it is not ready.
		version := newest(m.versions)
		if s := m.versions[version]; s != nil {
			return Status{Ref: s.Ref, State: Loading, Reason: "the registry was not read yet"}, nil
		}
	}
	s, err := r.findLocked(Want{Ref: ref, Caller: scoring.Caller{Lists: true}})
	if err != nil {
		return Status{}, err
	}
	return *s, nil
}

// Model gives one model. The error is an [scoring.Error] with code NotFound.
func (r *Registry) Model(name string) (Model, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ok := r.models[name]; !ok {
		return Model{}, r.unknownModelLocked(name, true)
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
	known := r.models[name]
	m := Model{Name: name, Labels: known.named(), Managed: known.managed, Pinned: known.pinned}
	for _, number := range slices.Sorted(maps.Keys(known.versions)) {
		m.Versions = append(m.Versions, *known.versions[number])
	}
	return m
}

// Close refuses new leases, waits for those there are, and frees every version. It
// returns early with ctx's error, and then frees nothing that is in use.
func (r *Registry) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	var loaded []*Version
	for _, m := range r.models {
		for _, s := range m.versions {
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
