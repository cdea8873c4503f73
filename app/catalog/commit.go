package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/onda-serving/onda/app/scoring"
)

const (
	// maxActor and maxReason bound the texts of history entries, in bytes.
	maxActor, maxReason = 256, 512
	// commitTries bounds how often a change is made anew because others were faster.
	commitTries = 10
)

// Change is a change of a model's document.
type Change struct {
	// Actor who makes it; cut after 256 bytes.
	Actor string
	// Action is what is done: one of the Action constants, and [ActionRegister] if and only
	// if Apply registers a version.
	Action string
	// Reason why; cut after 512 bytes.
	Reason string
	// Version that the change is about; 0 if it is about none. It may be left out where a
	// version is registered.
	Version int64
	// Seen is the document that the actor decided on; nil for a change that is meant
	// whatever is there.
	Seen *Model
	// Apply makes the change with the methods of [Model], such as [Model.SetLabel]. It runs
	// again, on a newer document, where others were faster, and must depend on nothing but
	// its argument. Its error ends the commit, and is given back as it is.
	Apply func(*Model) error
}

// Commit makes a change: document, history entry and index. It gives the document with the
// change in it, which can hold newer ones too, or as it was if the change changes nothing;
// nothing is written then.
//
// The error is a [*ConflictError] if Seen is set and the state of the document is another one
// by now; a version that was registered meanwhile is no other state. Its code is Conflict too
// if others were faster again and again. After an error of the store the change was not made,
// unless its text says that this is not known.
//
// Replicas hear of the change through the index. If that cannot be written the change stands
// all the same, and the next [Book.Repair] announces it.
func (b *Book) Commit(ctx context.Context, name string, c Change) (*Model, error) {
	w := writer{book: b, name: name, change: c, id: rand.Text()}
	var err error
	for try := range commitTries {
		if paused := b.pause(ctx, try); paused != nil {
			return nil, paused
		}
		var doc *Model
		if doc, err = w.try(ctx); err == nil {
			return doc, nil
		}
		var overtaken *overtakenError
		if !errors.As(err, &overtaken) {
			return nil, err
		}
		err = overtaken.cause
	}
	return nil, scoring.Errorf(scoring.Conflict, "model %q changed %d times while this change was being made: try it again", name, commitTries).WithCause(err)
}

// overtakenError says that another writer was faster.
type overtakenError struct{ cause error }

func (e *overtakenError) Error() string { return fmt.Sprintf("another writer was faster: %v", e.cause) }

// writer makes one change, in one or more tries.
type writer struct {
	book   *Book
	name   string
	change Change
	// id of the change, the same in every try: a try that seemed to fail is known again by it.
	id string
	// started is the revision at the first try: nothing up to it is ours. begun says that
	// there was a first try.
	started int64
	begun   bool
}

// try makes the change on the document that is there now.
func (w *writer) try(ctx context.Context) (*Model, error) {
	p, err := w.book.read(ctx, w.name)
	if err != nil {
		return nil, err
	}
	switch landed, err := w.landed(ctx, p.doc); {
	case err != nil:
		return nil, err
	case landed:
		w.announce(ctx, p.doc)
		return p.doc, nil
	}
	if seen := w.change.Seen; seen != nil && !seen.equal(&p.doc.State) {
		return nil, &ConflictError{Yours: seen, Current: p.doc}
	}
	next, err := w.next(p.doc)
	if err == nil && next == nil && p.bytes > 0 {
		// Nothing to change: perhaps somebody made this change, and died before it was announced.
		w.announce(ctx, p.doc)
	}
	if err != nil || next == nil {
		return p.doc, err
	}
	entry, err := w.entry(p.doc, next)
	if err != nil {
		return nil, err
	}
	if err := w.book.archive(ctx, next, p.bytes); err != nil {
		return nil, err
	}
	next.History = append(next.History, entry)
	next.Revision = entry.Revision
	return w.save(ctx, p, next)
}

// next gives the document after the change, without its entry; nil where nothing changed.
func (w *writer) next(now *Model) (*Model, error) {
	next := *now
	next.State = now.State.clone()
	next.Versions = maps.Clone(now.Versions)
	next.History = slices.Clone(now.History)
	if err := w.change.Apply(&next); err != nil {
		return nil, err
	}
	if next.equal(&now.State) && len(next.Versions) == len(now.Versions) {
		return nil, nil //nolint:nilnil // a change that changes nothing is neither a document nor an error
	}
	return &next, nil
}

