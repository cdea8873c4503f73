package catalog

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

// announceTries bounds how often the index is written anew because others were faster. It is
// the one document that all models' writers share.
const announceTries = 20

// announce raises the revisions in the index; those that are there already are left alone.
func (b *Book) announce(ctx context.Context, revisions map[string]int64) error {
	var err error
	for try := range announceTries {
		if paused := b.pause(ctx, try); paused != nil {
			return errors.Join(paused, err)
		}
		index, etag, failed := b.index(ctx)
		if failed != nil {
			return failed
		}
		if !index.raise(revisions) {
			return nil
		}
		value, failed := encode(index)
		if failed != nil {
			return failed
		}
		err = b.Store.Save(ctx, IndexKey, value, etag)
		// Some stores have another error than Conflict for a new document that exists.
		if err == nil || scoring.CodeOf(err) != scoring.Conflict && etag != "" {
			return err
		}
	}
	return err
}

// raise says whether any of revisions was news.
func (i *Index) raise(revisions map[string]int64) bool {
	var news bool
	for name, revision := range revisions {
		if i.Models[name] < revision {
			i.Models[name] = revision
			news = true
		}
	}
	if news {
		i.Revision++
	}
	return news
}

// Repair announces documents that are ahead of the index, because whoever wrote them ended
// before it could. Without names it looks at every model of the index. A document that cannot
// be read keeps none of the others from being announced.
func (b *Book) Repair(ctx context.Context, names ...string) error {
	index, err := b.Index(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(index.Models))
	}
	var errs []error
	behind := map[string]int64{}
	for _, name := range names {
		doc, err := b.Read(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if doc != nil && doc.Revision > index.Models[name] {
			behind[name] = doc.Revision
		}
	}
	if len(behind) > 0 {
		errs = append(errs, b.announce(ctx, behind))
	}
	return errors.Join(errs...)
}
