package follow

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/onda-serving/onda/app/catalog"
)

// record registers the loaded versions of the models folder that no document knows, so that
// operators see them and labels can name them. Replicas that start together do the same;
// whoever comes second finds nothing to do.
func (f *Follower) record(ctx context.Context) {
	if !f.Documented() {
		return
	}
	unregistered := f.config.Runtime.Unregistered()
	for _, name := range slices.Sorted(maps.Keys(unregistered)) {
		for _, v := range unregistered[name] {
			if ctx.Err() != nil {
				return
			}
			f.recordOne(ctx, name, v)
		}
	}
}

func (f *Follower) recordOne(ctx context.Context, name string, v catalog.Version) {
	key := fmt.Sprintf("%s@%d", name, v.Version)
	if f.refused[key] {
		return
	}
	var refused error // by the document, and not by a store that is away, or busy with other writers
	now, err := f.config.Book.Commit(ctx, name, catalog.Change{
		Actor: actor, Action: catalog.ActionRegister, Reason: "found in the models folder", Version: v.Version,
		// Nobody is sent to it by this: a label that moves there is checked again.
		Apply: func(m *catalog.Model) error {
			refused = m.Register(v, catalog.Accept{catalog.AcceptSignature})
			return refused
		},
	})
	switch {
	case err == nil:
		f.Follow(now) //nolint:contextcheck // what a document needs outlasts who brought it
	case refused != nil:
		f.refused[key] = true
		f.config.Log.Warn().Err(err).Str("model", name).Int64("version", v.Version).Msg("a version of the models folder could not be registered")
	default:
		f.config.Log.Debug().Err(err).Str("model", name).Msg("a version could not be registered yet")
	}
}
