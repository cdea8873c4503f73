package registry

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onda-serving/onda/app/artifact"
)

// resident is a version in memory.
type resident struct {
	version *Version
	// pinned versions stay: those of pinned models, those that somebody holds, and those whose
	// files came with a request and could not be loaded again.
	pinned bool
	// unregistered versions of the models folder are in no document yet.
	unregistered bool
}

// residents lists the versions in memory.
func (r *Registry) residents() []resident {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []resident
	for _, m := range r.models {
		all = m.residents(all)
	}
	return all
}

// residentsOf lists the versions of a model in memory.
func (r *Registry) residentsOf(name string) []resident {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if m := r.models[name]; m != nil {
		return m.residents(nil)
	}
	return nil
}

func (m *model) residents(all []resident) []resident {
	for number, s := range m.versions {
		if s.State == Available {
			all = append(all, resident{
				version: s.Version, unregistered: s.Registered == nil,
				pinned: m.pinned && m.needs(number) || s.Version.held.Load() > 0 || s.Registered == nil && s.Ref.Dir == "",
			})
		}
	}
	return all
}

// needs says whether the model's requests are dealt out to a version.
func (m *model) needs(number int64) bool {
	if !m.managed {
		return number == newest(m.versions)
	}
	return m.route != nil && slices.Contains(m.route.Versions(), number)
}

// SetWaker has cold versions loaded by w when somebody asks for them.
func (r *Registry) SetWaker(w Waker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waker = w
}

// AnnounceCold says that the versions at refs can be loaded when somebody asks for them.
func (r *Registry) AnnounceCold(refs []artifact.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		if s := r.statusLocked(ref.Name, ref.Version); s == nil || s.State != Available {
			r.setLocked(&Status{Ref: ref, State: Cold})
		}
	}
}

// Install puts a loaded version to work, in place of one that is loaded already. After
// [Registry.Close], or where an operator unloaded it meanwhile, it is closed instead.
func (r *Registry) Install(name string, version int64, v *Version) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.statusLocked(name, version)
	if r.closed || s == nil || s.Retired || s.State == Unloaded {
		return v.Session.Close()
	}
	if r.foreignLocked(s, v) {
		return errors.Join(fmt.Errorf("the files of %s@%d are others than the registry's", name, version), v.Session.Close())
	}
	if s.State == Available {
		r.retireLocked([]*Version{s.Version})
	}
	v.used.Store(v.LoadedAt.UnixNano())
	v.wanted.Store(true)
	r.setLocked(&Status{Ref: s.Ref, State: Available, Version: v})
	return nil
}

// unwant says that nobody asked for a version: it need not linger.
func (r *Registry) unwant(ref artifact.Ref) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s := r.statusLocked(ref.Name, ref.Version); s != nil && s.Version != nil {
		s.Version.wanted.Store(false)
	}
}

// chill makes a version cold that is in memory. freed is closed when its memory is free.
func (r *Registry) chill(key versionKey) (v *Version, freed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.statusLocked(key.name, key.version)
	if s == nil || s.State != Available || r.closed {
		done := make(chan struct{})
		close(done)
		return nil, done
	}
	cold := &Status{Ref: s.Ref, State: Cold}
	if s.Registered == nil {
		cold.Past = s.Version
	}
	r.setLocked(cold)
	return s.Version, r.retireLocked([]*Version{s.Version})
}

// explain notes why a version is not in memory; "" where that is as it should be.
func (r *Registry) explain(key versionKey, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.statusLocked(key.name, key.version); s != nil && s.State == Cold && s.Reason != reason {
		now := *s
		now.Reason = reason
		r.models[key.name].versions[key.version] = &now
	}
}
