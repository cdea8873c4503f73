package registry

import (
	"fmt"

	"github.com/onda-serving/onda/app/artifact"
)

// Begin says that the versions at refs are about to be loaded. Those that answer already go
// on answering.
func (r *Registry) Begin(refs []artifact.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		if s := r.statusLocked(ref.Name, ref.Version); s == nil || s.State != Available {
			r.setLocked(&Status{Ref: ref, State: Loading})
		}
	}
}

// Replace makes versions, which are all of one model, those that answer. Versions of the
// model that are not among them are unloaded. Requests that have a lease finish on the
// version that they began with; freed is closed when the last of those is freed. After
// [Registry.Close], and for a model whose document decides, the versions are closed instead,
// and ok is false.
func (r *Registry) Replace(name string, versions map[artifact.Ref]*Version) (freed <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.modelOf(name).managed {
		for _, v := range versions {
			_ = v.Session.Close() // nobody ever had it
		}
		return nil, false
	}
	var old []*Version
	for _, s := range r.modelOf(name).versions {
		if s.State == Available {
			old = append(old, s.Version)
		}
		r.setLocked(&Status{Ref: s.Ref, State: Unloaded, Reason: "unloaded"})
	}
	for ref, v := range versions {
		v.used.Store(v.LoadedAt.UnixNano())
		r.setLocked(&Status{Ref: ref, State: Available, Version: v})
	}
	return r.retireLocked(old), true
}

// retireLocked frees versions that nobody can lease any more, each when its last lease ends.
func (r *Registry) retireLocked(old []*Version) <-chan struct{} {
	freed := make(chan struct{})
	r.retiring.Go(func() {
		defer close(freed)
		for _, v := range old {
			_ = v.retire() // what could not be freed is lost; nobody can do anything about it
		}
	})
	return freed
}

// retire waits for the leases of a version that nobody can lease any more, and frees it.
func (v *Version) retire() error {
	v.leases.Wait()
	if err := v.Session.Close(); err != nil {
		return fmt.Errorf("free %s: %w", v.ID, err)
	}
	return nil
}

// Forget drops a model whose versions are unloaded.
func (r *Registry) Forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.modelOf(name).versions {
		if s.State != Unloaded {
			return
		}
	}
	delete(r.models, name)
}

// abort ends a load that failed: versions that did not answer before it failed with it.
func (r *Registry) abort(refs []artifact.Ref, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		if s := r.statusLocked(ref.Name, ref.Version); s != nil && s.State == Loading {
			r.setLocked(&Status{Ref: ref, State: Failed, Reason: reason.Error()})
		}
	}
}
