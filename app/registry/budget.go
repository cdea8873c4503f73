package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/artifact"
)

// noRoomError says that a version does not fit into memory.
type noRoomError struct {
	version                  versionKey
	need, budget, kept, rest int64

	// passing says that the loads under way leave no room, which others, when they are over, do.
	passing bool
}

// Error implements error.
func (e *noRoomError) Error() string {
	return fmt.Sprintf("model %s takes about %s, and the budget of %s (ONDA_MEMORY_BUDGET) has room for %s: %s are taken by models that are pinned or being loaded; raise the budget, or unpin a model",
		e.version, mebibytes(e.need), mebibytes(e.budget), mebibytes(e.rest), mebibytes(e.kept))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// need is the memory that a version will take, as far as is known before it is loaded: what
// it took the last time, what was measured when it was registered, or the size of its files.
func (k *Keeper) need(key versionKey, status Status, ref artifact.Ref) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := k.measured[key]; n > 0 {
		return n
	}
	if doc := status.Registered; doc != nil {
		return max(doc.MemoryBytes, doc.SizeBytes)
	}
	size, err := artifact.SizeOf(ref)
	if err != nil {
		return 0 // loading it will say what is wrong
	}
	return size
}

// reserve makes room for so many bytes, and keeps it until unreserve. Where only loads under
// way leave no room it waits for them, if patient: who has a reservation already must not.
func (k *Keeper) reserve(ctx context.Context, key versionKey, need int64, patient bool) error {
	for {
		freed, others, err := k.tryReserve(key, need)
		switch {
		case err != nil && patient && others != nil:
			select {
			case <-others:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		case err != nil:
			return err
		}
		for _, f := range freed {
			select {
			case <-f:
			case <-ctx.Done():
				k.unreserve(need)
				return ctx.Err()
			}
		}
		return nil
	}
}

// tryReserve reserves memory if there is room, or can be made: freed are closed when it is.
// Where it would do if the loads under way were over, others is closed when one is.
func (k *Keeper) tryReserve(key versionKey, need int64) (freed []<-chan struct{}, others <-chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.config.Budget > 0 {
		victims, err := k.victims(key, need)
		if err != nil {
			if e, ok := errors.AsType[*noRoomError](err); ok && e.kept-k.reserved+need <= e.budget {
				e.passing = true
				others = k.changed
			}
			return nil, others, err
		}
		for _, v := range victims {
			freed = append(freed, k.chill(v))
			if k.config.Observer != nil {
				k.config.Observer.Evicted(v.ref())
			}
		}
	}
	k.reserved += need
	return freed, nil, nil
}

func (k *Keeper) unreserve(n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reserved -= n
	close(k.changed)
	k.changed = make(chan struct{})
}

// victims are the versions to put out of memory for need bytes, the least recently used
// first. The lock is held.
func (k *Keeper) victims(key versionKey, need int64) ([]versionKey, error) {
	used := k.reserved
	kept := k.reserved
	var loose []*Version
	for _, r := range k.config.Registry.residents() {
		used += r.version.Memory
		if r.pinned {
			kept += r.version.Memory
		} else {
			loose = append(loose, r.version)
		}
	}
	if kept+need > k.config.Budget {
		return nil, &noRoomError{version: key, need: need, budget: k.config.Budget, kept: kept, rest: max(0, k.config.Budget-kept)}
	}
	slices.SortFunc(loose, func(a, b *Version) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	var victims []versionKey
	for _, v := range loose {
		if used+need <= k.config.Budget {
			break
		}
		used -= v.Memory
		victims = append(victims, versionKey{v.ID.Name, v.ID.Version})
	}
	return victims, nil
}

// chill puts a version out of memory. freed is closed when its last request is answered.
func (k *Keeper) chill(key versionKey) (freed <-chan struct{}) {
	v, freed := k.config.Registry.chill(key)
	if v != nil {
		k.log.Info().Str("model", key.name).Int64("version", key.version).Int64("bytes", v.Memory).Msg("version put out of memory")
		if k.config.Gone != nil {
			k.config.Gone([]string{v.Identity()})
		}
	}
	return freed
}

// linger is how long a version stays in memory after its last request, where no document
// wants it there and nothing else needs the room.
const linger = time.Minute

// Settle puts versions of a managed model out of memory that its document does not need, but
// for those in keep, those that somebody wanted lately, and those that are yet to be
// registered. With a budget they stay until their room is needed.
func (k *Keeper) Settle(name string, keep []int64) {
	if k.config.Budget > 0 {
		return
	}
	for _, r := range k.config.Registry.residentsOf(name) {
		v := r.version
		asked := v.wanted.Load() && time.Since(v.LastUsed()) < linger
		if !asked && !r.unregistered && !slices.Contains(keep, v.ID.Version) {
			k.chill(versionKey{name, v.ID.Version})
		}
	}
}

// Used is the memory of loaded versions, as far as it could be measured, and of those being
// loaded, in bytes.
func (k *Keeper) Used() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	used := k.reserved
	for _, r := range k.config.Registry.residents() {
		used += r.version.Memory
	}
	return used
}

// Budget is the memory that loaded versions may take, in bytes; 0 sets no bound.
func (k *Keeper) Budget() int64 { return k.config.Budget }

// The pauses between loads of a version that fails.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// failure is a load that failed.
type failure struct {
	err   error
	until time.Time
	pause time.Duration
}

// note remembers how a load ended. The lock is held.
func (k *Keeper) note(key versionKey, err error) {
	if err == nil {
		delete(k.failures, key)
		k.proven[key] = time.Now()
		k.config.Registry.explain(key, "")
		return
	}
	if e, ok := errors.AsType[*noRoomError](err); ok && e.need <= e.budget || k.ctx.Err() != nil {
		return // it is not the version's fault, and may be otherwise in a moment
	}
	delete(k.proven, key)
	pause := min(max(2*k.failures[key].pause, firstPause), lastPause)
	k.failures[key] = failure{err: err, until: time.Now().Add(pause), pause: pause}
	k.config.Registry.explain(key, err.Error())
}

// failedLately gives the error of a load that failed, while it is too early for another.
func (k *Keeper) failedLately(key versionKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.failures[key]
	if !ok || time.Now().After(f.until) {
		return nil
	}
	return f.err
}
