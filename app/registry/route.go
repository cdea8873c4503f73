package registry

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/scoring"
)

// AwaitDocuments says that documents may decide which versions answer: until
// [Registry.Documented], labels of models without a document name nothing. Another version
// than the one that was chosen would be a wrong answer. gate says when what the documents
// need was tried: before that the registry is not ready.
func (r *Registry) AwaitDocuments(gate func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.awaiting, r.gate = true, gate
}

// undecidedLocked says that a document may decide about a model, and is not known.
func (r *Registry) undecidedLocked(m *model) bool { return r.awaiting && !m.documented && !m.managed }

// foreignLocked says that a loaded version has other files than the document of its managed
// model.
func (r *Registry) foreignLocked(s *Status, v *Version) bool {
	return s != nil && s.Registered != nil && r.modelOf(s.Ref.Name).managed && s.Registered.Digest != v.ID.Digest
}

// Managed says whether a document decides which version of a model answers.
func (r *Registry) Managed(name string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m := r.models[name]
	return m != nil && m.managed
}

// decided says whether a document has a version, and decides whether it answers.
func (r *Registry) decided(ref artifact.Ref) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m := r.models[ref.Name]
	if m == nil || !m.managed {
		return false
	}
	s := m.versions[ref.Version]
	return s != nil && s.Registered != nil
}

// Documented says that every document was taken once.
func (r *Registry) Documented() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.awaiting = false
}

// Take notes what a document says: which versions there are, and whether it decides which
// of them answers. Versions that are new here are cold. How requests are dealt out does not
// change: see [Registry.Apply].
//
// It gives the versions that were loaded from other files than the document's. Those of a
// managed model do not answer any more; where no document decides, the folder does.
func (r *Registry) Take(doc *catalog.Model) (other []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	m := r.modelOf(doc.Name)
	r.goOnLocked(m, doc)
	m.documented, m.managed, m.pinned, m.labels = true, doc.Managed(), doc.Pinned, maps.Clone(doc.Labels)
	for _, number := range slices.Sorted(maps.Keys(doc.Versions)) {
		v := doc.Versions[number]
		s := m.versions[number]
		if s == nil {
			s = &Status{Ref: artifact.Ref{Name: doc.Name, Version: number}, State: Cold}
		}
		now := *s // others may hold the old one
		now.Registered, now.Retired = &v, doc.Standing[number] == catalog.Retired
		differs := now.Version != nil && now.Version.ID.Digest != v.Digest
		if differs {
			other = append(other, number)
		}
		switch {
		case now.State == Available && (now.Retired && !m.dealt(number) || differs && m.managed):
			now.State, now.Version = Cold, nil
			r.retireLocked([]*Version{s.Version})
		case m.managed && (now.State == Unloaded || now.State == Failed):
			now.State, now.Reason = Cold, "" // what was unloaded by hand is the document's now
		}
		m.versions[number] = &now
	}
	return other
}

// Withhold says that there is a document of a model that cannot be read. What a document that
// could be read said before goes on; else no label of the model names a version.
func (r *Registry) Withhold(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.modelOf(name); !m.documented {
		m.documented, m.managed = true, true
	}
}

// goOnLocked lets a model that becomes managed go on with the version that answers, until
// what its document needs is loaded.
func (r *Registry) goOnLocked(m *model, doc *catalog.Model) {
	if m.managed || !doc.Managed() || m.route != nil || r.undecidedLocked(m) {
		return
	}
	version := newest(m.versions)
	s := m.versions[version]
	if s == nil || s.State != Available {
		return
	}
	if v, ok := doc.Versions[version]; ok && v.Digest != s.Version.ID.Digest {
		return // what answered are other files than the document's: see Take
	}
	m.route = &catalog.Route{Labels: map[string]int64{scoring.LabelLive: version}}
}

// dealt says whether requests are dealt out to a version.
func (m *model) dealt(number int64) bool {
	return m.managed && m.route != nil && slices.Contains(m.route.Versions(), number)
}

// Apply deals requests out by route from now on. Requests that have a lease finish on the
// version that they began with.
func (r *Registry) Apply(name string, route catalog.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.modelOf(name)
	m.route = &route
	for number, s := range m.versions {
		switch {
		case s.State != Available || r.closed:
		case m.dealt(number):
			s.Version.wanted.Store(false)
		case s.Retired: // it answered until the route that is in force now
			r.setLocked(&Status{Ref: s.Ref, State: Cold})
			r.retireLocked([]*Version{s.Version})
		}
	}
}