// entry tells the change from the document now to next.
func (w *writer) entry(now, next *Model) (Entry, error) {
	registered, err := added(now.Versions, next.Versions)
	if err != nil {
		return Entry{}, scoring.InternalError(err)
	}
	if (registered != nil) != (w.change.Action == ActionRegister) {
		return Entry{}, scoring.InternalError(fmt.Errorf("action %q of a change that registers %v", w.change.Action, registered))
	}
	e := Entry{
		Revision:   now.Revision + 1,
		ID:         w.id,
		At:         w.book.now(),
		Actor:      clip(w.change.Actor, maxActor),
		Action:     w.change.Action,
		Reason:     clip(w.change.Reason, maxReason),
		Version:    w.change.Version,
		Registered: registered,
		Before:     now.State.clone(),
		After:      next.State.clone(),
	}
	if e.Version == 0 && registered != nil {
		e.Version = registered.Version
	}
	return e, nil
}

// added gives the one version that after has and before has not; nil if there is none. All
// others must be what they were, or the history would not tell how they came about.
func added(before, after map[int64]Version) (*Version, error) {
	var found *Version
	for number, v := range after {
		known, ok := before[number]
		switch {
		case ok && reflect.DeepEqual(known, v):
		case ok || found != nil:
			return nil, errors.New("a change must register one version at most, and change none")
		default:
			found = &v
		}
	}
	if removed := len(before) + 1 - len(after); removed > 1 || removed > 0 && found != nil {
		return nil, errors.New("a change must not remove versions")
	}
	return found, nil
}

// save writes the document and finds out whether that worked.
func (w *writer) save(ctx context.Context, p page, next *Model) (*Model, error) {
	value, err := encode(next)
	if err != nil {
		return nil, err
	}
	saved := w.book.Store.Save(ctx, ModelKey(w.name), value, p.etag)
	if saved == nil {
		w.announce(ctx, next)
		return next, nil
	}
	return w.find(ctx, p.etag, saved)
}

// find looks for the change in the document after saving it with an ETag gave the error
// saved: the store may have written it and not been able to say so. Some stores have another
// error than Conflict for a document that exists already, so the document itself must tell.
func (w *writer) find(ctx context.Context, etag string, saved error) (*Model, error) {
	left := ctx.Err() != nil
	ctx, cancel := afterwards(ctx)
	defer cancel()
	there, err := w.book.read(ctx, w.name)
	var landed bool
	if err == nil {
		landed, err = w.landed(ctx, there.doc)
	}
	switch {
	case landed:
		w.announce(ctx, there.doc)
		return there.doc, nil
	case err == nil && (scoring.CodeOf(saved) == scoring.Conflict || there.etag != etag):
		return nil, &overtakenError{cause: saved}
	case err != nil || left: // what was given up can still be on its way to the store
		return nil, scoring.Errorf(scoring.Unavailable, "it is not known whether the change of model %q was made, because the state store did not answer: look at the model's history before you repeat it", w.name).WithCause(errors.Join(saved, err))
	default:
		return nil, scoring.Errorf(scoring.Unavailable, "the change of model %q was not made, because the state store failed to save it: try it again", w.name).WithCause(saved)
	}
}

// landed says whether an earlier try of the change is in the document's history. The first
// call only notes where the history ends, because there was no try before it.
func (w *writer) landed(ctx context.Context, doc *Model) (bool, error) {
	if !w.begun {
		w.started, w.begun = doc.Revision, true
		return false, nil
	}
	for e, err := range w.book.entries(ctx, doc) {
		if err != nil {
			return false, err
		}
		if e.Revision <= w.started {
			break
		}
		if e.ID == w.id {
			return true, nil
		}
	}
	return false, nil
}

func (w *writer) announce(ctx context.Context, doc *Model) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err := w.book.announce(ctx, map[string]int64{w.name: doc.Revision}); err != nil {
		w.book.Log.Warn().Err(err).Str("model", w.name).Int64("revision", doc.Revision).
			Msg("a change was made but could not be announced in the index: replicas follow it once the index is repaired")
	}
}
