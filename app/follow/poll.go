package follow

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/catalog"
)

// sweeps is how many documents are read in each look although the index says that they did
// not change: a writer that died between a document and the index leaves the index behind.
const sweeps = 4

// poll looks at the index, and reads the documents that changed. One that cannot be read keeps
// none of the others from being followed.
func (f *Follower) poll(ctx context.Context) {
	index, err := f.config.Book.Index(ctx)
	f.reached(err)
	if err != nil {
		return
	}
	unread, whole := map[string]string{}, true
	for _, name := range f.changed(index) {
		err := f.read(ctx, name)
		if err == nil {
			continue
		}
		unread[name] = words(err)
		if errors.Is(err, catalog.ErrUnreadable) {
			f.config.Runtime.Withhold(name) // and the others need not wait for it
		} else {
			whole = false
		}
	}
	f.noteUnread(unread)
	f.sweepSome(ctx, index)
	if !whole {
		return
	}
	f.mu.Lock()
	first := !f.documented
	f.documented, f.index = true, index.Revision
	f.mu.Unlock()
	if first {
		f.config.Runtime.Documented()
	}
}

// changed lists the models whose documents are newer than what is followed.
func (f *Follower) changed(index catalog.Index) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(index.Models)) {
		if m := f.models[name]; m == nil || m.doc.Revision < index.Models[name] {
			names = append(names, name)
		}
	}
	return names
}

// read follows the document of a model. One that is not there, because somebody took it away,
// changes nothing.
func (f *Follower) read(ctx context.Context, name string) error {
	doc, err := f.config.Book.Read(ctx, name)
	if err != nil || doc == nil {
		return err
	}
	if f.restored(doc) {
		f.config.Log.Warn().Str("model", name).Int64("revision", doc.Revision).Msg("the state store went back to an older document, as from a backup: following it")
		f.follow(doc, true) //nolint:contextcheck // what a document needs outlasts who brought it
		return nil
	}
	f.Follow(doc) //nolint:contextcheck // what a document needs outlasts who brought it
	return nil
}

// restored says that the store has another past than this replica knows: an older document,
// or another one of the same revision. Once may be an answer that was overtaken by a change;
// twice in a row, with no newer document in between, is not.
func (f *Follower) restored(doc *catalog.Model) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.models[doc.Name]
	if m == nil {
		return false
	}
	if doc.Revision > m.doc.Revision || doc.Revision == m.doc.Revision && last(doc) == last(m.doc) {
		m.older = 0
		return false
	}
	m.older++
	return m.older > 1
}

// last is the ID of the newest entry of a document's history.
func last(doc *catalog.Model) string {
	if n := len(doc.History); n > 0 {
		return doc.History[n-1].ID
	}
	return ""
}

// noteUnread keeps what was wrong with documents that are news, and says so once.
func (f *Follower) noteUnread(unread map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(unread)) {
		if _, known := f.unread[name]; !known {
			f.config.Log.Warn().Str("error", unread[name]).Str("model", name).Msg("the registry's document could not be read: what was served goes on")
		}
	}
	f.unread = unread
}

// sweepSome reads some documents in turn, and announces those that are ahead of the index.
func (f *Follower) sweepSome(ctx context.Context, index catalog.Index) {
	for _, name := range f.nextSwept(index) {
		if f.read(ctx, name) != nil {
			continue // the next look says whether the store is away
		}
		f.mu.Lock()
		m := f.models[name]
		behind := m != nil && m.doc.Revision > index.Models[name]
		f.mu.Unlock()
		if !behind {
			continue
		}
		if err := f.config.Book.Repair(ctx, name); err != nil {
			f.config.Log.Warn().Err(err).Str("model", name).Msg("the registry's index is behind this model, and could not be mended yet")
		}
	}
}

// nextSwept are the models whose turn it is.
func (f *Follower) nextSwept(index catalog.Index) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := maps.Clone(index.Models)
	for name := range f.models {
		known[name] = 0 // a new model's document may be there before the index
	}
	names := slices.Sorted(maps.Keys(known))
	at, _ := slices.BinarySearch(names, f.sweep)
	var next []string
	for i := range min(sweeps, len(names)) {
		next = append(next, names[(at+i)%len(names)])
	}
	if len(names) > 0 {
		f.sweep = names[(at+len(next))%len(names)]
	}
	return next
}

// reached notes whether the state store answers, and says so when that changes.
func (f *Follower) reached(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, since := f.store, time.Now()
	now := StoreState{Reachable: err == nil, Since: was.Since}
	if err != nil {
		now.Error = err.Error()
	}
	if now.Reachable != was.Reachable {
		now.Since = since
	}
	f.store = now
	switch {
	case was.Reachable && err != nil:
		f.config.Log.Error().Err(err).Msg("the state store does not answer: this replica serves what it has, and hears of no change")
	case !was.Reachable && err == nil:
		f.config.Log.Info().Dur("after_ms", since.Sub(was.Since)).Msg("the state store answers")
	case err != nil && was.Error == "":
		f.config.Log.Warn().Err(err).Msg("the state store does not answer yet")
	}
}