// Route gives how requests for a managed model are dealt out now; ok is false while they
// are not, or where no document manages it.
func (r *Registry) Route(name string) (route catalog.Route, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m := r.models[name]
	if m == nil || !m.managed || m.route == nil {
		return catalog.Route{}, false
	}
	return *m.route, true
}

// findLocked resolves what a request names to a version that exists.
func (r *Registry) findLocked(want Want) (*Status, error) {
	m, ok := r.models[want.Ref.Name]
	if !ok {
		return nil, r.missingLocked(want)
	}
	number := want.Ref.Version
	if number == 0 {
		var err error
		if number, err = r.namedLocked(m, want); err != nil {
			return nil, err
		}
	}
	s, ok := m.versions[number]
	if !ok {
		return nil, m.noVersion(want)
	}
	return s, nil
}

func notDocumented(name string) error {
	return scoring.Errorf(scoring.Unavailable, "the registry was not read yet, and which version of %q answers is not known: the state store does not answer, or only just began", name).WithRetryAfter(time.Second)
}

// namedLocked is the version that a label names, or that the traffic gives the caller.
func (r *Registry) namedLocked(m *model, want Want) (int64, error) {
	name, label := want.Ref.Name, cmp.Or(want.Ref.Label, scoring.LabelLive)
	switch {
	case r.undecidedLocked(m):
		return 0, notDocumented(name)
	case !m.managed && label == scoring.LabelLive:
		if version := newest(m.versions); version != 0 {
			return version, nil
		}
		return 0, scoring.Errorf(scoring.NotFound, "model %q has no label %q yet, and nothing answers without: set it over /registry/v1/models/%s/labels/%s, or with `onda models label %s %s VERSION`", name, label, name, label, name, label)
	case m.managed && m.route == nil:
		return 0, scoring.Errorf(scoring.Unavailable, "model %q is not loaded on this replica yet: GET /registry/v1/models/%s says why", name, name).WithRetryAfter(time.Second)
	case m.managed && want.Ref.Label == "" && len(m.route.Shares) > 0:
		return m.route.Pick(name, want.Caller.Key, want.Caller.App, r.draw()), nil
	case m.managed && m.route.Labels[label] != 0:
		return m.route.Labels[label], nil
	case m.managed && m.labels[label] != 0:
		return 0, scoring.Errorf(scoring.Unavailable, "label %q of model %q names version %d, which this replica has not loaded yet: GET /registry/v1/models/%s says why", label, name, m.labels[label], name).WithRetryAfter(time.Second)
	default:
		return 0, m.noLabel(want, label)
	}
}

// newest is the version that answers where nobody decided: the newest of the models folder
// that is loaded, or can be, or the newest of all of them where none is. A version that came
// over the registry answers by itself never; 0 where there is no other.
func newest(versions map[int64]*Status) int64 {
	var last, usable int64
	for number, s := range versions {
		if s.Retired || s.Registered != nil && s.Registered.Location != catalog.InModelsFolder {
			continue
		}
		last = max(last, number)
		if s.State == Available || s.State == Cold && s.Ref.Dir != "" {
			usable = max(usable, number)
		}
	}
	return cmp.Or(usable, last)
}

// named maps the labels to versions.
func (m *model) named() map[string]int64 {
	switch {
	case !m.managed:
		if version := newest(m.versions); version != 0 {
			return map[string]int64{scoring.LabelLive: version}
		}
		return map[string]int64{}
	case m.route == nil:
		return map[string]int64{}
	default:
		return maps.Clone(m.route.Labels)
	}
}

// mirrorLocked leases the version that shall get a copy of a request that number answers:
// the shadow, or for the candidate of a rollout its baseline, which judges it. It is nil for
// most requests, and where that version is not in memory: a copy is not worth a load.
func (r *Registry) mirrorLocked(name string, number int64) *Version {
	m := r.models[name]
	if m.route == nil || !m.managed || m.route.Shadow == nil && m.route.Compare == nil {
		return nil
	}
	mirror := int64(0)
	if c := m.route.Compare; c != nil && number == c.Candidate && r.draw() < c.Share {
		mirror = c.Baseline
	} else if s := m.route.Shadow; s != nil && number != s.Version && r.draw() < s.Share {
		mirror = s.Version
	}
	s := m.versions[mirror]
	if s == nil || s.State != Available {
		return nil
	}
	s.Version.lease()
	return s.Version
}
