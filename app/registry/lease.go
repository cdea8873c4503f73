package registry

import (
	"context"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Want says which version a request is for.
type Want struct {
	// Ref is what the request names.
	Ref scoring.ModelRef
	// Caller decides where traffic is split over versions.
	Caller scoring.Caller

	// unnoted says that the lease is no sign of somebody who wants the version.
	unnoted bool
}

// Lease is a version for the time of a request.
type Lease struct {
	*Version

	// Mirror is a version that shall get a copy of the request; nil for most. It is leased
	// for as long as the Lease is; who uses it longer calls its Retain.
	Mirror *Version
}

// Waker loads versions that are not in memory: see [Keeper], which implements it.
type Waker interface {
	// Wake loads a version, or waits for the one who does.
	Wake(ctx context.Context, name string, version int64) error
}

// maxWakes bounds how often a request wakes a version that is gone again before it could
// be leased: with that little memory, it should hear so.
const maxWakes = 3

// Use calls fn with a lease of the version that want names; one that is not in memory is
// loaded first. The version stays loaded until fn returns. The error is fn's, or an
// [scoring.Error]: NotFound for a model, version or label that does not exist, Unavailable
// for one that cannot answer now.
func (r *Registry) Use(ctx context.Context, want Want, fn func(Lease) error) error {
	for wakes := 0; ; wakes++ {
		lease, cold, err := r.lease(want)
		if err != nil {
			return err
		}
		if cold == nil {
			defer lease.end()
			return fn(lease)
		}
		if wakes == maxWakes {
			return scoring.Errorf(scoring.Unavailable, "model %s was loaded and put out of memory again %d times: ONDA_MEMORY_BUDGET is too small for what is asked for", cold.Ref, wakes).WithRetryAfter(time.Second)
		}
		if err := r.waker.Wake(ctx, cold.Ref.Name, cold.Ref.Version); err != nil {
			return err
		}
	}
}

func (l Lease) end() {
	l.leases.Done()
	if l.Mirror != nil {
		l.Mirror.leases.Done()
	}
}

// Check says whether [Registry.Use] would find a version that ref names, now. The error
// is the one that Use would give.
func (r *Registry) Check(ref scoring.ModelRef) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, err := r.usableLocked(Want{Ref: ref})
	return err
}

// Hold calls fn with a lease of a version, as Use does for one that is named by number. The
// version does not stay in memory longer for it, but as long as fn runs nothing makes it go.
func (r *Registry) Hold(ctx context.Context, name string, version int64, fn func(*Version) error) error {
	return r.Use(ctx, Want{Ref: scoring.ModelRef{Name: name, Version: version}, unnoted: true}, func(l Lease) error {
		// It must not be waited for by a load that this lease itself waits for.
		l.held.Add(1)
		defer l.held.Add(-1)
		return fn(l.Version)
	})
}

// Wake gives the status of the version that ref names, after loading it if it is cold.
func (r *Registry) Wake(ctx context.Context, ref scoring.ModelRef) (status Status, err error) {
	err = r.Use(ctx, Want{Ref: ref}, func(l Lease) error {
		status, err = r.Status(scoring.ModelRef{Name: l.ID.Name, Version: l.ID.Version})
		return err
	})
	return status, err
}

// lease finds the version and counts a lease, under the lock: see [Version.lease]. cold is
// the version to wake where it is not in memory.
func (r *Registry) lease(want Want) (lease Lease, cold *Status, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, err := r.usableLocked(want)
	if err != nil {
		return Lease{}, nil, err
	}
	if s.State == Cold {
		return Lease{}, s, nil
	}
	s.Version.lease()
	lease.Version = s.Version
	if want.Ref.Version != 0 {
		if !want.unnoted && !s.Version.wanted.Load() {
			s.Version.wanted.Store(true)
		}
	} else {
		lease.Mirror = r.mirrorLocked(want.Ref.Name, s.Ref.Version)
	}
	return lease, nil, nil
}

// usableLocked finds the version and says why it cannot be used where it cannot.
func (r *Registry) usableLocked(want Want) (*Status, error) {
	s, err := r.findLocked(want)
	if err != nil {
		return nil, err
	}
	switch {
	case r.closed:
		return nil, scoring.Errorf(scoring.Unavailable, "the server is shutting down").WithRetryAfter(time.Second)
	case s.Retired && (want.Ref.Version != 0 || s.State != Available):
		// By label it goes on until this replica has what takes its place.
		return nil, r.models[s.Ref.Name].retired(want, s.Ref.Version)
	case s.State == Loading:
		return nil, scoring.Errorf(scoring.Unavailable, "model %s is loading", s.Ref).WithRetryAfter(time.Second)
	case s.State == Unloaded:
		e := scoring.Errorf(scoring.Unavailable, "model %s was unloaded: POST /v2/repository/models/%s/load loads it again", s.Ref, s.Ref.Name)
		e.Final = true
		return nil, e
	case s.State == Failed || s.State == Cold && r.waker == nil:
		e := scoring.Errorf(scoring.Unavailable, "model %s could not be loaded: GET /v1/models/%s/versions/%d or the server's log says why", s.Ref, s.Ref.Name, s.Ref.Version).WithRetryAfter(failedRetry)
		e.Final = true // an event that waits for it would only keep others waiting
		return nil, e
	}
	return s, nil
}

// failedRetry is when a caller may ask again for a version that could not be loaded: not
// before somebody has mended it.
const failedRetry = time.Minute
